//! The database, read behind the kernel's back: what the books say, whatever the kernel believes.

use commerce_harness::{Engine, TestKernel};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

pub enum Books {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Books {
    pub async fn open(kernel: &TestKernel) -> Books {
        let url = kernel.database_url();
        match kernel.ground.engine {
            Engine::Sqlite => Books::Sqlite(SqliteConnection::connect(&url).await.expect("the database file")),
            Engine::Postgres => Books::Postgres(PgConnection::connect(&url).await.expect("the database")),
        }
    }

    /// Tables are written as `[product.stock]`, which is one quoted name on SQLite and two on PostgreSQL.
    fn dialect(&self, text: &str) -> AssertSqlSafe<String> {
        let text = match self {
            Books::Sqlite(_) => text.replace(['[', ']'], "\""),
            Books::Postgres(_) => {
                let mut parts = text.split(['[', ']']);
                let mut out = parts.next().unwrap_or_default().to_owned();
                // Every second part is a name between brackets.
                while let (Some(name), Some(rest)) = (parts.next(), parts.next()) {
                    out.push_str(&format!("\"{}\"{rest}", name.replace('.', "\".\"")));
                }
                out
            }
        };
        AssertSqlSafe(text)
    }

    /// The rows of a query whose columns are all text.
    pub async fn rows(&mut self, text: &str) -> Vec<Vec<String>> {
        let query = self.dialect(text);
        match self {
            Books::Sqlite(connection) => {
                let rows = sqlx::query(query)
                    .fetch_all(connection)
                    .await
                    .unwrap_or_else(|e| panic!("{text}: {e}"));
                rows.iter()
                    .map(|row| (0..row.len()).map(|at| row.get(at)).collect())
                    .collect()
            }
            Books::Postgres(connection) => {
                let rows = sqlx::query(query)
                    .fetch_all(connection)
                    .await
                    .unwrap_or_else(|e| panic!("{text}: {e}"));
                rows.iter()
                    .map(|row| (0..row.len()).map(|at| row.get(at)).collect())
                    .collect()
            }
        }
    }

    /// The one number that a query answers.
    pub async fn number(&mut self, expression: &str) -> i64 {
        let rows = self.rows(&format!("select cast(({expression}) as text)")).await;
        rows[0][0].parse().unwrap_or_else(|_| panic!("{expression}: {rows:?}"))
    }

    pub async fn execute(&mut self, text: &str) -> u64 {
        let query = self.dialect(text);
        match self {
            Books::Sqlite(connection) => sqlx::query(query)
                .execute(connection)
                .await
                .expect(text)
                .rows_affected(),
            Books::Postgres(connection) => sqlx::query(query)
                .execute(connection)
                .await
                .expect(text)
                .rows_affected(),
        }
    }

    /// Everything that must be true of them at any moment at which no transaction is open.
    pub async fn must_balance(&mut self) {
        for (what, query) in RULES {
            let found = self.rows(query).await;
            assert!(found.is_empty(), "{what}: {found:?}");
        }
    }
}

/// What may not exist, and a query that finds it.
const RULES: [(&str, &str); 12] = [
    (
        "variants whose ledger does not add up to their stock",
        "select s.variant_id, cast(s.on_hand as text), cast(s.reserved as text) from [product.stock] s
         where s.on_hand <> (select coalesce(sum(l.on_hand_delta), 0) from [product.stock_ledger] l
                             where l.variant_id = s.variant_id)
            or s.reserved <> (select coalesce(sum(l.reserved_delta), 0) from [product.stock_ledger] l
                              where l.variant_id = s.variant_id)",
    ),
    (
        "variants that have more or less reserved than open transactions hold",
        "select s.variant_id, cast(s.reserved as text) from [product.stock] s
         where s.reserved <> (select coalesce(sum(i.quantity), 0) from [transaction.items] i
             join [transaction.transactions] t on t.id = i.transaction_id
             where i.variant_id = s.variant_id and t.stock = 'held')",
    ),
    (
        "variants that sold more or less than transactions say",
        "select s.variant_id, cast(s.on_hand as text) from [product.stock] s
         where (select coalesce(-sum(l.on_hand_delta), 0) from [product.stock_ledger] l
                where l.variant_id = s.variant_id and l.kind = 'commit')
            <> (select coalesce(sum(i.quantity), 0) from [transaction.items] i
                join [transaction.transactions] t on t.id = i.transaction_id
                where i.variant_id = s.variant_id and t.stock = 'sold')",
    ),
    (
        "variants sold beyond what there was",
        "select variant_id from [product.stock] where on_hand < reserved or on_hand < 0 or reserved < 0",
    ),
    (
        "transactions without items",
        "select t.id from [transaction.transactions] t
         where not exists (select 1 from [transaction.items] i where i.transaction_id = t.id)",
    ),
    (
        "transactions without exactly one payment",
        "select t.id from [transaction.transactions] t
         where (select count(*) from [transaction.payments] p where p.transaction_id = t.id) <> 1",
    ),
    (
        "transactions whose first step is not written down",
        "select t.id from [transaction.transactions] t
         where (select count(*) from [transaction.history] h where h.transaction_id = t.id and h.step = 'created') <> 1",
    ),
    (
        "items, payments or steps of no transaction",
        "select transaction_id from [transaction.items] where transaction_id not in (select id from [transaction.transactions])
         union select transaction_id from [transaction.payments]
             where transaction_id not in (select id from [transaction.transactions])
         union select transaction_id from [transaction.history]
             where transaction_id not in (select id from [transaction.transactions])",
    ),
    (
        "ordered carts without their transaction",
        "select c.id from [cart.carts] c
         where c.status = 'ordered' and not exists (select 1 from [transaction.transactions] t where t.cart_id = c.id)",
    ),
    (
        "transactions of a cart that is still open",
        "select t.id from [transaction.transactions] t
         where not exists (select 1 from [cart.carts] c where c.id = t.cart_id and c.status = 'ordered')",
    ),
    (
        "transactions that wait for payment and would wait forever",
        "select t.id from [transaction.transactions] t
         where t.status = 'open' and t.payment_status = 'awaiting' and t.expires_at is not null
            and not exists (select 1 from [kernel.jobs] j
                where j.plugin = 'transaction' and j.name = 'expire' and j.key = t.id and j.state = 'waiting')",
    ),
    (
        "reservations for no transaction",
        "select l.reference from [product.stock_ledger] l
         where l.phase = 'reserve' and l.reference not in (select id from [transaction.transactions])",
    ),
];
