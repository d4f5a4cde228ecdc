//! A whole server for one test, over a real socket.

use std::sync::Arc;

use jhe_app::App;
use jhe_config::Config;
use jhe_server::database::Database;
use jhe_server::serve::{self, Running};
use jhe_store::Store;
use reqwest::{Client, Method};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::balancer::Balancer;
use crate::clock::TestClock;
use crate::database::TestDb;
use crate::http::Call;

/// A running server on a database of its own.
pub struct TestServer {
    /// `http://localhost:<port>`.
    pub base: String,
    /// The time of the server.
    pub clock: Arc<TestClock>,
    running: Option<Running>,
    http: Client,
    database: TestDb,
}

impl TestServer {
    /// Starts a server with the demo data.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts a server with further variables set.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        Box::pin(Self::on(TestDb::new().await, variables)).await
    }

    /// Starts a server on a database.
    pub async fn on(database: TestDb, variables: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let base = format!("http://localhost:{port}");
        let mut environment = vec![
            ("SITE_URL".to_owned(), base.clone()),
            ("DATABASE_URL".to_owned(), database.url.clone()),
            ("JHE_DB_POOL".to_owned(), "8".to_owned()),
            // Tests share a machine that may be slow; those about an overload set a patience of their own.
            ("JHE_LOGIN_WAIT_MS".to_owned(), "60000".to_owned()),
            ("JHE_DB_ACQUIRE_TIMEOUT".to_owned(), "60".to_owned()),
        ];
        environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::read(environment, None).expect("a configuration");
        let clock = Arc::new(TestClock::default());
        let reached = Database::open(&config).await.expect("the database");
        let (store, audit) = reached.connect().await.expect("the database");
        jhe_app::seed::follow_site(&store, config.site.url.as_str()).await.expect("the site moves");
        audit.stop().await;
        store.close().await;
        let running =
            serve::start(&reached, config, Arc::<TestClock>::clone(&clock), vec![listener]).await.expect("a server");
        let http =
            Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().expect("an HTTP client");
        Self { base, clock, running: Some(running), http, database }
    }

    /// Sends what follows to a balancer instead, each request on a connection of its own.
    pub fn go_through(&mut self, balancer: &Balancer) {
        self.base.clone_from(&balancer.base);
        self.http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .expect("an HTTP client");
    }

    /// What the server's handlers hold.
    pub fn app(&self) -> &App {
        &self.running.as_ref().expect("a running server").app
    }

    /// Where metrics are told, when they are.
    pub fn metrics_url(&self) -> String {
        let address =
            self.running.as_ref().and_then(|running| running.metrics_address).expect("an address for metrics");
        format!("http://{address}/metrics")
    }

    /// Tells the server to stop, and goes on while it does. What is then left of the server is [`TestServer::stop`].
    pub fn begin_stop(&mut self) -> JoinHandle<()> {
        let running = self.running.take().expect("a running server");
        tokio::spawn(running.stop())
    }

    /// Its database, for a second server.
    pub fn database(&self) -> TestDb {
        self.database.clone()
    }

    /// The store, for looking at rows behind the API.
    pub fn store(&self) -> &Store {
        self.app().store()
    }

    /// The first column of the first row, as text.
    pub async fn scalar(&self, sql: &'static str) -> String {
        self.store().scalar_raw(sql).await.expect("a statement that works").unwrap_or_default()
    }

    /// The same once the server has been told to stop, over a connection of its own.
    pub async fn scalar_of_stopped(&self, sql: &'static str) -> String {
        let (store, audit) = Store::connect(&self.database.options()).await.expect("the database");
        let value = store.scalar_raw(sql).await.expect("a statement that works").unwrap_or_default();
        audit.stop().await;
        store.close().await;
        value
    }

    /// Runs statements behind the API.
    pub async fn execute(&self, sql: &'static str) {
        self.store().execute_raw(sql).await.expect("a statement that works");
    }

    /// Sets a setting, which this server knows of at once: the kind of its value, and the value as SQL.
    pub async fn set(&self, key: &str, kind: &str, value: &str) {
        let sql = format!(
            "INSERT INTO core_jhesetting (key, value_type, value_{kind}) VALUES ('{key}', '{kind}', {value})
             ON CONFLICT (key) DO UPDATE SET value_type = EXCLUDED.value_type, value_string = EXCLUDED.value_string,
                 value_int = EXCLUDED.value_int, value_bool = EXCLUDED.value_bool, value_float = EXCLUDED.value_float,
                 value_json = EXCLUDED.value_json"
        );
        self.execute(sql.leak()).await;
        self.app().settings().reload().await.expect("the settings are read");
    }

    /// A request.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        Call::new(self.http.request(method, url))
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// `POST`.
    pub fn post(&self, path: &str) -> Call {
        self.call(Method::POST, path)
    }

    /// `PATCH`.
    pub fn patch(&self, path: &str) -> Call {
        self.call(Method::PATCH, path)
    }

    /// `PUT`.
    pub fn put(&self, path: &str) -> Call {
        self.call(Method::PUT, path)
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// Stops the server and removes its database. A test that fails before keeps both for a look.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await;
        }
        self.database.drop_database().await;
    }
}
