//! Reading: one transaction, its history, and lists for customers and staff.

use commerce_sdk::prelude::*;

use crate::TransactionId;
use crate::access::{not_found, readable};
use crate::record::{Record, Transaction, record_columns};
use crate::state::{FulfilmentStatus, PaymentStatus, Status};

/// Reads a transaction: the buyer's own, the guest's with the cart's token, or any as staff.
#[get("/api/transactions/{id}", access = public, headers("x-cart-token"), problems(404 = "not_found"))]
pub fn show(cx: &Context, Path(id): Path<TransactionId>) -> Result<Json<Transaction>, Problem> {
    Ok(Json(readable(Record::by_id(&id)?, cx)?.into_answer()?))
}

#[derive(Deserialize, JsonSchema)]
pub struct Listing {
    /// At most 100; 20 where nothing is said.
    #[schemars(range(min = 1, max = 100))]
    pub limit: Option<u32>,
    pub after: Option<Cursor>,
    pub status: Option<Status>,
    pub payment_status: Option<PaymentStatus>,
    pub fulfilment_status: Option<FulfilmentStatus>,
    pub number: Option<i64>,
    #[schemars(length(max = 254))]
    pub email: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// One list statement: what it reads through an index, then the filters, newest first. The order of the arguments is
/// the same in each, so that all share [`Listing::read`].
macro_rules! list_of {
    ($transactions:literal) => {
        concat!(
            "select ",
            record_columns!(),
            " from ",
            $transactions,
            " and (t.created_at, t.id) < ($1, $2)
              and (cast($3 as text) is null or t.status = $3) and (cast($4 as text) is null or t.payment_status = $4)
              and (cast($5 as text) is null or t.fulfilment_status = $5) and t.created_at >= $6
              and (cast($7 as text) is null or t.account = $7 or (t.account is null and t.email = $8))
              and (cast($9 as bigint) is null or t.number = $9) and (cast($10 as text) is null or t.email = $10)
              order by t.created_at desc, t.id desc limit $11"
        )
    };
}

/// Lists transactions, newest first: customers see their own, staff all with filters.
#[get("/api/transactions", access = customer, problems(403 = "forbidden", 422 = "invalid_cursor"))]
pub fn list(cx: &Context, Query(query): Query<Listing>) -> Result<Json<Page<Transaction>>, Problem> {
    let limit = query.limit.unwrap_or(20);
    let caller = cx.caller();
    let everyone = caller.may("transaction.read");
    if caller.is_staff() && !everyone && caller.account().is_none() {
        return Err(Problem::forbidden(
            "forbidden",
            "This key lacks the permission transaction.read.",
        ));
    }
    let account = if everyone {
        None
    } else {
        Some(caller.account().unwrap_or_default())
    };
    let rows = query.read(account, caller.verified_email(), limit + 1)?;
    let page = Page::of(rows, limit, |record| Cursor::new(&(record.created_at, &record.id)));
    let items = page
        .items
        .into_iter()
        .map(Record::into_answer)
        .collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next: page.next }))
}

impl Listing {
    fn read(&self, account: Option<&str>, verified: Option<&str>, limit: u32) -> Result<Vec<Record>, Problem> {
        let to = self.to.unwrap_or(Timestamp::from_micros(i64::MAX));
        let before = Cursor::read::<(Timestamp, String)>(&self.after)?.unwrap_or((to, String::new()));
        let from = self.from.unwrap_or(Timestamp::from_micros(i64::MIN));
        let email = self.email.as_ref().map(|email| email.trim().to_lowercase());
        // Which index leads depends on what was asked for; each text is checked when the plugin is installed.
        macro_rules! run {
            ($transactions:literal) => {
                sql!(
                    list_of!($transactions),
                    before.0,
                    before.1,
                    self.status,
                    self.payment_status,
                    self.fulfilment_status,
                    from,
                    account,
                    verified,
                    self.number,
                    email,
                    limit
                )
                .all()
            };
        }
        let rows = if account.is_some() {
            // Two indexes, one for each way in which a purchase is somebody's: with OR, neither would be walked.
            run!(
                "(select a.* from transactions a where a.account = $7
                  union all
                  select g.* from transactions g where g.account is null and g.email = $8) t
                 where t.id is not null"
            )
        } else if self.number.is_some() {
            run!("transactions t where t.number = $9")
        } else if email.is_some() {
            run!("transactions t where t.email = $10")
        } else if self.status.is_some() {
            run!("transactions t where t.status = $3")
        } else if self.payment_status.is_some() {
            run!("transactions t where t.payment_status = $4")
        } else if self.fulfilment_status.is_some() {
            run!("transactions t where t.fulfilment_status = $5")
        } else {
            run!("transactions t where t.id is not null")
        };
        Ok(rows?)
    }
}

/// A step of the history.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct HistoryStep {
    pub id: crate::StepId,
    pub step: String,
    pub status: Status,
    pub payment_status: PaymentStatus,
    pub fulfilment_status: FulfilmentStatus,
    pub actor: String,
    pub reason: String,
    pub created_at: Timestamp,
}

/// Reads every step that a transaction took, oldest first.
#[get("/api/transactions/{id}/history", access = staff("transaction.read"), problems(404 = "not_found"))]
pub fn history(Path(id): Path<TransactionId>) -> Result<Json<Page<HistoryStep>>, Problem> {
    let items = sql!(
        "select id, step, status, payment_status, fulfilment_status, actor, reason, created_at
         from history where transaction_id = $1 order by created_at, id",
        id
    )
    .all::<HistoryStep>()?;
    if items.is_empty() {
        return Err(not_found());
    }
    Ok(Json(Page { items, next: None }))
}
