//! One private cluster for a test run, one database for each test.
//!
//! The first process that needs the cluster starts it under a file lock, the others join it. Each process holds a
//! shared lock while it lives; a small watcher stops the cluster and removes its folder once nobody holds one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jhe_config::Config;
use jhe_domain::Secret;
use jhe_pg::{Cluster, ClusterOptions};
use jhe_store::{DatabaseOptions, Store, maintenance};
use tokio::sync::OnceCell;
use uuid::Uuid;

/// A database of its own for one test, with the demo data in it.
#[derive(Debug, Clone)]
pub struct TestDb {
    /// How to reach it.
    pub url: String,
    name: String,
    server: Secret,
}

struct Shared {
    server: Secret,
    /// Held while the process lives.
    _holder: Option<File>,
    home: Option<PathBuf>,
}

const TEMPLATE: &str = "jhe_test_template";

impl TestDb {
    /// A fresh copy of the template.
    pub async fn new() -> Self {
        let shared = shared().await;
        let name = format!("jhe_test_{}", Uuid::new_v4().simple());
        maintenance::create_database(&shared.server, &name, Some(template(shared).await))
            .await
            .expect("a test database");
        let url = with_database(shared.server.reveal(), &name);
        Self { url, name, server: shared.server.clone() }
    }

    /// A fresh database with the demo data on a cluster of the test's own.
    pub async fn on(server: Secret) -> Self {
        make_template(&server).await;
        let url = with_database(server.reveal(), TEMPLATE);
        Self { url, name: TEMPLATE.to_owned(), server }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A database without anything in it.
    pub async fn empty() -> Self {
        let shared = shared().await;
        let name = format!("jhe_test_{}", Uuid::new_v4().simple());
        maintenance::create_database(&shared.server, &name, None).await.expect("a test database");
        let url = with_database(shared.server.reveal(), &name);
        Self { url, name, server: shared.server.clone() }
    }

    /// Options to connect with.
    pub fn options(&self) -> DatabaseOptions {
        DatabaseOptions { max_connections: 8, ..DatabaseOptions::new(self.url.clone()) }
    }

    /// Removes the database; a failed test keeps it for a look.
    pub async fn drop_database(&self) {
        maintenance::drop_database(&self.server, &self.name).await.ok();
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("database kept: {}", self.url);
        }
    }
}

/// The same address with another database.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    let (head, query) = url.split_once('?').map_or((url, None), |(head, query)| (head, Some(query)));
    let (base, _) = head.rsplit_once('/').expect("a database URL with a path");
    match query {
        Some(query) => format!("{base}/{name}?{query}"),
        None => format!("{base}/{name}"),
    }
}

async fn shared() -> &'static Shared {
    static SHARED: OnceCell<Shared> = OnceCell::const_new();
    SHARED.get_or_init(|| async { tokio::task::spawn_blocking(start).await.unwrap() }).await
}

fn start() -> Shared {
    for name in ["TEST_DATABASE_URL", "DATABASE_URL"] {
        if let Ok(url) = std::env::var(name)
            && !url.is_empty()
        {
            return Shared { server: Secret::new(url), _holder: None, home: None };
        }
    }
    let home = home();
    std::fs::create_dir_all(&home).expect("a folder for the test cluster");
    let lock = File::create(home.with_extension("start")).expect("a lock file");
    lock.lock().expect("a lock");
    // The watcher may have removed the folder between the two lines above.
    std::fs::create_dir_all(&home).expect("a folder for the test cluster");
    let holder_path = home.with_extension("holders");
    let holder = File::create(&holder_path).expect("a lock file");
    holder.lock_shared().expect("a lock");
    let options = ClusterOptions { folder: home.join("postgres"), durable: false, settings: counting() };
    let mut cluster = Cluster::start(&options).expect("a private PostgreSQL for the tests");
    if cluster.owned() {
        watch(&home, &holder_path);
    }
    cluster.leave_running();
    Shared { server: Secret::new(cluster.url("postgres")), _holder: Some(holder), home: Some(home) }
}

/// Counts statements, for the tests that pin how many an operation takes. There is room for the statements of every test's
/// database: what is pushed out would be counted anew.
fn counting() -> Vec<(String, String)> {
    [
        ("shared_preload_libraries", "pg_stat_statements"),
        ("pg_stat_statements.max", "50000"),
        ("pg_stat_statements.track_utility", "off"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// One folder for all processes of a run: named after the folder of the test programs.
fn home() -> PathBuf {
    let program = std::env::current_exe().expect("a test program");
    let folder = program.parent().unwrap_or(Path::new("/")).display().to_string();
    let digest = folder
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    std::env::temp_dir().join(format!("jhe-tests-{digest:016x}"))
}

/// Starts the process that cleans up once all test processes are gone.
#[expect(clippy::zombie_processes, reason = "it outlives this process on purpose")]
fn watch(home: &Path, holder: &Path) {
    let script = r#"
        sleep 3
        exec 9>"$1.start"
        while :; do
            flock 9
            if flock -n -x "$2" true; then
                pid=$(head -n 1 "$1/postgres/postmaster.pid" 2>/dev/null)
                [ -n "$pid" ] && kill -s INT "$pid" 2>/dev/null
                for i in 1 2 3 4 5 6 7 8 9 10; do
                    [ -e "$1/postgres/postmaster.pid" ] || break
                    sleep 0.5
                done
                rm -rf "$1" "$2"
                exit 0
            fi
            flock -u 9
            sleep 2
        done
    "#;
    Command::new("setsid")
        .args(["sh", "-c", script, "sh"])
        .arg(home)
        .arg(holder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("setsid and sh");
}

/// Makes the template once: migrations, demo data, tokens of the cast.
async fn template(shared: &'static Shared) -> &'static str {
    static DONE: OnceCell<()> = OnceCell::const_new();
    DONE.get_or_init(|| async {
        let lock = shared
            .home
            .as_ref()
            .map_or_else(|| std::env::temp_dir().join("jhe-tests.template"), |home| home.join("template.lock"));
        let file = File::create(lock).expect("a lock file");
        let file = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await.unwrap().expect("a lock");
        make_template(&shared.server).await;
        drop(file);
    })
    .await;
    TEMPLATE
}

async fn make_template(server: &Secret) {
    maintenance::create_database(server, TEMPLATE, None).await.expect("the template database");
    let options =
        DatabaseOptions { max_connections: 4, ..DatabaseOptions::new(with_database(server.reveal(), TEMPLATE)) };
    maintenance::migrate(&options).await.expect("migrations apply");
    let (store, audit) = Store::connect(&options).await.expect("the template can be reached");
    let config = Config::read([], None).expect("the default configuration");
    jhe_app::seed::demo(&store, &config).await.expect("the demo data");
    // A bare account, and a token for everybody: patients through a patient client, others through the console.
    store
        .execute_raw(
            "INSERT INTO core_jheuser (id, email, password) VALUES (10099, 'nobody@example.com', '!') ON CONFLICT DO NOTHING;
             INSERT INTO oauth2_provider_accesstoken (token_digest, user_id, application_id, scope, created, expires)
             SELECT sha256(convert_to('test-' || u.id, 'UTF8')), u.id, CASE WHEN u.user_type = 'patient' THEN 1 ELSE 4 END,
                    'openid email', '2026-01-01', '2099-01-01'
               FROM core_jheuser AS u
             ON CONFLICT DO NOTHING",
        )
        .await
        .expect("tokens of the cast");
    audit.stop().await;
    store.close().await;
}
