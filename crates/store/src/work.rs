//! The store and its units of work.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jhe_authz::port::Attribution;
use jhe_domain::audit::{AuditAction, AuditEntry};
use jhe_domain::error::Error;
use jhe_domain::{ApplicationId, Secret, UserId};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, SqlStr, Transaction};
use tokio::sync::mpsc;

use crate::audit::{self, AuditWriter, Batch, Line, Message};
use crate::bearer::Register;
use crate::fault::{self, Db};
use crate::gather::Gather;
use crate::moment::{self, Moment, Moments};
use crate::pool;
use crate::replica::Replicas;
use crate::request::{RequestFacts, Trail};

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// `postgres://…`, with the user named.
    pub url: Secret,
    /// Connections at most.
    pub max_connections: u32,
    /// How long a request waits for one.
    pub acquire_timeout: Duration,
    /// How long a connection is kept that nobody uses.
    pub idle_timeout: Duration,
    /// How long a statement may take.
    pub statement_timeout: Duration,
    /// Replicas that may answer searches.
    pub read_urls: Vec<Secret>,
    /// Statements that take longer are noted in the log.
    pub slow_statement: Option<Duration>,
}

impl DatabaseOptions {
    /// Defaults for a URL.
    pub fn new(url: String) -> Self {
        Self {
            url: Secret::new(url),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_mins(10),
            statement_timeout: Duration::from_secs(30),
            read_urls: Vec::new(),
            slow_statement: None,
        }
    }

    pub(crate) fn connect_options(&self) -> Result<PgConnectOptions, Error> {
        let options = PgConnectOptions::from_str(self.url.reveal()).db()?.statement_cache_capacity(512);
        Ok(pool::log_slow(options, self.slow_statement))
    }

    /// Options of connections that serve requests.
    fn serving(&self, url: &Secret) -> Result<PgConnectOptions, Error> {
        let connect = PgConnectOptions::from_str(url.reveal()).db()?.statement_cache_capacity(512);
        Ok(pool::log_slow(connect, self.slow_statement).options([
            ("statement_timeout", self.statement_timeout.as_millis().to_string()),
            ("lock_timeout", "10000".to_owned()),
            ("timezone", "UTC".to_owned()),
            // The same few statements are asked all day: to plan them anew each time costs more than to run them.
            ("plan_cache_mode", "force_generic_plan".to_owned()),
            ("jit", "off".to_owned()),
            ("application_name", CONNECTION_NAME.to_owned()),
        ]))
    }
}

/// What connections are called in the database.
pub(crate) const CONNECTION_NAME: &str = "jhe";

/// How long a connection may lie idle and is taken without trying it.
const TRUSTED: Duration = Duration::from_secs(1);

/// The database, as units of work. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
    /// The connection by which the audit trail is written.
    trail: PgPool,
    replicas: Replicas,
    pub(crate) audit: mpsc::Sender<Message>,
    /// Where bearer tokens line up.
    pub(crate) bearers: Arc<Gather<Register>>,
    /// Where searches line up that ask for the moment.
    moments: Arc<Gather<Moments>>,
}

impl Store {
    /// Connects, and starts the audit writer.
    pub async fn connect(options: &DatabaseOptions) -> Result<(Self, AuditWriter), Error> {
        let serving = options.serving(&options.url)?;
        let connected = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .idle_timeout(options.idle_timeout)
            // A ping before each use would double the round trips of a point query.
            .test_before_acquire(false)
            // But one that may have broken is tried, so that no request meets what a restart of the database left behind.
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    let suspect = meta.idle_for >= TRUSTED || fault::broke_within(meta.idle_for);
                    Ok(!suspect || connection.ping().await.is_ok())
                })
            })
            .connect_with(serving.clone())
            .await;
        if matches!(connected, Err(sqlx::Error::PoolTimedOut)) {
            // A pool does not tell why; a single connection does.
            let single = tokio::time::timeout(options.acquire_timeout, PgConnection::connect_with(&serving));
            if let Ok(outcome) = Box::pin(single).await {
                outcome.db()?;
            }
        }
        let pool = connected.db()?;
        let replicas = options.read_urls.iter().map(|url| options.serving(url)).collect::<Result<_, _>>()?;
        let replicas = Replicas::new(replicas, options.max_connections);
        // A connection of its own: answers that only wait for their entry must not stand in line behind new requests.
        let trail = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(options.serving(&options.url)?);
        let (sender, writer) = AuditWriter::start(trail.clone());
        let bearers = Arc::new(Gather::start(Register(pool.clone())));
        let moments = Arc::new(Gather::start(Moments(pool.clone())));
        Ok((Self { pool, trail, replicas, audit: sender, bearers, moments }, writer))
    }

    /// A unit of work that reads.
    pub async fn read(&self) -> Result<Work, Error> {
        let place = self.audit.clone().reserve_owned().await.map_err(Error::internal)?;
        let connection = pool::measured(self.pool.acquire()).await.db()?;
        Ok(Work::new(Connection::Read(connection), Some(place), self.audit.clone()))
    }

    /// A unit of work that searches: on a replica where there is one that knows all that the primary knows by now.
    pub async fn search(&self) -> Result<Work, Error> {
        if self.replicas.is_empty() {
            return self.read().await;
        }
        let place = self.audit.clone().reserve_owned().await.map_err(Error::internal)?;
        if let Some((connection, moment)) = self.replicas.connection(&self.pool).await {
            let mut work = Work::new(Connection::Read(connection), Some(place), self.audit.clone());
            work.moment = Some(moment);
            return Ok(work);
        }
        let connection = pool::measured(self.pool.acquire()).await.db()?;
        Ok(Work::new(Connection::Read(connection), Some(place), self.audit.clone()))
    }

    /// A unit of work that searches and knows the moment before it did: for first pages. Those that begin at the same time
    /// share the question, which comes before they have a connection in hand.
    pub async fn search_from_now(&self) -> Result<Work, Error> {
        if !self.replicas.is_empty() {
            return self.search().await;
        }
        let moment = self.moments.ask(()).await?;
        let mut work = self.search().await?;
        work.moment = Some(moment);
        Ok(work)
    }

    /// A unit of work of which one statement writes, and all that it writes: for that a transaction would be two round trips
    /// more. Its entries in the audit trail are part of that statement, or follow it.
    pub async fn single(&self) -> Result<Work, Error> {
        self.read().await
    }

    /// A unit of work that writes: all of it with [`Work::commit`], else nothing.
    pub async fn begin(&self) -> Result<Work, Error> {
        Ok(Work::new(Connection::Write(pool::measured(self.pool.begin()).await.db()?), None, self.audit.clone()))
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await.db()?;
        Ok(())
    }

    /// Closes all connections.
    pub async fn close(&self) {
        self.replicas.close().await;
        self.trail.close().await;
        self.pool.close().await;
    }
}

#[derive(Debug)]
enum Connection {
    /// Each statement for itself.
    Read(PoolConnection<Postgres>),
    /// A transaction: what is not committed is taken back.
    Write(Transaction<'static, Postgres>),
    /// After the commit, which consumes the work: nobody can ask for it any more.
    Ended,
}

/// A unit of work on one connection.
#[derive(Debug)]
pub struct Work {
    /// Present until the work ends.
    connection: Connection,
    pub(crate) who: Attribution,
    /// The request it is part of.
    request: Option<Arc<Trail>>,
    told: bool,
    /// What it was to make was there already.
    made_nothing: bool,
    /// The moment before it began, where that is known.
    moment: Option<Moment>,
    entries: Vec<AuditEntry>,
    /// Entries about what the transaction itself stores for good: written soon after its commit.
    following: Vec<AuditEntry>,
    writer: mpsc::Sender<Message>,
    place: Option<mpsc::OwnedPermit<Message>>,
}

impl Work {
    fn new(connection: Connection, place: Option<mpsc::OwnedPermit<Message>>, writer: mpsc::Sender<Message>) -> Self {
        let who = Attribution { user_id: None, application_id: None, kind: "system", ip: None };
        let request = Trail::current();
        let (entries, following) = (Vec::new(), Vec::new());
        Self {
            connection,
            who,
            request,
            told: false,
            made_nothing: false,
            moment: None,
            entries,
            following,
            writer,
            place,
        }
    }

    #[expect(clippy::unreachable, reason = "a work is consumed by its commit, so no caller is left to see it ended")]
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        match &mut self.connection {
            Connection::Read(connection) => connection,
            Connection::Write(transaction) => transaction,
            Connection::Ended => unreachable!(),
        }
    }

    /// The database's clock, which stamps what it stores.
    pub async fn database_time(&mut self) -> Result<chrono::DateTime<chrono::Utc>, Error> {
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(self.connection()).await.db()
    }

    /// The moment, to be asked for before rows are read.
    pub async fn moment(&mut self) -> Result<Moment, Error> {
        if let Some(moment) = self.moment {
            return Ok(moment);
        }
        moment::now(self.connection()).await
    }

    /// From now on a reading unit of work sees the database as it is now, so that a number and the rows it counts agree.
    pub async fn hold(&mut self) -> Result<(), Error> {
        const STILL: SqlStr = SqlStr::from_static("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        match std::mem::replace(&mut self.connection, Connection::Ended) {
            Connection::Read(connection) => {
                self.connection = Connection::Write(Transaction::begin(connection, Some(STILL)).await.db()?);
            }
            other => self.connection = other,
        }
        Ok(())
    }

    /// Waits for its turn among the units of work that stand in the same line, until the end of this one.
    pub async fn queue_up(&mut self, line: &'static str) -> Result<(), Error> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(line)
            .execute(self.connection())
            .await
            .db()?;
        Ok(())
    }

    /// Whom the entries of this unit of work are about, where no actor stands behind it: the account and the client of
    /// a sign-in or a grant, and where they come from.
    pub fn attribute(&mut self, user: Option<UserId>, client: Option<ApplicationId>, ip: Option<IpAddr>) {
        self.who.user_id = user.or(self.who.user_id);
        self.who.application_id = client.or(self.who.application_id);
        self.who.ip = ip.or(self.who.ip);
    }

    /// Who acts in this unit of work.
    pub const fn who(&self) -> Attribution {
        self.who
    }

    /// Who acts, and in which request, for changes that are stored outside of this unit of work.
    pub fn sender(&self) -> Sender {
        Sender { who: self.who, request: self.facts(), status: self.status() }
    }

    /// What this unit of work was to make was there already, which is answered otherwise.
    pub fn was_there_already(&mut self) {
        self.made_nothing = true;
    }

    /// The status of the answer, as it was announced.
    fn status(&self) -> Option<u16> {
        let answers = self.request.as_ref()?.answers()?;
        Some(if self.made_nothing { answers.there_already } else { answers.done })
    }

    /// The same for one entry.
    fn status_of(&self, action: AuditAction) -> Option<u16> {
        let refused = matches!(action, AuditAction::LoginFailed | AuditAction::Lockout | AuditAction::TokenReuse);
        if refused { Some(self.request.as_ref()?.answers()?.refused) } else { self.status() }
    }

    fn facts(&self) -> Option<Arc<RequestFacts>> {
        self.request.as_ref().map(|request| Arc::clone(request.facts()))
    }

    /// Adds an event of signing in or of tokens to the audit trail of this unit of work.
    pub fn audit_event(&mut self, action: AuditAction, resource: &'static str, id: Option<i64>) {
        let mut entry = AuditEntry::new(action, resource);
        entry.resource_id = id;
        self.audit(entry);
    }

    /// As [`Work::audit_event`], for what is frequent and proved by the rows of the transaction: handed to the writer
    /// after the commit, so that the commit need not wait for it.
    pub fn audit_event_later(&mut self, action: AuditAction, resource: &'static str, id: Option<i64>) {
        let mut entry = AuditEntry::new(action, resource);
        entry.resource_id = id;
        self.following.push(entry);
    }

    /// Hands the writer an entry about what was stored for good on behalf of somebody, and proves it by its rows.
    pub(crate) async fn note_for(&self, sender: &Sender, entry: AuditEntry) {
        let batch = Batch {
            facts: sender.request.clone(),
            status: sender.status,
            entries: vec![(sender.who, entry)],
            done: None,
        };
        if self.writer.send(Message::Batch(batch)).await.is_err() {
            tracing::error!("audit entries came after the writer had ended");
        }
    }

    /// Adds an entry to the audit trail of this unit of work.
    pub(crate) fn audit(&mut self, entry: AuditEntry) {
        self.entries.push(entry);
    }

    /// Tells the database who acts, for the consent history that its triggers keep.
    pub(crate) async fn tell_actor(&mut self) -> Result<(), Error> {
        if !self.told {
            let who = self.who;
            let text = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
            sqlx::query(
                "SELECT set_config('jhe.actor_user_id', $1, true), set_config('jhe.actor_kind', $2, true),
                        set_config('jhe.application_id', $3, true)",
            )
            .bind(text(who.user_id.map(|id| id.0)))
            .bind(who.kind)
            .bind(text(who.application_id.map(|id| id.0)))
            .execute(self.connection())
            .await
            .db()?;
            self.told = true;
        }
        Ok(())
    }

    /// Commits a writing unit of work together with its audit entries.
    pub async fn commit(mut self) -> Result<(), Error> {
        let entries = std::mem::take(&mut self.entries);
        let (who, facts) = (self.who, self.facts());
        let statuses: Vec<_> = entries.iter().map(|entry| self.status_of(entry.action)).collect();
        let lines = entries.iter().zip(statuses);
        let lines = lines.map(|(entry, status)| Line { who: &who, facts: facts.as_deref(), status, entry });
        audit::insert(self.connection(), &lines.collect::<Vec<_>>()).await?;
        if let Connection::Write(transaction) = std::mem::replace(&mut self.connection, Connection::Ended)
            && let Err(error) = transaction.commit().await
        {
            self.following.clear();
            return Err(error).db();
        }
        if let Some(request) = &self.request {
            request.count(entries.len() + self.following.len());
        }
        let entries: Vec<_> = std::mem::take(&mut self.following).into_iter().map(|entry| (who, entry)).collect();
        let batch = Batch { facts, status: self.status(), entries, done: None };
        if !batch.entries.is_empty() && self.writer.send(Message::Batch(batch)).await.is_err() {
            tracing::error!("audit entries came after the writer had ended");
        }
        Ok(())
    }
}

impl Work {
    /// Hands over what follows a commit that nobody waited for any more: the database ends it all the same.
    fn tell_of_the_end(&mut self) {
        if self.following.is_empty() || !matches!(self.connection, Connection::Ended) {
            return;
        }
        let entries = std::mem::take(&mut self.following).into_iter().map(|entry| (self.who, entry)).collect();
        let batch = Batch { facts: self.facts(), status: self.status(), entries, done: None };
        if self.writer.try_send(Message::Batch(batch)).is_err() {
            tracing::error!("audit entries of a commit found no place");
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return self.tell_of_the_end() };
        let mut entries = std::mem::take(&mut self.entries);
        entries.append(&mut self.following);
        if entries.is_empty() {
            return;
        }
        if let Some(request) = &self.request {
            request.take_over(self.who, entries, Some(place));
        } else {
            let entries = entries.into_iter().map(|entry| (self.who, entry)).collect();
            place.send(Message::Batch(Batch { facts: None, status: None, entries, done: None }));
        }
    }
}

/// Who sends a change, and in which request.
#[derive(Debug, Clone)]
pub struct Sender {
    pub(crate) who: Attribution,
    pub(crate) request: Option<Arc<RequestFacts>>,
    /// What the request is about to be answered with.
    pub(crate) status: Option<u16>,
}

impl Sender {
    /// An account, if there is one, through a client, in the request under way.
    pub fn of_client(user: Option<UserId>, client: ApplicationId, ip: Option<IpAddr>) -> Self {
        let who = Attribution { user_id: user, application_id: Some(client), kind: "system", ip };
        let trail = Trail::current();
        let status = trail.as_ref().and_then(|trail| trail.answers()).map(|answers| answers.done);
        Self { who, request: trail.map(|trail| Arc::clone(trail.facts())), status }
    }
}
