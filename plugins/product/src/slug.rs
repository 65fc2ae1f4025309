//! Slugs: the part of a product's or category's address that people read.

const LONGEST: usize = 120;

/// A slug made from a title. Letters of every script stay, because a slug without any says nothing.
pub fn from_title(title: &str) -> String {
    let mut slug = String::with_capacity(title.len());
    for letter in title.chars().flat_map(char::to_lowercase) {
        if letter.is_alphanumeric() {
            if slug.len() + letter.len_utf8() > LONGEST {
                break;
            }
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') && slug.len() < LONGEST {
            slug.push('-');
        }
    }
    let kept = slug.trim_end_matches('-').len();
    slug.truncate(kept);
    if slug.is_empty() { "item".to_owned() } else { slug }
}

/// The slug, and what it may be instead where it is taken: numbered.
pub fn candidates(wanted: &str) -> impl Iterator<Item = String> {
    let numbered = (2..=30).map(move |number| format!("{wanted}-{number}"));
    std::iter::once(wanted.to_owned()).chain(numbered)
}

/// Whether a slug that somebody chose can stand in a URL, and is no id.
pub fn is_valid(slug: &str) -> bool {
    let shaped = slug
        .chars()
        .all(|letter| letter == '-' || letter == '_' || letter.is_alphanumeric());
    !slug.is_empty()
        && slug.len() <= 255
        && shaped
        && !slug.starts_with('-')
        && !slug.chars().any(char::is_uppercase)
        && !["prod_", "cat_", "var_"].iter().any(|prefix| slug.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_becomes_lower_case_words_joined_by_hyphens() {
        for (title, slug) in [
            ("15mm Combo Wrench", "15mm-combo-wrench"),
            ("  Kopi — Gayo (200 g)!", "kopi-gayo-200-g"),
            ("Café Crème", "café-crème"),
            ("茶", "茶"),
            ("!!!", "item"),
        ] {
            assert_eq!(from_title(title), slug);
            assert!(is_valid(&from_title(title)), "{title}");
        }
        assert!(from_title(&"word ".repeat(100)).len() <= LONGEST);
    }

    #[test]
    fn a_slug_that_could_be_mistaken_for_an_id_or_a_path_is_refused() {
        for slug in ["", "prod_01h", "a/b", "a b", "A", "a?b", "../etc", "-a"] {
            assert!(!is_valid(slug), "{slug:?}");
        }
        assert!(is_valid("the-tango_2"));
    }
}
