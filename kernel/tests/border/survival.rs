//! No text makes the border panic, and none gets through it unproven.

use std::sync::LazyLock;

use commerce_kernel::storage::sql::border::{Border, Refusal, RefusalKind, Schema, plan_migration};
use proptest::prelude::*;

use crate::fixtures;
use crate::shop;

static BORDER: LazyLock<Border> = LazyLock::new(shop::border);

/// A refusal of kind Proof is the kernel's own mistake, caught by its second walk.
fn not_a_mistake(refusal: &Refusal, text: &str) {
    assert_ne!(refusal.kind, RefusalKind::Proof, "{refusal}\n{text}");
}

#[test]
fn texts_that_are_deep_are_refused_and_exhaust_no_stack() {
    let border = shop::border();
    for (before, repeated, after) in [
        ("select ", "(", "1 as a"),
        ("select 1", " + 1", " as a"),
        ("select 1", "::bigint", " as a"),
        ("select not ", "not ", "true as a"),
        ("select - ", "- ", "1 as a"),
        ("select id from items where true", " and true", ""),
        ("select id from items where true", " or id = 'x'", ""),
        ("select id from items where id is null", " is null", ""),
        ("select ", "case when true then ", "1"),
        ("select ", "coalesce(", "1"),
        ("select ", "(select ", "1"),
        ("select 1 as a from ", "(select 1 as a from ", "items"),
        ("select 'a'", " || 'a'", " as a"),
        ("select data", " -> 'a'", " as a from items"),
        ("select 1 as a", " union select 1", ""),
        ("with a as (", "with a as (", "select 1 as b) select b from a"),
        ("select id from items where id in (", "'x', ", "'y')"),
        ("select ", "id, ", "id from items"),
        ("select 1 as a from items a1", ", items", ""),
        ("select \"", "a", "\" from items"),
        ("select ", "/* ", "1 as a"),
        ("", ";", ""),
    ] {
        for times in [10, 300, 5_000, 60_000] {
            let text = format!("{before}{}{after}", repeated.repeat(times));
            if let Err(refusal) = border.prepare(&text) {
                not_a_mistake(&refusal, &text[..text.len().min(200)]);
            }
        }
    }
}

#[test]
fn a_long_list_and_many_rows_are_accepted() {
    let border = shop::border();
    let rows = vec!["('o', 1, 'i1', 2)"; 1_000].join(", ");
    let text = format!("insert into lines (order_id, position, item_id, quantity) values {rows}");
    assert!(border.prepare(&text).is_ok());
    let conditions = vec!["id = 'x'"; 300].join(" or ");
    assert!(
        border
            .prepare(&format!("select id from items where {conditions}"))
            .is_ok()
    );
}

/// Each of these took minutes or terabytes: what a plugin sends is read in the kernel, where no sandbox bounds it.
#[test]
fn no_text_costs_more_to_read_than_it_is_long() {
    let border = shop::border();
    let placeholders: Vec<String> = (1..=18_000).map(|number| format!("${number}")).collect();
    let many_arguments = format!("select id from items where id in ({})", placeholders.join(","));
    let as_many_as_may_be = format!("select id from items where id in ({})", placeholders[..1_999].join(","));
    for (text, accepted) in [
        (many_arguments, false),
        (as_many_as_may_be, true),
        // Translated for SQLite each is written twice, with all that is in it.
        (
            format!(
                "select {}note{} as a from items",
                "greatest(note, ".repeat(50),
                ")".repeat(50)
            ),
            false,
        ),
        (
            format!(
                "select {}note{} as a from items",
                "least(title, greatest(note, ".repeat(3),
                "))".repeat(3)
            ),
            true,
        ),
    ] {
        let started = std::time::Instant::now();
        let prepared = border.prepare(&text);
        assert_eq!(prepared.is_ok(), accepted, "{:?}", prepared.err());
        assert!(
            started.elapsed() < std::time::Duration::from_secs(5),
            "{:?}",
            started.elapsed()
        );
    }
}

/// As many of each sort; `fuzz/` does the same for as long as one likes.
fn texts() -> u32 {
    let wanted = std::env::var("COMMERCE_TEST_TEXTS").ok();
    wanted.map_or(3_000, |number| {
        number
            .replace('_', "")
            .parse()
            .expect("COMMERCE_TEST_TEXTS is a number")
    })
}

/// Accepted texts with parts taken out, doubled, swapped, or replaced by words that mean something.
fn mutated() -> impl Strategy<Value = String> {
    let texts: Vec<String> = fixtures::accepted().into_iter().map(|fixture| fixture.text).collect();
    let words = prop::sample::select(vec![
        "store_id",
        "\"store_id\"",
        "or",
        "and",
        "not",
        "(",
        ")",
        "'",
        "\"",
        "--",
        "/*",
        "*/",
        ";",
        ",",
        "*",
        "t1",
        "s",
        "$1",
        "$9",
        "?1",
        "items",
        "shop.items",
        "\"shop\".\"items\"",
        "kernel.stores",
        "union",
        "select",
        "from",
        "where",
        "null",
        "true",
        "1",
        "'x'",
        "::",
        "::text",
        "lateral",
        "excluded",
        "returning",
        "order by",
        "limit",
        "group by",
        "over ()",
        "exists",
        "with",
        "as",
        "using",
        "natural join",
        "review.averages",
    ]);
    (
        prop::sample::select(texts),
        prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, words), 1..6),
    )
        .prop_map(|(text, edits)| {
            let mut parts: Vec<String> = text
                .split_inclusive([' ', '(', ',', ')', '\n'])
                .map(str::to_owned)
                .collect();
            for (at, edit, word) in edits {
                let at = at.index(parts.len());
                match edit {
                    0 => drop(parts.remove(at)),
                    1 => parts.insert(at, format!("{word} ")),
                    2 => parts[at] = format!("{word} "),
                    _ => {
                        let last = parts.len() - 1;
                        parts.swap(at, last);
                    }
                }
                if parts.is_empty() {
                    parts.push(String::new());
                }
            }
            parts.concat()
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: texts(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_texts_are_refused_or_proven(text in mutated()) {
        if let Err(refusal) = BORDER.prepare(&text) {
            not_a_mistake(&refusal, &text);
        }
    }

    #[test]
    fn arbitrary_texts_are_refused_or_proven(text in "\\PC{0,200}") {
        if let Err(refusal) = BORDER.prepare(&text) {
            not_a_mistake(&refusal, &text);
        }
    }

    #[test]
    fn arbitrary_migrations_are_refused_or_planned(text in "((create|alter|drop|table|index|items|a|text|bigint|\\(|\\)|,|;|primary key|references|--|'|\n) ?){0,40}") {
        let empty = Schema::empty("shop").expect("a plain name");
        if let Err(refusal) = plan_migration(&empty, "0001.sql", &text) {
            not_a_mistake(&refusal, &text);
        }
    }
}
