//! Checkout: a cart becomes a transaction. One unit of work across cart, product and this plugin: whatever fails, nothing
//! of it has happened.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;
use serde_json::{Map, Value};

use crate::access::{CART_TOKEN, actor, token_hash};
use crate::goods::Stock;
use crate::payments::{self, Terms};
use crate::record::{Item, Payment, PaymentState, Record, Totals, Transaction};
use crate::state::{PaymentMethod, States};
use crate::steps::{Because, announce, note};
use crate::{ItemId, PaymentId, TransactionId};

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Checkout")]
pub struct Checkout {
    pub cart_id: String,
    #[schemars(email, length(max = 254))]
    pub email: String,
    pub payment: PaymentChoice,
    /// The total that the customer was shown. Where prices, taxes or shipping have changed since, the checkout is refused
    /// and the cart stays open.
    pub expected_total: Option<Money>,
    #[schemars(length(max = 1000))]
    pub note: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub struct PaymentChoice {
    /// `manual`: settled between the customer and the store, and confirmed by staff.
    pub provider: Provider,
    /// How; a bank transfer where nothing is said.
    pub method: Option<PaymentMethod>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Manual,
}

#[derive(Serialize)]
struct CartCheckout<'a> {
    cart_id: &'a str,
    cart_token: Option<&'a str>,
    reference: &'a TransactionId,
    email: &'a str,
}

/// What the cart plugin answers: everything the customer agreed to, recomputed from its sources, stock reserved.
#[derive(Deserialize)]
struct CheckedOut {
    currency: Currency,
    items: Vec<CheckedOutItem>,
    totals: Totals,
    #[serde(default)]
    tax_lines: Vec<Value>,
    #[serde(default)]
    discounts: Vec<Value>,
    shipping_address: Option<Value>,
    shipping_rate: Option<Value>,
    account: Option<String>,
}

#[derive(Deserialize)]
struct CheckedOutItem {
    variant_id: String,
    product_id: String,
    sku: Option<String>,
    title: String,
    variant_title: Option<String>,
    quantity: i64,
    unit_price: Money,
    subtotal: Money,
    discount: Money,
    tax: Money,
    total: Money,
    requires_shipping: bool,
    #[serde(default)]
    extensions: Map<String, Value>,
}

/// Checks a cart out.
#[post(
    "/api/transactions",
    access = public,
    headers("x-cart-token"),
    problems(
        404 = "not_found", 409 = "cart_closed", 409 = "out_of_stock", 409 = "total_changed", 422 = "cart_empty", 422 = "shipping_address_required",
        422 = "shipping_rate_required", 422 = "shipping_rate_unavailable", 422 = "coupon_expired", 422 = "coupon_exhausted",
        422 = "coupon_not_applicable", 422 = "variant_unavailable", 422 = "payment_method_unavailable",
        422 = "amount_too_large"
    )
)]
pub fn create(cx: &Context, Json(body): Json<Checkout>) -> Result<Created<Transaction>, Problem> {
    let Provider::Manual = body.payment.provider;
    let method = body.payment.method.unwrap_or(PaymentMethod::BankTransfer);
    let now = clock::now();
    let terms = payments::terms(method, now)?;
    let email = body.email.trim().to_lowercase();
    let id = TransactionId::new();
    let cart_token = cx.header(CART_TOKEN);
    let cart: CheckedOut = plugins::call(
        "cart",
        "checkout",
        &CartCheckout {
            cart_id: &body.cart_id,
            cart_token,
            reference: &id,
            email: &email,
        },
    )?;
    if body.expected_total.is_some_and(|shown| shown != cart.totals.total) {
        return Err(Problem::conflict(
            "total_changed",
            "The total has changed since it was shown; look at the cart again.",
        )
        .with("total", cart.totals.total));
    }
    let mut record = record_of(id, &body, cart, cart_token.map(token_hash), email, terms, now);
    let because = Because {
        actor: &actor(cx),
        reason: "checkout",
    };
    write(&mut record, &because)?;
    announce(&record, "created", &because)?;
    let location = format!("/api/transactions/{}", record.id);
    if record.total == 0 {
        payments::settle_free(&mut record)?;
        let body = payments::answer(&record.id)?.0;
        return Ok(Created { location, body });
    }
    if let Some(expires_at) = record.expires_at {
        payments::schedule_expiry(&record.id, expires_at)?;
    }
    Ok(Created {
        location,
        body: record.into_answer()?,
    })
}

/// Everything but the number, which is taken last.
fn record_of(
    id: TransactionId,
    body: &Checkout,
    cart: CheckedOut,
    guest_token_hash: Option<String>,
    email: String,
    terms: Terms,
    now: Timestamp,
) -> Record {
    let payment = Payment {
        id: PaymentId::new(),
        provider: "manual".to_owned(),
        method: terms.method,
        status: PaymentState::Awaiting,
        amount: cart.totals.total,
        instructions: terms.instructions,
        reference: None,
        expires_at: terms.expires_at,
        created_at: now,
        settled_at: None,
    };
    Record {
        id,
        number: 0,
        status: States::PLACED.status,
        payment_status: States::PLACED.payment,
        fulfilment_status: States::PLACED.fulfilment,
        stock: Stock::Held,
        // A cart that belongs to an account is reached through that account only.
        guest_token_hash: guest_token_hash.filter(|_| cart.account.is_none()),
        account: cart.account,
        email,
        cart_id: body.cart_id.clone(),
        currency: cart.currency,
        subtotal: cart.totals.subtotal.amount(),
        discount: cart.totals.discount.amount(),
        shipping: cart.totals.shipping.amount(),
        tax: cart.totals.tax.amount(),
        total: cart.totals.total.amount(),
        paid: 0,
        refunded: 0,
        payment_method: terms.method,
        shipping_address: cart.shipping_address.map(JsonColumn),
        shipping_rate: cart.shipping_rate.map(JsonColumn),
        discounts: JsonColumn(cart.discounts),
        tax_lines: JsonColumn(cart.tax_lines),
        note: body.note.clone(),
        extensions: JsonColumn(Map::new()),
        expires_at: terms.expires_at,
        created_at: now,
        updated_at: now,
        items: Some(JsonColumn(cart.items.into_iter().map(Item::from).collect())),
        payments: Some(JsonColumn(vec![payment])),
        refunds: None,
        shipments: None,
    }
}

impl From<CheckedOutItem> for Item {
    fn from(item: CheckedOutItem) -> Self {
        Self {
            id: ItemId::new(),
            variant_id: item.variant_id,
            product_id: item.product_id,
            sku: item.sku,
            title: item.title,
            variant_title: item.variant_title,
            quantity: item.quantity,
            unit_price: item.unit_price,
            subtotal: item.subtotal,
            discount: item.discount,
            tax: item.tax,
            total: item.total,
            requires_shipping: item.requires_shipping,
            shipped: 0,
            returned: 0,
            extensions: item.extensions,
        }
    }
}

/// Five statements, in an order that keeps the counter's row, which every checkout of the store waits for, locked for
/// the last one only. The record learns its number on the way.
fn write(record: &mut Record, because: &Because) -> Result<(), Problem> {
    sql!(
        "insert into items (id, transaction_id, position, variant_id, product_id, sku, title, variant_title, quantity,
             unit_price, subtotal, discount, tax, total, requires_shipping, extensions)
         select r.id, $2, r.position, r.variant_id, r.product_id, r.sku, r.title, r.variant_title, r.quantity,
             r.unit_price, r.subtotal, r.discount, r.tax, r.total, r.requires_shipping, r.extensions
         from json_rows($1) as r(id text, position bigint, variant_id text, product_id text, sku text, title text,
             variant_title text, quantity bigint, unit_price bigint, subtotal bigint, discount bigint, tax bigint,
             total bigint, requires_shipping boolean, extensions jsonb)",
        JsonColumn(record.items().iter().enumerate().map(ItemRow::new).collect::<Vec<_>>()),
        record.id
    )
    .execute()?;
    for payment in record.payments() {
        sql!(
            "insert into payments
                 (id, transaction_id, provider, method, status, amount, currency, instructions, expires_at, created_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            payment.id,
            record.id,
            payment.provider,
            payment.method,
            payment.status,
            payment.amount.amount(),
            record.currency,
            payment.instructions.as_ref().map(JsonColumn),
            payment.expires_at,
            payment.created_at
        )
        .execute()?;
    }
    note(&record.id, "created", record.states(), because, record.created_at)?;
    record.number = sql!(
        "insert into counters (name, value) values ('transactions', 1001)
         on conflict (name) do update set value = counters.value + 1
         returning value"
    )
    .scalar()?;
    sql!(
        "insert into transactions (id, number, status, payment_status, fulfilment_status, stock, account, email, cart_id,
             guest_token_hash, currency, subtotal, discount, shipping, tax, total, payment_method, shipping_address,
             shipping_rate, discounts, tax_lines, note, expires_at, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22,
             $23, $24, $24)",
        record.id, record.number, record.status, record.payment_status, record.fulfilment_status, record.stock,
        record.account, record.email, record.cart_id, record.guest_token_hash, record.currency, record.subtotal,
        record.discount, record.shipping, record.tax, record.total, record.payment_method, record.shipping_address,
        record.shipping_rate, record.discounts, record.tax_lines, record.note, record.expires_at, record.created_at
    )
    .execute()
    .on_constraint("cart_id", || Problem::conflict("cart_closed", "The cart has been checked out."))?;
    Ok(())
}

/// An item with its place in the list, as `json_rows` reads it.
#[derive(Serialize)]
struct ItemRow<'a> {
    id: &'a ItemId,
    position: usize,
    variant_id: &'a str,
    product_id: &'a str,
    sku: Option<&'a str>,
    title: &'a str,
    variant_title: Option<&'a str>,
    quantity: i64,
    unit_price: i64,
    subtotal: i64,
    discount: i64,
    tax: i64,
    total: i64,
    requires_shipping: bool,
    extensions: &'a Map<String, Value>,
}

impl<'a> ItemRow<'a> {
    fn new((position, item): (usize, &'a Item)) -> Self {
        Self {
            id: &item.id,
            position,
            variant_id: &item.variant_id,
            product_id: &item.product_id,
            sku: item.sku.as_deref(),
            title: &item.title,
            variant_title: item.variant_title.as_deref(),
            quantity: item.quantity,
            unit_price: item.unit_price.amount(),
            subtotal: item.subtotal.amount(),
            discount: item.discount.amount(),
            tax: item.tax.amount(),
            total: item.total.amount(),
            requires_shipping: item.requires_shipping,
            extensions: &item.extensions,
        }
    }
}
