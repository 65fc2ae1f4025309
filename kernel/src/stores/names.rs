//! The names by which a store is known, each in one form.

/// `[a-z0-9]` and single hyphens between, 2 to 63 characters: fits a host name's label, a path and a shell.
pub fn is_slug(text: &str) -> bool {
    (2..=63).contains(&text.len())
        && text.split('-').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        })
}

/// A host as the `Host` header gives it, without port and final dot, in lower case. None where it is no host name or
/// address, for example because it holds a path.
pub fn host(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    if let Some(bracketed) = text.strip_prefix('[') {
        let (address, _port) = bracketed.split_once(']')?;
        return address
            .parse::<std::net::Ipv6Addr>()
            .ok()
            .map(|address| format!("[{address}]"));
    }
    let name = match text.split_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) => return None,
        None => &text,
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let well_formed = (1..=253).contains(&name.len())
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    well_formed.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_fit_a_host_name() {
        for good in ["demo", "toko-jakarta", "a1"] {
            assert!(is_slug(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "Demo",
            "-demo",
            "demo-",
            "de--mo",
            "de mo",
            "dé",
            "demo/..",
            &"a".repeat(64),
        ] {
            assert!(!is_slug(bad), "{bad}");
        }
    }

    #[test]
    fn a_host_has_one_form() {
        assert_eq!(host("Host.Example.COM:8080").as_deref(), Some("host.example.com"));
        assert_eq!(host("host.example.com.").as_deref(), Some("host.example.com"));
        assert_eq!(host("[::1]:8080").as_deref(), Some("[::1]"));
        assert_eq!(host("127.0.0.1:8080").as_deref(), Some("127.0.0.1"));
        for bad in [
            "",
            "Host.example.com/path",
            "https://Host.example.com",
            "a..b",
            "-a.b",
            "a b",
            "a:b",
            "[::1",
            ".",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}
