//! A closed loop: so many connections, each sending its next request when it has the answer to the last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// As the issue asks for.
pub const CONNECTIONS: usize = 64;

/// What is sent.
#[derive(Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Call {
    pub fn get(path: &str, store: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            headers: vec![("x-store", store.to_owned())],
            body: Bytes::new(),
        }
    }

    pub fn post(path: &str, headers: Vec<(&'static str, String)>, body: &Value) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            headers,
            body: body.to_string().into(),
        }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header("host", "localhost");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if !self.body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Speed {
    pub answers: usize,
    pub took: Duration,
    pub bytes: usize,
    times: Vec<Duration>,
}

impl Speed {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.took.as_secs_f64()
    }

    fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.times.len() * percent / 100).min(self.times.len().saturating_sub(1));
        self.times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    pub fn p99_ms(&self) -> f64 {
        self.percentile_ms(99)
    }

    pub fn json(&self) -> Value {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        json!({
            "per_second": self.per_second().round(),
            "per_second_and_core": (self.per_second() / cores as f64).round(),
            "p50_ms": round(self.percentile_ms(50)),
            "p99_ms": round(self.p99_ms()),
            "answers": self.answers,
            "bytes_per_answer": self.bytes / self.answers.max(1),
        })
    }
}

pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The same call again and again, for this long after a fifth of it to warm up.
pub async fn repeat(url: &str, call: &Call, time: Duration) -> Result<Speed> {
    run_for(url, call, time / 5).await?;
    run_for(url, call, time).await
}

async fn run_for(url: &str, call: &Call, time: Duration) -> Result<Speed> {
    let call = Arc::new(call.clone());
    let end = Instant::now() + time;
    let next = move || (Instant::now() < end).then(|| call.clone());
    run(url, CONNECTIONS, next, 200).await
}

/// The same call by one client alone, who notices how long each answer takes; an answer other than 200 ends it.
pub async fn alone(url: &str, call: &Call, time: Duration) -> Result<Speed> {
    let call = Arc::new(call.clone());
    let end = Instant::now() + time;
    run(url, 1, move || (Instant::now() < end).then(|| call.clone()), 200).await
}

/// As many as there are connections, each with this call again and again whatever is answered; how many answers they got.
pub async fn crowd(url: &str, call: &Call, time: Duration) -> Result<usize> {
    let address = url.strip_prefix("http://").context("a plain address")?.to_owned();
    let end = Instant::now() + time;
    let mut loops = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (address, call) = (address.clone(), call.clone());
        loops.spawn(async move {
            let mut answers = 0;
            while Instant::now() < end {
                let mut sender = connect(&address).await?;
                while Instant::now() < end && send(&mut sender, &call).await.is_ok() {
                    answers += 1;
                }
            }
            anyhow::Ok(answers)
        });
    }
    loops.join_all().await.into_iter().sum()
}

/// Each of these once, over so many connections.
pub async fn each_once(url: &str, calls: Vec<Call>, connections: usize, expected: u16) -> Result<Speed> {
    let calls = Arc::new(std::sync::Mutex::new(
        calls.into_iter().map(Arc::new).collect::<Vec<_>>(),
    ));
    let next = move || calls.lock().ok()?.pop();
    run(url, connections, next, expected).await
}

async fn run(
    url: &str,
    connections: usize,
    next: impl Fn() -> Option<Arc<Call>> + Clone + Send + 'static,
    expected: u16,
) -> Result<Speed> {
    let address = url.strip_prefix("http://").context("a plain address")?.to_owned();
    let began = Instant::now();
    let mut loops = JoinSet::new();
    for _ in 0..connections {
        let (address, next) = (address.clone(), next.clone());
        loops.spawn(async move {
            let mut sender = connect(&address).await?;
            let (mut times, mut bytes) = (Vec::new(), 0);
            while let Some(call) = next() {
                let asked = Instant::now();
                bytes += ask(&mut sender, &call, expected).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok((times, bytes))
        });
    }
    let (mut times, mut bytes) = (Vec::new(), 0);
    for ended in loops.join_all().await {
        let (of_one, bytes_of_one) = ended?;
        times.extend(of_one);
        bytes += bytes_of_one;
    }
    let took = began.elapsed();
    times.sort_unstable();
    Ok(Speed {
        answers: times.len(),
        took,
        bytes,
        times,
    })
}

async fn connect(address: &str) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, call: &Call, expected: u16) -> Result<usize> {
    let (status, body) = send(sender, call).await?;
    ensure!(
        status == expected,
        "{} {} answered {status}: {}",
        call.method,
        call.path,
        String::from_utf8_lossy(&body[..body.len().min(500)])
    );
    Ok(body.len())
}

async fn send(sender: &mut SendRequest<Full<Bytes>>, call: &Call) -> Result<(StatusCode, Bytes)> {
    sender.ready().await?;
    let answer = sender.send_request(call.request()?).await?;
    let status = answer.status();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}
