//! From what staff send to the model, with everything a schema cannot say about it.
//!
//! Nothing here reads the database. What is wrong is collected, each with its place, so that a client learns it at once.

use std::collections::BTreeSet;

use commerce_sdk::money::{Currency, Money};
use commerce_sdk::patch::Patch;
use commerce_sdk::problem::{Field, Problem};
use commerce_sdk::timestamp::Timestamp;
use serde_json::Map;

use super::{MOST_VARIANTS, distinct_tags, is_reference, long_option, long_sku, long_tag, some_text};
use super::{MediaInput, OptionInput, PriceInput, ProductInput, ProductPatch, VariantInput, VariantPatch};
use crate::model::{Media, Price, Product, ProductOption, Stock, Variant, same_options, variant_title};
use crate::{html, slug};

const MOST_TAGS: usize = 250;

/// What making a product needs from outside.
pub struct Maker<'a> {
    /// The currencies that prices may be in.
    pub currencies: &'a [Currency],
    pub now: Timestamp,
    /// A new id with this prefix.
    pub new_id: &'a mut dyn FnMut(&'static str) -> String,
    /// Wrong so far.
    pub errors: Vec<Field>,
}

impl<'a> Maker<'a> {
    pub fn new(currencies: &'a [Currency], now: Timestamp, new_id: &'a mut dyn FnMut(&'static str) -> String) -> Self {
        Self {
            currencies,
            now,
            new_id,
            errors: Vec::new(),
        }
    }

    /// A new product. Where `errors` is not empty afterwards, the product is not to be used.
    pub fn product(&mut self, input: ProductInput) -> Product {
        let title = self.title("/title", &input.title);
        let slug = match &input.slug {
            Some(chosen) => self.slug("/slug", chosen),
            None => slug::from_title(&title),
        };
        let options = self.options(&input.options);
        let media = self.media(input.media);
        let tags = self.tags(input.tags);
        let mut product = Product {
            id: (self.new_id)("prod"),
            slug,
            title,
            description_html: html::sanitize(&input.description_html),
            vendor: input.vendor.trim().to_owned(),
            product_type: input.product_type.trim().to_owned(),
            status: input.status,
            seo_title: some_text(input.seo.title),
            seo_description: some_text(input.seo.description),
            options,
            media,
            tags,
            categories: input.categories,
            variants: Vec::new(),
            extensions: Map::new(),
            import_digest: None,
            version: 1,
            created_at: self.now,
            updated_at: self.now,
        };
        product.variants.reserve(input.variants.len().min(MOST_VARIANTS));
        for (at, variant) in input.variants.into_iter().take(MOST_VARIANTS + 1).enumerate() {
            let variant = self.variant(&format!("/variants/{at}"), variant, &product);
            product.variants.push(variant);
        }
        product.collect_option_values();
        product
    }

    /// A new variant of a product that is not one of its variants yet.
    pub fn variant(&mut self, pointer: &str, input: VariantInput, product: &Product) -> Variant {
        let prices = self.new_prices(pointer, &input);
        let option_values: Vec<String> = input
            .option_values
            .iter()
            .map(|value| value.trim().to_owned())
            .collect();
        let title = input
            .title
            .and_then(|title| some_text(Some(title)))
            .unwrap_or_else(|| variant_title(&option_values));
        let variant = Variant {
            id: (self.new_id)("var"),
            position: product.variants.last().map_or(0, |last| last.position + 1),
            title,
            sku: some_text(input.sku),
            owns_sku: true,
            option_values,
            barcode: some_text(input.barcode),
            weight_g: input.weight_g,
            size: input.size,
            requires_shipping: input.requires_shipping.unwrap_or(true),
            taxable: input.taxable.unwrap_or(true),
            tax_category: some_text(input.tax_category).unwrap_or_else(|| "standard".to_owned()),
            image_url: some_text(input.image_url),
            prices,
            stock: Stock {
                tracked: input.tracked.unwrap_or(true),
                policy: input.policy,
                on_hand: input.stock.unwrap_or(0),
                reserved: 0,
            },
            extensions: Map::new(),
            created_at: self.now,
        };
        self.check_variant(pointer, &variant, product, None);
        variant
    }

    pub fn patch_product(&mut self, product: &mut Product, patch: ProductPatch) {
        if let Some(title) = patch.title {
            product.title = self.title("/title", &title);
        }
        if let Some(slug) = patch.slug {
            product.slug = self.slug("/slug", &slug);
        }
        if let Some(options) = patch.options {
            if options.len() == product.options.len() || product.variants.is_empty() {
                product.options = self.options(&options);
                product.collect_option_values();
            } else {
                self.wrong("/options", "are not as many as the variants have values for");
            }
        }
        if let Some(html) = patch.description_html {
            product.description_html = html::sanitize(&html);
        }
        if let Some(tags) = patch.tags {
            product.tags = self.tags(tags);
        }
        if let Some(media) = patch.media {
            product.media = self.media_over(media, &product.media);
        }
        product.status = patch.status.unwrap_or(product.status);
        replace(&mut product.vendor, patch.vendor.map(|vendor| vendor.trim().to_owned()));
        replace(
            &mut product.product_type,
            patch.product_type.map(|kind| kind.trim().to_owned()),
        );
        replace(&mut product.categories, patch.categories);
        product.seo_title = some_text(patch.seo.title.over(product.seo_title.take()));
        product.seo_description = some_text(patch.seo.description.over(product.seo_description.take()));
    }

    /// Changes the variant at this place of the product, whose option values the caller collects afterwards.
    pub fn patch_variant(&mut self, product: &mut Product, at: usize, patch: VariantPatch) {
        let mut variant = product.variants[at].clone();
        let sku = variant.sku.clone();
        variant.sku = some_text(patch.sku.over(variant.sku));
        // A SKU that is written anew is claimed anew.
        variant.owns_sku = variant.owns_sku || variant.sku != sku;
        if let Some(values) = patch.option_values {
            let was_derived = variant.title == variant_title(&variant.option_values);
            variant.option_values = values.iter().map(|value| value.trim().to_owned()).collect();
            if was_derived {
                variant.title = variant_title(&variant.option_values);
            }
        }
        replace(&mut variant.title, patch.title.map(|title| title.trim().to_owned()));
        if let Some(prices) = patch.prices {
            variant.prices = self.price_list("/prices", &prices);
        }
        self.patch_price(&mut variant, patch.price, patch.compare_at_price);
        replace(&mut variant.stock.tracked, patch.tracked);
        replace(&mut variant.stock.policy, patch.policy);
        variant.barcode = some_text(patch.barcode.over(variant.barcode));
        replace(&mut variant.weight_g, patch.weight_g);
        variant.size = patch.size.over(variant.size);
        replace(&mut variant.requires_shipping, patch.requires_shipping);
        replace(&mut variant.taxable, patch.taxable);
        replace(&mut variant.tax_category, patch.tax_category);
        variant.image_url = some_text(patch.image_url.over(variant.image_url));
        replace(&mut variant.position, patch.position);
        self.check_variant("", &variant, product, Some(&product.variants[at]));
        let moved = variant.position != product.variants[at].position;
        product.variants[at] = variant;
        if moved {
            product.variants.sort_by_key(|variant| variant.position);
        }
    }

    /// Ends the making: everything that was wrong, in one problem.
    pub fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let mut problem = Problem::unprocessable("invalid_body", "Some fields can't be used.");
        problem.errors = self.errors;
        Err(problem)
    }

    fn wrong(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.errors.push(Field {
            pointer: pointer.into(),
            message: message.into(),
        });
    }

    fn title(&mut self, pointer: &str, title: &str) -> String {
        let title = title.trim();
        if title.is_empty() {
            self.wrong(pointer, "is empty");
        }
        title.to_owned()
    }

    fn slug(&mut self, pointer: &str, chosen: &str) -> String {
        if !slug::is_valid(chosen) {
            self.wrong(
                pointer,
                "is not lower-case letters, digits and hyphens, or begins like an id",
            );
        }
        chosen.to_owned()
    }

    fn options(&mut self, options: &[OptionInput]) -> Vec<ProductOption> {
        let mut names = BTreeSet::new();
        for (at, option) in options.iter().enumerate() {
            let name = option.name.trim();
            if name.is_empty() || !names.insert(name.to_lowercase()) {
                self.wrong(format!("/options/{at}/name"), "is empty or stands there twice");
            }
        }
        options
            .iter()
            .map(|option| ProductOption {
                name: option.name.trim().to_owned(),
                values: Vec::new(),
            })
            .collect()
    }

    fn tags(&mut self, tags: Vec<String>) -> Vec<String> {
        let tags = distinct_tags(tags);
        if tags.len() > MOST_TAGS {
            self.wrong("/tags", format!("are more than {MOST_TAGS}"));
        }
        if let Some(why) = tags.iter().find_map(|tag| long_tag(tag)) {
            self.wrong("/tags", format!("has one that {why}"));
        }
        tags
    }

    fn media(&mut self, media: Vec<MediaInput>) -> Vec<Media> {
        self.media_over(media, &[])
    }

    /// What is shown already keeps its id.
    fn media_over(&mut self, media: Vec<MediaInput>, before: &[Media]) -> Vec<Media> {
        let mut kept: Vec<Media> = Vec::with_capacity(media.len());
        for (at, MediaInput { url, alt }) in media.into_iter().enumerate() {
            let url = url.trim().to_owned();
            if !is_reference(&url) {
                self.wrong(
                    format!("/media/{at}/url"),
                    "is neither http(s)://… nor a path that begins with /",
                );
            }
            if kept.iter().any(|media| media.url == url) {
                continue;
            }
            let known = before.iter().find(|media| media.url == url);
            let id = known.map_or_else(|| (self.new_id)("img"), |media| media.id.clone());
            kept.push(Media {
                id,
                url,
                alt: alt.trim().to_owned(),
            });
        }
        kept
    }

    fn new_prices(&mut self, pointer: &str, input: &VariantInput) -> Vec<Price> {
        let mut prices = self.price_list(&format!("{pointer}/prices"), &input.prices);
        let compare_at = input.compare_at_price.map(|money| money.amount());
        match (input.price, input.compare_at_price) {
            (Some(price), compared) => {
                if compared.is_some_and(|compared| compared.currency() != price.currency()) {
                    self.wrong(
                        format!("{pointer}/compare_at_price"),
                        "is in another currency than the price",
                    );
                }
                if prices.iter().any(|known| known.currency == price.currency()) {
                    self.wrong(format!("{pointer}/prices"), "names the currency of the price again");
                }
                self.check_price(
                    &format!("{pointer}/price"),
                    price.currency(),
                    price.amount(),
                    compare_at,
                );
                prices.insert(
                    0,
                    Price {
                        currency: price.currency(),
                        amount: price.amount(),
                        compare_at,
                    },
                );
            }
            (None, Some(_)) => self.wrong(format!("{pointer}/compare_at_price"), "compares to no price"),
            (None, None) => {}
        }
        prices
    }

    fn price_list(&mut self, pointer: &str, list: &[PriceInput]) -> Vec<Price> {
        let mut prices: Vec<Price> = Vec::with_capacity(list.len());
        for (at, price) in list.iter().enumerate() {
            let pointer = format!("{pointer}/{at}");
            self.check_price(&pointer, price.currency, price.amount, price.compare_at);
            if prices.iter().any(|known| known.currency == price.currency) {
                self.wrong(format!("{pointer}/currency"), "is priced twice");
                continue;
            }
            prices.push(Price {
                currency: price.currency,
                amount: price.amount,
                compare_at: price.compare_at,
            });
        }
        prices
    }

    fn check_price(&mut self, pointer: &str, currency: Currency, amount: i64, compare_at: Option<i64>) {
        if !self.currencies.contains(&currency) {
            self.wrong(
                format!("{pointer}/currency"),
                format!("{currency} is not a currency of this store"),
            );
        }
        if amount < 0 || compare_at.is_some_and(|before| before < 0) {
            self.wrong(format!("{pointer}/amount"), "is below zero");
        }
    }

    fn patch_price(&mut self, variant: &mut Variant, price: Option<Money>, compare_at: Patch<Money>) {
        if let Some(price) = price {
            self.check_price("/price", price.currency(), price.amount(), None);
            match variant
                .prices
                .iter_mut()
                .find(|known| known.currency == price.currency())
            {
                Some(known) => known.amount = price.amount(),
                None => variant.prices.push(Price {
                    currency: price.currency(),
                    amount: price.amount(),
                    compare_at: None,
                }),
            }
        }
        match compare_at {
            Patch::Absent => {}
            Patch::Null => {
                let of = price.map(|price| price.currency());
                for known in variant
                    .prices
                    .iter_mut()
                    .filter(|known| of.is_none_or(|of| of == known.currency))
                {
                    known.compare_at = None;
                }
            }
            Patch::Value(before) => match variant
                .prices
                .iter_mut()
                .find(|known| known.currency == before.currency())
            {
                Some(known) if before.amount() >= 0 => known.compare_at = Some(before.amount()),
                _ => self.wrong(
                    "/compare_at_price",
                    "compares to no price in its currency, or is below zero",
                ),
            },
        }
    }

    /// `before`: what the variant was, where it is one of the product's already. What it keeps is not asked of all others
    /// again, so that changing all of two thousand stays quick.
    fn check_variant(&mut self, pointer: &str, variant: &Variant, product: &Product, before: Option<&Variant>) {
        if before.is_none() && product.variants.len() >= MOST_VARIANTS {
            self.wrong(
                pointer,
                format!("is one more than the {MOST_VARIANTS} that a product can have"),
            );
        }
        let others = || product.variants.iter().filter(|other| other.id != variant.id);
        let chosen_anew = before.is_none_or(|before| before.option_values != variant.option_values);
        if variant.option_values.len() != product.options.len() {
            self.wrong(
                format!("{pointer}/option_values"),
                format!("must be {}: one for each option", product.options.len()),
            );
        } else if chosen_anew
            && !variant.option_values.is_empty()
            && others().any(|other| same_options(&other.option_values, &variant.option_values))
        {
            self.wrong(
                format!("{pointer}/option_values"),
                "are those of another variant of this product",
            );
        }
        for (at, value) in variant.option_values.iter().enumerate() {
            if let Some(why) = long_option(value) {
                self.wrong(format!("{pointer}/option_values/{at}"), why);
            }
        }
        if let Some(sku) = &variant.sku {
            if let Some(why) = long_sku(sku) {
                self.wrong(format!("{pointer}/sku"), why);
            }
            let claimed_anew = before.is_none_or(|before| before.sku != variant.sku || !before.owns_sku);
            if variant.owns_sku
                && claimed_anew
                && others().any(|other| other.owns_sku && other.sku.as_ref() == Some(sku))
            {
                self.wrong(format!("{pointer}/sku"), "is that of another variant of this product");
            }
        }
        if variant.image_url.as_deref().is_some_and(|url| !is_reference(url)) {
            self.wrong(
                format!("{pointer}/image_url"),
                "is neither http(s)://… nor a path that begins with /",
            );
        }
    }
}

fn replace<T>(current: &mut T, new: Option<T>) {
    if let Some(new) = new {
        *current = new;
    }
}
