//! Test harness: databases, servers, the cast.
