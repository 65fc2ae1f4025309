//! Kernels die by SIGKILL at random moments while customers check out and staff confirm and cancel. Afterwards every
//! answer that a client saw is true, and whatever nobody saw an answer of has either happened whole or not at all.
//!
//! `COMMERCE_TEST_KILLS` says how often; `make test-kills` does it a hundred times on each engine.

use std::collections::BTreeMap;
use std::time::Duration;

use commerce_harness::{Answer, Goods, GuestCart, Person, Store, TestKernel};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::books::Books;
use crate::crowd::{a_moment, busy_kernel, carts, shelf};
use crate::on_each_engine;

/// Checkouts that are under way when the kernel dies.
const CUSTOMERS: usize = 24;

on_each_engine! {
    async fn kills_under_checkout_load_lose_double_and_half_make_nothing(engine) {
        let kills = std::env::var("COMMERCE_TEST_KILLS").map_or(6, |kills| kills.parse().expect("a number of kills"));
        let mut kernel = busy_kernel(engine).await;
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let shelf = shelf(&store, &owner, 8, 100_000).await;
        let mut books = Books::open(&kernel).await;
        let mut tally = Tally::default();
        // The kill comes at any moment of this.
        let mut longest = Duration::from_millis(1_500);
        for _ in 0..kills {
            // Signed in anew: tokens are short-lived, and many kills take long.
            let owner = store.owner().await;
            let carts = carts(&store, CUSTOMERS, |_| some_of(&shelf)).await;
            let orders = round_with_a_kill(&mut kernel, carts, &owner, longest).await;
            let answered = orders.iter().filter(|order| order.answer.is_some()).count();
            // So that kills come while about half of them are through.
            longest = longest.mul_f64(if answered > CUSTOMERS / 2 { 0.8 } else { 1.2 });
            kernel.restart().await;
            for order in orders {
                tally.count(order.settle(&store).await);
            }
            books.must_balance().await;
        }
        tally.must_be_in(&mut books).await;
        tally.first_answers_are_repeated().await;
        println!("{engine:?}: {kills} kills; {tally}");
        assert!(tally.placed.len() > kills, "nearly nothing was bought: {tally}");
    }
}

fn some_of(shelf: &[Goods]) -> Vec<(Goods, i64)> {
    let mut left = shelf.to_vec();
    let lines = rand::random_range(1..=3);
    (0..lines)
        .map(|_| {
            (
                left.swap_remove(rand::random_range(0..left.len())),
                rand::random_range(1..=3),
            )
        })
        .collect()
}

/// A checkout, and the answer if one came before the kernel died.
struct Order {
    cart: GuestCart,
    key: String,
    answer: Option<Answer>,
}

impl Order {
    async fn send(&self) -> Result<Answer, reqwest::Error> {
        let headers = [("idempotency-key", self.key.as_str())];
        self.cart
            .client
            .try_send(
                Method::POST,
                "/api/transactions",
                Some(self.cart.checkout_body()),
                &headers,
            )
            .await
    }

    /// Sends the same key again where no answer was seen, as a client would after a broken connection.
    async fn settle(self, store: &Store) -> Settled {
        let seen = self.answer.is_some();
        let answer = match &self.answer {
            Some(answer) => answer.clone(),
            None => self.send().await.expect("the kernel runs again"),
        };
        answer.expect(201);
        let (id, number) = (answer.text_at("/id"), answer.body["number"].as_i64().expect("a number"));
        let now = self.cart.client.get(&format!("/api/transactions/{id}")).await;
        assert_eq!(
            now.expect(200)["number"],
            number,
            "what was answered exists in {}",
            store.slug
        );
        Settled {
            seen,
            id,
            number,
            order: self,
        }
    }
}

/// Sends everything at once, and kills the kernel somewhere in between.
async fn round_with_a_kill(
    kernel: &mut TestKernel,
    carts: Vec<GuestCart>,
    owner: &Person,
    longest: Duration,
) -> Vec<Order> {
    let mut customers = JoinSet::new();
    for cart in carts {
        let owner = owner.clone();
        customers.spawn(async move {
            let key = format!("{:032x}", rand::random::<u128>());
            let mut order = Order {
                cart,
                key,
                answer: None,
            };
            if let Ok(answer) = order.send().await {
                answer.expect(201);
                go_on(&owner, &answer).await;
                order.answer = Some(answer);
            }
            order
        });
    }
    tokio::time::sleep(a_moment(longest)).await;
    kernel.kill().await;
    customers.join_all().await
}

/// What staff does with a transaction next; the kernel may die meanwhile, and only the books tell what came of it.
async fn go_on(owner: &Person, placed: &Answer) {
    let id = placed.text_at("/id");
    let path = match rand::random_range(0..3) {
        0 => format!(
            "/api/transactions/{id}/payments/{}/confirm",
            placed.text_at("/payments/0/id")
        ),
        1 => format!("/api/transactions/{id}/cancel"),
        _ => return,
    };
    if let Ok(answer) = owner.client.try_send(Method::POST, &path, Some(json!({})), &[]).await {
        answer.expect(200);
    }
}

struct Settled {
    /// The client saw the answer before the kill.
    seen: bool,
    id: String,
    number: i64,
    order: Order,
}

#[derive(Default)]
struct Tally {
    seen: usize,
    sent_again: usize,
    /// By id.
    placed: BTreeMap<String, Settled>,
}

impl Tally {
    fn count(&mut self, settled: Settled) {
        match settled.seen {
            true => self.seen += 1,
            false => self.sent_again += 1,
        }
        let twice = self.placed.insert(settled.id.clone(), settled);
        assert!(twice.is_none(), "two carts became one transaction");
    }

    /// As many as there were carts, with the numbers that clients were told.
    async fn must_be_in(&self, books: &mut Books) {
        let written: BTreeMap<String, String> = books
            .rows("select id, cast(number as text) from [transaction.transactions]")
            .await
            .into_iter()
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect();
        let told: BTreeMap<String, String> = self
            .placed
            .values()
            .map(|settled| (settled.id.clone(), settled.number.to_string()))
            .collect();
        assert_eq!(told, written);
        let keys = "select count(*) from [kernel.idempotency] where path = '/api/transactions' and state = 'done'";
        assert_eq!(
            books.number(keys).await,
            self.placed.len() as i64,
            "one remembered answer each"
        );
    }

    async fn first_answers_are_repeated(&self) {
        for settled in self.placed.values() {
            let again = settled.order.send().await.expect("a running kernel");
            let first = &settled.order.answer;
            assert_eq!(again.expect(201)["id"], settled.id);
            assert!(
                first.as_ref().is_none_or(|first| first.body == again.body),
                "{}",
                again.text
            );
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{} transactions: {} answered before the kill, {} by sending the key again; nothing lost, doubled or half made",
            self.placed.len(),
            self.seen,
            self.sent_again
        )
    }
}
