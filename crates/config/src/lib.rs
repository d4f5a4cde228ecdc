//! Typed settings from environment and TOML, with masked secrets.
