//! Many people at once.

use std::time::Duration;

use commerce_harness::{Engine, Goods, GuestCart, Person, Store, TestKernel};
use tokio::task::JoinSet;

/// A kernel that a crowd from one address may use.
pub async fn busy_kernel(engine: Engine) -> TestKernel {
    busy_kernel_with(engine, &[]).await
}

pub async fn busy_kernel_with(engine: Engine, environment: &[(&str, &str)]) -> TestKernel {
    let mut environment = environment.to_vec();
    environment.extend([
        ("COMMERCE_RATE_LIMITS_PER_ADDRESS", "0"),
        ("COMMERCE_RATE_LIMITS_PER_CALLER", "0"),
    ]);
    TestKernel::start_with(engine, &environment).await
}

/// Variants with this stock each.
pub async fn shelf(store: &Store, owner: &Person, variants: usize, stock: i64) -> Vec<Goods> {
    let mut shelf = Vec::with_capacity(variants);
    for number in 0..variants {
        shelf.push(
            store
                .goods(owner, &format!("Goods {number}"), 1_000 + number as i64, stock)
                .await,
        );
    }
    shelf
}

/// Carts ready for checkout, made eight at a time; `lines` says what is in each.
pub async fn carts(store: &Store, count: usize, lines: impl Fn(usize) -> Vec<(Goods, i64)>) -> Vec<GuestCart> {
    let mut carts = Vec::with_capacity(count);
    let mut making = JoinSet::new();
    for number in 0..count {
        if making.len() == 8 {
            carts.push(making.join_next().await.expect("one of eight").expect("a cart"));
        }
        let (store, lines) = (store.clone(), lines(number));
        making.spawn(async move {
            let lines: Vec<(&Goods, i64)> = lines.iter().map(|(goods, quantity)| (goods, *quantity)).collect();
            store.cart_with(&lines).await
        });
    }
    carts.extend(making.join_all().await);
    carts
}

/// Between none and this long.
pub fn a_moment(longest: Duration) -> Duration {
    longest.mul_f64(rand::random::<f64>())
}
