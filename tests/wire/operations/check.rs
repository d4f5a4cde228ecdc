//! `jhe check`: what operators look at before they start a server.

use std::process::ExitCode;

use jhe_app::seed::Seeded;
use jhe_config::Config;
use jhe_server::audit::{self, AuditCommand};
use jhe_server::check::{self, Row};
use jhe_server::manage::{self, ClientCommand, KeysCommand};
use jhe_server::serve;
use jhe_store::Store;
use jhe_testkit::TestDb;

fn row<'a>(rows: &'a [Row], name: &str) -> &'a Row {
    rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("no row {name}: {rows:?}"))
}

#[tokio::test]
async fn the_table_says_what_holds_without_accounts() {
    let database = TestDb::new().await;
    let url = database.url.clone();
    let replicas = format!("{url},postgres://someone:hunter2@127.0.0.1:1/nowhere");
    let variables = [
        ("DATABASE_URL", url.as_str()),
        ("DATABASE_READ_URL", &replicas),
        ("JHE_METRICS_BIND", "127.0.0.1:9090"),
        ("JHE_DB_POOL", "7"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let rows = check::table(&Config::read(variables, None).unwrap()).await;
    for name in ["configuration", "database", "migrations", "signing key", "mail", "data folder"] {
        assert!(row(&rows, name).good, "{name}: {rows:?}");
    }
    assert!(row(&rows, "database pool").text.starts_with("7 connections"));
    assert_eq!(row(&rows, "metrics").text, "127.0.0.1:9090/metrics");
    assert!(row(&rows, "mail").text.starts_with("none is sent: SMTP_HOST is not set"), "{rows:?}");
    let replicas: Vec<_> = rows.iter().filter(|row| row.name == "read replica").collect();
    assert_eq!(replicas.iter().map(|row| row.good).collect::<Vec<_>>(), [true, false], "{replicas:?}");
    assert!(!format!("{rows:?}").contains("hunter2") && !format!("{rows:?}").contains("someone"), "{rows:?}");
    // A key that is none is told by its variable, without its value.
    let variables = [("DATABASE_URL", url.as_str()), ("OIDC_RSA_PRIVATE_KEY", "hunter2hunter2")];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let rows = check::table(&Config::read(variables, None).unwrap()).await;
    let told = rows.iter().find(|row| !row.good).unwrap_or_else(|| panic!("{rows:?}"));
    assert!(
        told.text.starts_with("OIDC_RSA_PRIVATE_KEY is \"[secret]\"") && told.text.contains("allowed is"),
        "{told:?}"
    );
    assert!(!format!("{rows:?}").contains("hunter2"), "{rows:?}");
    database.drop_database().await;
}

#[tokio::test]
async fn mail_is_told_in_the_words_of_its_variables() {
    let database = TestDb::new().await;
    let told = async |host: &str, security: &str| {
        let variables = [
            ("DATABASE_URL", database.url.as_str()),
            ("SMTP_HOST", host),
            ("JHE_SMTP_SECURITY", security),
            ("DEFAULT_FROM_EMAIL", "jhe@example.org"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        row(&check::table(&Config::read(variables, None).unwrap()).await, "mail").text.clone()
    };
    assert_eq!(told("mail", "").await, "mail:587, starttls, from jhe@example.org");
    assert_eq!(told("mail", "tls").await, "mail:587, tls, from jhe@example.org");
    assert_eq!(told("localhost", "").await, "localhost:587, starttls where it is offered, from jhe@example.org");
    database.drop_database().await;
}

#[tokio::test]
async fn keys_that_are_none_stop_the_start_before_migrations() {
    let database = TestDb::empty().await;
    let (store, writer) = Store::connect(&database.options()).await.unwrap();
    for (name, value) in [
        ("OIDC_RSA_PRIVATE_KEY", "hunter2"),
        ("OIDC_RSA_PRIVATE_KEYS_INACTIVE", "hunter2"),
        ("DATA_ENCRYPTION_KEY", "hunter2"),
        ("JHE_SOF_CA_FILE", "/nowhere/ca.pem"),
    ] {
        let variables = [("DATABASE_URL", database.url.as_str()), ("JHE_BIND", "127.0.0.1:0"), (name, value)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::read(variables, None).unwrap();
        let refusal = Box::pin(serve::run(config, true)).await.unwrap_err();
        let refusal = format!("{refusal:#}");
        assert!(refusal.starts_with(&format!("{name} is \"")) && refusal.contains("allowed is "), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    let tables = "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(store.scalar_raw(tables).await.unwrap().as_deref(), Some("0"));
    writer.stop().await;
    store.close().await;
    database.drop_database().await;
}

#[tokio::test]
async fn a_time_zone_that_is_none_becomes_no_setting() {
    let database = TestDb::new().await;
    let (store, writer) = Store::connect(&database.options()).await.unwrap();
    let seed = async |zone: &str| {
        let variables = [("DATABASE_URL", database.url.as_str()), ("TIME_ZONE", zone)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        jhe_app::seed::reference(&store, &Config::read(variables, None).unwrap()).await
    };
    store.execute_raw("DELETE FROM core_jhesetting WHERE key = 'site.time_zone'; DELETE FROM jhe_seed").await.unwrap();
    let refused = seed("Europe/Atlantis").await.unwrap_err();
    assert!(format!("{refused:?}").contains("TIME_ZONE is not the name of a time zone"), "{refused:?}");
    assert_eq!(seed("Europe/Berlin").await.unwrap(), Seeded::Made);
    assert_eq!(seed("Europe/Berlin").await.unwrap(), Seeded::Present);
    let zone = "SELECT value_string FROM core_jhesetting WHERE key = 'site.time_zone'";
    assert_eq!(store.scalar_raw(zone).await.unwrap().as_deref(), Some("Europe/Berlin"));
    // What is set stays, whatever the variable says.
    seed("Europe/Atlantis").await.unwrap();
    assert_eq!(store.scalar_raw(zone).await.unwrap().as_deref(), Some("Europe/Berlin"));
    store.close().await;
    writer.stop().await;
    database.drop_database().await;
}

#[tokio::test]
async fn what_only_looks_makes_nothing() {
    let folder = std::env::temp_dir().join(format!("jhe-check-{}", std::process::id()));
    let variables = [("JHE_DATA_DIR".to_owned(), folder.display().to_string())];
    let config = Config::read(variables, None).unwrap();
    let rows = check::table(&config).await;
    let told = row(&rows, "database");
    assert!(told.good && told.text.starts_with("none yet"), "{told:?}");
    assert_eq!(manage::migrate(config.clone(), true).await.unwrap(), ExitCode::FAILURE);
    let refusal = format!("{:#}", manage::client(config, ClientCommand::List).await.unwrap_err());
    assert!(refusal.contains("there is no database yet"), "{refusal}");
    assert!(!folder.exists());

    let database = TestDb::new().await;
    let (store, writer) = Store::connect(&database.options()).await.unwrap();
    let config = |keys: &str| {
        let variables = [("DATABASE_URL", database.url.as_str()), ("JHE_GENERATE_KEYS", keys)];
        Config::read(variables.map(|(name, value)| (name.to_owned(), value.to_owned())), None).unwrap()
    };
    let rows = check::table(&config("1")).await;
    for name in ["signing key", "patient code verifier"] {
        let told = row(&rows, name);
        assert!(told.good && told.text.starts_with("none yet"), "{told:?}");
    }
    assert!(!row(&check::table(&config("0")).await, "signing key").good);
    let keys = "SELECT ((SELECT count(*) FROM jhe_signing_key) + (SELECT count(*) FROM jhe_server_secret))::text";
    assert_eq!(store.scalar_raw(keys).await.unwrap().as_deref(), Some("0"));
    // What a server has made is told.
    assert_eq!(manage::keys(config("1"), KeysCommand::Generate).await.unwrap(), ExitCode::SUCCESS);
    let rows = check::table(&config("0")).await;
    let kid = store.scalar_raw("SELECT kid FROM jhe_signing_key WHERE active").await.unwrap();
    assert_eq!(Some(&row(&rows, "signing key").text), kid.as_ref());
    assert_eq!(row(&rows, "patient code verifier").text.len(), 43);
    writer.stop().await;
    store.close().await;
    database.drop_database().await;
}

#[tokio::test]
async fn a_schema_that_is_newer_than_the_program_is_told() {
    let database = TestDb::new().await;
    let (store, writer) = Store::connect(&database.options()).await.unwrap();
    let config = || Config::read([("DATABASE_URL".to_owned(), database.url.clone())], None).unwrap();
    assert_eq!(manage::migrate(config(), true).await.unwrap(), ExitCode::SUCCESS);
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (29991231235959, 'a later thing', true, '', 0)";
    store.execute_raw(newer).await.unwrap();
    assert_eq!(manage::migrate(config(), true).await.unwrap(), ExitCode::FAILURE);
    let rows = check::table(&config()).await;
    let told = row(&rows, "migrations");
    assert!(!told.good && told.text.contains("newer than this program"), "{told:?}");
    assert!(told.text.ends_with("29991231235959"), "{told:?}");
    writer.stop().await;
    store.close().await;
    database.drop_database().await;
}

#[tokio::test]
async fn a_trail_is_verified_without_changing_the_database() {
    let database = TestDb::new().await;
    let (store, writer) = Store::connect(&database.options()).await.unwrap();
    let verify = async |key: &str| {
        let variables = [("DATABASE_URL", database.url.as_str()), ("SECRET_KEY", key)];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::read(variables, None).unwrap();
        audit::run(config, AuditCommand::Verify { expect: Vec::new(), vouch: None })
            .await
            .map_err(|error| format!("{error:#}"))
    };
    let state = async || {
        let sql = "SELECT concat_ws(' ', (SELECT count(*) FROM _sqlx_migrations WHERE version > 0), (SELECT count(*) FROM jhe_server_secret),
                                    (SELECT count(*) FROM jhe_signing_key), (SELECT count(*) FROM jhe_audit_seal))";
        store.scalar_raw(sql).await.unwrap().unwrap()
    };
    let before = state().await;
    assert_eq!(verify("a key").await, Ok(ExitCode::SUCCESS));
    let keyless = verify("").await.unwrap_err();
    assert!(keyless.contains("SECRET_KEY"), "a key that is not there is not made: {keyless}");
    assert_eq!(state().await, before);
    let pend =
        "UPDATE _sqlx_migrations SET version = -version WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    store.execute_raw(pend).await.unwrap();
    let pending = state().await;
    assert_ne!(pending, before);
    let refusal = verify("a key").await.unwrap_err();
    assert!(refusal.contains("1 migration is pending: run jhe migrate"), "{refusal}");
    let config = Config::read([("DATABASE_URL".to_owned(), database.url.clone())], None).unwrap();
    for outcome in [
        manage::client(config.clone(), ClientCommand::List).await,
        manage::keys(config.clone(), KeysCommand::Generate).await,
    ] {
        let refusal = format!("{:#}", outcome.unwrap_err());
        assert!(refusal.contains("1 migration is pending: run jhe migrate"), "{refusal}");
    }
    let rows = check::table(&config).await;
    assert!(!row(&rows, "migrations").good, "{rows:?}");
    assert_eq!(state().await, pending, "they are still pending");
    writer.stop().await;
    store.close().await;
    database.drop_database().await;
}
