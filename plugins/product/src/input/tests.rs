use commerce_sdk::timestamp::Timestamp;
use serde_json::json;

use super::*;
use crate::model::Product;

fn currency(code: &str) -> Currency {
    code.parse().expect("a code")
}

fn make(input: serde_json::Value) -> (Product, Vec<(String, String)>) {
    let currencies = [currency("IDR"), currency("USD")];
    let mut count = 0;
    let mut new_id = |prefix: &'static str| {
        count += 1;
        format!("{prefix}_{count}")
    };
    let mut maker = Maker::new(&currencies, Timestamp::from_micros(0), &mut new_id);
    let product = maker.product(serde_json::from_value(input).expect("the schema admits it"));
    let errors = maker
        .errors
        .into_iter()
        .map(|error| (error.pointer, error.message))
        .collect();
    (product, errors)
}

fn pointers(input: serde_json::Value) -> Vec<String> {
    make(input).1.into_iter().map(|(pointer, _)| pointer).collect()
}

#[test]
fn a_title_and_a_priced_variant_are_enough() {
    let (product, errors) = make(json!({
        "title": " Kopi Gayo ", "status": "active",
        "variants": [{"sku": "GAYO", "price": {"amount": 85000, "currency": "IDR"}, "stock": 12}],
    }));
    assert_eq!(errors, []);
    assert_eq!(
        (product.title.as_str(), product.slug.as_str(), product.status),
        ("Kopi Gayo", "kopi-gayo", Status::Active)
    );
    let variant = &product.variants[0];
    assert_eq!(
        (variant.title.as_str(), variant.stock.on_hand, variant.stock.tracked),
        ("Default", 12, true)
    );
    assert_eq!(variant.home_currency(currency("IDR")), Some(currency("IDR")));
    assert_eq!(variant.home_currency(currency("USD")), Some(currency("IDR")));
}

#[test]
fn variants_without_options_need_not_differ() {
    let (product, errors) = make(json!({"title": "x", "variants": [{"sku": "a"}, {"sku": "b"}]}));
    assert_eq!(errors, []);
    assert_ne!(product.variants[0].option_key(), product.variants[1].option_key());
}

#[test]
fn options_collect_the_values_that_variants_use() {
    let (product, errors) = make(json!({
        "title": "Tee", "options": [{"name": "Color"}, {"name": "Size"}],
        "variants": [{"option_values": ["Black", "S"]}, {"option_values": ["Black", "M"]}, {"option_values": ["White", "S"]}],
    }));
    assert_eq!(errors, []);
    assert_eq!(product.options[0].values, ["Black", "White"]);
    assert_eq!(product.options[1].values, ["S", "M"]);
    assert_eq!(product.variants[1].title, "Black / M");
}

#[test]
fn everything_wrong_is_said_at_once_and_with_its_place() {
    assert_eq!(
        pointers(json!({
            "title": "  ", "slug": "No Slug", "options": [{"name": "Color"}, {"name": "color"}],
            "media": [{"url": "javascript:alert(1)"}],
            "variants": [
                {"option_values": ["Red"], "price": {"amount": 1, "currency": "EUR"}},
                {"option_values": ["a", "b"], "sku": "s", "price": {"amount": -1, "currency": "IDR"}},
                {"option_values": ["A", "B"], "sku": "s", "compare_at_price": {"amount": 5, "currency": "IDR"}},
            ],
        })),
        [
            "/title",
            "/slug",
            "/options/1/name",
            "/media/0/url",
            "/variants/0/price/currency",
            "/variants/0/option_values",
            "/variants/1/price/amount",
            "/variants/2/compare_at_price",
            "/variants/2/option_values",
            "/variants/2/sku",
        ]
    );
}

#[test]
fn a_patch_changes_what_it_names_and_nothing_else() {
    let (mut product, _) = make(json!({
        "title": "Tee", "vendor": "Ours", "tags": ["Soft", "soft", " "], "seo": {"title": "Buy a tee"},
        "options": [{"name": "Color"}],
        "variants": [{"option_values": ["Red"], "sku": "R", "barcode": "1", "price": {"amount": 100, "currency": "USD"}}],
    }));
    let before = product.clone();
    let currencies = [currency("USD")];
    let mut new_id = |prefix: &'static str| format!("{prefix}_new");
    let mut maker = Maker::new(&currencies, Timestamp::from_micros(0), &mut new_id);
    let patch = json!({"title": "T-shirt", "seo": {"title": null}, "options": [{"name": "Colour"}]});
    maker.patch_product(&mut product, serde_json::from_value(patch).expect("admitted"));
    let patch = json!({"barcode": null, "price": {"amount": 90, "currency": "USD"}, "compare_at_price": {"amount": 100, "currency": "USD"}});
    maker.patch_variant(&mut product, 0, serde_json::from_value(patch).expect("admitted"));
    assert_eq!(maker.errors, []);
    assert_eq!(
        (product.title.as_str(), product.seo_title, product.tags),
        ("T-shirt", None, vec!["Soft".to_owned()])
    );
    assert_eq!((product.vendor, product.slug), (before.vendor, before.slug));
    assert_eq!(product.options[0].name, "Colour");
    assert_eq!(product.options[0].values, ["Red"]);
    let variant = &product.variants[0];
    assert_eq!((variant.barcode.as_deref(), variant.sku.as_deref()), (None, Some("R")));
    assert_eq!(
        (variant.prices[0].amount, variant.prices[0].compare_at),
        (90, Some(100))
    );
}

#[test]
fn a_picture_cannot_carry_a_script() {
    for url in [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example/x",
        "https://x/\"onerror=",
        " https://x",
        "ftp://x",
    ] {
        assert!(!is_reference(url), "{url}");
    }
    assert!(is_reference("/api/product-images/mug.svg") && is_reference("https://cdn.example/a.jpg?v=1"));
}

#[test]
fn texts_that_no_index_can_hold_are_refused() {
    let long = "é".repeat(256);
    assert_eq!(
        pointers(json!({
            "title": "Tee", "tags": [long], "options": [{"name": "Color"}],
            "variants": [{"option_values": [long], "sku": long}],
        })),
        ["/tags", "/variants/0/option_values/0", "/variants/0/sku"]
    );
}

#[test]
fn ten_options_of_long_values_have_a_key_that_an_index_can_hold() {
    let options: Vec<_> = (0..10).map(|at| json!({"name": format!("Option {at}")})).collect();
    let values = |last: &str| {
        (0..9)
            .map(|_| "茶".repeat(255))
            .chain([last.to_owned()])
            .collect::<Vec<_>>()
    };
    let (product, errors) = make(json!({
        "title": "Tea", "options": options,
        "variants": [{"option_values": values("a")}, {"option_values": values("b")}],
    }));
    assert_eq!(errors, []);
    let keys: Vec<String> = product.variants.iter().map(|variant| variant.option_key()).collect();
    assert!(keys.iter().all(|key| key.len() < 1_000));
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn case_and_space_make_no_other_choice() {
    let twice = json!([{"option_values": ["Red", "S"]}, {"option_values": [" red", "s "]}]);
    assert_eq!(
        pointers(json!({"title": "Tee", "options": [{"name": "Color"}, {"name": "Size"}], "variants": twice})),
        ["/variants/1/option_values"]
    );
}

#[test]
fn a_product_has_at_most_two_thousand_variants() {
    let variants = |count: usize| vec![json!({}); count];
    assert_eq!(
        pointers(json!({"title": "Tee", "variants": variants(MOST_VARIANTS)})),
        [""; 0]
    );
    assert_eq!(
        pointers(json!({"title": "Tee", "variants": variants(MOST_VARIANTS + 5)})),
        [format!("/variants/{MOST_VARIANTS}")]
    );
}
