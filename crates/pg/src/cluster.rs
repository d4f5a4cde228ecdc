//! Starts, finds and stops a cluster.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::log::Log;
use crate::{At as _, PgError, binaries, folder, initialize, postmaster, socket};

/// What kind of cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Folder of the cluster itself. Beside it lie its password, its log, its lock and its socket.
    pub folder: PathBuf,
    /// Survives a crash of the machine. Off only for folders that are thrown away.
    pub durable: bool,
    /// Further settings of the server; they win over ours.
    pub settings: Vec<(String, String)>,
}

/// A running cluster. The one who started it stops it, at the latest when it is dropped.
pub struct Cluster {
    socket: PathBuf,
    password: String,
    child: Option<Child>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("socket", &self.socket).field("owned", &self.owned()).finish_non_exhaustive()
    }
}

const USER: &str = "jhe";
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);
/// What a new server says when what a killed one left behind has not ended yet.
const RIVAL: [&str; 2] = ["is still in use", "already exists"];

impl Cluster {
    /// Starts the cluster in a folder, making it first when it is not there; joins it when it is running, whoever
    /// started it. Waits for one that is still starting, stopping or recovering.
    pub fn start(options: &ClusterOptions) -> Result<Self, PgError> {
        let asked = std::path::absolute(&options.folder).at(&options.folder)?;
        let (Some(parent), Some(name)) = (asked.parent(), asked.file_name()) else {
            return Err(PgError::NotACluster(asked));
        };
        let account = Account::to_drop_to(&asked)?;
        let home = folder::prepare(parent, account)?;
        let folder = home.join(name);
        // One starter at a time; the lock ends with this function.
        let lock_path = home.join("postgres.lock");
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock_path).at(&lock_path)?;
        lock.lock().at(&lock_path)?;

        let password_path = home.join("postgres.password");
        initialize::ensure(&folder, USER, &password_path, account)?;
        let password = std::fs::read_to_string(&password_path).at(&password_path)?.trim().to_owned();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if postmaster::running(&folder).is_some() {
                if let Some(socket) = postmaster::socket(&folder).filter(|socket| socket::accepts(socket, USER)) {
                    return Ok(Self { socket, password, child: None });
                }
                if Instant::now() > deadline {
                    return Err(PgError::InUse(folder));
                }
                std::thread::sleep(PAUSE);
                continue;
            }
            let socket = socket::make_folder(&home, account)?;
            postmaster::forget_stale(&folder, &socket)?;
            let mut log = Log::open(&home, account)?;
            let child = launch(options, &folder, &socket, account, &log)?;
            let mut cluster = Self { socket, password: password.clone(), child: Some(child) };
            match cluster.wait_until_ready(deadline) {
                Ok(()) => return Ok(cluster),
                Err(why) => {
                    let said = log.tail();
                    if Instant::now() > deadline || !RIVAL.iter().any(|text| said.contains(text)) {
                        return Err(PgError::NotReady(format!("{why}; {said}")));
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }

    /// Address of a database of the cluster.
    pub fn url(&self, database: &str) -> String {
        let socket = encode(self.socket.as_os_str().as_encoded_bytes());
        let database = encode(database.as_bytes());
        format!("postgres://{USER}:{}@localhost:{}/{database}?host={socket}", self.password, socket::PORT)
    }

    /// Folder of the socket.
    pub fn socket_dir(&self) -> &Path {
        &self.socket
    }

    /// Whether this value started the server, and so will stop it.
    pub fn owned(&self) -> bool {
        self.child.is_some()
    }

    /// Leaves the server running when this value goes; whoever shares it stops it by [`Cluster::stop_folder`].
    pub fn leave_running(&mut self) {
        self.child = None;
    }

    /// Makes a replica in a folder, which follows this cluster by streaming once it is started with [`Cluster::start`].
    ///
    /// # Errors
    /// [`PgError::NotACluster`] when the folder holds something.
    pub fn copy_to(&self, folder: &Path) -> Result<(), PgError> {
        let asked = std::path::absolute(folder).at(folder)?;
        let (Some(parent), Some(name)) = (asked.parent(), asked.file_name()) else {
            return Err(PgError::NotACluster(asked));
        };
        let account = Account::to_drop_to(&asked)?;
        let home = folder::prepare(parent, account)?;
        let folder = home.join(name);
        if folder.exists() {
            return Err(PgError::NotACluster(folder));
        }
        std::fs::create_dir(&folder).at(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).at(&folder)?;
        if let Some(account) = account {
            account.own(&folder)?;
        }
        let mut command = Command::new(binaries::folder(&folder)?.join("pg_basebackup"));
        command.args([
            "--checkpoint=fast",
            "--wal-method=stream",
            "--write-recovery-conf",
            "--no-sync",
            "-U",
            USER,
            "-h",
        ]);
        command.arg(&self.socket).args(["-p", &socket::PORT.to_string(), "-D"]).arg(&folder);
        initialize::isolate(&mut command, account);
        command.env("PGPASSWORD", &self.password);
        let output = command.output().at("pg_basebackup")?;
        if !output.status.success() {
            let output = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            return Err(PgError::Failed { program: "pg_basebackup", output });
        }
        // Accounts of the copy are those of the original.
        initialize::write_private(&home.join("postgres.password"), &self.password)
    }

    /// Stops the server of a folder, whoever started it, and waits until it is gone. No server is no error.
    pub fn stop_folder(folder: &Path) -> Result<(), PgError> {
        let socket = postmaster::socket(folder);
        postmaster::stop(folder, PATIENCE)?;
        if let Some(socket) = socket {
            socket::clean(&socket);
        }
        Ok(())
    }

    /// Stops a server this value started: connections end, what was committed is on disk.
    pub fn stop(&mut self) -> Result<(), PgError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        if let Ok(None) = child.try_wait() {
            postmaster::signal("INT", child.id())?;
            if !ends(&mut child, Instant::now() + PATIENCE) {
                postmaster::signal("QUIT", child.id())?;
                child.wait().at("postgres")?;
            }
        }
        socket::clean(&self.socket);
        Ok(())
    }

    fn wait_until_ready(&mut self, deadline: Instant) -> Result<(), String> {
        while Instant::now() < deadline {
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                self.child = None;
                return Err(format!("it ended with {status}"));
            }
            if socket::accepts(&self.socket, USER) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("it took more than {} s", PATIENCE.as_secs()))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop().ok();
    }
}

fn ends(child: &mut Child, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(_)) | Err(_) => return true,
            Ok(None) => std::thread::sleep(PAUSE),
        }
    }
    false
}

fn launch(
    options: &ClusterOptions,
    folder: &Path,
    socket: &Path,
    account: Option<Account>,
    log: &Log,
) -> Result<Child, PgError> {
    let mut command = Command::new(binaries::folder(folder)?.join("postgres"));
    command.arg("-D").arg(folder).arg("-k").arg(socket).args(["-p", &socket::PORT.to_string()]);
    let mut set = |name: &str, value: &str| {
        command.arg("-c").arg(format!("{name}={value}"));
    };
    set("listen_addresses", "");
    set("max_connections", "200");
    set("timezone", "UTC");
    set("log_timezone", "UTC");
    // The details of an error quote the row it is about: personal data has no place in a log.
    set("log_error_verbosity", "terse");
    if !options.durable {
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            set(name, "off");
        }
    }
    for (name, value) in &options.settings {
        set(name, value);
    }
    initialize::isolate(&mut command, account);
    // A group of its own: Ctrl-C at the terminal must reach us, not the database below us.
    command.stdin(Stdio::null()).stdout(log.writer()?).stderr(log.writer()?).process_group(0);
    command.spawn().at("postgres")
}

/// Percent-encodes what is not unreserved in a URL (RFC 3986 §2.3).
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::scratch::Scratch;

    fn options(home: &Path) -> ClusterOptions {
        ClusterOptions { folder: home.join("postgres"), durable: false, settings: Vec::new() }
    }

    fn accepts(cluster: &Cluster) -> bool {
        socket::accepts(cluster.socket_dir(), USER)
    }

    #[test]
    fn a_cluster_is_made_joined_stopped_and_recovered() {
        let scratch = Scratch::new("life");
        let options = options(scratch.path());
        // What an interrupted start leaves behind is no cluster.
        let unfinished = scratch.path().join("postgres.new");
        std::fs::create_dir(&unfinished).unwrap();
        std::fs::write(unfinished.join("PG_VERSION"), "15\n").unwrap();
        let mut first = Cluster::start(&options).unwrap();
        assert!(first.owned());
        assert!(!unfinished.exists());
        let password = scratch.path().join("postgres.password");
        assert_eq!(std::fs::metadata(&password).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{first:?}").contains(&std::fs::read_to_string(&password).unwrap()));

        let second = Cluster::start(&options).unwrap();
        assert!(!second.owned());
        assert_eq!(first.url("x"), second.url("x"));
        drop(second);
        assert!(accepts(&first), "leaving a joined cluster must not stop it");

        // Killed without warning, as a power cut would: the next start recovers.
        let mut child = first.child.take().unwrap();
        postmaster::signal("KILL", child.id()).unwrap();
        child.wait().unwrap();
        let mut third = Cluster::start(&options).unwrap();
        assert!(third.owned());
        assert_eq!(first.url("x"), third.url("x"));
        third.stop().unwrap();
        assert!(!accepts(&third));

        let again = Cluster::start(&options).unwrap();
        assert!(again.owned() && accepts(&again));
        let socket = again.socket_dir().to_path_buf();
        drop(again);
        assert!(!socket::accepts(&socket, USER), "dropping the owner stops the server");
    }

    #[test]
    fn a_server_killed_and_never_buried_does_not_block_the_next() {
        let scratch = Scratch::new("zombie");
        let options = options(scratch.path());
        let mut first = Cluster::start(&options).unwrap();
        let mut child = first.child.take().unwrap();
        postmaster::signal("KILL", child.id()).unwrap();
        let second = Cluster::start(&options).unwrap();
        assert!(second.owned());
        child.wait().unwrap();
    }

    #[test]
    fn a_server_whose_starter_was_killed_is_joined_and_can_be_stopped() {
        let scratch = Scratch::new("orphan");
        // Known by another name, too.
        let (real, link) = (scratch.path().join("real"), scratch.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut first = Cluster::start(&options(&real)).unwrap();
        first.leave_running();
        drop(first);
        let joined = Cluster::start(&options(&link)).unwrap();
        assert!(!joined.owned() && accepts(&joined));
        Cluster::stop_folder(&real.join("postgres")).unwrap();
        assert!(!accepts(&joined));
        Cluster::stop_folder(&real.join("postgres")).unwrap();
    }

    #[test]
    fn one_that_is_stopping_is_waited_for() {
        let scratch = Scratch::new("stopping");
        let options = options(scratch.path());
        let first = Cluster::start(&options).unwrap();
        postmaster::signal("INT", first.child.as_ref().unwrap().id()).unwrap();
        // Joined in its last moment, or started anew: both are answers, an error is not.
        Cluster::start(&options).unwrap().stop().unwrap();
    }

    #[test]
    fn a_long_path_gets_a_socket_elsewhere_which_is_removed() {
        let scratch = Scratch::new("long");
        let home = scratch.path().join("x".repeat(100));
        let mut cluster = Cluster::start(&options(&home)).unwrap();
        assert!(cluster.socket_dir().starts_with("/tmp") && !cluster.socket_dir().starts_with(scratch.path()));
        assert!(accepts(&cluster));
        cluster.stop().unwrap();
        assert!(!cluster.socket_dir().exists());
    }

    #[test]
    fn the_files_of_others_are_left_alone() {
        let scratch = Scratch::new("others");
        let options = options(scratch.path());
        std::fs::create_dir(&options.folder).unwrap();
        let file = options.folder.join("thesis.txt");
        std::fs::write(&file, "mine").unwrap();
        assert!(matches!(Cluster::start(&options), Err(PgError::NotACluster(_))));
        assert_eq!(std::fs::read_to_string(file).unwrap(), "mine");
    }

    #[test]
    fn a_server_that_cannot_start_says_why() {
        let scratch = Scratch::new("why");
        let settings = vec![("max_connections".to_owned(), "many".to_owned())];
        let error = Cluster::start(&ClusterOptions { settings, ..options(scratch.path()) }).unwrap_err().to_string();
        assert!(error.contains("max_connections") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn addresses_are_encoded() {
        assert_eq!(encode(b"/srv/a b&c"), "%2Fsrv%2Fa%20b%26c");
    }
}
