//! E-mail addresses as accounts bear them.

/// The address in the one form that is stored and compared: trimmed and in lower case. None where no mail could ever arrive.
///
/// Lower case also before the @: the standard leaves that part to the receiving host, but no host of today tells `Ann@`
/// from `ann@`, and two accounts that differ in case alone would be a way to pose as somebody.
pub fn normalised(given: &str) -> Option<String> {
    let address = given.trim().to_lowercase();
    let (local, domain) = address.split_once('@')?;
    let well_formed = address.len() <= 254
        && (1..=64).contains(&local.len())
        && !local
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "()<>[]:;,\\\"".contains(c))
        && local.split('.').all(|part| !part.is_empty())
        && domain.contains('.')
        && domain.split('.').all(is_label);
    well_formed.then_some(address)
}

/// Letters of any script: mail hosts take them too. Nothing that could end or split the address in a header or a log line.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_alphanumeric() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::normalised;

    #[test]
    fn case_and_surrounding_space_make_no_second_account() {
        assert_eq!(
            normalised("  Ann.Lee+x@Example.COM ").as_deref(),
            Some("ann.lee+x@example.com")
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let bad = [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@localhost",
            "ann@example..com",
            "a b@example.com",
            "ann@exa mple.com",
            "ann@example.com\r\nBcc: x@y.z",
            "ann@b@example.com",
            "<ann@example.com>",
            ".ann@example.com",
            "ann@-example.com",
            &long,
        ];
        for bad in bad {
            assert_eq!(normalised(bad), None, "{bad:?}");
        }
    }
}
