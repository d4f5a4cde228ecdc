//! Starts and stops the private PostgreSQL cluster.
