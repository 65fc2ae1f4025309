//! What operators and their scripts rely on: exit codes, results on standard output, errors on standard error, and no
//! question where nobody can answer.

use commerce_harness::kernel::{CommandOutput, binary, package, repository};
use commerce_harness::{Engine, TestKernel};
use serde_json::{Value, json};

async fn kernel() -> TestKernel {
    TestKernel::start(Engine::Sqlite).await
}

/// A command that must fail with this exit code and say why on standard error only.
#[track_caller]
fn refused(output: &CommandOutput, code: i32) -> &str {
    assert_eq!(output.code, code, "{output:?}");
    assert_eq!(output.stdout, "", "an error is no result");
    assert!(!output.stderr.is_empty());
    &output.stderr
}

#[tokio::test]
async fn the_exit_code_tells_a_script_what_happened() {
    let kernel = kernel().await;
    kernel.store("jakarta", "IDR").await;
    assert_eq!(kernel.commerce(&["store", "show", "jakarta"]).await.code, 0);
    refused(&kernel.commerce(&["key", "create", "--bogus"]).await, 2);
    refused(&kernel.commerce(&["store", "show", "nowhere"]).await, 4);
    refused(&kernel.commerce(&["plugin", "inspect", "nothing"]).await, 4);
    let product = package("product").display().to_string();
    refused(&kernel.commerce(&["plugin", "install", &product, "--yes"]).await, 5);
    refused(&kernel.commerce(&["plugin", "rollback", "product"]).await, 5);
    let weak = [
        "user",
        "create",
        "ana@example.com",
        "--store",
        "jakarta",
        "--password",
        "short",
    ];
    refused(&kernel.commerce(&weak).await, 1);
    let file = kernel.data_dir().join("prices.csv");
    let rows = "Handle,Title,Variant SKU,Variant Price\nlamp,Lamp,lamp-1,15000\nvase,Vase,vase-1,cheap\n";
    std::fs::write(&file, rows).unwrap();
    let file = file.display().to_string();
    let partly = kernel
        .commerce(&["import", "products", &file, "--store", "jakarta", "--json"])
        .await;
    assert_eq!(partly.code, 8, "{partly:?}");
    let counts: Value = serde_json::from_str(&partly.stdout).unwrap();
    assert_eq!(
        (&counts["created"], &counts["errors"][0]["line"]),
        (&json!(1), &json!(3))
    );
}

#[tokio::test]
async fn a_database_out_of_reach_is_6_and_its_password_is_never_shown() {
    let kernel = kernel().await;
    let file = kernel.data_dir().join("far.toml");
    std::fs::write(&file, "[sql]\nurl = \"postgres://shop:hushhush@127.0.0.1:1/shop\"\n").unwrap();
    let file = file.display().to_string();
    let error = kernel.commerce(&["--config", &file, "migrate", "status"]).await;
    assert!(!refused(&error, 6).contains("hushhush"));
    for arguments in [vec!["config", "show"], vec!["config", "show", "--json"]] {
        let shown = kernel.commerce(&[&["--config", &file], &arguments[..]].concat()).await;
        assert_eq!(shown.code, 0, "{shown:?}");
        assert!(shown.stdout.contains("[redacted]@127.0.0.1:1/shop"), "{}", shown.stdout);
        assert!(!shown.stdout.contains("hushhush"));
    }
}

#[tokio::test]
async fn a_wrong_key_is_3_with_file_line_and_remedy() {
    let kernel = kernel().await;
    let file = kernel.data_dir().join("wrong.toml");
    for (text, place, remedy) in [
        ("[http]\nprot = 9000\n", "wrong.toml:2", "http.port"),
        ("\n[http]\nport = \"high\"\n", "wrong.toml:3", "0 to 65535"),
    ] {
        std::fs::write(&file, text).unwrap();
        let file = file.display().to_string();
        let output = kernel.commerce(&["--config", &file, "config", "show"]).await;
        let error = refused(&output, 3);
        assert!(error.contains(place) && error.contains(remedy), "{error}");
    }
}

#[tokio::test]
async fn an_error_is_json_where_json_was_asked_for() {
    let kernel = kernel().await;
    let output = kernel.commerce(&["store", "show", "nowhere", "--json"]).await;
    let error: Value = serde_json::from_str(refused(&output, 4)).unwrap();
    assert_eq!(error["error"]["exit"], 4);
    assert!(error["error"]["message"].as_str().unwrap().contains("nowhere"));
}

#[tokio::test]
async fn nothing_is_destroyed_without_a_yes() {
    let kernel = kernel().await;
    let store = kernel.store("jakarta", "IDR").await;
    // What others live on stays, whoever says yes.
    let needed = kernel.commerce(&["plugin", "remove", "product", "--yes"]).await;
    assert!(refused(&needed, 5).contains("cart"), "{needed:?}");
    for arguments in [
        &["store", "delete", "jakarta"][..],
        &["plugin", "remove", "cart", "--purge"],
    ] {
        let output = kernel.commerce(arguments).await;
        assert!(refused(&output, 7).contains("--yes"), "{output:?}");
    }
    let hello = package("hello").display().to_string();
    assert_eq!(kernel.commerce(&["plugin", "install", &hello]).await.code, 7);
    // A yes on standard input is no terminal, and nobody's consent.
    let piped = kernel
        .commerce_in(kernel.data_dir(), "y\n", &["store", "delete", "jakarta"])
        .await;
    refused(&piped, 7);
    store.guest().get("/api/store").await.expect(200);
    refused(&kernel.commerce(&["plugin", "inspect", "hello"]).await, 4);
}

#[tokio::test]
async fn passwords_and_secrets_come_from_standard_input_and_are_never_asked_for_without_a_terminal() {
    let kernel = kernel().await;
    let store = kernel.store("jakarta", "IDR").await;
    let create = [
        "user",
        "create",
        "ana@example.com",
        "--store",
        "jakarta",
        "--role",
        "owner",
    ];
    refused(&kernel.commerce(&create).await, 2);
    let piped = [&create[..], &["--password", "-", "--json"]].concat();
    let made = kernel
        .commerce_in(kernel.data_dir(), "a long enough one\n", &piped)
        .await
        .json();
    assert_eq!(
        (&made["email"], &made["roles"]),
        (&json!("ana@example.com"), &json!(["owner"]))
    );
    store.login("ana@example.com", "a long enough one").await;

    let tour = package("tour").display().to_string();
    kernel
        .commerce(&["plugin", "install", &tour, "--yes", "--json"])
        .await
        .json();
    let set = [
        "secret",
        "set",
        "tour",
        "weather_key",
        "--store",
        "jakarta",
        "--value",
        "-",
    ];
    let sealed = kernel.commerce_in(kernel.data_dir(), "s3cret-of-tour\n", &set).await;
    assert_eq!(sealed.code, 0, "{sealed:?}");
    let listed = kernel.commerce(&["secret", "list", "--json"]).await;
    assert_eq!(
        listed.json()["items"],
        json!([{ "plugin": "tour", "name": "weather_key", "store": "jakarta" }])
    );
    assert!(!listed.stdout.contains("s3cret-of-tour") && !sealed.stdout.contains("s3cret-of-tour"));
    // What no plugin would ever read is a mistake.
    for (plugin, name, code) in [
        ("tuor", "weather_key", 4),
        ("tour", "wether_key", 1),
        ("cart", "api_key", 1),
    ] {
        let wrong = ["secret", "set", plugin, name, "--value", "-"];
        let output = kernel.commerce_in(kernel.data_dir(), "x\n", &wrong).await;
        let error = refused(&output, code);
        assert!(name != "wether_key" || error.contains("weather_key"), "{error}");
    }
    let remove = ["secret", "remove", "tour", "weather_key", "--store", "jakarta"];
    assert_eq!(kernel.commerce(&remove).await.code, 0);
    refused(&kernel.commerce(&remove).await, 4);

    let sealed = kernel.commerce_in(kernel.data_dir(), "s3cret-of-tour\n", &set).await;
    assert_eq!(sealed.code, 0, "{sealed:?}");
    let purge = ["plugin", "remove", "tour", "--purge", "--yes"];
    assert_eq!(kernel.commerce(&purge).await.code, 0);
    let left = kernel.commerce(&["secret", "list", "--json"]).await;
    assert_eq!(
        left.json()["items"],
        json!([]),
        "a purged plugin's secrets are forgotten"
    );
}

#[tokio::test]
async fn accounts_are_suspended_given_roles_and_new_passwords() {
    let kernel = kernel().await;
    let store = kernel.store("jakarta", "IDR").await;
    let user = async |arguments: &[&str]| {
        let all = [&["user"], arguments, &["--store", "jakarta", "--json"]].concat();
        kernel.commerce(&all).await.json()
    };
    user(&["create", "ana@example.com", "--password", "the first password"]).await;
    user(&["role", "catalogue", "product.read", "product.write"]).await;
    assert_eq!(
        user(&["grant", "ana@example.com", "catalogue"]).await["roles"],
        json!(["catalogue"])
    );
    let roles = user(&["roles"]).await;
    assert!(
        roles["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|role| role["name"] == "catalogue")
    );
    assert_eq!(
        user(&["revoke", "ana@example.com", "catalogue"]).await["roles"],
        json!([])
    );
    assert_eq!(user(&["verify", "ana@example.com"]).await["email_verified"], true);
    user(&["password", "ana@example.com", "--password", "the second password"]).await;
    store.login("ana@example.com", "the second password").await;
    assert_eq!(user(&["suspend", "ana@example.com"]).await["status"], "suspended");
    let login = json!({ "email": "ana@example.com", "password": "the second password" });
    assert_ne!(store.guest().post("/api/auth/login", login).await.status, 200);
    assert_eq!(user(&["resume", "ana@example.com"]).await["status"], "active");
    store.login("ana@example.com", "the second password").await;
    let table = kernel.commerce(&["user", "list", "--store", "jakarta"]).await.stdout;
    let line = table.lines().find(|line| line.contains("ana@example.com")).unwrap();
    assert!(line.contains("true") && line.contains("active"), "{table}");
    let nobody = ["user", "suspend", "nobody@example.com", "--store", "jakarta"];
    refused(&kernel.commerce(&nobody).await, 4);
}

#[tokio::test]
async fn an_api_key_is_shown_once_works_and_is_revoked() {
    let kernel = kernel().await;
    let store = kernel.store("jakarta", "IDR").await;
    let create = [
        "key",
        "create",
        "--store",
        "jakarta",
        "--name",
        "warehouse",
        "--permission",
        "product.read",
        "--json",
    ];
    let made = kernel.commerce(&create).await.json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    let server = store.guest().with("x-api-key", key);
    server.get("/api/staff/products").await.expect(200);
    let listed = kernel.commerce(&["key", "list", "--store", "jakarta"]).await.stdout;
    assert!(listed.contains(id) && !listed.contains(key), "{listed}");
    assert!(
        listed.contains(&key[key.len() - 4..]),
        "its end tells it from others: {listed}"
    );
    kernel
        .commerce(&["key", "revoke", id, "--store", "jakarta", "--json"])
        .await
        .json();
    server
        .get("/api/staff/products")
        .await
        .expect_problem(401, "invalid_key");
    refused(&kernel.commerce(&["key", "revoke", id, "--store", "jakarta"]).await, 4);
    let person = store.owner().await;
    kernel.commerce(&["key", "rotate", "--json"]).await.json();
    person.client.get("/api/auth/me").await.expect(200);
    store.owner().await.client.get("/api/auth/me").await.expect(200);
}

#[tokio::test]
async fn a_plugin_is_inspected_configured_and_switched_per_store() {
    let kernel = kernel().await;
    let (jakarta, bandung) = kernel.two_stores().await;
    let listed = kernel.commerce(&["plugin", "list", "--json"]).await.json();
    let names: Vec<&str> = listed["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["name"].as_str())
        .collect();
    assert_eq!(names, ["cart", "flat_rate", "product", "transaction"]);
    let seen = kernel
        .commerce(&["plugin", "inspect", "product", "--json"])
        .await
        .json();
    for part in ["routes", "tables", "sql", "hosts", "limits", "digest", "rights"] {
        assert!(!seen[part].is_null(), "{part} is missing");
    }
    let file = package("product").display().to_string();
    let of_file = kernel.commerce(&["plugin", "inspect", &file, "--json"]).await.json();
    assert_eq!(of_file["digest"], seen["digest"]);
    for same in ["routes", "sql", "hosts", "rights", "limits"] {
        assert_eq!(
            of_file[same], seen[same],
            "{same} of the file are those that were installed"
        );
    }
    assert!(
        seen["limits"]["deadline_ms"].is_u64(),
        "in force, and not just asked for: {}",
        seen["limits"]
    );
    let upgrade = ["plugin", "upgrade", &file, "--dry-run"];
    for arguments in [
        &["plugin", "inspect", "product"][..],
        &["plugin", "inspect", &file],
        &upgrade,
    ] {
        let sheet = kernel.commerce(arguments).await;
        assert_eq!(sheet.code, 0, "{sheet:?}");
        for part in [
            "digest ",
            "rights",
            "hosts",
            "MiB of memory",
            "/api/products/{product}",
            "staff: ",
            "tables",
            "SQL",
        ] {
            assert!(sheet.stdout.contains(part), "{part:?} is missing:\n{}", sheet.stdout);
        }
        assert!(
            !sheet.stdout.contains('{') || !sheet.stdout.trim_start().starts_with('{'),
            "for people"
        );
    }
    let products = &listed["items"].as_array().unwrap()[2];
    assert_eq!(
        (&products["state"], &products["rollback_to"]),
        (&json!("enabled"), &json!(null))
    );

    // What others need is not taken from under them.
    let needed = kernel
        .commerce(&["plugin", "disable", "product", "--store", "jakarta", "--json"])
        .await;
    assert_ne!(needed.code, 0, "{needed:?}");
    kernel
        .commerce(&["plugin", "disable", "transaction", "--store", "jakarta", "--json"])
        .await
        .json();
    let state = kernel.commerce(&["plugin", "list", "--json"]).await.json()["items"][3]["state"].clone();
    assert_eq!(state, "partial");
    let history = "/api/transactions";
    jakarta.guest().get(history).await.expect_problem(404, "not_found");
    assert_eq!(bandung.guest().get(history).await.status, 401);
    kernel
        .commerce(&["plugin", "enable", "transaction", "--store", "jakarta", "--json"])
        .await
        .json();
    assert_eq!(jakarta.guest().get(history).await.status, 401);

    let settings = ["plugin", "settings", "flat_rate", "--store", "jakarta", "--json"];
    let before = kernel.commerce(&settings).await.json();
    let set = [
        &settings[..],
        &["--set", r#"{"fallback": [{"amount": 7000, "currency": "IDR"}]}"#],
    ]
    .concat();
    let after = kernel.commerce(&set).await.json();
    assert_eq!(after["fallback"][0]["amount"], 7000);
    assert_ne!(after, before);
    let other = kernel
        .commerce(&["plugin", "settings", "flat_rate", "--store", "bandung", "--json"])
        .await;
    assert_eq!(other.json(), before);
    let wrong = [&settings[..], &["--set", r#"{"fallback": "free"}"#]].concat();
    assert!(refused(&kernel.commerce(&wrong).await, 1).contains("/fallback"));
    let misspelt = [&settings[..], &["--set", r#"{"falback": []}"#]].concat();
    let told = kernel.commerce(&misspelt).await;
    assert!(
        refused(&told, 1).contains("/falback") && told.stderr.contains("fallback"),
        "{told:?}"
    );
    let schema = [&settings[..], &["--schema"]].concat();
    assert!(kernel.commerce(&schema).await.json()["properties"]["fallback"].is_object());
    let table = kernel.commerce(&settings[..5]).await.stdout;
    assert!(table.contains("fallback") && table.contains("MEANING"), "{table}");
    let no_json = [&settings[..], &["--set", "{"]].concat();
    refused(&kernel.commerce(&no_json).await, 2);
}

#[tokio::test]
async fn migrations_and_health_can_be_read_while_the_kernel_runs() {
    let kernel = kernel().await;
    let status = kernel.commerce(&["migrate", "status", "--json"]).await.json();
    let items = status["items"].as_array().unwrap();
    assert!(
        !items.is_empty() && items.iter().all(|item| item["applied_at"].is_string()),
        "{status}"
    );
    assert_eq!(
        kernel.commerce(&["migrate", "plan", "--json"]).await.json(),
        json!({ "items": [] })
    );
    let health = kernel.commerce(&["doctor", "--json"]).await.json();
    for check in [
        "configuration",
        "data folder",
        "kernel",
        "database",
        "database rights",
        "master key",
    ] {
        let finding = health["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["check"] == check);
        assert_eq!(finding.expect(check)["ok"], true, "{health}");
    }
}

#[tokio::test]
async fn a_new_database_says_what_is_missing() {
    let kernel = kernel().await;
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("commerce.toml");
    std::fs::write(
        &file,
        format!("[sql]\nurl = \"sqlite:{}\"\n", empty.path().join("new.db").display()),
    )
    .unwrap();
    let run = async |arguments: &[&str]| kernel.commerce_in(empty.path(), "", arguments).await;
    assert_eq!(run(&["migrate", "status"]).await.code, 5);
    let plan = run(&["migrate", "plan"]).await;
    assert!(
        plan.code == 0 && plan.stdout.to_lowercase().contains("create table"),
        "{plan:?}"
    );
    let doctor = run(&["doctor"]).await;
    assert_eq!(doctor.code, 1, "{doctor:?}");
    assert!(doctor.stdout.contains("commerce migrate up"), "{doctor:?}");
}

/// The command in a folder of which nothing is known yet.
fn alone(folder: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(binary());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COMMERCE_")) {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments).output().unwrap()
}

/// The embedded database in it holds accounts.
#[tokio::test]
async fn a_new_data_folder_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let empty = tempfile::tempdir().unwrap();
    let made = alone(empty.path(), &["init"]);
    assert!(made.status.success(), "{made:?}");
    let mode = std::fs::metadata(empty.path().join(".commerce"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

/// A master key that is not the one the database was sealed with, or lost, is found before a start fails.
#[tokio::test]
async fn doctor_tells_a_wrong_master_key() {
    let empty = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| alone(empty.path(), arguments);
    assert!(run(&["init"]).status.success());
    let finding = || {
        let health: Value = serde_json::from_slice(&run(&["doctor", "--json"]).stdout).unwrap();
        let items = health["items"].as_array().unwrap().clone();
        items.into_iter().find(|item| item["check"] == "master key").unwrap()
    };
    assert_eq!(finding()["ok"], true);
    let key = empty.path().join(".commerce/master.key");
    std::fs::write(&key, "00".repeat(32)).unwrap();
    let wrong = finding();
    assert!(
        wrong["ok"] == false && wrong["finding"].as_str().unwrap().contains("needed is"),
        "{wrong}"
    );
    std::fs::remove_file(&key).unwrap();
    let lost = finding();
    assert!(
        lost["ok"] == false && lost["finding"].as_str().unwrap().contains("COMMERCE_MASTER_KEY"),
        "{lost}"
    );
}

#[tokio::test]
async fn every_command_shows_an_example() {
    let kernel = kernel().await;
    let mut waiting: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(path) = waiting.pop() {
        let arguments = [path.clone(), vec!["--help".to_owned()]].concat();
        let help = kernel.commerce(&arguments).await;
        assert_eq!(help.code, 0, "{help:?}");
        assert!(
            help.stdout.contains("\nExample: "),
            "commerce {}:\n{}",
            path.join(" "),
            help.stdout
        );
        let below = help.stdout.lines().skip_while(|line| *line != "Commands:").skip(1);
        let below = below.take_while(|line| !line.is_empty());
        // The indented rest of a long description names no command.
        let names = below
            .filter(|line| !line.starts_with("    "))
            .filter_map(|line| line.split_whitespace().next());
        waiting.extend(
            names
                .filter(|name| *name != "help")
                .map(|name| [path.clone(), vec![name.to_owned()]].concat()),
        );
        seen += 1;
    }
    assert!(seen > 50, "only {seen} commands were found");
}

#[tokio::test]
async fn each_shell_gets_its_completions() {
    let kernel = kernel().await;
    for (shell, mark) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef commerce"),
        ("fish", "complete -c commerce"),
    ] {
        let script = kernel.commerce(&["completions", shell]).await;
        assert_eq!(script.code, 0, "{script:?}");
        assert!(
            script.stdout.contains(mark) && script.stdout.contains("rollback"),
            "{shell}"
        );
    }
    refused(&kernel.commerce(&["completions", "tcl"]).await, 2);
}

#[tokio::test]
async fn the_printed_document_is_the_served_one() {
    let kernel = kernel().await;
    let printed = kernel.commerce(&["openapi"]).await.json();
    assert_eq!(&printed, kernel.openapi().await.document());
}

/// From an empty folder to an answer, as the documentation promises.
#[tokio::test]
async fn a_new_plugin_builds_installs_and_answers_on_the_first_try() {
    let kernel = kernel().await;
    let store = kernel.store("jakarta", "IDR").await;
    let empty = tempfile::tempdir().unwrap();
    // What was compiled for the plugins of this repository serves here too; elsewhere it is compiled anew.
    std::fs::create_dir(empty.path().join(".cargo")).unwrap();
    let shared = format!("[build]\ntarget-dir = {:?}\n", repository().join("target"));
    std::fs::write(empty.path().join(".cargo/config.toml"), shared).unwrap();
    let written = kernel
        .commerce_in(empty.path(), "", &["plugin", "new", "wishlist", "--json"])
        .await
        .json();
    assert_eq!(written["folder"], "wishlist");
    let folder = empty.path().join("wishlist");
    let installed = kernel
        .commerce_in(&folder, "", &["plugin", "install", ".", "--yes", "--json"])
        .await
        .json();
    assert_eq!(installed["name"], "wishlist");
    let http = reqwest::Client::new();
    let made = http
        .post(format!("{}/api/wishlist", kernel.url))
        .header("x-store", &store.slug)
        .json(&json!({ "name": "Siti" }))
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    let read = http
        .get(format!("{}/api/wishlist/Siti", kernel.url))
        .header("x-store", &store.slug)
        .send()
        .await
        .unwrap();
    let greeting: Value = read.json().await.unwrap();
    assert_eq!(greeting["count"], 1, "{greeting}");
}
