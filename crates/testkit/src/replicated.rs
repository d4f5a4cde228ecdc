//! A database with a streaming replica, on clusters of their own.

use std::path::PathBuf;

use jhe_domain::Secret;
use jhe_pg::{Cluster, ClusterOptions};
use jhe_store::{AuditWriter, DatabaseOptions, Store};
use uuid::Uuid;

use crate::database::{TestDb, with_database};

/// Two clusters, the second of which follows the first.
pub struct Replicated {
    /// The database on the first, with the demo data.
    pub database: TestDb,
    /// The same on the second, for reading only.
    pub replica_url: String,
    replica: Store,
    audit: AuditWriter,
    clusters: Vec<Cluster>,
    folder: PathBuf,
}

impl Replicated {
    /// Makes both.
    pub async fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("jhe-replicated-{}", Uuid::new_v4().simple()));
        let options = |name: &str| ClusterOptions {
            folder: folder.join(name).join("postgres"),
            durable: false,
            // Without it a replica would wait for what is acknowledged before it is written.
            settings: vec![("synchronous_commit".to_owned(), "on".to_owned())],
        };
        let (first, second) = (options("first"), options("second"));
        let primary = tokio::task::spawn_blocking(move || Cluster::start(&first)).await.unwrap().expect("a cluster");
        let database = TestDb::on(Secret::new(primary.url("postgres"))).await;
        let (primary, replica) = tokio::task::spawn_blocking(move || {
            primary.copy_to(&second.folder).expect("a replica");
            let replica = Cluster::start(&second).expect("a replica that starts");
            (primary, replica)
        })
        .await
        .unwrap();
        let replica_url = with_database(&replica.url("postgres"), database.name());
        let (store, audit) =
            Store::connect(&DatabaseOptions { max_connections: 2, ..DatabaseOptions::new(replica_url.clone()) })
                .await
                .expect("the replica can be reached");
        Self { database, replica_url, replica: store, audit, clusters: vec![replica, primary], folder }
    }

    /// The first column of the first row on the replica, as text.
    pub async fn scalar(&self, sql: &'static str) -> String {
        self.replica.scalar_raw(sql).await.expect("a statement that works").unwrap_or_default()
    }

    /// Stops the replica, as a failing machine would.
    pub async fn stop_replica(&mut self) {
        let mut replica = self.clusters.remove(0);
        tokio::task::spawn_blocking(move || replica.stop()).await.unwrap().expect("the replica stops");
    }

    /// Stops both and removes what they held.
    pub async fn stop(self) {
        self.audit.stop().await;
        self.replica.close().await;
        let (clusters, folder) = (self.clusters, self.folder);
        tokio::task::spawn_blocking(move || {
            for mut cluster in clusters {
                cluster.stop().ok();
            }
            std::fs::remove_dir_all(folder).ok();
        })
        .await
        .unwrap();
    }
}
