//! Makes, starts, finds and stops a cluster.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::account::Account;
use crate::{At as _, PgError, binaries, folder};

/// What kind of cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Folder of the cluster itself. Beside it lie its password, its log and its lock.
    pub folder: PathBuf,
    /// Survives a crash of the machine. Off only for folders that are thrown away.
    pub durable: bool,
    /// Further settings of the server.
    pub settings: Vec<(String, String)>,
}

/// A running cluster. The one who started it stops it, at the latest when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    socket: PathBuf,
    password: String,
    child: Option<Child>,
}

const ACCOUNT: &str = "jhe";
const PORT: u16 = 5432;
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest path a Unix socket may have.
const SOCKET_PATH: usize = 107;

impl Cluster {
    /// Starts the cluster in a folder, making it first when it is not there; joins it when it is running.
    pub fn start(options: &ClusterOptions) -> Result<Self, PgError> {
        let binaries = binaries::folder()?;
        let account = Account::to_drop_to()?;
        let home = options.folder.parent().unwrap_or(Path::new("/")).to_path_buf();
        folder::prepare(&home, account)?;
        let lock_path = home.join("postgres.lock");
        let lock = File::create(&lock_path).at(&lock_path)?;
        lock.lock().at(&lock_path)?;

        let password_path = home.join("postgres.password");
        if !options.folder.join("PG_VERSION").is_file() {
            initialize(&binaries, options, account, &password_path)?;
        }
        let password = std::fs::read_to_string(&password_path).at(&password_path)?.trim().to_owned();
        let socket = socket_folder(&home, account)?;
        if is_running(&options.folder) && accepts(&socket) {
            return Ok(Self { socket, password, child: None });
        }
        let child = launch(&binaries, options, account, &home, &socket)?;
        let mut cluster = Self { socket, password, child: Some(child) };
        cluster.wait_until_ready(&home)?;
        Ok(cluster)
    }

    /// Address of a database of the cluster.
    pub fn url(&self, database: &str) -> String {
        let socket = self.socket.display().to_string().replace('/', "%2F");
        format!("postgres://{ACCOUNT}:{}@localhost:{PORT}/{database}?host={socket}", self.password)
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

    /// Stops the server of a folder, whoever started it, as [`Cluster::stop`] does.
    pub fn stop_folder(folder: &Path) -> Result<(), PgError> {
        let text = std::fs::read_to_string(folder.join("postmaster.pid")).unwrap_or_default();
        let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else { return Ok(()) };
        if is_running(folder) {
            signal("INT", pid)?;
        }
        Ok(())
    }

    /// Stops a server this value started: connections end, what was committed is on disk.
    pub fn stop(&mut self) -> Result<(), PgError> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        signal("INT", child.id())?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(Some(_)) | Err(_) => return Ok(()),
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        signal("QUIT", child.id())?;
        child.wait().at("postgres")?;
        Ok(())
    }

    fn wait_until_ready(&mut self, home: &Path) -> Result<(), PgError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                self.child = None;
                return Err(PgError::NotReady(format!("it ended with {status}; {}", log_tail(home))));
            }
            if accepts(&self.socket) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(PgError::NotReady(log_tail(home)))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop().ok();
    }
}

fn signal(name: &str, pid: u32) -> Result<(), PgError> {
    Command::new("kill").args(["-s", name, &pid.to_string()]).stderr(Stdio::null()).status().at("kill")?;
    Ok(())
}

fn initialize(
    binaries: &Path,
    options: &ClusterOptions,
    account: Option<Account>,
    password_path: &Path,
) -> Result<(), PgError> {
    // What an interrupted earlier try left behind cannot be a cluster: it has no PG_VERSION yet.
    if options.folder.exists() {
        std::fs::remove_dir_all(&options.folder).at(&options.folder)?;
    }
    std::fs::create_dir(&options.folder).at(&options.folder)?;
    std::fs::set_permissions(&options.folder, std::fs::Permissions::from_mode(0o700)).at(&options.folder)?;
    write_private(password_path, &random_hex()?)?;
    if let Some(account) = account {
        let own = |path: &Path| std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)).at(path);
        own(&options.folder)?;
        own(password_path)?;
    }
    let mut command = Command::new(binaries.join("initdb"));
    command
        .args([
            "--no-sync",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--lc-ctype=C.UTF-8",
            "-U",
            ACCOUNT,
        ])
        .arg("--pwfile")
        .arg(password_path)
        .arg("-D")
        .arg(&options.folder);
    prepare_command(&mut command, account);
    let output = command.output().at("initdb")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        return Err(PgError::Failed { program: "initdb", output: text });
    }
    Ok(())
}

fn launch(
    binaries: &Path,
    options: &ClusterOptions,
    account: Option<Account>,
    home: &Path,
    socket: &Path,
) -> Result<Child, PgError> {
    let log_path = home.join("postgres.log");
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&log_path).at(&log_path)?;
    let mut command = Command::new(binaries.join("postgres"));
    command.arg("-D").arg(&options.folder).arg("-k").arg(socket).args(["-p", &PORT.to_string()]);
    let mut set = |name: &str, value: &str| {
        command.arg("-c").arg(format!("{name}={value}"));
    };
    set("listen_addresses", "");
    set("max_connections", "200");
    set("timezone", "UTC");
    set("log_timezone", "UTC");
    if !options.durable {
        for name in ["fsync", "full_page_writes", "synchronous_commit"] {
            set(name, "off");
        }
    }
    for (name, value) in &options.settings {
        set(name, value);
    }
    prepare_command(&mut command, account);
    let errors = log.try_clone().at(&log_path)?;
    // A group of its own: Ctrl-C at the terminal must reach us, not the database below us.
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    command.spawn().at("postgres")
}

fn prepare_command(command: &mut Command, account: Option<Account>) {
    command.current_dir("/").env_remove("PGDATA").env("LC_ALL", "C.UTF-8");
    if let Some(account) = account {
        account.run_as(command);
    }
}

/// The folder of the socket: beside the data, or a short path for a long one. Only root and the account get in.
fn socket_folder(home: &Path, account: Option<Account>) -> Result<PathBuf, PgError> {
    let beside = home.join("socket");
    let longest = beside.join(format!(".s.PGSQL.{PORT}.lock"));
    let socket = if longest.as_os_str().len() <= SOCKET_PATH {
        beside
    } else {
        std::env::temp_dir().join(format!("jhe-{}", folder::digest(home)))
    };
    std::fs::create_dir_all(&socket).at(&socket)?;
    let meta = std::fs::symlink_metadata(&socket).at(&socket)?;
    let owner = std::fs::metadata("/proc/self").at("/proc/self")?.uid();
    let expected = [Some(owner), account.map(|account| account.uid)];
    if !meta.is_dir() || !expected.contains(&Some(meta.uid())) {
        let source = std::io::Error::other("belongs to somebody else");
        return Err(PgError::Io { path: socket, source });
    }
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o700)).at(&socket)?;
    if let Some(account) = account {
        std::os::unix::fs::chown(&socket, Some(account.uid), Some(account.gid)).at(&socket)?;
    }
    Ok(socket)
}

/// Whether `postmaster.pid` names a living PostgreSQL of this folder. A stale file is left to the server to replace.
fn is_running(folder: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join("postmaster.pid")) else { return false };
    let Some(pid) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else { return false };
    let Ok(command) = std::fs::read(format!("/proc/{pid}/cmdline")) else { return false };
    let wanted = folder.as_os_str().as_encoded_bytes();
    command.split(|byte| *byte == 0).any(|argument| argument == wanted)
}

/// Whether a server takes connections: it listens before it is ready, so ask it to begin a session.
fn accepts(socket: &Path) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = UnixStream::connect(socket.join(format!(".s.PGSQL.{PORT}")))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let parameters = format!("user\0{ACCOUNT}\0database\0postgres\0\0");
        let length = u32::try_from(parameters.len() + 8).unwrap_or_default();
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&196_608_u32.to_be_bytes())?;
        stream.write_all(parameters.as_bytes())?;
        let mut kind = [0_u8; 1];
        stream.read_exact(&mut kind)?;
        // R: asks for the password, so it is ready. E: still starting up.
        Ok(kind == *b"R")
    };
    ask().unwrap_or(false)
}

fn log_tail(home: &Path) -> String {
    let text = std::fs::read_to_string(home.join("postgres.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(5).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

fn write_private(path: &Path, text: &str) -> Result<(), PgError> {
    if path.exists() {
        std::fs::remove_file(path).at(path)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).at(path)?;
    file.write_all(text.as_bytes()).at(path)
}

/// 256 random bits from the system.
fn random_hex() -> Result<String, PgError> {
    let mut bytes = [0_u8; 32];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).at("/dev/urandom")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("jhe-pg-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn options(&self) -> ClusterOptions {
            ClusterOptions { folder: self.0.join("postgres"), durable: false, settings: Vec::new() }
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn a_cluster_is_made_joined_stopped_and_recovered() {
        let scratch = Scratch::new("life");
        let options = scratch.options();
        let mut first = Cluster::start(&options).unwrap();
        assert!(first.owned());
        let second = Cluster::start(&options).unwrap();
        assert!(!second.owned());
        assert_eq!(first.url("x"), second.url("x"));
        drop(second);
        assert!(accepts(first.socket_dir()), "leaving a joined cluster must not stop it");
        // Killed without warning, as a power cut would: the next start recovers.
        let pid = first.child.as_ref().unwrap().id();
        signal("KILL", pid).unwrap();
        first.child.take().unwrap().wait().unwrap();
        let mut third = Cluster::start(&options).unwrap();
        assert!(third.owned());
        third.stop().unwrap();
        assert!(!accepts(third.socket_dir()));
    }
}
