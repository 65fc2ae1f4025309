//! The demonstration: a shop for things of the house, the kitchen and the wardrobe, as large as it is asked to be.
//!
//! The nth product is always the same, so seeding goes on where it ended and skips what is there.

mod words;

use std::collections::BTreeMap;

use commerce_sdk::prelude::*;
use commerce_sdk::seed::{Seed, Seeded};
use commerce_sdk::store::Store;

use crate::input::distinct_tags;
use crate::model::{Media, Policy, Price, Product, ProductOption, Status, Stock, Variant, variant_title};
use crate::save::{Change, Origin, save};
use crate::stock::Kind;
use crate::{categories, pictures, slug};

use words::{CATEGORIES, COLORS, KINDS, MAKERS, ORIGINS, QUALITIES, SIZES};

/// Products saved by one round of statements: enough to make statements rare, few enough to keep each small.
const BATCH: u64 = 250;

/// Makes the demonstration's products from one number to another
#[function]
pub fn seed(ask: Seed) -> Result<Seeded, Problem> {
    let store = store()?;
    let categories = categories::ensure(CATEGORIES)?;
    let mut created = 0;
    let end = ask.from.saturating_add(ask.count);
    let mut from = ask.from;
    while from < end {
        let until = end.min(from + BATCH);
        created += seed_batch(from..until, &store, &categories)?;
        from = until;
    }
    Ok(Seeded { created })
}

fn seed_batch(
    numbers: std::ops::Range<u64>,
    store: &Store,
    categories: &BTreeMap<String, String>,
) -> Result<u64, Problem> {
    let now = clock::now();
    let mut new_id = |prefix: &'static str| ids::new(prefix);
    let mut products: Vec<Product> = numbers
        .map(|number| product(number, store, categories, now, &mut new_id))
        .collect();
    let slugs: Vec<&str> = products.iter().map(|product| product.slug.as_str()).collect();
    let there = sql!("select slug from products where slug = any($1)", JsonColumn(slugs)).scalars::<String>()?;
    products.retain(|product| !there.contains(&product.slug));
    let changes: Vec<Change> = products
        .into_iter()
        .map(|after| Change { before: None, after })
        .collect();
    save(
        &changes,
        store.currency,
        &Origin {
            actor: "seed",
            kind: Kind::Adjust,
            reason: "demonstration",
        },
    )?;
    Ok(changes.len() as u64)
}

fn product(
    number: u64,
    store: &Store,
    categories: &BTreeMap<String, String>,
    now: Timestamp,
    new_id: &mut dyn FnMut(&'static str) -> String,
) -> Product {
    let mut dice = Dice(number);
    let good = &KINDS[(number % KINDS.len() as u64) as usize];
    // Round after round through the kinds, the words turn at different speeds: titles come again only after 40,000.
    let round = number / KINDS.len() as u64;
    let quality = turn(QUALITIES, round);
    let origin = turn(ORIGINS, round / QUALITIES.len() as u64 + number);
    let series = round / (QUALITIES.len() * ORIGINS.len()) as u64;
    let title = match series {
        0 => format!("{quality} {origin} {}", good.name),
        _ => format!("{quality} {origin} {} No. {}", good.name, series + 1),
    };
    let hue = dice.below(360);
    let url = pictures::url(good.shape, hue);
    let maker = MAKERS[dice.below(MAKERS.len() as u64) as usize];
    let mut product = Product {
        id: new_id("prod"),
        // With its number: words are few, and slugs are one product's each.
        slug: format!("{}-{}", slug::from_title(&title), number + 1),
        description_html: format!(
            "<p>{} {quality} and made in {origin}, one by one.</p><ul><li>{}</li><li>From the workshop of {maker}</li></ul>",
            good.story, good.care
        ),
        title,
        vendor: maker.to_owned(),
        product_type: good.name.to_owned(),
        // A few are still being written, as in every shop.
        status: if dice.below(40) == 0 && number > 20 {
            Status::Draft
        } else {
            Status::Active
        },
        seo_title: None,
        seo_description: None,
        options: Vec::new(),
        media: vec![Media {
            id: new_id("img"),
            url: url.clone(),
            alt: format!("{quality} {}", good.name),
        }],
        tags: distinct_tags([origin.to_owned(), quality.to_owned(), good.tag.to_owned()]),
        categories: categories.get(good.category).cloned().into_iter().collect(),
        variants: Vec::new(),
        extensions: serde_json::Map::new(),
        import_digest: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    let (option, values) = match good.sized {
        true => ("Size", SIZES),
        false => ("Color", COLORS),
    };
    product.options.push(ProductOption {
        name: option.to_owned(),
        values: Vec::new(),
    });
    let base = good.price_usd_cents * (80 + dice.below(60) as i64) / 100;
    let (first, step) = (
        dice.below(values.len() as u64) as usize,
        1 + dice.below(values.len() as u64 - 1) as usize,
    );
    for position in 0..2 {
        let value = values[(first + position * step) % values.len()];
        let cents = base + position as i64 * good.price_usd_cents / 10;
        product.variants.push(Variant {
            id: new_id("var"),
            position: position as i64,
            title: variant_title(&[value.to_owned()]),
            sku: Some(format!("{}-{:05}-{}", good.code, number + 1, position + 1)),
            owns_sku: true,
            option_values: vec![value.to_owned()],
            barcode: None,
            weight_g: good.weight_g,
            size: None,
            requires_shipping: true,
            taxable: true,
            tax_category: "standard".to_owned(),
            image_url: Some(url.clone()),
            prices: prices(cents, dice.below(5) == 0, store),
            stock: Stock {
                tracked: true,
                policy: Policy::Deny,
                on_hand: stock(&mut dice),
                reserved: 0,
            },
            extensions: serde_json::Map::new(),
            created_at: now,
        });
    }
    product.collect_option_values();
    product
}

/// A price in each currency of the store that the demonstration knows, or in its own.
fn prices(cents: i64, reduced: bool, store: &Store) -> Vec<Price> {
    let known = |code: &str| matches!(code, "USD" | "IDR");
    let mut prices: Vec<Price> = store
        .currencies
        .iter()
        .filter(|facts| facts.code == store.currency || known(facts.code.as_str()))
        .map(|facts| {
            let amount = amount(cents, facts.code.as_str(), facts.exponent);
            Price {
                currency: facts.code,
                amount,
                compare_at: reduced.then_some(amount + amount / 5),
            }
        })
        .collect();
    if prices.is_empty() {
        prices.push(Price {
            currency: store.currency,
            amount: cents,
            compare_at: None,
        });
    }
    prices
}

/// What a price in cents would be written as in another currency: round, as people write prices.
fn amount(cents: i64, currency: &str, exponent: u32) -> i64 {
    let unit = 10_i64.pow(exponent.min(4));
    match currency {
        "IDR" => (cents * 155 / 1_000).max(5) * 1_000 * unit,
        _ => (cents * unit / 100).max(1),
    }
}

fn stock(dice: &mut Dice) -> i64 {
    match dice.below(12) {
        0 => 0,
        _ => 5 + dice.below(120) as i64,
    }
}

fn turn(words: &'static [&'static str], number: u64) -> &'static str {
    words[(number % words.len() as u64) as usize]
}

/// Numbers that look like chance and are the same every time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn made(number: u64) -> Product {
        let store = serde_json::from_value(serde_json::json!({
            "id": "store_1", "slug": "s", "name": "S", "currency": "IDR", "timezone": "Asia/Jakarta",
            "currencies": [{"code": "IDR", "exponent": 0}, {"code": "USD", "exponent": 2}],
        }))
        .expect("a store");
        let mut count = 0;
        let mut new_id = |prefix: &'static str| {
            count += 1;
            format!("{prefix}_{count}")
        };
        product(number, &store, &BTreeMap::new(), Timestamp::from_micros(0), &mut new_id)
    }

    #[test]
    fn the_same_number_is_the_same_product() {
        assert_eq!(made(4_711), made(4_711));
        assert_ne!(made(4_711).title, made(4_712).title);
    }

    #[test]
    fn thousands_differ_in_title_slug_and_sku() {
        let products: Vec<Product> = (0..5_000).map(made).collect();
        let titles: BTreeSet<&str> = products.iter().map(|product| product.title.as_str()).collect();
        assert_eq!(titles.len(), products.len());
        assert!(products.iter().all(|product| slug::is_valid(&product.slug)));
        let skus: BTreeSet<&str> = products
            .iter()
            .flat_map(|product| &product.variants)
            .filter_map(|variant| variant.sku.as_deref())
            .collect();
        assert_eq!(skus.len(), 10_000);
    }

    #[test]
    fn everything_can_be_bought_in_both_currencies() {
        for product in (0..500).map(made) {
            assert_eq!(product.variants.len(), 2);
            assert_eq!(
                distinct_tags(product.tags.clone()),
                product.tags,
                "a product has a tag once"
            );
            assert_ne!(product.variants[0].option_values, product.variants[1].option_values);
            for variant in &product.variants {
                let amounts: Vec<i64> = variant.prices.iter().map(|price| price.amount).collect();
                assert_eq!(amounts.len(), 2);
                assert!(
                    amounts[0] >= 5_000 && amounts[0] % 1_000 == 0 && amounts[1] >= 100,
                    "{amounts:?}"
                );
            }
        }
    }

    #[test]
    fn every_kind_has_a_category_of_the_tree() {
        let slugs: Vec<&str> = CATEGORIES.iter().map(|(slug, ..)| *slug).collect();
        assert!(KINDS.iter().all(|good| slugs.contains(&good.category)));
        assert!(
            CATEGORIES
                .iter()
                .all(|(_, _, parent)| parent.is_none_or(|parent| slugs.contains(&parent)))
        );
    }
}
