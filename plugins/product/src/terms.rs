//! Search terms: the words of a product's title and SKUs, and what a shopper's `q` asks of them.

use std::collections::BTreeSet;

/// Longer words are cut: an index key has a bound, and nobody types more.
const LONGEST_TERM: usize = 48;
/// What a search looks at; further words of a question narrow it no more.
pub const MOST_WORDS: usize = 4;

/// The terms a product is found by.
pub fn of_product<'a>(title: &str, skus: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let mut terms: BTreeSet<String> = words(title).collect();
    for sku in skus {
        terms.extend(words(sku));
    }
    terms
}

/// The words of a question, each to be the beginning of one of a product's terms. The longest come first: they are the
/// rarest, most often.
pub fn of_question(q: &str) -> Vec<String> {
    let mut asked: Vec<String> = words(q).collect::<BTreeSet<_>>().into_iter().collect();
    asked.sort_by_key(|word| std::cmp::Reverse(word.len()));
    asked.truncate(MOST_WORDS);
    asked
}

/// The first text after all that begin with `prefix`, in the order of bytes.
pub fn upper_bound(prefix: &str) -> String {
    format!("{prefix}{}", char::MAX)
}

/// How a title sorts: case does not matter, and its first part decides.
pub fn title_key(title: &str) -> String {
    title.trim().chars().flat_map(char::to_lowercase).take(64).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.chars().flat_map(char::to_lowercase).take(LONGEST_TERM).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_found_by_each_word_of_its_title_and_skus() {
        let terms = of_product("Adjustable Stem", ["STEM-ADJ/01", "Stem - Black"]);
        assert_eq!(
            terms.into_iter().collect::<Vec<_>>(),
            ["01", "adj", "adjustable", "black", "stem"]
        );
    }

    #[test]
    fn a_question_is_prefixes_with_the_longest_first() {
        assert_eq!(of_question(" Black  ste "), ["black", "ste"]);
        assert_eq!(of_question("--- !"), Vec::<String>::new());
        assert_eq!(of_question("one two three four five six").len(), MOST_WORDS);
    }

    #[test]
    fn the_upper_bound_is_above_every_text_with_the_prefix() {
        let bound = upper_bound("ste");
        for term in ["ste", "stem", "ste\u{ffff}x", "stezzzz"] {
            assert!(term < bound.as_str(), "{term}");
        }
        assert!("stf" > bound.as_str());
    }
}
