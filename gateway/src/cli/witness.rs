//! `domicile witness`

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use domicile_compliance::audit::VerifierKey;

use crate::clock::Clock;
use crate::witness::{Witness, serve};

/// What a witness is told.
#[derive(Debug, Args)]
pub(super) struct WitnessArgs {
    /// The witness's own folder: its key, and what it has seen. It must outlive the process.
    #[arg(long)]
    state: PathBuf,
    /// The witness's name: a URL without its scheme, such as officer.example/witness.
    #[arg(long)]
    name: String,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// The public key of a log to watch (`log.vkey` of an export, told by another way); several times for several.
    #[arg(long = "log", required = true)]
    logs: Vec<String>,
}

pub(super) async fn run(args: WitnessArgs) -> anyhow::Result<()> {
    let logs = args.logs.iter().map(|log| VerifierKey::parse(log).with_context(|| format!("--log {log:?}")));
    let logs = logs.collect::<anyhow::Result<Vec<_>>>()?;
    let witness = Witness::open(&args.state, &args.name, logs, Clock)?;
    let key = witness.key().to_string();
    let (server, bound) =
        serve(witness, args.listen).with_context(|| format!("{} cannot be listened on", args.listen))?;
    println!("{key}");
    println!(
        "listens on http://{bound}; the gateway asks it with\n\n[[witness]]\nurl = \"http://{bound}\"\nkey = \"{key}\""
    );
    let handle = server.handle();
    let running = tokio::spawn(server);
    super::serve::interrupted().await?;
    handle.stop(true).await;
    running.await??;
    Ok(())
}
