//! What is true of a product whoever wrote it: staff, a file, another system.

use std::collections::BTreeSet;

/// Shopify's bound, and far more than a shopper can choose from.
pub const MOST_VARIANTS: usize = 2_000;
/// Bytes: a SKU stands in an index.
const LONGEST_SKU: usize = 255;
const LONGEST_OPTION: usize = 255;
const LONGEST_TAG: usize = 100;

/// Why a SKU can't be kept, if it can't.
pub fn long_sku(sku: &str) -> Option<String> {
    (sku.len() > LONGEST_SKU).then(|| format!("is longer than {LONGEST_SKU} bytes"))
}

/// Why an option's value can't be kept, if it can't.
pub fn long_option(value: &str) -> Option<String> {
    longer_than(value, LONGEST_OPTION)
}

/// Why a tag can't be kept, if it can't.
pub fn long_tag(tag: &str) -> Option<String> {
    longer_than(tag, LONGEST_TAG)
}

fn longer_than(text: &str, most: usize) -> Option<String> {
    (text.chars().nth(most).is_some()).then(|| format!("is longer than {most} characters"))
}

/// Trimmed, without repetitions; the first spelling stays.
pub fn distinct_tags(tags: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let tags = tags.into_iter().map(|tag| tag.trim().to_owned());
    tags.filter(|tag| !tag.is_empty() && seen.insert(tag.to_lowercase()))
        .collect()
}

/// A picture is shown by shoppers' browsers: no address that could run there.
pub fn is_reference(url: &str) -> bool {
    let local = url.starts_with('/') && !url.starts_with("//");
    (local || url.starts_with("https://") || url.starts_with("http://"))
        && !url
            .chars()
            .any(|letter| letter.is_whitespace() || letter.is_control() || matches!(letter, '"' | '<' | '>'))
}

/// Trimmed; nothing where nothing is left.
pub fn some_text(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
