//! Any text is either refused or proven: the border never panics, and never prints what its second walk cannot prove.

#![no_main]

use std::sync::{Arc, LazyLock};

use commerce_kernel::storage::sql::border::{Border, RefusalKind, Schema, plan_migration};
use libfuzzer_sys::fuzz_target;

static BORDER: LazyLock<Border> = LazyLock::new(|| {
    let empty = Schema::empty("shop").expect("a plain name");
    let tables = include_str!("../../kernel/tests/border/fixtures/shop.sql");
    let migration = plan_migration(&empty, "shop.sql", tables).expect("an accepted migration");
    Border::new(Arc::new(migration.schema_after), Vec::new())
});

fuzz_target!(|text: &str| {
    if let Err(refusal) = BORDER.prepare(text) {
        assert_ne!(refusal.kind, RefusalKind::Proof, "{refusal}");
    }
});
