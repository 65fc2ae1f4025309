//! The control socket: requests, progress, refusals, and who may connect.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use commerce_kernel::control::{
    AccountRequest, ControlError, DataDirLock, DataRequest, EventRequest, Grants, Operate, PluginRequest, Progress,
    Request, SOCKET, Server, StoreRequest, connect,
};
use commerce_kernel::http::problem::{Code, Problem};
use commerce_kernel::secrets::Secret;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Answers a few requests in a way that shows what arrived.
#[derive(Default)]
struct Recorder {
    slow_requests_done: AtomicUsize,
}

#[async_trait]
impl Operate for Recorder {
    async fn carry_out(&self, request: Request, progress: &mut (dyn FnMut(Progress) + Send)) -> Result<Value, Problem> {
        match request {
            Request::Status => Ok(json!({ "version": "test" })),
            Request::Data(DataRequest::Seed { counts, .. }) => {
                let total = counts.values().copied().sum();
                for done in 1..=total {
                    progress(Progress {
                        step: "seeding".to_owned(),
                        done,
                        total: Some(total),
                    });
                }
                Ok(json!({ "created": total }))
            }
            Request::Plugin(PluginRequest::Install { package, .. }) => {
                Ok(json!({ "length": package.len(), "last": package.last() }))
            }
            Request::Store(StoreRequest::List) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                self.slow_requests_done.fetch_add(1, Ordering::SeqCst);
                Ok(json!({ "items": [] }))
            }
            Request::Event(EventRequest::Jobs { .. }) => panic!("a bug"),
            _ => Err(Problem::new(Code::NotFound, "There is no such store.").with_error("/store", "unknown")),
        }
    }
}

fn start(data_dir: &Path) -> (Server, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let operator: Arc<dyn Operate> = Arc::<Recorder>::clone(&recorder);
    (Server::start(data_dir, operator).expect("a control socket"), recorder)
}

#[tokio::test]
async fn requests_are_carried_out_with_their_progress_and_refusals_keep_their_shape() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, _) = start(folder.path());
    let mut client = connect(folder.path()).await.expect("a socket").expect("a kernel");

    let status = client
        .carry_out(Request::Status, |_| panic!("no progress expected"))
        .await
        .expect("an answer");
    assert_eq!(status, json!({ "version": "test" }));

    let mut seen = Vec::new();
    let seed = DataRequest::Seed {
        store: "demo".to_owned(),
        counts: [("products".to_owned(), 3)].into(),
    };
    let seeded = client
        .carry_out(Request::Data(seed), |step| seen.push((step.step, step.done)))
        .await
        .expect("an answer");
    assert_eq!(seeded, json!({ "created": 3 }));
    assert_eq!(
        seen,
        [
            ("seeding".to_owned(), 1),
            ("seeding".to_owned(), 2),
            ("seeding".to_owned(), 3)
        ]
    );

    let refused = client
        .carry_out(
            Request::Store(StoreRequest::Show {
                store: "nope".to_owned(),
            }),
            |_| {},
        )
        .await;
    let Err(ControlError::Problem(problem)) = refused else {
        panic!("expected a problem, got {refused:?}")
    };
    assert_eq!((problem.status, problem.code.as_str()), (404, "not_found"));
    assert_eq!(problem.errors[0].pointer, "/store");
    server.stop();
}

#[tokio::test]
async fn a_package_of_many_megabytes_fits_into_one_request() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, _) = start(folder.path());
    let mut client = connect(folder.path()).await.expect("a socket").expect("a kernel");
    let package = vec![7; 20 * 1024 * 1024];
    let install = PluginRequest::Install {
        package,
        grants: Grants::All,
        upgrade: false,
    };
    let installed = client
        .carry_out(Request::Plugin(install), |_| {})
        .await
        .expect("an answer");
    assert_eq!(installed, json!({ "length": 20 * 1024 * 1024, "last": 7 }));
    server.stop();
}

#[tokio::test]
async fn a_request_goes_on_when_the_command_line_is_interrupted() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, recorder) = start(folder.path());
    let mut client = connect(folder.path()).await.expect("a socket").expect("a kernel");
    let interrupted = tokio::time::timeout(
        Duration::from_millis(20),
        client.carry_out(Request::Store(StoreRequest::List), |_| {}),
    )
    .await;
    assert!(interrupted.is_err());
    drop(client);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(recorder.slow_requests_done.load(Ordering::SeqCst), 1);
    server.stop();
}

#[tokio::test]
async fn nonsense_and_bugs_are_answered_with_problems_and_the_socket_lives_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, _) = start(folder.path());

    let stream = UnixStream::connect(folder.path().join(SOCKET))
        .await
        .expect("a connection");
    let (reader, mut writer) = stream.into_split();
    let mut answers = BufReader::new(reader).lines();
    for nonsense in [
        "nonsense\n",
        "{\"no-such-thing\":{}}\n",
        "{\"store\":{\"show\":{\"store\":\"x\",\"shop\":\"x\"}}}\n",
    ] {
        writer.write_all(nonsense.as_bytes()).await.expect("sent");
        let answer = answers.next_line().await.expect("a line").expect("an answer");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["problem"]["code"], "bad_request", "{nonsense}");
    }

    let mut client = connect(folder.path()).await.expect("a socket").expect("a kernel");
    let bug = client
        .carry_out(
            Request::Event(EventRequest::Jobs {
                store: None,
                limit: 10,
                after: None,
            }),
            |_| {},
        )
        .await;
    assert!(matches!(bug, Err(ControlError::Problem(problem)) if problem.status == 500));
    client.carry_out(Request::Status, |_| {}).await.expect("an answer");
    server.stop();
}

#[tokio::test]
async fn no_kernel_is_found_where_none_runs_and_a_killed_ones_socket_is_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(connect(folder.path()).await.expect("no error").is_none());

    let (server, _) = start(folder.path());
    let mode = std::fs::metadata(folder.path().join(SOCKET))
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "only the kernel's user may connect");
    server.stop();
    assert!(connect(folder.path()).await.expect("no error").is_none());

    // As a kill leaves it: the file is there, and nobody listens.
    drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).expect("a stale socket"));
    assert!(connect(folder.path()).await.expect("no error").is_none());
    let (server, _) = start(folder.path());
    assert!(connect(folder.path()).await.expect("no error").is_some());
    server.stop();
}

#[test]
fn a_data_folder_has_one_owner_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = DataDirLock::acquire(folder.path()).expect("a lock file").expect("free");
    assert!(DataDirLock::acquire(folder.path()).expect("a lock file").is_none());
    drop(kernel);
    assert!(DataDirLock::acquire(folder.path()).expect("a lock file").is_some());
}

#[test]
fn a_password_on_its_way_is_not_shown_to_logs() {
    let create = AccountRequest::Create {
        store: "demo".to_owned(),
        email: "ana@example.com".to_owned(),
        password: Secret::new("hushhush".to_owned()),
        role: None,
    };
    let request = Request::Account(create);
    assert!(!format!("{request:?}").contains("hushhush"));
    let line = serde_json::to_string(&request).expect("a line");
    let Ok(Request::Account(AccountRequest::Create { password, .. })) = serde_json::from_str(&line) else {
        panic!("another request arrived: {line}")
    };
    assert_eq!(password.expose(), "hushhush");
}
