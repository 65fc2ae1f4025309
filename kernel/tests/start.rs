//! What keeps a kernel from starting, and whether its operator is told how to go on.

use commerce_kernel::config::Config;
use commerce_kernel::kernel::{MissingRights, check, migrate};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

fn config(folder: &tempfile::TempDir, url: &str) -> Config {
    let variables = [
        ("COMMERCE_DATA_DIR", folder.path().display().to_string()),
        ("COMMERCE_SQL_URL", url.to_owned()),
    ];
    Config::load(None, variables.map(|(name, value)| (name.to_owned(), value))).unwrap()
}

/// A database, an administrator's connection to it, and its URL for a user who may do nothing but connect.
async fn with_a_powerless_user(user: &str) -> (PgConnection, String) {
    let url = commerce_harness::postgres::database().await;
    let mut admin = PgConnection::connect(&url).await.unwrap();
    let create = format!("create role {user} login password 'hushhush'");
    admin.execute(AssertSqlSafe(create)).await.unwrap();
    let (scheme, place) = url.split_once("://").unwrap();
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    (admin, format!("{scheme}://{user}:hushhush@{place}"))
}

#[tokio::test]
async fn a_user_without_rights_is_told_the_statement_that_gives_them() {
    let user = format!("powerless_{}", std::process::id());
    let (mut admin, url) = with_a_powerless_user(&user).await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder, &url);

    let refused = migrate::up(&config).await.unwrap_err();
    assert!(refused.is::<MissingRights>(), "{refused:#}");
    let told = refused.to_string();
    assert!(!told.contains("hushhush"), "{told}");

    let (_, remedy) = told.split_once("run: ").expect("a remedy");
    admin.execute(AssertSqlSafe(remedy.to_owned())).await.unwrap();
    assert!(!migrate::up(&config).await.unwrap().is_empty());
    check::rights(&config).await.unwrap();

    // What installing a plugin takes is missed before it is installed.
    let take = format!("alter role \"{user}\" nocreaterole");
    admin.execute(AssertSqlSafe(take)).await.unwrap();
    assert!(check::rights(&config).await.unwrap_err().is::<MissingRights>());
}

#[tokio::test]
async fn a_database_that_is_not_there_is_no_matter_of_rights() {
    let folder = tempfile::tempdir().unwrap();
    let away = config(&folder, "postgres://shop:hushhush@127.0.0.1:1/shop");
    let error = migrate::up(&away).await.unwrap_err();
    assert!(
        !error.is::<MissingRights>() && format!("{error:#}").contains("sql.url"),
        "{error:#}"
    );
}
