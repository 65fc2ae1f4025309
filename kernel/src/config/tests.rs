use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use super::keys::{KEYS, OTHER_VARIABLES, SECTIONS};
use super::*;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = file(text);
    Config::load(
        Some(file.path()),
        variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn only_fault(text: &str, variables: &[(&str, &str)]) -> ConfigFault {
    let ConfigError(mut faults) = load(text, variables).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

#[test]
fn no_configuration_is_a_configuration() {
    let config = Config::load(None, []).unwrap();
    assert_eq!(config.http.port, 8080);
    assert_eq!(config.data_dir, Path::new(".commerce"));
    assert_eq!(config.sql.url, None);
    assert!(
        config
            .redacted()
            .iter()
            .all(|setting| setting.origin == Origin::Default)
    );
}

#[test]
fn the_shipped_file_changes_nothing() {
    let (shipped, none) = (load(DEFAULT_FILE, &[]).unwrap(), Config::load(None, []).unwrap());
    for (shipped, none) in shipped.redacted().iter().zip(none.redacted()) {
        assert_eq!(shipped.value, none.value, "{}", shipped.key);
    }
}

#[test]
fn postgres_is_one_line() {
    let text = DEFAULT_FILE.replace("# url = ", "url = ");
    assert_eq!(
        load(&text, &[]).unwrap().sql.url.unwrap(),
        "postgres://commerce:password@localhost/commerce"
    );
}

#[test]
fn variables_win_over_the_file_and_the_origin_is_told() {
    let config = load(
        "\n[http]\nport = 1000\nhost = \"0.0.0.0\"\n",
        &[("COMMERCE_HTTP_PORT", "2000")],
    )
    .unwrap();
    assert_eq!((config.http.port, config.http.host.as_str()), (2000, "0.0.0.0"));
    let origin = |key| {
        config
            .redacted()
            .iter()
            .find(|setting| setting.key == key)
            .unwrap()
            .origin
            .to_string()
    };
    assert_eq!(origin("http.port"), "COMMERCE_HTTP_PORT");
    assert!(origin("http.host").ends_with(":4"));
    assert_eq!(origin("http.body_kib"), "default");
}

#[test]
fn a_variable_may_name_a_file_instead() {
    let secret = file("postgres://a:b@c/d\n");
    let config = load("", &[("COMMERCE_SQL_URL_FILE", secret.path().to_str().unwrap())]).unwrap();
    assert_eq!(config.sql.url.unwrap(), "postgres://a:b@c/d");

    let twice = only_fault(
        "",
        &[
            ("COMMERCE_SQL_URL_FILE", secret.path().to_str().unwrap()),
            ("COMMERCE_SQL_URL", "sqlite:x"),
        ],
    );
    assert_eq!(twice.remedy, "unset one of the two");
    let missing = only_fault("", &[("COMMERCE_SQL_URL_FILE", "/nowhere/at/all")]);
    assert!(missing.message.contains("/nowhere/at/all"));
}

#[test]
fn lists_come_from_tables_and_variables() {
    let config = load(
        "[http]\ntrusted_proxies = [\"10.0.0.0/8\"]",
        &[("COMMERCE_HTTP_CORS_ORIGINS", "https://a.example, https://b.example")],
    )
    .unwrap();
    assert_eq!(config.http.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(config.http.cors_origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_nearest_known_one() {
    let fault = only_fault("data_dir = \"x\"\n\n[http]\nprot = 80\n", &[]);
    assert!(fault.place.ends_with(":4"), "{}", fault.place);
    assert_eq!(fault.message, "unknown key http.prot");
    assert_eq!(fault.remedy, "did you mean http.port?");

    let section = only_fault("[htpp]\nport = 80\n", &[]);
    assert_eq!(
        (section.message.as_str(), section.remedy.as_str()),
        ("unknown section [htpp]", "did you mean http?")
    );
}

#[test]
fn an_unknown_variable_is_an_error_as_well() {
    let fault = only_fault("", &[("COMMERCE_HTTP_PROT", "80")]);
    assert_eq!(
        (fault.place.as_str(), fault.remedy.as_str()),
        ("COMMERCE_HTTP_PROT", "did you mean COMMERCE_HTTP_PORT?")
    );
    load(
        "",
        &[
            ("PATH", "/bin"),
            ("COMMERCE_TEST_POSTGRES_URL", "x"),
            ("COMMERCE_CONFIG", "x"),
        ],
    )
    .unwrap();
}

#[test]
fn variables_that_are_no_text_do_not_stop_a_start() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = |text: &[u8]| std::ffi::OsString::from_vec(text.to_vec());
    let others = [(bytes(b"LESS\xff"), bytes(b"\xff")), (bytes(b"EDITOR"), bytes(b"\xff"))];
    Config::load(None, super::load::texts(others.into_iter())).unwrap();
    let ours = [(bytes(b"COMMERCE_HTTP_PORT"), bytes(b"80\xff"))];
    assert!(Config::load(None, super::load::texts(ours.into_iter())).is_err());
}

#[test]
fn a_bad_value_says_what_it_must_be() {
    let fault = only_fault("[http]\nport = 70000", &[]);
    assert_eq!(fault.message, "http.port must be a whole number from 0 to 65535");
    assert_eq!(fault.remedy, "the default is 8080");
    assert_eq!(only_fault("[http]\nport = \"80\"", &[]).message, fault.message);
    assert_eq!(
        only_fault("", &[("COMMERCE_LOG_FORMAT", "xml")]).message,
        "log.format must be one of text, json"
    );
    assert!(only_fault("[http\n", &[]).message.contains("is not TOML"));
}

/// Found here, where file and line are known, and not by whatever part of the kernel trips over it later.
#[test]
fn what_only_looks_like_a_text_is_told_with_its_line_as_well() {
    for (section, line) in [
        ("http", r#"trusted_proxies = ["10.0.0.0/99"]"#),
        ("http", r#"cors_origins = ["https://shop.example/path"]"#),
        ("http", r#"cors_origins = ["nonsense"]"#),
        ("http", r#"host = "not a host""#),
        ("rate_limits", r#"spared = ["everyone"]"#),
        ("plugins", r#"http_plain_hosts = ["x y"]"#),
        ("plugins", r#"http_private_networks = ["10.1"]"#),
        ("sql", r#"url = "mysql://me:hunter2@db/x""#),
        ("sql", r#"url = "postgres://me:hunter2@db:99999/x""#),
        ("log", r#"level = "blah""#),
        ("plugins", "deadline_ms = 70000"),
    ] {
        let fault = only_fault(&format!("[{section}]\n{line}\n"), &[]);
        assert!(fault.place.ends_with(":2"), "{line}: {fault:?}");
        let key = line.split(' ').next().unwrap();
        assert!(fault.message.starts_with(&format!("{section}.{key}")), "{fault:?}");
        assert!(!format!("{fault:?}").contains("hunter2"));
    }
    let key = only_fault("", &[("COMMERCE_MASTER_KEY", "hunter2")]);
    assert!(
        key.place == "COMMERCE_MASTER_KEY" && !key.message.contains("hunter2"),
        "{key:?}"
    );
    load("[log]\nlevel = \"warn,commerce_kernel::events=debug\"\n[http]\nhost = \"::1\"\ncors_origins = [\"http://localhost:3000\"]", &[])
        .unwrap();
}

#[test]
fn all_faults_are_told_at_once() {
    let ConfigError(faults) = load("[http]\nport = -1\nhots = \"x\"", &[("COMMERCE_LOG_FORMAT", "xml")]).unwrap_err();
    assert_eq!(faults.len(), 3);
}

#[test]
fn no_secret_is_shown_anywhere() {
    let config = load(
        "master_key = \"68756e74657232000000000000000000000000000000000068756e7465723200\"\n[sql]\nurl = \"postgres://me:hunter2@at@db.example:5432/main?password=hunter2\"",
        &[],
    )
    .unwrap();
    let shown = format!(
        "{:?} {}",
        config.redacted(),
        serde_json::to_string(config.redacted()).unwrap()
    );
    assert!(!shown.contains("hunter2") && !shown.contains("68756e74"), "{shown}");
    assert!(shown.contains("postgres://[redacted]@db.example:5432/main?[redacted]"));
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    assert!(!format!("{:?}", config.sql).contains("hunter2"), "{:?}", config.sql);

    // A secret under a misspelt name, or as the wrong kind of value, is not quoted either.
    for text in ["master_kye = \"hunter2\"", "[http]\nport = \"hunter2\""] {
        assert!(!load(text, &[]).unwrap_err().to_string().contains("hunter2"));
    }
}

/// A part's own defaults, which its tests use, are those of the table.
#[test]
fn the_parts_agree_with_the_table_on_defaults() {
    let config = Config::load(None, []).unwrap();
    assert_eq!(config.auth, AuthConfig::default());
    assert_eq!(config.events, EventsConfig::default());
    assert_eq!(config.plugins, PluginsConfig::default());
    assert_eq!(config.sql, SqlConfig::default());
}

#[test]
fn every_key_has_one_variable_and_a_known_section() {
    let mut variables = BTreeSet::from_iter(OTHER_VARIABLES.iter().map(|name| (*name).to_owned()));
    for key in KEYS {
        assert!(variables.insert(key.variable()), "{} twice", key.variable());
        assert!(
            !key.variable().ends_with("_FILE"),
            "{} would be read from a file",
            key.path
        );
        assert!(
            key.section()
                .is_none_or(|section| SECTIONS.iter().any(|(known, _)| *known == section)),
            "{}",
            key.path
        );
    }
}
