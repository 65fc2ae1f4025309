//! A built plugin inside of the sandbox it is made for, with the test in the kernel's place: what crosses the border,
//! in both directions.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use commerce_build::Options;
use commerce_contract::Descriptor;
use wasmtime::component::{Component, Instance, Linker, Val};
use wasmtime::{Config, Engine, Store};

/// What the guest asked of the kernel.
#[derive(Default)]
struct Asked {
    log: Vec<(String, String)>,
    queries: Vec<(String, Vec<u8>)>,
}

struct Guest {
    store: Store<Asked>,
    instance: Instance,
}

impl Guest {
    fn start() -> Self {
        let component = component();
        let engine = component.engine();
        let mut linker = Linker::<Asked>::new(engine);
        let mut log = linker.instance("commerce:kernel/log@0.1.0").unwrap();
        log.func_new("write", |mut asked, _, arguments, _| {
            let [Val::Enum(level), Val::String(message)] = arguments else {
                panic!("{arguments:?}")
            };
            asked.data_mut().log.push((level.clone(), message.clone()));
            Ok(())
        })
        .unwrap();
        let mut sql = linker.instance("commerce:kernel/sql@0.1.0").unwrap();
        sql.func_new("query", |mut asked, _, arguments, results| {
            let [Val::String(text), Val::List(bytes)] = arguments else {
                panic!("{arguments:?}")
            };
            asked
                .data_mut()
                .queries
                .push((text.clone(), bytes.iter().map(byte).collect()));
            let answer = (["id", "quantity", "note"], ("a", 3, "fresh"), ("b", -70_000, ()));
            let answer = rmp_serde::to_vec(&answer).unwrap();
            results[0] = Val::Result(Ok(Some(Box::new(list(&answer)))));
            Ok(())
        })
        .unwrap();
        linker.define_unknown_imports_as_traps(component).unwrap();
        let mut store = Store::new(engine, Asked::default());
        let instance = linker.instantiate(&mut store, component).unwrap();
        Self { store, instance }
    }

    fn export(&mut self, kind: &str, arguments: &[Val]) -> wasmtime::Result<Val> {
        let interface = format!("commerce:kernel/{kind}@0.1.0");
        let interface = self
            .instance
            .get_export_index(&mut self.store, None, &interface)
            .unwrap();
        let function = self
            .instance
            .get_export_index(&mut self.store, Some(&interface), kind)
            .unwrap();
        let function = self.instance.get_func(&mut self.store, function).unwrap();
        let mut results = [Val::Bool(false)];
        function.call(&mut self.store, arguments, &mut results)?;
        let [result] = results;
        Ok(result)
    }

    fn handle(&mut self, operation: &str, path: &[&str], query: &str) -> wasmtime::Result<Val> {
        let header = record([("name", text("x-floor")), ("value", text("2"))]);
        let request = record([
            ("operation", text(operation)),
            ("path", Val::List(path.iter().map(|segment| text(segment)).collect())),
            ("query", text(query)),
            ("headers", Val::List(vec![header])),
            ("body", list(b"")),
            ("caller", caller()),
        ]);
        self.export("handle", &[request])
    }

    fn answer(&mut self, operation: &str, path: &[&str], query: &str) -> (u16, String) {
        let result = self.handle(operation, path, query).unwrap();
        let Val::Result(Ok(Some(response))) = result else {
            panic!("{result:?}")
        };
        let Val::U16(status) = field(&response, "status") else {
            panic!("{response:?}")
        };
        let Val::List(body) = field(&response, "body") else {
            panic!("{response:?}")
        };
        (*status, String::from_utf8(body.iter().map(byte).collect()).unwrap())
    }
}

fn component() -> &'static Component {
    static COMPONENT: OnceLock<Component> = OnceLock::new();
    COMPONENT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        commerce_build::new("probe", folder.path()).unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::copy(here.join("tests/probe/lib.rs"), folder.path().join("src/lib.rs")).unwrap();
        let options = Options {
            target_dir: Some(here.join("../../target/wasm")),
            output_dir: Some(folder.path().to_owned()),
        };
        let folders = [folder.path().to_owned()];
        let packages = commerce_build::build(&folders, &options, &mut |line| eprintln!("{line}")).unwrap();
        let mut config = Config::new();
        config.concurrency_support(false);
        Component::from_file(&Engine::new(&config).unwrap(), &packages[0]).unwrap()
    })
}

fn text(text: &str) -> Val {
    Val::String(text.to_owned())
}

fn list(bytes: &[u8]) -> Val {
    Val::List(bytes.iter().map(|&byte| Val::U8(byte)).collect())
}

fn byte(value: &Val) -> u8 {
    let Val::U8(byte) = value else { panic!("{value:?}") };
    *byte
}

fn record<const N: usize>(fields: [(&str, Val); N]) -> Val {
    Val::Record(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

fn field<'a>(value: &'a Val, name: &str) -> &'a Val {
    let Val::Record(fields) = value else {
        panic!("{value:?}")
    };
    &fields.iter().find(|(known, _)| known == name).unwrap().1
}

fn caller() -> Val {
    record([
        ("kind", Val::Enum("anonymous".to_owned())),
        ("account", Val::Option(None)),
        ("verified-email", Val::Option(None)),
        ("permissions", Val::List(Vec::new())),
        ("plugin", Val::Option(None)),
    ])
}

#[test]
fn a_plugin_describes_itself_without_any_capability() {
    let mut guest = Guest::start();
    let Val::String(descriptor) = guest.export("describe", &[]).unwrap() else {
        panic!("no text")
    };
    let descriptor: Descriptor = serde_json::from_str(&descriptor).unwrap();
    let operations: Vec<_> = descriptor.routes.iter().map(|route| route.operation.as_str()).collect();
    assert_eq!(
        operations,
        ["probe.rows", "probe.panics", "probe.grows", "probe.missing"]
    );
    assert_eq!(descriptor.routes[0].headers, ["x-floor"]);
    assert!(descriptor.schemas.contains_key("Row"));
    assert!(descriptor.functions[0].reads);
}

#[test]
fn a_request_reaches_its_handler_and_its_rows_come_back_as_json() {
    let mut guest = Guest::start();
    let (status, body) = guest.answer("probe.rows", &["bread"], "");
    assert_eq!(status, 200);
    assert_eq!(
        body,
        r#"[{"id":"a","quantity":3,"note":"fresh"},{"id":"b","quantity":-70000,"note":null}]"#
    );
    let [(text, arguments)] = &guest.store.data().queries[..] else {
        panic!("one query")
    };
    assert_eq!(
        text,
        "select id, quantity, note from items where shelf = $1 and floor = $2"
    );
    assert_eq!(
        rmp_serde::from_slice::<(String, String)>(arguments).unwrap(),
        ("bread".to_owned(), "2".to_owned())
    );
}

#[test]
fn a_problem_crosses_with_everything_the_client_may_act_on() {
    let result = Guest::start().handle("probe.missing", &[], "").unwrap();
    let Val::Result(Err(Some(problem))) = result else {
        panic!("{result:?}")
    };
    assert_eq!(field(&problem, "status"), &Val::U16(404));
    assert_eq!(field(&problem, "code"), &text("no_bread"));
    assert_eq!(field(&problem, "extra"), &text(r#"{"left":0}"#));
    let error = record([("pointer", text("?kind")), ("message", text("is sold out"))]);
    assert_eq!(field(&problem, "errors"), &Val::List(vec![error]));
}

#[test]
fn another_plugins_call_is_json_both_ways() {
    let arguments = [caller(), text("double"), list(b"21")];
    let answer = Guest::start().export("call", &arguments).unwrap();
    assert_eq!(answer, Val::Result(Ok(Some(Box::new(list(b"42"))))));
}

#[test]
fn a_panic_ends_in_a_trap_and_a_line_in_the_log() {
    let mut guest = Guest::start();
    guest.handle("probe.panics", &[], "").unwrap_err();
    let [(level, message)] = &guest.store.data().log[..] else {
        panic!("one line")
    };
    assert_eq!(level, "error");
    assert!(
        message.contains("src/lib.rs:") && message.ends_with("out of flour"),
        "{message}"
    );
}

#[test]
fn lists_that_outgrow_the_declared_memory_keep_their_items() {
    let numbers = 1_000_000;
    let sum: u64 = (0..numbers).sum();
    let (status, body) = Guest::start().answer("probe.grows", &[], &format!("items={numbers}"));
    assert_eq!((status, body), (200, sum.to_string()));
}

#[test]
fn an_operation_that_the_plugin_does_not_have_is_its_own_problem() {
    let result = Guest::start().handle("probe.nothing", &[], "").unwrap();
    let Val::Result(Err(Some(problem))) = result else {
        panic!("{result:?}")
    };
    assert_eq!(field(&problem, "status"), &Val::U16(500));
}
