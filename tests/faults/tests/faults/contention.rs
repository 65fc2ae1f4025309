//! Everybody wants the same thing.

use std::collections::BTreeSet;

use commerce_harness::{Answer, Engine, Goods, GuestCart, Person};
use tokio::task::JoinSet;

use crate::books::Books;
use crate::crowd::{busy_kernel, carts, shelf};
use crate::on_each_engine;

on_each_engine! {
    async fn two_hundred_checkouts_of_a_stock_of_fifty_sell_exactly_fifty(engine) {
        let kernel = busy_kernel(engine).await;
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let lamp = store.goods(&owner, "Lamp", 90_000, 50).await;
        let carts = carts(&store, 200, |_| vec![(lamp.clone(), 1)]).await;
        let answers = check_out_at_once(carts).await;
        fifty_of_two_hundred(&answers);
        stock_is_sold_out(&owner, &lamp, &mut Books::open(&kernel).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_kernels_on_one_database_sell_fifty_of_fifty_together() {
    let first = busy_kernel(Engine::Postgres).await;
    let store = first.store("jakarta", "IDR").await;
    let owner = store.owner().await;
    let lamp = store.goods(&owner, "Lamp", 90_000, 50).await;
    let second = first.second_node().await;
    let mut carts = carts(&store, 200, |_| vec![(lamp.clone(), 1)]).await;
    for cart in carts.iter_mut().step_by(2) {
        cart.client = cart.client.at(&second.url);
    }
    let answers = check_out_at_once(carts).await;
    fifty_of_two_hundred(&answers);
    stock_is_sold_out(&owner, &lamp, &mut Books::open(&first).await).await;
}

on_each_engine! {
    async fn carts_of_three_variants_in_any_order_never_block_each_other_for_good(engine) {
        let kernel = busy_kernel(engine).await;
        let store = kernel.store("jakarta", "IDR").await;
        let owner = store.owner().await;
        let shelf = shelf(&store, &owner, 5, 1_000).await;
        let carts = carts(&store, 96, |_| three_of(&shelf)).await;
        for answer in check_out_at_once(carts).await {
            answer.expect(201);
        }
        let mut books = Books::open(&kernel).await;
        books.must_balance().await;
        assert_eq!(books.number("select sum(reserved) from [product.stock]").await, 3 * 96);
    }
}

fn three_of(shelf: &[Goods]) -> Vec<(Goods, i64)> {
    let mut left = shelf.to_vec();
    (0..3)
        .map(|_| (left.swap_remove(rand::random_range(0..left.len())), 1))
        .collect()
}

async fn check_out_at_once(carts: Vec<GuestCart>) -> Vec<Answer> {
    let mut sending = JoinSet::new();
    for cart in carts {
        sending.spawn(async move { cart.client.post("/api/transactions", cart.checkout_body()).await });
    }
    sending.join_all().await
}

fn fifty_of_two_hundred(answers: &[Answer]) {
    let sold: BTreeSet<String> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.text_at("/id"))
        .collect();
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 201).collect();
    for answer in &refused {
        answer.expect_problem(409, "out_of_stock");
    }
    assert_eq!((sold.len(), refused.len()), (50, 150));
    let numbers: BTreeSet<i64> = answers
        .iter()
        .filter_map(|answer| answer.body["number"].as_i64())
        .collect();
    assert_eq!(numbers.len(), 50, "every transaction has a number of its own");
}

/// As clients, staff and the database see it.
async fn stock_is_sold_out(owner: &Person, goods: &Goods, books: &mut Books) {
    let shown = owner.client.get(&format!("/api/products/{}", goods.product_id)).await;
    assert_eq!(shown.expect(200)["variants"][0]["available"], 0);
    let ledger = owner
        .client
        .get(&format!("/api/variants/{}/stock?limit=100", goods.variant_id))
        .await;
    let movements = ledger.expect(200)["items"].as_array().expect("a list").clone();
    let sum = |field: &str| {
        movements
            .iter()
            .filter_map(|movement| movement[field].as_i64())
            .sum::<i64>()
    };
    assert_eq!((sum("on_hand_delta"), sum("reserved_delta")), (50, 50));
    assert_eq!(
        movements
            .iter()
            .filter(|movement| movement["kind"] == "reserve")
            .count(),
        50
    );

    books.must_balance().await;
    assert_eq!(books.number("select sum(reserved) from [product.stock]").await, 50);
    assert_eq!(
        books.number("select count(*) from [transaction.transactions]").await,
        50
    );
}
