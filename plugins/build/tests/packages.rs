//! Real builds: what `commerce plugin build` and `commerce plugin new` promise, on this machine's toolchain.

use std::fs;
use std::path::{Path, PathBuf};

use commerce_build::{BuildError, Options};
use commerce_contract::sections;
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// One folder for all guests: the standard library is compiled once.
fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/wasm")
}

fn build(folder: &Path, output: &Path) -> Result<Vec<u8>, BuildError> {
    let options = Options {
        target_dir: Some(target_dir()),
        output_dir: Some(output.to_owned()),
    };
    let packages = commerce_build::build(&[folder.to_owned()], &options, &mut |line| eprintln!("{line}"))?;
    Ok(fs::read(&packages[0]).unwrap())
}

/// What the outermost level of a package says about itself.
#[derive(Default)]
struct Outside {
    sections: Vec<(String, Vec<u8>)>,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outside {
    fn of(package: &[u8]) -> Self {
        let mut outside = Self::default();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(package) {
            match payload.unwrap() {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::CustomSection(section) if depth == 0 => {
                    outside
                        .sections
                        .push((section.name().to_owned(), section.data().to_vec()));
                }
                Payload::CustomSection(section) => {
                    assert_ne!(section.name(), sections::SQL, "left inside of the module")
                }
                Payload::ComponentImportSection(imports) if depth == 0 => {
                    outside
                        .imports
                        .extend(imports.into_iter().map(|import| import.unwrap().name.name.to_owned()));
                }
                Payload::ComponentExportSection(exports) if depth == 0 => {
                    outside
                        .exports
                        .extend(exports.into_iter().map(|export| export.unwrap().name.name.to_owned()));
                }
                _ => {}
            }
        }
        outside
    }

    fn section(&self, name: &str) -> &str {
        let (_, data) = self
            .sections
            .iter()
            .find(|(known, _)| known == name)
            .unwrap_or_else(|| panic!("no section {name}"));
        str::from_utf8(data).unwrap()
    }
}

#[test]
fn a_package_is_a_component_that_carries_what_belongs_to_the_plugin() {
    let output = tempfile::tempdir().unwrap();
    let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello");
    let package = build(&hello, output.path()).unwrap();
    Validator::new_with_features(WasmFeatures::default())
        .validate_all(&package)
        .unwrap();
    let outside = Outside::of(&package);

    assert_eq!(
        outside.section(sections::MANIFEST),
        fs::read_to_string(hello.join("plugin.toml")).unwrap()
    );
    assert!(
        outside
            .section(sections::MIGRATIONS)
            .contains(r#""file":"0001_greetings.sql""#)
    );
    assert_eq!(outside.section(sections::CONTRACTS), "[]");
    let texts: Vec<_> = outside.section(sections::SQL).split_terminator('\0').collect();
    assert_eq!(texts.len(), 2);
    assert!(texts.contains(&"select count from greetings where name = $1"));

    let exports: Vec<_> = ["call", "consume", "describe", "handle", "run"]
        .map(|kind| format!("commerce:kernel/{kind}@0.1.0"))
        .into();
    let mut exported = outside.exports.clone();
    exported.sort();
    assert_eq!(exported, exports);
    assert!(
        outside
            .imports
            .iter()
            .all(|import| import.starts_with("commerce:kernel/")),
        "{:?}",
        outside.imports
    );
}

#[test]
fn the_same_source_gives_the_same_bytes_and_no_path_of_this_machine() {
    let hello = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/hello");
    let [first, second] = [(); 2].map(|()| build(&hello, tempfile::tempdir().unwrap().path()).unwrap());
    assert!(first == second);
    let home = std::env::home_dir().unwrap();
    for path in [env!("CARGO_MANIFEST_DIR"), home.to_str().unwrap()] {
        assert!(
            !first.windows(path.len()).any(|window| window == path.as_bytes()),
            "{path} is in the package"
        );
    }
}

#[test]
fn packages_built_together_carry_the_contracts_of_their_services() {
    let output = tempfile::tempdir().unwrap();
    let options = Options {
        target_dir: Some(target_dir()),
        output_dir: Some(output.path().to_owned()),
    };
    let folders = ["hello", "tour"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name));
    let packages = commerce_build::build(&folders, &options, &mut |line| eprintln!("{line}")).unwrap();
    let carried = packages.iter().map(|package| {
        let package = Outside::of(&fs::read(package).unwrap());
        let contracts: Vec<String> = serde_json::from_str(package.section(sections::CONTRACTS)).unwrap();
        let name = |text: &String| {
            serde_json::from_str::<commerce_contract::ServiceContract>(text)
                .unwrap()
                .name
        };
        contracts.iter().map(name).collect::<Vec<_>>()
    });
    assert_eq!(
        carried.collect::<Vec<_>>(),
        [vec![], vec!["notification@1".to_owned(), "shipping@1".to_owned()]]
    );
}

#[test]
fn a_new_plugin_builds_in_a_folder_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    commerce_build::new("bakery", folder.path()).unwrap();
    let package = build(folder.path(), &folder.path().join("out")).unwrap();
    assert!(
        Outside::of(&package)
            .section(sections::MANIFEST)
            .contains("name = \"bakery\"")
    );
}

#[test]
fn a_mistake_in_the_source_is_shown_as_the_compiler_shows_it() {
    let folder = tempfile::tempdir().unwrap();
    commerce_build::new("broken", folder.path()).unwrap();
    fs::write(folder.path().join("src/lib.rs"), "fn greet() -> u8 { \"hello\" }").unwrap();
    let error = build(folder.path(), &folder.path().join("out"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("expected `u8`, found `&str`"), "{error}");
}
