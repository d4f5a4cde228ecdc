//! The jhe binary: commands, wiring, lifecycle.
