//! The `domicile` binary: parses the command line, runs it, and prints an error with its causes, once.

use std::process::ExitCode;

use clap::Parser;
use domicile::cli::Cli;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| "info".to_owned());
    // The control plane's libraries log every refused stranger as an error, and s3s every refused request; at debug it logs
    // object keys. Quiet, unless asked for.
    let filter = EnvFilter::new(format!("{},s3s=off,{wanted}", domicile_swarm::LOG_DIRECTIVES));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("domicile: {error:#}");
            ExitCode::FAILURE
        }
    }
}
