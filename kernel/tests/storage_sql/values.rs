//! SQL.md, "Values": what goes in comes out, the same on both engines, and what does not fit is refused on both.

use commerce_kernel::storage::sql::border::{ColumnType, Prepared};
use commerce_kernel::storage::sql::{ConstraintKind, Engine, Mode, SqlError};
use serde_json::{Value as Json, json};

use crate::on_both_engines;
use crate::world::{World, args, rows, statement, table};

on_both_engines! {
    every_type_comes_back_as_it_went_in,
    times_are_kept_to_the_microsecond_and_sort,
    a_boolean_expression_is_a_boolean,
    an_empty_answer_still_names_its_columns,
    arguments_must_be_as_many_as_the_text_takes,
    arguments_must_have_the_texts_types,
    what_one_engine_alone_could_hold_is_refused_on_both,
    constraints_name_what_was_violated_without_the_store,
    other_failures_tell_nothing,
    like_minds_case,
}

fn insert_all() -> Prepared {
    statement(
        "insert into {items} (store_id, id, price, listed, made_at, body, raw, ratio) values ($8, $1, $2, $3, $4, $5, $6, $7)",
        &[
            ColumnType::Text,
            ColumnType::Bigint,
            ColumnType::Boolean,
            ColumnType::Timestamptz,
            ColumnType::Jsonb,
            ColumnType::Bytea,
            ColumnType::Double,
        ],
        &[],
        &[table("product", "items", true)],
    )
}

fn select_all() -> Prepared {
    statement(
        "select id, price, listed, made_at, body, raw, ratio from {items} where store_id = $1 order by made_at, id",
        &[],
        &[
            ("id", Some(ColumnType::Text)),
            ("price", Some(ColumnType::Bigint)),
            ("listed", Some(ColumnType::Boolean)),
            ("made_at", Some(ColumnType::Timestamptz)),
            ("body", Some(ColumnType::Jsonb)),
            ("raw", Some(ColumnType::Bytea)),
            ("ratio", Some(ColumnType::Double)),
        ],
        &[table("product", "items", false)],
    )
}

type AllColumns<'a> = (
    &'a str,
    Option<i64>,
    Option<bool>,
    Option<&'a str>,
    Option<&'a str>,
    Option<&'a [u8]>,
    Option<f64>,
);

fn all_args((id, price, listed, made_at, body, raw, ratio): AllColumns<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmp::encode::write_array_len(&mut bytes, 7).unwrap();
    for value in [
        rmp_serde::to_vec(id),
        rmp_serde::to_vec(&price),
        rmp_serde::to_vec(&listed),
        rmp_serde::to_vec(&made_at),
        rmp_serde::to_vec(&body),
    ] {
        bytes.extend(value.unwrap());
    }
    match raw {
        Some(raw) => rmp::encode::write_bin(&mut bytes, raw).unwrap(),
        None => rmp::encode::write_nil(&mut bytes).unwrap(),
    }
    bytes.extend(rmp_serde::to_vec(&ratio).unwrap());
    bytes
}

async fn every_type_comes_back_as_it_went_in(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    let full = all_args((
        "chair",
        Some(i64::MAX),
        Some(true),
        Some("2026-11-22T08:00:00.5+07:00"),
        Some("{\"a\": 1}"),
        Some(&[0, 255]),
        Some(1.0),
    ));
    let empty = all_args(("table", None, None, None, None, None, None));
    for one in [&full, &empty] {
        work.statement(&world.product, &insert_all(), one, world.limits())
            .await
            .unwrap();
    }
    let answer = work
        .statement(&world.product, &select_all(), &args(json!([])), world.limits())
        .await
        .unwrap();
    let commerce_kernel::storage::sql::Answer::Rows(bytes) = answer else {
        panic!("rows were expected")
    };
    let all: Vec<Vec<serde_bytes_free::Any>> = rmp_serde::from_slice(&bytes).unwrap();
    let full_row = all
        .iter()
        .find(|row| row[0] == serde_bytes_free::Any::Text("chair".into()))
        .unwrap();
    use serde_bytes_free::Any;
    assert_eq!(
        *full_row,
        [
            Any::Text("chair".into()),
            Any::Int(i64::MAX),
            Any::Bool(true),
            Any::Text("2026-11-22T01:00:00.500000Z".into()),
            Any::Text("{\"a\": 1}".into()),
            Any::Bytes(vec![0, 255]),
            Any::Double(1.0),
        ]
    );
    let empty_row = all.iter().find(|row| row[0] == Any::Text("table".into())).unwrap();
    assert!(empty_row[1..].iter().all(|value| *value == Any::Null));
}

/// MessagePack values told apart by their own types, which JSON would blur (bytes, 1.0 and 1).
mod serde_bytes_free {
    #[derive(Debug, PartialEq)]
    pub enum Any {
        Null,
        Bool(bool),
        Int(i64),
        Double(f64),
        Text(String),
        Bytes(Vec<u8>),
    }

    impl<'de> serde::Deserialize<'de> for Any {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(Visitor)
        }
    }

    struct Visitor;

    impl serde::de::Visitor<'_> for Visitor {
        type Value = Any;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a value")
        }

        fn visit_unit<E>(self) -> Result<Any, E> {
            Ok(Any::Null)
        }

        fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
            Ok(Any::Bool(value))
        }

        fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
            Ok(Any::Int(value))
        }

        fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
            Ok(Any::Int(value as i64))
        }

        fn visit_f64<E>(self, value: f64) -> Result<Any, E> {
            Ok(Any::Double(value))
        }

        fn visit_str<E>(self, value: &str) -> Result<Any, E> {
            Ok(Any::Text(value.to_owned()))
        }

        fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
            Ok(Any::Bytes(value.to_owned()))
        }
    }
}

async fn times_are_kept_to_the_microsecond_and_sort(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Changing);
    // As texts without a fixed width, `…00Z` would sort after `…00.5Z`.
    for (id, time) in [
        ("later", "2026-01-01T00:00:00.5Z"),
        ("sooner", "2026-01-01T00:00:00Z"),
        ("last", "2026-01-01T00:00:00.500001Z"),
    ] {
        let one = all_args((id, None, None, Some(time), None, None, None));
        work.statement(&world.product, &insert_all(), &one, world.limits())
            .await
            .unwrap();
    }
    let seen = rows(
        work.statement(&world.product, &select_all(), &args(json!([])), world.limits())
            .await,
    );
    let ids: Vec<&Json> = seen.iter().map(|row| &row[0]).collect();
    assert_eq!(ids, ["sooner", "later", "last"]);
    assert_eq!(seen[0][3], "2026-01-01T00:00:00.000000Z");
    assert_eq!(seen[2][3], "2026-01-01T00:00:00.500001Z");
}

async fn a_boolean_expression_is_a_boolean(engine: Engine) {
    let world = World::new(engine).await;
    let compare = statement(
        "select $1 > 3 as big, 1 = 1 as same",
        &[ColumnType::Bigint],
        &[("big", Some(ColumnType::Boolean)), ("same", Some(ColumnType::Boolean))],
        &[],
    );
    let mut work = world.work(Mode::Reading);
    let seen = rows(
        work.statement(&world.product, &compare, &args(json!([4])), world.limits())
            .await,
    );
    assert_eq!(seen, [[json!(true), json!(true)]]);
}

async fn an_empty_answer_still_names_its_columns(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Reading);
    let answer = work
        .statement(&world.product, &select_all(), &args(json!([])), world.limits())
        .await
        .unwrap();
    let commerce_kernel::storage::sql::Answer::Rows(bytes) = answer else {
        panic!("rows were expected")
    };
    let all: Vec<Vec<String>> = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(all, [["id", "price", "listed", "made_at", "body", "raw", "ratio"]]);
}

async fn arguments_must_be_as_many_as_the_text_takes(engine: Engine) {
    let world = World::new(engine).await;
    let mut work = world.work(Mode::Staged);
    // A surplus one would otherwise be bound where the kernel binds the store.
    for wrong in [
        json!([]),
        json!(["chair"]),
        json!(["chair", "chair", 2]),
        json!("chair"),
        json!({"a": 1}),
    ] {
        let outcome = work
            .statement(&world.product, &crate::world::insert(), &args(wrong), world.limits())
            .await;
        assert!(matches!(outcome, Err(SqlError::Arguments(_))), "{outcome:?}");
    }
    let mut trailing = args(json!(["chair", "chair"]));
    trailing.push(0);
    let outcome = work
        .statement(&world.product, &crate::world::insert(), &trailing, world.limits())
        .await;
    assert!(matches!(outcome, Err(SqlError::Arguments(_))));
}

async fn arguments_must_have_the_texts_types(engine: Engine) {
    let world = World::new(engine).await;
    let good = [
        json!("chair"),
        json!(1),
        json!(true),
        json!("2026-01-01T00:00:00Z"),
        json!("{}"),
        json!(null),
        json!(1.5),
    ];
    let wrong = [
        (0, json!(1)),
        (0, json!("nul\u{0}inside")),
        (0, json!(["nested"])),
        (1, json!("1")),
        (1, json!(1.5)),
        (1, json!(u64::MAX)),
        (2, json!(1)),
        (3, json!("yesterday")),
        (3, json!("2026-01-01")),
        (3, json!(1_700_000_000)),
        (4, json!("{")),
        (5, json!("text")),
        (6, json!("1.5")),
    ];
    for (position, value) in wrong {
        let mut values = good.to_vec();
        values[position] = value.clone();
        let mut work = world.work(Mode::Staged);
        let outcome = work
            .statement(
                &world.product,
                &insert_all(),
                &args(Json::Array(values)),
                world.limits(),
            )
            .await;
        assert!(
            matches!(outcome, Err(SqlError::Arguments(_))),
            "{position} {value}: {outcome:?}"
        );
    }
}

async fn constraints_name_what_was_violated_without_the_store(engine: Engine) {
    let world = World::new(engine).await;
    let insert = statement(
        "insert into {items} (store_id, id, slug, price) values ($4, $1, $2, $3)",
        &[ColumnType::Text, ColumnType::Text, ColumnType::Bigint],
        &[],
        &[table("product", "items", true)],
    );
    let mut work = world.work(Mode::Staged);
    work.statement(
        &world.product,
        &insert,
        &args(json!(["chair", "chair", 1])),
        world.limits(),
    )
    .await
    .unwrap();
    let cases = [
        (json!(["chair", "other", 1]), ConstraintKind::Unique, "", vec!["id"]),
        (json!(["other", "chair", 1]), ConstraintKind::Unique, "", vec!["slug"]),
        (
            json!(["other", "other", -1]),
            ConstraintKind::Check,
            "price_positive",
            vec![],
        ),
        (json!([null, "other", 1]), ConstraintKind::NotNull, "", vec!["id"]),
    ];
    for (values, kind, name, columns) in cases {
        let outcome = work
            .statement(&world.product, &insert, &args(values), world.limits())
            .await;
        let Err(SqlError::Constraint(constraint)) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(
            (constraint.kind, &*constraint.name, constraint.columns),
            (kind, name, columns.into_iter().map(String::from).collect())
        );
    }
}

async fn other_failures_tell_nothing(engine: Engine) {
    let world = World::new(engine).await;
    let broken = statement(
        "select nothing_like_it from {items} where store_id = $1",
        &[],
        &[("a", None)],
        &[table("product", "items", false)],
    );
    let outcome = world
        .work(Mode::Reading)
        .statement(&world.product, &broken, &args(json!([])), world.limits())
        .await;
    assert_eq!(outcome, Err(SqlError::Failed));
}

async fn like_minds_case(engine: Engine) {
    let world = World::new(engine).await;
    let like = statement(
        "select $1 like 'Ch%' as hit where $2 > 0",
        &[ColumnType::Text],
        &[("hit", Some(ColumnType::Boolean))],
        &[],
    );
    let mut work = world.work(Mode::Reading);
    for (text, hit) in [("Chair", true), ("chair", false)] {
        let seen = rows(
            work.statement(&world.product, &like, &args(json!([text])), world.limits())
                .await,
        );
        assert_eq!(seen, [[json!(hit)]]);
    }
}

async fn what_one_engine_alone_could_hold_is_refused_on_both(engine: Engine) {
    let world = World::new(engine).await;
    let of = |kind| {
        statement(
            "update {items} set id = id where $1 is null and store_id = $2",
            &[kind],
            &[],
            &[table("product", "items", true)],
        )
    };
    for (kind, value, taken) in [
        (ColumnType::Double, args(json!([1.5])), true),
        (ColumnType::Double, rmp_serde::to_vec(&[f64::NAN]).unwrap(), false),
        (ColumnType::Double, rmp_serde::to_vec(&[f64::INFINITY]).unwrap(), false),
        (
            ColumnType::Jsonb,
            args(json!([r#"{"a": "caf\u00e9 \\u0000 \ud83d\ude00"}"#])),
            true,
        ),
        (ColumnType::Jsonb, args(json!([r#"{"a": "\u0000"}"#])), false),
        (ColumnType::Jsonb, args(json!([r#"{"\u0000": 1}"#])), false),
        (ColumnType::Jsonb, args(json!([r#"["\ud83d"]"#])), false),
    ] {
        let mut prepared = of(kind);
        prepared.postgres = prepared.postgres.replace(
            "$1",
            &format!(
                "$1::{}",
                if kind == ColumnType::Double {
                    "double precision"
                } else {
                    "jsonb"
                }
            ),
        );
        let mut work = world.work(Mode::Changing);
        let outcome = work.statement(&world.product, &prepared, &value, world.limits()).await;
        match taken {
            true => assert!(outcome.is_ok(), "{outcome:?}"),
            false => assert!(matches!(outcome, Err(SqlError::Arguments(_))), "{outcome:?}"),
        }
        work.abandon().await;
    }
    // Beyond eight bytes SQLite goes on with an approximation.
    let mut sum = statement(
        "select 9223372036854775807 + $1 as n where $2 > 0",
        &[ColumnType::Bigint],
        &[("n", Some(ColumnType::Bigint))],
        &[],
    );
    sum.postgres = "select 9223372036854775807::bigint + $1::bigint as n where $2::bigint > 0".to_owned();
    let mut work = world.work(Mode::Changing);
    let outcome = work
        .statement(&world.product, &sum, &args(json!([1])), world.limits())
        .await;
    assert!(matches!(outcome, Err(SqlError::Failed)), "{outcome:?}");
}
