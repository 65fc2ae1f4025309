//! Answers of cacheable routes, kept so that the next client gets them without entering the sandbox.
//!
//! The key is everything the answer may depend on: store, plugin digest, what the operator has set, path, query and the
//! request headers that the route declares. A header that is not declared never reaches the plugin, so it cannot poison
//! what is kept.
//!
//! Tags make an answer go away. Every tag carries the number of its last invalidation, and an answer the number that
//! was current when its call began: it counts while none of its tags has a later one. So an invalidation that arrives
//! while a call is running outdates the call's answer too, and invalidating costs the same for one answer as for all.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderName, SET_COOKIE, VARY};
use moka::Expiry;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::answers::Answer;
use super::compression::{self, Effort, Encoding};
use crate::plugins::TagInvalidation;

pub static CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");

/// A plugin that tags every answer with a new name must not grow the kernel: beyond this an answer is not kept.
const MOST_TAGS: usize = 64;
const LONGEST_TAG: usize = 256;
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);
/// No call runs longer than this, so that an invalidation this old concerns no call any more.
const LONGEST_CALL: Duration = Duration::from_secs(600);

pub struct ResponseCache {
    answers: moka::sync::Cache<Key, Arc<Kept>>,
    /// Counts invalidations. A call notes it when it begins.
    clock: AtomicU64,
    tags: Mutex<Tags>,
    flights: Mutex<HashMap<Key, watch::Receiver<()>>>,
    /// 0: off.
    max_bytes: u64,
    longest: Duration,
}

/// Everything an answer depends on, in one buffer whose parts are separated by lengths.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(Arc<[u8]>);

impl Key {
    /// `generation`: of what is installed, enabled and set, which every plugin's answer may depend on.
    pub fn new(store: i64, generation: i64, route: &[u8], path: &str, query: &str, headers: &[(&str, &[u8])]) -> Self {
        let mut buffer = Vec::with_capacity(64 + route.len() + path.len() + query.len());
        buffer.extend_from_slice(&store.to_be_bytes());
        buffer.extend_from_slice(&generation.to_be_bytes());
        for part in [route, path.as_bytes(), query.as_bytes()] {
            append(&mut buffer, part);
        }
        for (name, value) in headers {
            append(&mut buffer, name.as_bytes());
            append(&mut buffer, value);
        }
        Self(buffer.into())
    }
}

/// With its length in front no part can be continued into the next one.
fn append(buffer: &mut Vec<u8>, part: &[u8]) {
    buffer.extend_from_slice(&(part.len() as u64).to_be_bytes());
    buffer.extend_from_slice(part);
}

/// Parameters in the order of their names. Those of one name keep their order: a handler may prefer the first.
pub fn sorted_query(query: &str) -> String {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_by_key(|pair| pair.split_once('=').map_or(*pair, |(name, _)| name));
    pairs.join("&")
}

struct Kept {
    answer: Answer,
    tags: Vec<Arc<Tag>>,
    /// The clock when the call began.
    began: u64,
    kept_at: Instant,
    max_age: Duration,
    brotli: OnceLock<Option<Bytes>>,
    gzip: OnceLock<Option<Bytes>>,
}

struct Tag {
    invalidated: AtomicU64,
}

#[derive(Default)]
struct Tags {
    by_name: HashMap<(i64, String), (Arc<Tag>, Instant)>,
    swept_at: usize,
}

/// What a look-up found.
pub enum Found {
    Kept(Answer),
    /// Make the answer and give it to [`Making::keep`]. Others who ask meanwhile wait for it.
    Missing(Making),
}

impl ResponseCache {
    /// `longest` bounds how old an answer gets on a node that cannot hear the invalidations of others.
    pub fn new(max_mib: u32, longest: Option<Duration>) -> Self {
        let max_bytes = u64::from(max_mib) << 20;
        let answers = moka::sync::Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &Key, kept: &Arc<Kept>| kept.weight(key))
            .expire_after(UntilMaxAge)
            .build();
        Self {
            answers,
            clock: AtomicU64::new(0),
            tags: Mutex::default(),
            flights: Mutex::default(),
            max_bytes,
            longest: longest.unwrap_or(LONGEST_AGE),
        }
    }

    pub fn is_on(&self) -> bool {
        self.max_bytes > 0
    }

    /// `shared`: whether the route's answers were kept so far. Only then is it worth waiting for someone else's.
    pub async fn find(self: &Arc<Self>, key: Key, shared: &AtomicBool, encoding: Option<Encoding>) -> Found {
        if let Some(kept) = self.current(&key) {
            return Found::Kept(kept.answer(encoding).await);
        }
        if !shared.load(Ordering::Relaxed) {
            return Found::Missing(self.make(key, None));
        }
        let under_way = {
            let mut flights = self.flights.lock();
            match flights.get(&key) {
                Some(flight) => flight.clone(),
                None => {
                    let (landed, flight) = watch::channel(());
                    flights.insert(key.clone(), flight);
                    return Found::Missing(self.make(key, Some(landed)));
                }
            }
        };
        let mut under_way = under_way;
        // Ends with an error when the maker drops its side, which is the only thing it ever does with it.
        while under_way.changed().await.is_ok() {}
        match self.current(&key) {
            Some(kept) => Found::Kept(kept.answer(encoding).await),
            None => Found::Missing(self.make(key, None)),
        }
    }

    fn make(self: &Arc<Self>, key: Key, landed: Option<watch::Sender<()>>) -> Making {
        Making {
            cache: self.clone(),
            key,
            began: self.clock.load(Ordering::SeqCst),
            landed,
        }
    }

    fn current(&self, key: &Key) -> Option<Arc<Kept>> {
        let kept = self.answers.get(key)?;
        if kept.is_current() {
            return Some(kept);
        }
        self.answers.invalidate(key);
        None
    }

    fn tag(&self, store: i64, plugin: &str, tag: &str) -> Arc<Tag> {
        let mut tags = self.tags.lock();
        let now = Instant::now();
        let name = (store, format!("{plugin}:{tag}"));
        let (tag, used) = tags.by_name.entry(name).or_insert_with(|| {
            (
                Arc::new(Tag {
                    invalidated: AtomicU64::new(0),
                }),
                now,
            )
        });
        *used = now;
        let tag = tag.clone();
        tags.sweep(now);
        tag
    }
}

impl TagInvalidation for ResponseCache {
    fn invalidate(&self, store: i64, plugin: &str, tags: &[String]) {
        let now = self.clock.fetch_add(1, Ordering::SeqCst) + 1;
        for tag in tags {
            self.tag(store, plugin, tag)
                .invalidated
                .fetch_max(now, Ordering::SeqCst);
        }
    }
}

impl Tags {
    /// Forgets tags that no kept answer has and that no running call can still bring.
    fn sweep(&mut self, now: Instant) {
        if self.by_name.len() < (2 * self.swept_at).max(4096) {
            return;
        }
        self.by_name
            .retain(|_, (tag, used)| Arc::strong_count(tag) > 1 || now.duration_since(*used) < LONGEST_CALL);
        self.swept_at = self.by_name.len();
    }
}

/// The duty to make an answer that was not there. Dropped without [`Making::keep`], it lets those who wait try themselves.
pub struct Making {
    cache: Arc<ResponseCache>,
    key: Key,
    began: u64,
    landed: Option<watch::Sender<()>>,
}

impl Making {
    /// Keeps the answer if its headers allow that; tells whether it did.
    pub fn keep(self, plugin: &str, store: i64, answer: &Answer) -> bool {
        let Some(max_age) = max_age(answer).map(|age| age.min(self.cache.longest)) else {
            return false;
        };
        let tags = tag_names(answer);
        if max_age.is_zero()
            || answer.body.len() as u64 > self.cache.max_bytes / 16
            || tags.len() > MOST_TAGS
            || tags.iter().any(|tag| tag.len() > LONGEST_TAG)
        {
            return false;
        }
        let kept = Kept {
            answer: answer.clone(),
            tags: tags.iter().map(|tag| self.cache.tag(store, plugin, tag)).collect(),
            began: self.began,
            kept_at: Instant::now(),
            max_age,
            brotli: OnceLock::new(),
            gzip: OnceLock::new(),
        };
        if !kept.is_current() {
            return false;
        }
        self.cache.answers.insert(self.key.clone(), Arc::new(kept));
        true
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if self.landed.take().is_some() {
            self.cache.flights.lock().remove(&self.key);
        }
    }
}

impl Kept {
    fn is_current(&self) -> bool {
        self.tags
            .iter()
            .all(|tag| tag.invalidated.load(Ordering::SeqCst) <= self.began)
    }

    /// A copy for one client, with its age, compressed once for all who take that encoding.
    async fn answer(self: &Arc<Self>, encoding: Option<Encoding>) -> Answer {
        let mut answer = self.answer.clone();
        answer
            .headers
            .insert(http::header::AGE, self.kept_at.elapsed().as_secs().into());
        let Some(encoding) = encoding.filter(|_| compression::worthwhile(&answer, 0)) else {
            return answer;
        };
        let place = match encoding {
            Encoding::Brotli => &self.brotli,
            Encoding::Gzip => &self.gzip,
        };
        let compressed = match place.get() {
            Some(compressed) => compressed.clone(),
            None => {
                let made = compression::compress(answer.body.clone(), encoding, Effort::Kept).await;
                place.get_or_init(|| made).clone()
            }
        };
        if let Some(compressed) = compressed {
            compression::use_compressed(&mut answer, encoding, compressed);
        }
        answer
    }

    /// Roughly what it occupies, the compressed copies counted as one more body.
    fn weight(&self, key: &Key) -> u32 {
        let headers: usize = self
            .answer
            .headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 64)
            .sum();
        u32::try_from(key.0.len() + 2 * self.answer.body.len() + headers + 16 * self.tags.len() + 256)
            .unwrap_or(u32::MAX)
    }
}

struct UntilMaxAge;

impl Expiry<Key, Arc<Kept>> for UntilMaxAge {
    fn expire_after_create(&self, _: &Key, kept: &Arc<Kept>, _: Instant) -> Option<Duration> {
        Some(kept.max_age)
    }

    fn expire_after_update(&self, _: &Key, kept: &Arc<Kept>, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(kept.max_age)
    }
}

/// How long the plugin allows anyone to keep the answer: it has to say `public` and `max-age`.
fn max_age(answer: &Answer) -> Option<Duration> {
    if answer.status != StatusCode::OK || answer.headers.contains_key(SET_COOKIE) || answer.headers.contains_key(VARY) {
        return None;
    }
    let mut public = false;
    let mut seconds = None;
    for directive in answer.headers.get(CACHE_CONTROL)?.to_str().ok()?.split(',') {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "public" => public = true,
            "no-store" | "private" | "no-cache" => return None,
            "max-age" => seconds = value.trim().parse().ok(),
            _ => {}
        }
    }
    seconds.filter(|_| public).map(Duration::from_secs)
}

fn tag_names(answer: &Answer) -> Vec<&str> {
    let tags = answer
        .headers
        .get(&CACHE_TAG)
        .and_then(|list| list.to_str().ok())
        .unwrap_or_default();
    tags.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use http::header::HeaderValue;

    use super::*;
    use crate::http::answers::JSON;

    fn cache() -> Arc<ResponseCache> {
        Arc::new(ResponseCache::new(16, None))
    }

    fn key(path: &str) -> Key {
        Key::new(1, 1, b"digest", path, "", &[])
    }

    fn tagged(body: &'static str) -> Answer {
        let mut answer = Answer::new(StatusCode::OK, JSON.clone(), body);
        answer
            .headers
            .insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        answer
            .headers
            .insert(&CACHE_TAG, HeaderValue::from_static("item-1, list"));
        answer
    }

    async fn look(cache: &Arc<ResponseCache>, path: &str) -> Found {
        cache.find(key(path), &AtomicBool::new(true), None).await
    }

    async fn making(cache: &Arc<ResponseCache>, path: &str) -> Making {
        match look(cache, path).await {
            Found::Missing(making) => making,
            Found::Kept(_) => panic!("nothing should be kept"),
        }
    }

    #[tokio::test]
    async fn an_answer_is_kept_until_one_of_its_tags_is_invalidated() {
        let cache = cache();
        assert!(making(&cache, "/a").await.keep("notes", 1, &tagged("1")));
        assert!(matches!(look(&cache, "/a").await, Found::Kept(answer) if answer.body == "1"));
        cache.invalidate(1, "other", &["list".into()]);
        cache.invalidate(2, "notes", &["list".into()]);
        assert!(matches!(look(&cache, "/a").await, Found::Kept(_)));
        cache.invalidate(1, "notes", &["list".into()]);
        assert!(matches!(look(&cache, "/a").await, Found::Missing(_)));
    }

    #[tokio::test]
    async fn an_answer_made_while_its_tag_was_invalidated_is_not_kept() {
        let cache = cache();
        let making = making(&cache, "/a").await;
        cache.invalidate(1, "notes", &["item-1".into()]);
        assert!(!making.keep("notes", 1, &tagged("old")));
    }

    #[tokio::test]
    async fn a_hundred_who_ask_at_once_are_one_call() {
        let cache = cache();
        let making = making(&cache, "/a").await;
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let cache = cache.clone();
                tokio::spawn(async move { matches!(look(&cache, "/a").await, Found::Kept(_)) })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(making.keep("notes", 1, &tagged("1")));
        for asked in waiting {
            assert!(asked.await.unwrap());
        }
    }

    #[tokio::test]
    async fn those_who_wait_for_a_call_that_fails_try_themselves() {
        let cache = cache();
        let making = making(&cache, "/a").await;
        let waiting = tokio::spawn({
            let cache = cache.clone();
            async move { matches!(look(&cache, "/a").await, Found::Missing(_)) }
        });
        tokio::task::yield_now().await;
        drop(making);
        assert!(waiting.await.unwrap());
    }

    #[tokio::test]
    async fn what_is_private_is_not_kept() {
        let cache = cache();
        for control in [
            "private, max-age=60",
            "max-age=60",
            "public",
            "public, no-store, max-age=60",
            "public, max-age=0",
        ] {
            let mut answer = tagged("1");
            answer.headers.insert(CACHE_CONTROL, HeaderValue::from_static(control));
            assert!(!making(&cache, "/a").await.keep("notes", 1, &answer), "{control}");
        }
    }

    #[tokio::test]
    async fn a_node_that_cannot_hear_others_serves_nothing_old() {
        let cache = Arc::new(ResponseCache::new(16, Some(Duration::from_millis(30))));
        assert!(making(&cache, "/a").await.keep("notes", 1, &tagged("1")));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(matches!(look(&cache, "/a").await, Found::Missing(_)));
    }

    #[test]
    fn parts_of_a_key_cannot_be_moved_into_each_other() {
        assert!(Key::new(1, 1, b"d", "/a", "b=1", &[]) != Key::new(1, 1, b"d", "/ab=1", "", &[]));
        assert!(Key::new(1, 1, b"d", "/a", "", &[("x", b"y")]) != Key::new(1, 1, b"d", "/a", "", &[("xy", b"")]));
        assert!(Key::new(1, 2, b"d", "/a", "", &[]) != Key::new(2, 1, b"d", "/a", "", &[]));
        assert_eq!(sorted_query("b=2&a=1&b=1"), "a=1&b=2&b=1");
    }
}
