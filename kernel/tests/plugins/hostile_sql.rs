//! What a plugin can do to hurt others through its database: every attack from a real guest, on both engines, once alone
//! and then sixty-four times at once, while another plugin reads and writes on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use commerce_kernel::storage::sql::Mode;
use commerce_kernel::stores::Store;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::kernel::TestKernel;
use crate::packages;

const AT_ONCE: usize = 64;

/// The longest one of them may go on: its deadline, its turn in the queues, and what a busy machine adds.
const LONGEST: Duration = Duration::from_secs(30);

/// How the guest is told, by its own words for it, or by those of the answer in its place.
const TIMEOUT: &[&str] = &["ran longer than allowed", "504 timeout"];
const TOO_LARGE: &[&str] = &["more rows or bytes than allowed"];
const REFUSED: &[&str] = &["statement refused: "];

/// How one of many may end besides: it did not get its turn.
const CROWDED: &[&str] = &[
    "out of reach or overloaded",
    "503 ",
    "ran longer than allowed",
    "504 timeout",
];

macro_rules! on_both_engines {
    ($($attack:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $attack() { super::$attack(super::Scene::on_sqlite().await).await; })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $attack() { super::$attack(super::Scene::on_postgres().await).await; })*
        }
    };
}

on_both_engines! {
    an_endless_recursion_is_ended,
    an_endless_recursion_that_writes_is_ended,
    a_cross_join_is_ended,
    a_string_that_doubles_is_refused,
    a_giant_string_is_ended,
    a_giant_text_is_refused,
    ten_million_rows_are_cut_off,
    an_answer_of_giant_rows_is_cut_off,
    ten_million_inserts_are_taken_back,
    an_insert_that_returns_too_much_is_taken_back,
    a_transaction_held_over_a_loop_is_ended,
    a_nested_transaction_held_over_a_loop_is_ended,
    a_transaction_left_open_is_taken_back,
    a_failure_ignored_is_not_committed,
    sql_that_is_forbidden_is_refused_by_name,
    changes_that_are_forbidden_are_refused_by_name,
    arguments_cannot_slide_into_the_stores_place,
    another_plugins_table_is_out_of_reach,
    the_kernels_tables_are_out_of_reach,
    another_stores_rows_are_out_of_reach,
}

async fn an_endless_recursion_is_ended(scene: Scene) {
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
    scene.attacked_by(Attack::query(endless), TIMEOUT).await;
}

async fn an_endless_recursion_that_writes_is_ended(scene: Scene) {
    let endless = "insert into heap (id, word) with recursive n(i) as (select 10 union all select i + 1 from n)
                   select count(*), 'all' from n";
    scene.attacked_by(Attack::change(endless), TIMEOUT).await;
}

async fn a_cross_join_is_ended(scene: Scene) {
    let join = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
                select count(*) from n a cross join (select i from n) b cross join (select i from n) c";
    scene.attacked_by(Attack::query(join), TIMEOUT).await;
}

async fn a_string_that_doubles_is_refused(scene: Scene) {
    let doubling = "with recursive s(i, text) as
                        (select 1, 'xxxxxxxxxxxxxxxx' union all select i + 1, replace(text, 'x', 'xxxxxxxx') from s where i < 60)
                    select max(length(text)) from s";
    scene.attacked_by(Attack::query(doubling), REFUSED).await;
}

async fn a_giant_string_is_ended(scene: Scene) {
    let gathered = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000000000)
                    select length(string_agg('xxxxxxxxxxxxxxxx', ', ')) from n";
    scene.attacked_by(Attack::query(gathered), TIMEOUT).await;
}

async fn a_giant_text_is_refused(scene: Scene) {
    let long = format!("select word from heap where word = '{}'", "x".repeat(1 << 20));
    let wide = format!("select word from heap where id in ({})", vec!["1"; 100_000].join(", "));
    let deep = format!("select {}1{} from heap", "(".repeat(20_000), ")".repeat(20_000));
    let rows = format!(
        "insert into heap (id, word) values {}",
        vec!["(2, 'x')"; 100_000].join(", ")
    );
    for text in [long, wide, deep] {
        scene.tries(&Attack::query(&text), REFUSED).await;
    }
    scene.attacked_by(Attack::change(&rows), REFUSED).await;
}

async fn ten_million_rows_are_cut_off(scene: Scene) {
    let rows = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000000) select i from n";
    scene.attacked_by(Attack::query(rows), TOO_LARGE).await;
}

async fn an_answer_of_giant_rows_is_cut_off(scene: Scene) {
    // Few rows to sort, each of a long text: the cap strikes long before the deadline.
    let rows = format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
         select string_agg('{}', ', ') from n a cross join (select i from n where i < 50) b group by b.i",
        "x".repeat(250)
    );
    scene.attacked_by(Attack::query(&rows), TOO_LARGE).await;
}

async fn ten_million_inserts_are_taken_back(scene: Scene) {
    let rows = "insert into heap (id, word)
                with recursive n(i) as (select 10 union all select i + 1 from n where i < 10000000) select i, 'heap' from n";
    scene.attacked_by(Attack::change(rows), TIMEOUT).await;
}

async fn an_insert_that_returns_too_much_is_taken_back(scene: Scene) {
    let rows = "insert into heap (id, word)
                with recursive n(i) as (select 10 union all select i + 1 from n where i < 20000) select i, 'heap' from n
                returning id";
    scene.attacked_by(Attack::change(rows), TOO_LARGE).await;
}

async fn a_transaction_held_over_a_loop_is_ended(scene: Scene) {
    scene.attacked_by(Attack::Post("/api/greedy/hold"), TIMEOUT).await;
}

async fn a_nested_transaction_held_over_a_loop_is_ended(scene: Scene) {
    scene
        .attacked_by(Attack::Post("/api/greedy/staged/hold"), TIMEOUT)
        .await;
}

async fn a_transaction_left_open_is_taken_back(scene: Scene) {
    scene
        .attacked_by(Attack::Post("/api/greedy/staged/left_open"), &["500 plugin_failed"])
        .await;
}

/// SQLite by itself would go on and commit the second half.
async fn a_failure_ignored_is_not_committed(scene: Scene) {
    let twice = [
        "insert into heap (id, word) values (1, 'mine again')",
        "insert into heap (id, word) values (2, 'half')",
    ];
    scene
        .attacked_by(Attack::changes(&twice), &["constraint", "an earlier statement"])
        .await;
}

async fn sql_that_is_forbidden_is_refused_by_name(scene: Scene) {
    scene.attacked_by(Attack::queries(FORBIDDEN), REFUSED).await;
}

async fn changes_that_are_forbidden_are_refused_by_name(scene: Scene) {
    scene.attacked_by(Attack::changes(FORBIDDEN_CHANGES), REFUSED).await;
}

/// The store is the argument after the last one of the plugin.
async fn arguments_cannot_slide_into_the_stores_place(scene: Scene) {
    let text = "select word from heap where id = $1";
    for arguments in [vec![], vec![1, 2], vec![1, 2, 3]] {
        let attack = Attack::Query(json!({ "texts": [text], "arguments": arguments }));
        scene.attacked_by(attack, &["statement and arguments do not fit"]).await;
    }
    for text in [
        "select word from heap where id = $2",
        "select word from heap where id = $0",
        "select word from heap where id = $1 or id = $3",
        "select word from heap where id = ?1",
    ] {
        let attack = Attack::Query(json!({ "texts": [text], "arguments": [2] }));
        scene.tries(&attack, REFUSED).await;
    }
}

async fn another_plugins_table_is_out_of_reach(scene: Scene) {
    let reads = [
        "select name from marks",
        "select name from misbehaving.marks",
        "select name from \"misbehaving.marks\"",
        "select name from \"misbehaving\".\"marks\"",
        "select id from heap where exists (select 1 from misbehaving.marks)",
        "with marks as (select name from misbehaving.marks) select name from marks",
        "select h.id from heap h join misbehaving.marks m on true",
        "select id from heap union select count from misbehaving.marks",
        "select id from public.heap",
    ];
    let changes = [
        "insert into misbehaving.marks (name, count) values ('x', 1)",
        "update misbehaving.marks set count = 0",
        "delete from misbehaving.marks",
        "insert into heap (id, word) select 9, name from misbehaving.marks",
        "update heap set word = (select max(name) from misbehaving.marks)",
    ];
    scene.attacked_by(Attack::queries(&reads), REFUSED).await;
    scene.attacked_by(Attack::changes(&changes), REFUSED).await;
}

async fn the_kernels_tables_are_out_of_reach(scene: Scene) {
    let reads = [
        "select sealed from kernel.secrets",
        "select sealed from \"kernel.secrets\"",
        "select password_hash from kernel.accounts",
        "select id from heap where exists (select 1 from kernel.stores)",
        "select sql from sqlite_master",
        "select rolname from pg_catalog.pg_roles",
        "select rolname from pg_roles",
        "select table_name from information_schema.tables",
    ];
    let changes = [
        "update kernel.stores set status = 'suspended'",
        "delete from \"kernel.stores\"",
        "insert into kernel.roles (store, name, permissions) values (1, 'all', '[\"*\"]')",
    ];
    scene.attacked_by(Attack::queries(&reads), REFUSED).await;
    scene.attacked_by(Attack::changes(&changes), REFUSED).await;
}

async fn another_stores_rows_are_out_of_reach(scene: Scene) {
    // Nothing of the neighbour is named: these run, and find or change the store's own rows alone.
    for text in [
        "update heap set word = 'taken' where true or 1 = 1",
        "update heap set word = 'taken' where id = 1 or id = 2 or not false",
        "insert into heap (id, word) values (1, 'x') on conflict (id) do update set word = 'taken'",
        "delete from heap where id in (select id from heap) or true",
        "delete from heap where exists (select 1 from heap h where h.word = 'neighbour') or id = 2",
    ] {
        scene.runs(&Attack::change(text)).await;
        scene.is_unharmed().await;
    }
    scene
        .runs(&Attack::change("insert into heap (id, word) values (1, 'own')"))
        .await;
    // And these name the store.
    let reads = [
        "select store_id from heap",
        "select word from heap where store_id = 2",
        "select h.\"store_id\" from heap h",
        "select word from heap group by word, store_id",
        "select rowid from heap",
        "select ctid from heap",
    ];
    let changes = [
        "update heap set store_id = 2",
        "insert into heap (store_id, id, word) values (2, 7, 'planted')",
        "delete from heap where store_id = 2",
        "insert into heap (id, word) values (1, 'x') on conflict (store_id, id) do update set word = 'x'",
        "delete from heap returning store_id",
    ];
    scene.attacked_by(Attack::queries(&reads), REFUSED).await;
    scene.attacked_by(Attack::changes(&changes), REFUSED).await;
}

/// One of every kind that reads.
const FORBIDDEN: &[&str] = &[
    "select pg_read_file('/etc/passwd')",
    "select pg_sleep(60)",
    "select query_to_xml('select 1', true, true, '')",
    "select current_setting('role')",
    "select set_config('role', 'none', false)",
    "select lo_import('/etc/passwd')",
    "select pg_advisory_lock(1)",
    "select pg_terminate_backend(1)",
    "select dblink('dbname=x', 'select 1')",
    "select load_extension('/tmp/evil.so')",
    "select zeroblob(1000000000)",
    "select randomblob(1000000000)",
    "select printf('%1000000000d', 1)",
    "select repeat('x', 1000000000)",
    "select lpad('x', 1000000000)",
    "select i from generate_series(1, 1000000000) as g(i)",
    "select name from pragma_table_list",
    "select 'heap'::regclass::text",
    "select 1 operator(pg_catalog.+) 1",
    "select h::text from heap h",
    "select to_jsonb(h) from heap h",
    "select word from heap natural join heap h",
    "select \"no_such_column\" from heap",
    "select word from heap order by random()",
    "select word from heap where word ~ '(a+)+$'",
    "select word from heap tablesample system (1)",
    "select word from heap, lateral (select 1) l",
    "select word into stolen from heap",
    "table heap",
    "select $$x$$",
    "select E'\\x41'",
    "select U&'\\0041'",
    "select word from heap; select word from heap",
    "explain select word from heap",
    "show all",
    "with gone as (delete from heap returning word) select word from gone",
    "",
    "-- nothing",
    "select",
    "not sql at all",
];

/// One of every kind that would change something besides rows.
const FORBIDDEN_CHANGES: &[&str] = &[
    "create table mine (id bigint primary key)",
    "create index mine on heap (word)",
    "create view mine as select 1",
    "create function mine() returns int language sql as 'select 1'",
    "create trigger mine after insert on heap begin select 1; end",
    "create role mine",
    "create extension dblink",
    "alter table heap add column evil text",
    "drop table heap",
    "truncate heap",
    "copy heap to '/tmp/evil'",
    "copy heap from program 'id'",
    "attach database '/tmp/evil.db' as evil",
    "vacuum into '/tmp/evil.db'",
    "vacuum",
    "pragma writable_schema = on",
    "pragma foreign_keys = off",
    "do $x$ begin null; end $x$",
    "call mine()",
    "set role none",
    "reset role",
    "set session authorization default",
    "set statement_timeout = 0",
    "discard all",
    "grant all on heap to public",
    "lock table heap",
    "listen evil",
    "notify evil",
    "prepare mine as select 1",
    "deallocate all",
    "begin",
    "commit",
    "rollback",
    "savepoint mine",
    "release savepoint s1",
    "insert or replace into heap (id, word) values (1, 'x')",
    "insert into heap default values",
    "delete from heap using heap h where h.id = heap.id",
    "update heap set word = h.word from heap h returning h.word",
    "merge into heap using heap h on true when matched then delete",
    "insert into heap (id, word) values (3, 'x'); drop table heap",
];

/// What the guest is made to do.
#[derive(Clone)]
enum Attack {
    /// These texts in a reading call, one after the other.
    Query(Value),
    /// These texts in one transaction, which is then to be committed.
    Change(Value),
    /// A request.
    Post(&'static str),
}

impl Attack {
    fn query(text: &str) -> Self {
        Self::queries(&[text])
    }

    fn queries(texts: &[&str]) -> Self {
        Self::Query(json!({ "texts": texts }))
    }

    fn change(text: &str) -> Self {
        Self::changes(&[text])
    }

    fn changes(texts: &[&str]) -> Self {
        Self::Change(json!({ "texts": texts }))
    }

    /// Carries it out and answers how each text ended, with the text where there is one.
    async fn run(&self, kernel: &TestKernel) -> Vec<String> {
        let (function, mode, ask) = match self {
            Self::Query(ask) => ("query", Mode::Reading, ask),
            Self::Change(ask) => ("change", Mode::Changing, ask),
            Self::Post(path) => {
                return match kernel.post(path, json!({})).await {
                    Ok(answer) => vec![format!("answered {}", answer.status)],
                    Err(problem) => vec![format!("{} {}", problem.status, problem.code.as_str())],
                };
            }
        };
        let tree = kernel.tree(mode);
        let answer = kernel
            .plugins
            .call(&tree, "greedy", function, ask.to_string().into_bytes())
            .await;
        match answer {
            Ok(answer) => {
                // Whatever the guest was told, it goes on as if all were well.
                let _doomed = tree.commit(Vec::new()).await;
                let ended: Vec<String> = serde_json::from_slice(&answer).unwrap();
                let texts = ask["texts"].as_array().unwrap();
                let short = |text: &Value| text.as_str().unwrap().chars().take(120).collect::<String>();
                ended
                    .iter()
                    .zip(texts)
                    .map(|(ended, text)| format!("{ended} <= {}", short(text)))
                    .collect()
            }
            Err(problem) => {
                tree.abandon().await;
                vec![format!("{} {}", problem.status, problem.code.as_str())]
            }
        }
    }
}

/// The attacker, its victim `misbehaving` with a table of its own, and `hello` next door; two stores.
struct Scene {
    kernel: Arc<TestKernel>,
    other_store: Arc<Store>,
}

impl Scene {
    async fn on_sqlite() -> Self {
        Self::with(TestKernel::start().await).await
    }

    async fn on_postgres() -> Self {
        let url = commerce_harness::postgres::database().await;
        Self::with(TestKernel::on_postgres(&url).await).await
    }

    async fn with(kernel: TestKernel) -> Self {
        kernel.install(packages::hello()).await;
        kernel.install(packages::misbehaving()).await;
        // Time enough to meet its other limits first, on a machine that runs other tests meanwhile.
        let greedy = packages::with_manifest(&packages::greedy(), "deadline_ms = 1000", "deadline_ms = 3000");
        kernel.install(greedy).await;
        kernel.post("/api/hello", json!({ "name": "Ani" })).await.unwrap();
        kernel.post("/api/misbehaving/nothing", json!(null)).await.unwrap();
        let other_store = Arc::new(Store {
            number: 2,
            id: "store_2".into(),
            slug: "other".into(),
            ..Store::clone(&kernel.store)
        });
        let scene = Self {
            kernel: Arc::new(kernel),
            other_store,
        };
        let rows = |word: &str| format!("insert into heap (id, word) values (1, '{word}')");
        scene.runs(&Attack::change(&rows("own"))).await;
        let tree = scene.kernel.tree_in(scene.other_store.clone(), Mode::Changing);
        let ask = json!({ "texts": [rows("neighbour")] }).to_string().into_bytes();
        scene.kernel.plugins.call(&tree, "greedy", "change", ask).await.unwrap();
        tree.commit(Vec::new()).await.unwrap();
        scene
    }

    /// Once alone, then many at once beside somebody who notices nothing; and what is left of it afterwards is nothing.
    async fn attacked_by(&self, attack: Attack, told: &[&str]) {
        self.tries(&attack, told).await;
        let mut attackers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (kernel, attack) = (self.kernel.clone(), attack.clone());
            attackers.spawn(async move {
                let begun = Instant::now();
                (attack.run(&kernel).await, begun.elapsed())
            });
        }
        let neighbour = tokio::spawn(neighbour(self.kernel.clone()));
        let told = [told, CROWDED].concat();
        for (ended, took) in attackers.join_all().await {
            assert!(took < LONGEST, "{took:?}: {ended:?}");
            all_ended(&ended, &told);
        }
        neighbour.abort();
        if let Err(failure) = neighbour.await {
            assert!(failure.is_cancelled(), "the neighbour noticed: {failure}");
        }
        self.is_unharmed().await;
        assert_eq!(self.words(&self.kernel.store).await, ["own"]);
    }

    /// The attack alone ends for its own reason.
    async fn tries(&self, attack: &Attack, told: &[&str]) {
        let begun = Instant::now();
        let ended = attack.run(&self.kernel).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        all_ended(&ended, told);
    }

    async fn runs(&self, attack: &Attack) {
        all_ended(&attack.run(&self.kernel).await, &["changed "]);
    }

    async fn is_unharmed(&self) {
        assert_eq!(self.words(&self.other_store).await, ["neighbour"]);
        assert_eq!(self.kernel.marks("nothing").await, 1);
    }

    /// What `greedy` keeps in a store.
    async fn words(&self, store: &Arc<Store>) -> Vec<String> {
        let tree = self.kernel.tree_in(store.clone(), Mode::Reading);
        let answer = self.kernel.plugins.call(&tree, "greedy", "heaped", b"null".to_vec());
        let words = serde_json::from_slice(&answer.await.unwrap()).unwrap();
        tree.abandon().await;
        words
    }
}

fn all_ended(ended: &[String], told: &[&str]) {
    for one in ended {
        assert!(
            told.iter().any(|told| one.contains(told)),
            "{one}\nexpected one of {told:?}"
        );
    }
}

/// Reads and writes until it is ended.
async fn neighbour(kernel: Arc<TestKernel>) {
    loop {
        kernel.read("/api/hello/Ani").await;
        kernel
            .post("/api/hello", json!({ "name": "Ani" }))
            .await
            .unwrap_or_else(|problem| panic!("{problem:?}"));
    }
}
