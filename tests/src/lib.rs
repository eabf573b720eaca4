//! What the end-to-end tests share: the demo as a process, and what `cargo xtask test` tells them.

pub mod demo;
pub mod faults;
pub mod fuzz;
pub mod reports;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// The path in an environment variable that `cargo xtask test` sets.
///
/// # Errors
/// A bare `cargo test` has neither the program nor the clients, and must not pass for a test that had them.
pub fn given(variable: &str) -> Result<PathBuf> {
    let value = std::env::var_os(variable).map(PathBuf::from);
    value.with_context(|| {
        format!("{variable} is not set: run `cargo xtask test`, which builds and installs what this needs")
    })
}
