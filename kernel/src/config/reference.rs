//! `commerce.toml` and `docs/configuration.md`, written from the table of keys. A test compares them with the files in the repository.

use std::fmt::Write;

use super::keys::{KEYS, Key, Kind, SECTIONS, Secrecy};

/// The text of `commerce.toml`: every key with its default, those without one commented out.
pub fn toml_file() -> String {
    let mut text = String::from(
        "# Configuration of commerce: every key, its default, and what it means. What is absent has its default.\n\
         # Each key can be overridden by a variable: http.port by COMMERCE_HTTP_PORT, or by the file that COMMERCE_HTTP_PORT_FILE names.\n\
         # `commerce config show` prints what is in force and where it comes from.\n",
    );
    for key in KEYS.iter().filter(|key| key.section().is_none()) {
        toml_entry(&mut text, key);
    }
    for (section, about) in SECTIONS {
        text.push('\n');
        wrapped(&mut text, about);
        let _ = writeln!(text, "[{section}]");
        for key in KEYS.iter().filter(|key| key.section() == Some(section)) {
            toml_entry(&mut text, key);
        }
    }
    text
}

fn toml_entry(text: &mut String, key: &Key) {
    text.push('\n');
    wrapped(text, key.about);
    let _ = match (key.default, key.example) {
        (Some(default), _) => writeln!(text, "{} = {default}", key.name()),
        (None, example) => writeln!(text, "# {} = \"{}\"", key.name(), example.unwrap_or_default()),
    };
}

fn wrapped(text: &mut String, about: &str) {
    const WIDTH: usize = 110;
    let mut line = String::from("#");
    for word in about.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(text, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(text, "{line}");
}

/// The text of `docs/configuration.md`.
pub fn document() -> String {
    let mut text = String::from(INTRODUCTION);
    text.push_str("\n## Top level\n\n");
    rows(&mut text, KEYS.iter().filter(|key| key.section().is_none()));
    for (section, about) in SECTIONS {
        let _ = write!(text, "\n## [{section}]\n\n{about}\n\n");
        rows(&mut text, KEYS.iter().filter(|key| key.section() == Some(section)));
    }
    text
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written from the table in kernel/src/config/keys.rs; a test compares. -->

No configuration is needed: the defaults serve from one machine with an embedded database. What differs goes into `commerce.toml` in the
working directory (or the file that `--config` or `COMMERCE_CONFIG` names), or into the environment, which wins.

- The variable of a key is its path in capitals: `http.port` is `COMMERCE_HTTP_PORT`. Lists are separated by commas.
- `…_FILE` names a file that holds the value, for secrets that an orchestrator mounts: `COMMERCE_SQL_URL_FILE`. Both at once is an error.
- An unknown key, an unknown `COMMERCE_` variable or a value that does not fit stops the start, naming file, line and the nearest known key.
  (Kubernetes adds variables of that prefix for a Service called `commerce`: set `enableServiceLinks: false`.)
- `commerce config show` prints every setting with its origin. Secrets are never printed.
";

fn rows<'a>(text: &mut String, keys: impl Iterator<Item = &'a Key>) {
    text.push_str("| Key | Variable | Default | Meaning |\n|---|---|---|---|\n");
    for key in keys {
        let default = key
            .default
            .map_or_else(|| "none".to_owned(), |default| format!("`{default}`"));
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {default} | {} {}|",
            key.path,
            key.variable(),
            key.about.replace('|', "\\|"),
            limits(key)
        );
    }
}

fn limits(key: &Key) -> String {
    let range = match &key.kind {
        Kind::Integer { min, max } => format!("({min} to {max}) "),
        Kind::Choice(choices) => format!("({}) ", choices.join(", ")),
        Kind::Text(_) | Kind::Boolean | Kind::List(_) => String::new(),
    };
    match key.secrecy {
        Secrecy::Open => range,
        Secrecy::Credentials | Secrecy::Secret => format!("{range}Never shown. "),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Writes the file instead where COMMERCE_TEST_WRITE is set.
    fn assert_current(file: &str, expected: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        if std::env::var_os("COMMERCE_TEST_WRITE").is_some() {
            std::fs::write(&path, expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "{file} is not what the table of keys says: run COMMERCE_TEST_WRITE=1 cargo test -p commerce-kernel --lib reference"
        );
    }

    #[test]
    fn the_default_file_is_current() {
        assert_current("commerce.toml", &super::toml_file());
    }

    #[test]
    fn the_documentation_is_current() {
        assert_current("docs/configuration.md", &super::document());
    }
}
