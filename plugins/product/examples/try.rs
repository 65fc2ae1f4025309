use std::sync::Arc;
use commerce_kernel::storage::sql::border::{Border, Schema, plan_migration};
fn main() {
    let mut schema = Schema::empty("product").unwrap();
    for f in ["0001_catalogue", "0002_listing", "0003_stock"] {
        let t = std::fs::read_to_string(format!("plugins/product/migrations/{f}.sql")).unwrap();
        let m = plan_migration(&schema, f, &t).unwrap();
        if std::env::var("DDL").is_ok() { for s in &m.steps { println!("{s:?}"); } }
        schema = m.schema_after;
    }
    let b = Border::new(Arc::new(schema), vec![]);
    for text in std::fs::read_to_string("/tmp/texts.sql").unwrap().split("\n;\n") {
        match b.prepare(text) {
            Ok(p) => println!("OK {}\nSQLITE {}\nPG {}\n", p.arguments, p.sqlite, p.postgres),
            Err(e) => println!("REFUSED {e:?}\n{text}\n"),
        }
    }
}
