//! The `domicile` binary: parses the command line, runs it, and prints an error with its causes, once.

use std::process::ExitCode;

use clap::Parser;
use domicile::cli::Cli;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("domicile: {error:#}");
            ExitCode::FAILURE
        }
    }
}
