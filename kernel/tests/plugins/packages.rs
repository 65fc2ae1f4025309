//! The guests of this suite, and packages made out of them by rewriting their sections.

use commerce_contract::sections;
use wasmparser::{Parser, Payload};

pub fn hello() -> Vec<u8> {
    built("hello")
}

pub fn misbehaving() -> Vec<u8> {
    built("misbehaving")
}

pub fn greedy() -> Vec<u8> {
    built("greedy")
}

pub fn relay() -> Vec<u8> {
    // A builder that refuses addresses protects nobody: the attacker brings another one.
    let package = with_manifest(&built("relay"), "metadata.example", "169.254.169.254");
    with_manifest(&package, "loopback.example", "localhost")
}

fn built(name: &str) -> Vec<u8> {
    std::fs::read(commerce_harness::kernel::package(name)).unwrap()
}

/// The same code with another text in one of its sections.
pub fn with_section(package: &[u8], name: &str, change: impl FnOnce(&str) -> String) -> Vec<u8> {
    let before = section(package, name).unwrap_or_default();
    let mut changed = without_section(package, name);
    append(&mut changed, name, change(&before).as_bytes());
    changed
}

pub fn with_manifest(package: &[u8], from: &str, to: &str) -> Vec<u8> {
    with_section(package, sections::MANIFEST, |manifest| {
        assert!(manifest.contains(from), "{manifest}");
        manifest.replace(from, to)
    })
}

/// The package as a later version with one more migration.
pub fn with_migration(package: &[u8], file: &str, text: &str) -> Vec<u8> {
    with_section(package, sections::MIGRATIONS, |migrations| {
        let mut migrations: Vec<serde_json::Value> = serde_json::from_str(migrations).unwrap_or_default();
        migrations.push(serde_json::json!({ "file": file, "text": text }));
        serde_json::to_string(&migrations).unwrap()
    })
}

pub fn without_section(package: &[u8], name: &str) -> Vec<u8> {
    let mut kept = package[..8].to_vec();
    let mut depth = 0;
    let mut from = 8;
    for payload in Parser::new(0).parse_all(package) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::CustomSection(section) if depth == 0 && section.name() == name => {
                // A section begins with its id and its length, before the range that the parser reports.
                let length = section.range().len();
                let header = 1 + leb128(length).len();
                kept.extend_from_slice(&package[from..section.range().start - header]);
                from = section.range().end;
            }
            _ => {}
        }
    }
    kept.extend_from_slice(&package[from..]);
    kept
}

pub fn append(package: &mut Vec<u8>, name: &str, data: &[u8]) {
    let mut body = leb128(name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(data);
    package.push(0);
    package.extend(leb128(body.len()));
    package.extend(body);
}

fn section(package: &[u8], name: &str) -> Option<String> {
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(package) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) if depth > 0 => depth -= 1,
            Payload::CustomSection(section) if depth == 0 && section.name() == name => {
                return Some(String::from_utf8(section.data().to_vec()).unwrap());
            }
            _ => {}
        }
    }
    None
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}
