//! The people of one store, and the things they do before a test's own story begins.

use serde_json::{Value, json};

use crate::client::Client;
use crate::kernel::{OWNER_EMAIL, PASSWORD};

#[derive(Clone)]
pub struct Store {
    pub slug: String,
    pub currency: String,
    /// What `commerce store create` answered.
    pub created: Value,
    anyone: Client,
}

/// Somebody with an account.
#[derive(Clone)]
pub struct Person {
    pub client: Client,
    pub email: String,
    pub id: String,
    pub refresh_token: String,
}

/// A product with one variant, as staff made it.
#[derive(Clone, Debug)]
pub struct Goods {
    pub product_id: String,
    pub variant_id: String,
    pub price: i64,
}

/// An open guest cart with what it takes to use it.
#[derive(Clone)]
pub struct GuestCart {
    pub id: String,
    pub token: String,
    pub client: Client,
}

impl Store {
    pub fn new(client: Client, slug: String, currency: String, created: Value) -> Self {
        Self {
            anyone: client.with("x-store", &slug),
            slug,
            currency,
            created,
        }
    }

    /// A client that names the store and nobody.
    pub fn guest(&self) -> Client {
        self.anyone.clone()
    }

    /// The same store through another node.
    pub fn at(&self, url: &str) -> Store {
        Store {
            anyone: self.anyone.at(url),
            ..self.clone()
        }
    }

    pub async fn owner(&self) -> Person {
        self.login(OWNER_EMAIL, PASSWORD).await
    }

    pub async fn login(&self, email: &str, password: &str) -> Person {
        let answer = self
            .anyone
            .post("/api/auth/login", json!({ "email": email, "password": password }))
            .await;
        self.person(email, answer.expect(200))
    }

    /// A new customer with an address nobody had before.
    pub async fn customer(&self) -> Person {
        let email = format!("{:016x}@example.com", rand::random::<u64>());
        let answer = self
            .anyone
            .post("/api/auth/register", json!({ "email": email, "password": PASSWORD }))
            .await;
        self.person(&email, answer.expect(201))
    }

    fn person(&self, email: &str, answer: &Value) -> Person {
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        Person {
            client: self.anyone.bearer(&text("/access_token")),
            email: email.to_owned(),
            id: text("/user/id"),
            refresh_token: text("/refresh_token"),
        }
    }

    pub fn money(&self, amount: i64) -> Value {
        json!({ "amount": amount, "currency": self.currency })
    }

    /// An active product with one variant.
    pub async fn goods(&self, owner: &Person, title: &str, price: i64, stock: i64) -> Goods {
        let sku = format!("{title}-{:08x}", rand::random::<u32>());
        let answer = owner
            .client
            .post(
                "/api/products",
                json!({
                    "title": title,
                    "status": "active",
                    "variants": [{ "sku": sku, "price": self.money(price), "stock": stock }],
                }),
            )
            .await;
        answer.expect(201);
        Goods {
            product_id: answer.text_at("/id"),
            variant_id: answer.text_at("/variants/0/id"),
            price,
        }
    }

    /// A guest's cart with these goods, an address and the first shipping rate: ready for checkout.
    pub async fn cart_with(&self, lines: &[(&Goods, i64)]) -> GuestCart {
        let cart = self.empty_cart().await;
        for (goods, quantity) in lines {
            let body = json!({ "variant_id": goods.variant_id, "quantity": quantity });
            let added = cart.client.post(&format!("/api/carts/{}/items", cart.id), body).await;
            assert!(added.status == 200 || added.status == 201, "{}", added.text);
        }
        cart.ready().await;
        cart
    }

    pub async fn empty_cart(&self) -> GuestCart {
        let answer = self.anyone.post("/api/carts", json!({})).await;
        answer.expect(201);
        let token = answer.text_at("/token");
        GuestCart {
            id: answer.text_at("/id"),
            client: self.anyone.with("x-cart-token", &token),
            token,
        }
    }
}

impl GuestCart {
    /// Gives the cart an address and the first rate offered for it.
    pub async fn ready(&self) {
        self.client
            .put(&format!("/api/carts/{}/shipping-address", self.id), address())
            .await
            .expect(200);
        let rates = self.client.get(&format!("/api/carts/{}/shipping-rates", self.id)).await;
        rates.expect(200);
        let rate = rates.text_at("/items/0/id");
        self.client
            .put(
                &format!("/api/carts/{}/shipping-rate", self.id),
                json!({ "rate_id": rate }),
            )
            .await
            .expect(200);
    }

    pub fn checkout_body(&self) -> Value {
        json!({ "cart_id": self.id, "email": "guest@example.com", "payment": { "provider": "manual" } })
    }
}

/// An address as the cart wants one.
pub fn address() -> Value {
    json!({
        "name": "Siti Rahma",
        "phone": "+62 812 0000 0000",
        "line1": "Jalan Kemang Raya 1",
        "city": "Jakarta Selatan",
        "province": "DKI Jakarta",
        "postal_code": "12730",
        "country": "ID",
    })
}
