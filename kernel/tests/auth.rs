//! Stores, accounts, tokens, keys and secrets, on both engines. Attacks are named after what they try.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use commerce_kernel::args;
use commerce_kernel::auth::{ApiKeyKind, Asked, Auth, AuthConfig, purge_rules};
use commerce_kernel::caller::{Caller, CallerKind};
use commerce_kernel::http::problem::Problem;
use commerce_kernel::secrets::{MasterKey, Secret, Secrets, SecretsError};
use commerce_kernel::storage::sql::{Sql, SqlConfig, Time};
use commerce_kernel::stores::{NewStore, Provisioned, Store, StorePlugins, StoreStatus, Stores};
use commerce_kernel::versions::Versions;
use http::HeaderMap;
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse battery";
const ADDRESS: &str = "192.0.2.7";

/// Runs a story on each engine.
macro_rules! on_both_engines {
    ($($(#[$note:meta])* async fn $name:ident($world:ident: World) $body:block)*) => {
        mod sqlite {
            use super::*;
            $($(#[$note])* #[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::stories::$name(World::sqlite().await).await
            })*
        }
        mod postgres {
            use super::*;
            $($(#[$note])* #[tokio::test(flavor = "multi_thread")] async fn $name() {
                super::stories::$name(World::postgres().await).await
            })*
        }
        mod stories {
            use super::*;
            $(pub async fn $name($world: World) $body)*
        }
    };
}

/// A database and what a node keeps of it.
struct World {
    folder: Arc<tempfile::TempDir>,
    url: Option<String>,
    master: MasterKey,
    sql: Sql,
    /// Changes of other nodes are followed as long as this lives.
    _versions: Versions,
    stores: Arc<Stores>,
    auth: Auth,
    secrets: Arc<Secrets>,
}

/// A kernel without plugins.
struct NoPlugins;

#[async_trait]
impl StorePlugins for NoPlugins {
    async fn provision(&self, _: &Arc<Store>) -> Result<(), Problem> {
        Ok(())
    }

    async fn remove(&self, _: &Arc<Store>) -> Result<Vec<(String, u64)>, Problem> {
        Ok(Vec::new())
    }
}

fn config() -> AuthConfig {
    AuthConfig {
        argon2_memory_kib: 64,
        argon2_iterations: 1,
        ..AuthConfig::default()
    }
}

impl World {
    async fn sqlite() -> Self {
        Self::start(None).await
    }

    async fn postgres() -> Self {
        Self::start(Some(commerce_harness::postgres::database().await)).await
    }

    async fn start(url: Option<String>) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::node(folder, url, MasterKey::generate(), config()).await.unwrap()
    }

    async fn node(
        folder: Arc<tempfile::TempDir>,
        url: Option<String>,
        master: MasterKey,
        config: AuthConfig,
    ) -> anyhow::Result<Self> {
        let sql = Sql::open(
            &SqlConfig {
                url: url.clone(),
                ..SqlConfig::default()
            },
            folder.path(),
        )
        .await?;
        sql.migrate().await?;
        let versions = Versions::start(sql.clone()).await?;
        let stores = Stores::open(sql.clone(), &versions).await?;
        let auth = Auth::open(sql.clone(), config, master.clone(), &versions).await?;
        let secrets = Secrets::open(sql.clone(), master.clone(), &versions).await?;
        Ok(Self {
            folder,
            url,
            master,
            sql,
            _versions: versions,
            stores,
            auth,
            secrets,
        })
    }

    async fn another_node(&self) -> Self {
        self.node_with(config()).await
    }

    async fn node_with(&self, config: AuthConfig) -> Self {
        Self::node(self.folder.clone(), self.url.clone(), self.master.clone(), config)
            .await
            .unwrap()
    }

    async fn store(&self, slug: &str) -> Provisioned {
        self.stores
            .create(new_store(slug), &self.auth, &NoPlugins)
            .await
            .unwrap()
    }

    async fn ask_from(
        &self,
        address: &str,
        operation: &str,
        store: &Arc<Store>,
        caller: &Caller,
        body: Value,
    ) -> Result<(u16, Value), Problem> {
        let address: IpAddr = address.parse().unwrap();
        let asked = Asked {
            store,
            caller,
            address,
            body,
        };
        match operation {
            "auth.register" => self.auth.register(asked).await,
            "auth.login" => self.auth.login(asked).await,
            "auth.refresh" => self.auth.refresh(asked).await,
            "auth.logout" => self.auth.logout(asked).await,
            "auth.me" => self.auth.me(asked).await,
            "auth.update_me" => self.auth.update_me(asked).await,
            other => panic!("no operation {other}"),
        }
    }

    async fn ask(&self, operation: &str, store: &Arc<Store>, body: Value) -> Result<(u16, Value), Problem> {
        self.ask_from(ADDRESS, operation, store, &Caller::anonymous(ADDRESS), body)
            .await
    }

    async fn register(&self, store: &Arc<Store>, email: &str) -> Value {
        let (status, answer) = self
            .ask("auth.register", store, json!({ "email": email, "password": PASSWORD }))
            .await
            .unwrap();
        assert_eq!(status, 201);
        answer
    }

    async fn login(&self, store: &Arc<Store>, email: &str, password: &str) -> Result<(u16, Value), Problem> {
        self.ask("auth.login", store, json!({ "email": email, "password": password }))
            .await
    }

    async fn refresh(&self, store: &Arc<Store>, tokens: &Value) -> Result<(u16, Value), Problem> {
        self.ask(
            "auth.refresh",
            store,
            json!({ "refresh_token": tokens["refresh_token"] }),
        )
        .await
    }

    fn caller(&self, store: &Store, tokens: &Value) -> Result<Caller, Problem> {
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        self.auth
            .authenticate(store, &headers(&[("authorization", &bearer)]))
            .map(Option::unwrap)
    }

    fn key_caller(&self, store: &Store, key: &str) -> Result<Option<Caller>, Problem> {
        self.auth.authenticate(store, &headers(&[("x-api-key", key)]))
    }
}

fn new_store(slug: &str) -> NewStore {
    NewStore {
        slug: slug.to_owned(),
        name: format!("Store {slug}"),
        currency: "IDR".to_owned(),
        currencies: vec!["usd".to_owned()],
        hosts: vec![format!("{slug}.Example.com:8080")],
        timezone: Some("Asia/Jakarta".to_owned()),
        owner_email: format!("owner@{slug}.example.com"),
        owner_password: Secret::new(PASSWORD.to_owned()),
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Problem>) -> (u16, String) {
    let problem = outcome.unwrap_err();
    (problem.status, problem.code)
}

/// Within the two seconds that are promised, and some for a busy machine.
async fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(6), "not soon: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

on_both_engines! {
    async fn a_customer_registers_signs_in_refreshes_and_signs_out(world: World) {
        let store = world.store("jakarta").await.store;
        let registered = world.register(&store, " Ann@Example.com ").await;
        assert_eq!(registered["user"]["email"], "ann@example.com");
        assert_eq!(registered["expires_in"], 900);

        let (status, signed_in) = world.login(&store, "ANN@example.com", PASSWORD).await.unwrap();
        assert_eq!((status, &signed_in["user"]), (200, &registered["user"]));
        let caller = world.caller(&store, &signed_in).unwrap();
        assert_eq!(caller.kind, CallerKind::Customer);
        assert_eq!(caller.account.as_deref(), registered["user"]["id"].as_str());
        assert_eq!(caller.verified_email, None);
        assert!(!caller.may("anything.at_all"));

        let (_, refreshed) = world.refresh(&store, &signed_in).await.unwrap();
        assert_ne!(refreshed["refresh_token"], signed_in["refresh_token"]);
        world.caller(&store, &refreshed).unwrap();

        let (status, nothing) = world.ask("auth.logout", &store, json!({ "refresh_token": refreshed["refresh_token"] })).await.unwrap();
        assert_eq!((status, nothing), (204, Value::Null));
        assert_eq!(code(world.refresh(&store, &refreshed).await), (401, "invalid_token".to_owned()));
        // The access token of that sign-in is dead at once; the other sign-in lives.
        assert_eq!(code(world.caller(&store, &refreshed)), (401, "invalid_token".to_owned()));
        world.caller(&store, &registered).unwrap();
    }

    async fn credentials_of_one_store_are_nothing_in_another(world: World) {
        let jakarta = world.store("jakarta").await;
        let bandung = world.store("bandung").await;
        let ann = world.register(&jakarta.store, "ann@example.com").await;

        assert_eq!(code(world.caller(&bandung.store, &ann)), (401, "invalid_token".to_owned()));
        assert_eq!(code(world.refresh(&bandung.store, &ann).await), (401, "invalid_token".to_owned()));
        assert_eq!(code(world.login(&bandung.store, "ann@example.com", PASSWORD).await), (401, "invalid_credentials".to_owned()));
        assert_eq!(code(world.key_caller(&bandung.store, &jakarta.publishable_key)), (401, "invalid_key".to_owned()));
        let secret = world.auth.create_key(&jakarta.store, ApiKeyKind::Secret, "robot", &["*".to_owned()]).await.unwrap();
        assert_eq!(code(world.key_caller(&bandung.store, secret.key.expose())), (401, "invalid_key".to_owned()));
        // Signing out elsewhere ends nothing here.
        world.ask("auth.logout", &bandung.store, json!({ "refresh_token": ann["refresh_token"] })).await.unwrap();
        world.refresh(&jakarta.store, &ann).await.unwrap();
        // The same address is another account there.
        let other = world.register(&bandung.store, "ann@example.com").await;
        assert_ne!(other["user"]["id"], ann["user"]["id"]);
    }

    async fn an_address_registers_once_even_at_the_same_moment(world: World) {
        let store = world.store("jakarta").await.store;
        let body = json!({ "email": "ann@example.com", "password": PASSWORD });
        let attempts = (0..8).map(|_| world.ask("auth.register", &store, body.clone()));
        let outcomes = futures_util::future::join_all(attempts).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for refused in outcomes.into_iter().filter(Result::is_err) {
            assert_eq!(code(refused), (409, "email_taken".to_owned()));
        }
        let shouted = json!({ "email": "ANN@EXAMPLE.COM", "password": PASSWORD });
        assert_eq!(code(world.ask("auth.register", &store, shouted).await), (409, "email_taken".to_owned()));
    }

    async fn what_cannot_be_an_account_is_told_by_field(world: World) {
        let store = world.store("jakarta").await.store;
        let long = "x".repeat(129);
        for (email, password, pointer) in [
            ("ann", PASSWORD, "/email"),
            ("ann@example.com", "short", "/password"),
            ("ann@example.com", long.as_str(), "/password"),
        ] {
            let problem = world.ask("auth.register", &store, json!({ "email": email, "password": password })).await.unwrap_err();
            assert_eq!((problem.status, problem.code.as_str()), (422, "invalid_body"));
            assert_eq!(problem.errors[0].pointer, pointer);
        }
        assert_eq!(world.ask("auth.register", &store, json!({})).await.unwrap_err().errors.len(), 2);
        assert_eq!(code(world.ask("auth.login", &store, json!({ "email": 1, "password": [] })).await).0, 422);
    }

    async fn a_stolen_refresh_token_ends_the_session_for_thief_and_owner(world: World) {
        let store = world.store("jakarta").await.store;
        let stolen = world.register(&store, "ann@example.com").await;
        let (_, owners) = world.refresh(&store, &stolen).await.unwrap();
        world.caller(&store, &owners).unwrap();

        assert_eq!(code(world.refresh(&store, &stolen).await), (401, "invalid_token".to_owned()));
        assert_eq!(code(world.refresh(&store, &owners).await), (401, "invalid_token".to_owned()));
        assert_eq!(code(world.caller(&store, &owners)), (401, "invalid_token".to_owned()));
        // It stays one session: her other sign-ins go on.
        world.login(&store, "ann@example.com", PASSWORD).await.unwrap();
    }

    async fn two_tabs_that_refresh_at_the_same_moment_get_the_same_token(world: World) {
        let store = world.store("jakarta").await.store;
        let tokens = world.register(&store, "ann@example.com").await;
        let answers = futures_util::future::join_all((0..6).map(|_| world.refresh(&store, &tokens))).await;
        let successors: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().1["refresh_token"].clone()).collect();
        assert!(successors.windows(2).all(|pair| pair[0] == pair[1]));
        world.refresh(&store, &json!({ "refresh_token": successors[0] })).await.unwrap();
    }

    async fn a_lost_answer_can_be_asked_for_again_where_the_operator_allows_it(world: World) {
        let lenient = world.node_with(AuthConfig { refresh_grace_ms: 60_000, ..config() }).await;
        let store = lenient.store("jakarta").await.store;
        let tokens = lenient.register(&store, "ann@example.com").await;
        let (_, lost) = lenient.refresh(&store, &tokens).await.unwrap();
        let (_, again) = lenient.refresh(&store, &tokens).await.unwrap();
        assert_eq!(again["refresh_token"], lost["refresh_token"]);
    }

    async fn guessing_passwords_becomes_slow_and_a_restart_does_not_help(world: World) {
        let store = world.store("jakarta").await.store;
        world.register(&store, "ann@example.com").await;
        for _ in 0..5 {
            assert_eq!(code(world.login(&store, "ann@example.com", "a wrong guess").await), (401, "invalid_credentials".to_owned()));
        }
        let slowed = world.login(&store, "ann@example.com", PASSWORD).await.unwrap_err();
        assert_eq!((slowed.status, slowed.code.as_str()), (429, "rate_limited"));
        assert!(slowed.retry_after_seconds.is_some());

        let restarted = world.another_node().await;
        let slow = world.node_with(AuthConfig { login_delay_ms: 600_000, ..config() }).await;
        assert_eq!(code(slow.login(&store, "ann@example.com", PASSWORD).await).0, 429);
        drop(restarted);
        // Who comes from elsewhere is not locked out.
        let body = json!({ "email": "ann@example.com", "password": PASSWORD });
        slow.ask_from("198.51.100.1", "auth.login", &store, &Caller::anonymous("198.51.100.1"), body).await.unwrap();
    }

    async fn neither_answer_nor_throttle_tells_whether_an_account_exists(world: World) {
        let store = world.store("jakarta").await.store;
        world.register(&store, "ann@example.com").await;
        for _ in 0..7 {
            let known = world.login(&store, "ann@example.com", "a wrong guess").await.unwrap_err();
            let unknown = world.login(&store, "bob@example.com", "a wrong guess").await.unwrap_err();
            assert_eq!(known, unknown);
        }
    }

    async fn fifty_guesses_at_once_are_not_fifty_guesses(world: World) {
        let store = world.store("jakarta").await.store;
        world.register(&store, "ann@example.com").await;
        let guesses = (0..50).map(|_| world.login(&store, "ann@example.com", "a wrong guess"));
        let outcomes = futures_util::future::join_all(guesses).await;
        let tried = outcomes.into_iter().filter(|outcome| outcome.as_ref().unwrap_err().status == 401).count();
        assert!(tried <= 5, "{tried} were tried");
    }

    async fn more_sign_ins_than_the_machine_can_hash_are_told_to_come_back(world: World) {
        let store = world.store("jakarta").await.store;
        let slow = AuthConfig { hashing_concurrency: 1, hashing_queue: 2, argon2_memory_kib: 16_384, argon2_iterations: 2, ..config() };
        let busy = world.node_with(slow).await;
        let body = |n: usize| json!({ "email": format!("user{n}@example.com"), "password": PASSWORD });
        let outcomes = futures_util::future::join_all((0..20).map(|n| busy.ask("auth.register", &store, body(n)))).await;
        let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert!(!refused.is_empty());
        assert!(refused.iter().all(|problem| problem.status == 503 && problem.retry_after_seconds.is_some()));
    }

    async fn a_new_password_needs_the_old_one_and_ends_other_sign_ins(world: World) {
        let store = world.store("jakarta").await.store;
        let phone = world.register(&store, "ann@example.com").await;
        let (_, laptop) = world.login(&store, "ann@example.com", PASSWORD).await.unwrap();
        let caller = world.caller(&store, &laptop).unwrap();
        let change = |body| world.ask_from(ADDRESS, "auth.update_me", &store, &caller, body);

        for body in [json!({ "password": "a new password" }), json!({ "password": "a new password", "current_password": "no" })] {
            let refused = change(body).await.unwrap_err();
            assert_eq!((refused.status, refused.errors[0].pointer.as_str()), (422, "/current_password"));
        }
        let (_, changed) = change(json!({ "password": "a new password", "current_password": PASSWORD })).await.unwrap();
        assert_eq!(code(world.refresh(&store, &phone).await).0, 401);
        assert_eq!(code(world.caller(&store, &phone)).0, 401);
        world.caller(&store, &changed).unwrap();
        world.refresh(&store, &changed).await.unwrap();
        assert_eq!(code(world.login(&store, "ann@example.com", PASSWORD).await).0, 401);
        world.login(&store, "ann@example.com", "a new password").await.unwrap();
    }

    async fn a_password_is_not_changed_where_old_sign_ins_cannot_be_ended(world: World) {
        let store = world.store("jakarta").await.store;
        let ann = world.register(&store, "ann@example.com").await;
        let caller = world.caller(&store, &ann).unwrap();
        // Nothing can be revoked any more: a change that came in two steps would stop between them.
        let sql = world.sql.kernel();
        sql.execute("alter table kernel.sessions rename column revoked_at to elsewhere", &[]).await.unwrap();
        let body = json!({ "password": "a new password", "current_password": PASSWORD });
        assert!(world.ask_from(ADDRESS, "auth.update_me", &store, &caller, body).await.is_err());
        let password = Secret::new("a new password".to_owned());
        assert!(world.auth.set_password(&store, "ann@example.com", password).await.is_err());
        assert!(world.auth.suspend_account(&store, "ann@example.com").await.is_err());
        sql.execute("alter table kernel.sessions rename column elsewhere to revoked_at", &[]).await.unwrap();
        world.login(&store, "ann@example.com", PASSWORD).await.unwrap();
    }

    async fn an_account_shows_and_changes_itself(world: World) {
        let store = world.store("jakarta").await.store;
        world.register(&store, "bob@example.com").await;
        let ann = world.register(&store, "ann@example.com").await;
        let caller = world.caller(&store, &ann).unwrap();
        let me = |operation, body| world.ask_from(ADDRESS, operation, &store, &caller, body);

        let (_, named) = me("auth.update_me", json!({ "name": "Ann Lee" })).await.unwrap();
        assert_eq!((&named["name"], &named["email_verified"]), (&json!("Ann Lee"), &json!(false)));
        world.caller(&store, &ann).unwrap();

        world.auth.verify_email(&store, "ann@example.com").await.unwrap();
        let (_, refreshed) = world.refresh(&store, &ann).await.unwrap();
        assert_eq!(world.caller(&store, &refreshed).unwrap().verified_email.as_deref(), Some("ann@example.com"));

        let taken = json!({ "email": "BOB@example.com", "current_password": PASSWORD });
        assert_eq!(code(me("auth.update_me", taken).await), (409, "email_taken".to_owned()));
        let (_, moved) = me("auth.update_me", json!({ "email": "lee@example.com", "current_password": PASSWORD })).await.unwrap();
        assert_eq!((&moved["email"], &moved["email_verified"]), (&json!("lee@example.com"), &json!(false)));
        let (_, shown) = me("auth.me", Value::Null).await.unwrap();
        assert_eq!(shown, moved);

        assert_eq!(code(world.ask("auth.me", &store, Value::Null).await), (401, "unauthenticated".to_owned()));
    }

    async fn a_suspended_account_is_out_at_once_and_soon_everywhere(world: World) {
        let store = world.store("jakarta").await.store;
        let elsewhere = world.another_node().await;
        let ann = world.register(&store, "ann@example.com").await;
        elsewhere.caller(&store, &ann).unwrap();

        world.auth.suspend_account(&store, "ann@example.com").await.unwrap();
        assert_eq!(code(world.caller(&store, &ann)).0, 401);
        soon("the other node refuses her token", || elsewhere.caller(&store, &ann).is_err()).await;
        assert_eq!(code(world.refresh(&store, &ann).await).0, 401);
        assert_eq!(code(world.login(&store, "ann@example.com", PASSWORD).await), (403, "account_suspended".to_owned()));
        // Only who knows the password is told.
        assert_eq!(code(world.login(&store, "ann@example.com", "a wrong guess").await).0, 401);

        world.auth.resume_account(&store, "ann@example.com").await.unwrap();
        world.login(&store, "ann@example.com", PASSWORD).await.unwrap();
        // A session that was ended stays ended, on a node that starts later too.
        assert!(world.another_node().await.caller(&store, &ann).is_err());
    }

    async fn rights_come_and_go_with_roles(world: World) {
        let provisioned = world.store("jakarta").await;
        let store = provisioned.store;
        let (_, owner) = world.login(&store, &provisioned.owner_email, PASSWORD).await.unwrap();
        assert!(world.caller(&store, &owner).unwrap().may("product.write"));

        let elsewhere = world.another_node().await;
        let clerk = world.register(&store, "clerk@example.com").await;
        world.auth.set_role(&store, "clerk", &["product.read".to_owned()]).await.unwrap();
        world.auth.grant_role(&store, "clerk@example.com", "clerk").await.unwrap();
        let caller = world.caller(&store, &clerk).unwrap();
        assert_eq!(caller.kind, CallerKind::Staff);
        assert!(caller.may("product.read") && !caller.may("product.write"));
        soon("the other node knows the role", || elsewhere.caller(&store, &clerk).unwrap().may("product.read")).await;

        world.auth.revoke_role(&store, "clerk@example.com", "clerk").await.unwrap();
        assert_eq!(world.caller(&store, &clerk).unwrap().kind, CallerKind::Customer);
        soon("the other node took it away", || !elsewhere.caller(&store, &clerk).unwrap().may("product.read")).await;

        assert_eq!(code(world.auth.grant_role(&store, "clerk@example.com", "nothing").await).0, 404);
        assert_eq!(code(world.auth.set_role(&store, "owner", &["product.read".to_owned()]).await).0, 422);
        assert_eq!(code(world.auth.set_role(&store, "clerk", &["DROP TABLE".to_owned()]).await).0, 422);
    }

    async fn a_secret_key_acts_until_it_is_revoked_and_a_publishable_one_never(world: World) {
        let provisioned = world.store("jakarta").await;
        let store = provisioned.store;
        let elsewhere = world.another_node().await;
        assert_eq!(world.key_caller(&store, &provisioned.publishable_key).unwrap(), None);
        let named = world.auth.store_of_key(&headers(&[("x-api-key", &provisioned.publishable_key)])).unwrap();
        assert_eq!(named, Some(store.number));

        let robot = world.auth.create_key(&store, ApiKeyKind::Secret, "robot", &["product.write".to_owned()]).await.unwrap();
        let key = robot.key.expose().as_str();
        let caller = world.key_caller(&store, key).unwrap().unwrap();
        assert_eq!((caller.kind, caller.account.as_deref()), (CallerKind::Staff, None));
        assert!(caller.may("product.write") && !caller.may("product.read"));
        let bearer = format!("bearer {key}");
        assert_eq!(world.auth.authenticate(&store, &headers(&[("authorization", &bearer)])).unwrap().unwrap(), caller);
        soon("the other node knows the key", || elsewhere.key_caller(&store, key).is_ok()).await;

        let listed = serde_json::to_string(&world.auth.keys(&store).await.unwrap()).unwrap();
        assert!(listed.contains(&robot.id) && !listed.contains(key));
        world.auth.revoke_key(&store, &robot.id).await.unwrap();
        assert_eq!(code(world.key_caller(&store, key)), (401, "invalid_key".to_owned()));
        soon("the other node refuses the key", || elsewhere.key_caller(&store, key).is_err()).await;
        assert_eq!(code(world.auth.revoke_key(&store, &robot.id).await).0, 404);

        let rights = ["product.write".to_owned()];
        assert_eq!(code(world.auth.create_key(&store, ApiKeyKind::Publishable, "web", &rights).await).0, 422);
        assert_eq!(code(world.auth.create_key(&store, ApiKeyKind::Secret, "robot", &[]).await).0, 422);
    }

    async fn a_request_with_two_rights_or_malformed_ones_is_refused(world: World) {
        let provisioned = world.store("jakarta").await;
        let store = provisioned.store;
        let ann = world.register(&store, "ann@example.com").await;
        let token = format!("Bearer {}", ann["access_token"].as_str().unwrap());
        let robot = world.auth.create_key(&store, ApiKeyKind::Secret, "robot", &["*".to_owned()]).await.unwrap();

        let both = headers(&[("authorization", &token), ("x-api-key", robot.key.expose())]);
        assert_eq!(code(world.auth.authenticate(&store, &both)), (400, "invalid_header".to_owned()));
        // A publishable key beside a customer's token is how a web page sends them.
        let page = headers(&[("authorization", &token), ("x-api-key", &provisioned.publishable_key)]);
        assert_eq!(world.auth.authenticate(&store, &page).unwrap().unwrap().kind, CallerKind::Customer);

        let mut twice = headers(&[("authorization", &token)]);
        twice.append("authorization", token.parse().unwrap());
        assert_eq!(code(world.auth.authenticate(&store, &twice)).0, 400);
        for bad in ["Basic YTpi", "Bearer", "Bearer ", "Bearer x.y.z", "Bearer sk_unknown", "Bearer pk_unknown", &token[7..]] {
            assert_eq!(code(world.auth.authenticate(&store, &headers(&[("authorization", bad)]))).0, 401, "{bad}");
        }
        assert_eq!(world.auth.authenticate(&store, &HeaderMap::new()).unwrap(), None);
    }

    async fn rotating_the_signing_key_signs_nobody_out(world: World) {
        let store = world.store("jakarta").await.store;
        let elsewhere = world.another_node().await;
        let ann = world.register(&store, "ann@example.com").await;
        world.auth.rotate_signing_key().await.unwrap();
        world.caller(&store, &ann).unwrap();
        // The new key does not sign before every node has it.
        let bob = world.register(&store, "bob@example.com").await;
        elsewhere.caller(&store, &bob).unwrap();
    }

    async fn without_its_master_key_a_database_opens_nothing(world: World) {
        world.store("jakarta").await;
        world.secrets.set(None, "mailer", "password", &Secret::new("hunter2hunter2".to_owned())).await.unwrap();
        let stranger = World::node(world.folder.clone(), world.url.clone(), MasterKey::generate(), config()).await;
        let message = format!("{:#}", stranger.err().unwrap());
        assert!(message.contains("master key is not the one"), "{message}");

        let row = world.sql.kernel().fetch_one("select sealed from kernel.secrets", &[]).await.unwrap();
        let sealed: Vec<u8> = row.get(0).unwrap();
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    }

    async fn a_secret_is_its_stores_and_its_plugins_alone(world: World) {
        let jakarta = world.store("jakarta").await.store.number;
        let bandung = world.store("bandung").await.store.number;
        let elsewhere = world.another_node().await;
        let secret = |text: &str| Secret::new(text.to_owned());
        let read = |node: &World, store, plugin: &str, name: &str| {
            node.secrets.get(store, plugin, name).unwrap().map(|secret| secret.expose().clone())
        };
        world.secrets.set(Some(jakarta), "mailer", "password", &secret("of jakarta")).await.unwrap();
        world.secrets.set(None, "mailer", "user", &secret("of all")).await.unwrap();
        assert_eq!(read(&world, jakarta, "mailer", "password").as_deref(), Some("of jakarta"));
        assert_eq!(read(&world, bandung, "mailer", "password"), None);
        assert_eq!(read(&world, jakarta, "spy", "password"), None);
        assert_eq!(read(&world, bandung, "mailer", "user").as_deref(), Some("of all"));
        soon("the other node has it", || read(&elsewhere, jakarta, "mailer", "password").is_some()).await;

        // Who can write the database moves the sealed value to where another may read it.
        let text = "update kernel.secrets set store = $2 where store = $1";
        world.sql.kernel().execute(text, &args![jakarta, bandung]).await.unwrap();
        let moved = world.another_node().await.secrets.get(bandung, "mailer", "password");
        assert!(matches!(moved, Err(SecretsError::Damaged(_))));

        world.secrets.remove(None, "mailer", "user").await.unwrap();
        assert_eq!(read(&world, jakarta, "mailer", "user"), None);
        assert_eq!(code(world.secrets.remove(None, "mailer", "user").await).0, 404);
        assert!(!format!("{:?}", world.secrets.list()).contains("of jakarta"));
    }

    async fn a_store_serves_at_once_here_and_soon_elsewhere(world: World) {
        let elsewhere = world.another_node().await;
        let provisioned = world.store("jakarta").await;
        let store = &provisioned.store;
        assert_eq!(store.status, StoreStatus::Active);
        for found in [world.stores.by_slug("jakarta"), world.stores.by_id(&store.id), world.stores.by_host("JAKARTA.example.com:443")] {
            assert_eq!(found.unwrap().number, store.number);
        }
        soon("the other node knows the store", || elsewhere.stores.by_slug("jakarta").is_some_and(|store| store.status == StoreStatus::Active)).await;
        let shown = store.published();
        assert_eq!(shown["currencies"], json!([{ "code": "IDR", "exponent": 0 }, { "code": "USD", "exponent": 2 }]));
        assert_eq!((&shown["slug"], &shown["timezone"]), (&json!("jakarta"), &json!("Asia/Jakarta")));

        world.stores.suspend(store).await.unwrap();
        assert_eq!(world.stores.by_slug("jakarta").unwrap().status, StoreStatus::Suspended);
        soon("the other node suspends it", || elsewhere.stores.by_slug("jakarta").unwrap().status == StoreStatus::Suspended).await;
        world.stores.resume(store).await.unwrap();
        assert_eq!(world.stores.by_slug("jakarta").unwrap().status, StoreStatus::Active);
    }

    async fn what_is_no_store_is_told_by_field(world: World) {
        world.store("jakarta").await;
        let wrong = NewStore {
            slug: "No Slug".to_owned(),
            name: " ".to_owned(),
            currency: "RUPIAH".to_owned(),
            currencies: vec!["XXX".to_owned()],
            hosts: vec!["https://a.example/".to_owned(), "jakarta.example.com".to_owned()],
            timezone: Some("Jakarta".to_owned()),
            ..new_store("bandung")
        };
        let problem = world.stores.create(wrong, &world.auth, &NoPlugins).await.unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/slug", "/name", "/currency", "/currencies/0", "/hosts/0", "/hosts/1", "/timezone"]);
        let again = NewStore { hosts: Vec::new(), ..new_store("jakarta") };
        assert_eq!(code(world.stores.create(again, &world.auth, &NoPlugins).await).0, 409);
        let weak = NewStore { owner_password: Secret::new("short".to_owned()), ..new_store("bandung") };
        assert_eq!(code(world.stores.create(weak, &world.auth, &NoPlugins).await).0, 422);
        assert_eq!(world.stores.by_slug("bandung").map(|store| store.id.clone()), None);
    }

    async fn a_store_whose_plugins_fail_is_taken_back(world: World) {
        struct Failing;
        #[async_trait]
        impl StorePlugins for Failing {
            async fn provision(&self, _: &Arc<Store>) -> Result<(), Problem> {
                Err(Problem::internal())
            }
            async fn remove(&self, _: &Arc<Store>) -> Result<Vec<(String, u64)>, Problem> {
                Ok(Vec::new())
            }
        }
        assert_eq!(code(world.stores.create(new_store("jakarta"), &world.auth, &Failing).await).0, 500);
        assert!(world.stores.all().is_empty());
        world.store("jakarta").await;
    }

    async fn a_deleted_store_leaves_no_row(world: World) {
        let kept = world.store("bandung").await.store;
        let gone = world.store("jakarta").await.store;
        let ann = world.register(&gone, "ann@example.com").await;
        world.login(&gone, "ann@example.com", "a wrong guess").await.unwrap_err();
        world.secrets.set(Some(gone.number), "mailer", "password", &Secret::new("hunter2".to_owned())).await.unwrap();
        world.stores.delete(&gone, &NoPlugins).await.unwrap();

        for (left, text) in [
            (1, "select count(*) from kernel.stores"),
            (1, "select count(*) from kernel.accounts"),
            (1, "select count(*) from kernel.account_roles"),
            (0, "select count(*) from kernel.sessions"),
            (0, "select count(*) from kernel.refresh_tokens"),
            (1, "select count(*) from kernel.api_keys"),
            (0, "select count(*) from kernel.login_throttles"),
            (0, "select count(*) from kernel.secrets"),
        ] {
            let row = world.sql.kernel().fetch_one(text, &[]).await.unwrap();
            assert_eq!(row.get::<i64>(0).unwrap(), left, "{text}");
        }
        assert!(world.stores.by_slug("jakarta").is_none());
        assert_eq!(world.stores.sole().unwrap().number, kept.number);
        // A store that comes after it never gets its number: old tokens and rows would be its own.
        let new = world.store("jakarta").await.store;
        assert!(new.number > gone.number);
        assert_eq!(code(world.caller(&new, &ann)).0, 401);
    }

    async fn what_has_expired_is_purged_and_nothing_else(world: World) {
        let store = world.store("jakarta").await.store;
        let ann = world.register(&store, "ann@example.com").await;
        let bob = world.register(&store, "bob@example.com").await;
        world.login(&store, "ann@example.com", "a wrong guess").await.unwrap_err();
        let text = "update kernel.sessions set expires_at = $2 where account = $1";
        let yesterday = Time(Time::now().0 - 86_400_000_000);
        world.sql.kernel().execute(text, &args![ann["user"]["id"].as_str().unwrap(), yesterday]).await.unwrap();
        for rule in purge_rules(&config()) {
            let before = Time(Time::now().0 - i64::try_from(rule.keep.as_micros()).unwrap());
            world.sql.kernel().execute(rule.text, &args![before, 100]).await.unwrap();
        }
        assert_eq!(code(world.refresh(&store, &ann).await), (401, "invalid_token".to_owned()));
        world.refresh(&store, &bob).await.unwrap();
        let row = world.sql.kernel().fetch_one("select count(*) from kernel.login_throttles", &[]).await.unwrap();
        assert_eq!(row.get::<i64>(0).unwrap(), 2);
    }

    async fn the_database_knows_no_password_token_or_key(world: World) {
        let provisioned = world.store("jakarta").await;
        let ann = world.register(&provisioned.store, "ann@example.com").await;
        let dump = |text: &'static str| {
            let sql = world.sql.clone();
            async move { format!("{:?}", sql.kernel().fetch_all(text, &[]).await.unwrap()) }
        };
        let mut everything = dump("select password_hash, email from kernel.accounts").await;
        everything += &dump("select id from kernel.sessions").await;
        everything += &dump("select name, last4, permissions from kernel.api_keys").await;
        let refresh_token = ann["refresh_token"].as_str().unwrap();
        for secret in [PASSWORD, refresh_token, ann["access_token"].as_str().unwrap(), &provisioned.publishable_key] {
            assert!(!everything.contains(secret));
        }
        let found = world.sql.kernel().fetch_one("select count(*) from kernel.refresh_tokens where token_hash = $1", &args![refresh_token.as_bytes()]).await.unwrap();
        assert_eq!(found.get::<i64>(0).unwrap(), 0);
    }
}
