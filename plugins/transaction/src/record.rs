//! A transaction with all that belongs to it, read in one statement, and what clients see of it.

use commerce_sdk::money::Currency;
use commerce_sdk::prelude::*;
use commerce_sdk::sql::JsonColumn;
use serde_json::{Map, Value};

use crate::goods::Stock;
use crate::state::{FulfilmentStatus, PaymentMethod, PaymentStatus, States, Status};
use crate::{ItemId, PaymentId, RefundId, ShipmentId, TransactionId};

/// The columns of [`Record`], for a `from transactions t`.
macro_rules! record_columns {
    () => {
        "t.id, t.number, t.status, t.payment_status, t.fulfilment_status, t.stock, t.account, t.email, t.cart_id,
         t.guest_token_hash, t.currency, t.subtotal, t.discount, t.shipping, t.tax, t.total, t.paid, t.refunded,
         t.payment_method, t.shipping_address, t.shipping_rate, t.discounts, t.tax_lines, t.note, t.extensions,
         t.expires_at, t.created_at, t.updated_at,
         (select json_agg(json_object(
             'id', i.id, 'variant_id', i.variant_id, 'product_id', i.product_id, 'sku', i.sku, 'title', i.title,
             'variant_title', i.variant_title, 'quantity', i.quantity,
             'unit_price', json_object('amount', i.unit_price, 'currency', t.currency),
             'subtotal', json_object('amount', i.subtotal, 'currency', t.currency),
             'discount', json_object('amount', i.discount, 'currency', t.currency),
             'tax', json_object('amount', i.tax, 'currency', t.currency),
             'total', json_object('amount', i.total, 'currency', t.currency),
             'requires_shipping', i.requires_shipping, 'shipped', i.shipped, 'returned', i.returned,
             'extensions', i.extensions) order by i.position)
          from items i where i.transaction_id = t.id) as items,
         (select json_agg(json_object(
             'id', p.id, 'provider', p.provider, 'method', p.method, 'status', p.status,
             'amount', json_object('amount', p.amount, 'currency', p.currency),
             'instructions', p.instructions, 'reference', p.reference, 'expires_at', p.expires_at,
             'created_at', p.created_at, 'settled_at', p.settled_at) order by p.created_at, p.id)
          from payments p where p.transaction_id = t.id) as payments,
         (select json_agg(json_object(
             'id', r.id, 'amount', json_object('amount', r.amount, 'currency', r.currency), 'reason', r.reason,
             'reference', r.reference, 'created_at', r.created_at) order by r.created_at, r.id)
          from refunds r where r.transaction_id = t.id) as refunds,
         (select json_agg(json_object(
             'id', s.id, 'carrier', s.carrier, 'tracking_number', s.tracking_number, 'tracking_url', s.tracking_url,
             'items', s.items, 'created_at', s.created_at, 'delivered_at', s.delivered_at) order by s.created_at, s.id)
          from shipments s where s.transaction_id = t.id) as shipments"
    };
}
pub(crate) use record_columns;

/// A row of `transactions` with its children, as the statement returns it.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    pub id: TransactionId,
    pub number: i64,
    pub status: Status,
    pub payment_status: PaymentStatus,
    pub fulfilment_status: FulfilmentStatus,
    pub stock: Stock,
    pub account: Option<String>,
    pub email: String,
    pub cart_id: String,
    pub guest_token_hash: Option<String>,
    pub currency: Currency,
    pub subtotal: i64,
    pub discount: i64,
    pub shipping: i64,
    pub tax: i64,
    pub total: i64,
    pub paid: i64,
    pub refunded: i64,
    pub payment_method: PaymentMethod,
    pub shipping_address: Option<JsonColumn<Value>>,
    pub shipping_rate: Option<JsonColumn<Value>>,
    pub discounts: JsonColumn<Vec<Value>>,
    pub tax_lines: JsonColumn<Vec<Value>>,
    pub note: Option<String>,
    pub extensions: JsonColumn<Map<String, Value>>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub items: Option<JsonColumn<Vec<Item>>>,
    pub payments: Option<JsonColumn<Vec<Payment>>>,
    pub refunds: Option<JsonColumn<Vec<Refund>>>,
    pub shipments: Option<JsonColumn<Vec<Shipment>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    Awaiting,
    Paid,
    Cancelled,
    Expired,
}

/// What clients see of a transaction.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Transaction {
    pub id: TransactionId,
    /// Short, for people; increasing, and unique in the store.
    pub number: i64,
    pub status: Status,
    pub payment_status: PaymentStatus,
    pub fulfilment_status: FulfilmentStatus,
    pub email: String,
    pub account: Option<String>,
    pub items: Vec<Item>,
    pub totals: Totals,
    pub paid: Money,
    pub refunded: Money,
    pub payments: Vec<Payment>,
    pub refunds: Vec<Refund>,
    pub shipments: Vec<Shipment>,
    pub shipping_address: Option<Value>,
    pub shipping_rate: Option<Value>,
    pub discounts: Vec<Value>,
    pub tax_lines: Vec<Value>,
    pub note: Option<String>,
    /// What other plugins keep here, by their names.
    pub extensions: Map<String, Value>,
    /// Until when it must be paid.
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    pub subtotal: Money,
    pub discount: Money,
    pub shipping: Money,
    pub tax: Money,
    pub total: Money,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Item {
    pub id: ItemId,
    pub variant_id: String,
    pub product_id: String,
    pub sku: Option<String>,
    pub title: String,
    pub variant_title: Option<String>,
    pub quantity: i64,
    pub unit_price: Money,
    pub subtotal: Money,
    pub discount: Money,
    pub tax: Money,
    pub total: Money,
    pub requires_shipping: bool,
    pub shipped: i64,
    pub returned: i64,
    pub extensions: Map<String, Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Payment {
    pub id: PaymentId,
    pub provider: String,
    pub method: PaymentMethod,
    pub status: PaymentState,
    pub amount: Money,
    /// What the customer has to do to pay.
    pub instructions: Option<Value>,
    pub reference: Option<String>,
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub settled_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    pub id: RefundId,
    pub amount: Money,
    pub reason: String,
    pub reference: Option<String>,
    pub created_at: Timestamp,
}

/// Something that left for the customer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Shipment {
    pub id: ShipmentId,
    pub carrier: Option<String>,
    pub tracking_number: Option<String>,
    pub tracking_url: Option<String>,
    pub items: Vec<Quantity>,
    pub created_at: Timestamp,
    pub delivered_at: Option<Timestamp>,
}

/// How many of an item.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Quantity {
    pub item_id: ItemId,
    #[schemars(range(min = 1, max = 1_000_000))]
    pub quantity: i64,
}

impl Record {
    pub fn by_id(id: &TransactionId) -> Result<Option<Record>, Problem> {
        Ok(sql!(
            concat!("select ", record_columns!(), " from transactions t where t.id = $1"),
            id
        )
        .optional()?)
    }

    pub fn states(&self) -> States {
        States {
            status: self.status,
            payment: self.payment_status,
            fulfilment: self.fulfilment_status,
        }
    }

    pub fn items(&self) -> &[Item] {
        self.items.as_ref().map_or(&[], |items| &items.0)
    }

    pub fn payments(&self) -> &[Payment] {
        self.payments.as_ref().map_or(&[], |payments| &payments.0)
    }

    pub fn into_answer(self) -> Result<Transaction, Problem> {
        let money = |amount: i64| Money::new(amount, self.currency);
        Ok(Transaction {
            id: self.id,
            number: self.number,
            status: self.status,
            payment_status: self.payment_status,
            fulfilment_status: self.fulfilment_status,
            email: self.email,
            account: self.account,
            items: list(self.items),
            totals: Totals {
                subtotal: money(self.subtotal)?,
                discount: money(self.discount)?,
                shipping: money(self.shipping)?,
                tax: money(self.tax)?,
                total: money(self.total)?,
            },
            paid: money(self.paid)?,
            refunded: money(self.refunded)?,
            payments: list(self.payments),
            refunds: list(self.refunds),
            shipments: list(self.shipments),
            shipping_address: self.shipping_address.map(|c| c.0),
            shipping_rate: self.shipping_rate.map(|c| c.0),
            discounts: self.discounts.0,
            tax_lines: self.tax_lines.0,
            note: self.note,
            extensions: self.extensions.0,
            expires_at: self.expires_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// The rows of a column that is null where there are none.
fn list<T>(column: Option<JsonColumn<Vec<T>>>) -> Vec<T> {
    column.map(|column| column.0).unwrap_or_default()
}
