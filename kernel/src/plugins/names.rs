//! What names in packages may look like. Whatever passes here is safe in a file name, a log field, a URL and, quoted by the
//! border, in SQL.

/// Names that would meet the kernel's or a database's own schemas.
const RESERVED: [&str; 9] = [
    "kernel",
    "public",
    "main",
    "temp",
    "information_schema",
    "store_id",
    "commerce",
    "system",
    "auth",
];

/// `[a-z][a-z0-9_]{0,30}`
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 31
        && bytes.next().is_some_and(|byte| byte.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

pub fn is_plugin(name: &str) -> bool {
    is_name(name) && !RESERVED.contains(&name) && !name.starts_with("pg_") && !name.starts_with("sqlite_")
}

/// `notes.archive`: something of one plugin.
pub fn is_qualified(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(plugin, name)| is_plugin(plugin) && is_name(name))
}

/// `greeting@1`
pub fn is_service(name: &str) -> bool {
    name.split_once('@').is_some_and(|(name, version)| {
        is_name(name)
            && (1..=4).contains(&version.len())
            && version.bytes().all(|byte| byte.is_ascii_digit())
            && !version.starts_with('0')
    })
}

/// `0001_notes.sql`
pub fn is_migration_file(name: &str) -> bool {
    name.strip_suffix(".sql").is_some_and(|stem| {
        (1..=100).contains(&stem.len())
            && stem
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    })
}

/// `api.example.com` or `api.example.com:8443`: lower case, no wildcard, no scheme, no credentials.
pub fn is_host(name: &str) -> bool {
    let (host, port) = name.rsplit_once(':').unwrap_or((name, "443"));
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The prefix of a TypeID: 1 to 20 lower-case letters, underscores inside.
pub fn is_id_prefix(prefix: &str) -> bool {
    (1..=20).contains(&prefix.len())
        && prefix.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && !prefix.starts_with('_')
        && !prefix.ends_with('_')
}

/// `out_of_stock`
pub fn is_problem_code(code: &str) -> bool {
    (1..=64).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_cannot_take_the_name_of_a_schema_that_exists() {
        for name in [
            "kernel",
            "public",
            "pg_catalog",
            "sqlite_master",
            "information_schema",
            "Notes",
            "a-b",
            "a.b",
            "",
        ] {
            assert!(!is_plugin(name), "{name}");
        }
        assert!(is_plugin("flat_rate"));
        assert!(!is_plugin(&"a".repeat(32)));
    }

    #[test]
    fn a_host_is_one_host() {
        for host in [
            "api.example.com",
            "api.example.com:8443",
            "127.0.0.1:9000",
            "localhost:1",
        ] {
            assert!(is_host(host), "{host}");
        }
        for host in [
            "*.example.com",
            "https://example.com",
            "a@b.com",
            "a.com/",
            "a.com:0",
            "a.com:99999",
            "",
            ":443",
        ] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn services_carry_a_version() {
        assert!(is_service("greeting@1"));
        for name in ["greeting", "greeting@", "greeting@01", "greeting@x", "Greeting@1"] {
            assert!(!is_service(name), "{name}");
        }
    }
}
