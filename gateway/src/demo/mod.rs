//! The demo: two gateways and twenty storage nodes as processes of their own on this machine's loopback addresses, with
//! no root rights and no network; and the tour, a script of real clients that checks what the product promises.
//!
//! *In scope*: who takes part and where ([`plan`]), what is written into the data folder ([`files`], [`manifest`]),
//! the processes (`supervise`), a control endpoint that takes single ones down and up and asks nodes what a dishonest
//! gateway would ask (`control`, `ask`), and running the tour (`check`).
//!
//! *Out of scope*: everything that gateways and nodes do. They are the same program with the same configuration files
//! that an operator writes; nothing in them knows of the demo.

mod ask;
mod check;
mod control;
mod embedded;
pub mod files;
pub mod manifest;
pub mod plan;
mod secrets;
mod supervise;
mod watchdog;

use std::path::{Path, PathBuf};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use plan::Plan;
use supervise::Fleet;

/// What `domicile demo` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything that the demo keeps lies below this folder.
    pub data_dir: PathBuf,
    /// Run the tour, then stop; else stay until interrupted.
    pub check: bool,
    /// How long a day is to lifecycle rules.
    pub lifecycle_day_seconds: u64,
}

/// Runs the demo until SIGINT or SIGTERM, or until the tour is over. Leaves no process behind.
///
/// # Errors
/// When something cannot be written or started, or a step of the tour does not hold.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let folder = &options.data_dir;
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let folder = folder.canonicalize().with_context(|| format!("{} cannot be found", folder.display()))?;
    let _lock = lock(&folder)?;
    let mut plan = Plan::of_the_demo();
    plan.lifecycle.day_seconds = options.lifecycle_day_seconds;
    let manifest = files::write(&plan, &folder, Clock)?;
    let mut stop = Stop::new()?;
    let fleet = Fleet::new(manifest.clone(), &folder)?;
    let control = control::serve(fleet.clone(), &manifest.control)?;
    let handle = control.handle();
    tokio::spawn(control);
    let result = tokio::select! {
        result = started(&fleet, &folder, options.check) => result,
        () = stop.asked() => {
            println!("interrupted");
            if options.check { Err(anyhow::anyhow!("interrupted before the tour was over")) } else { Ok(()) }
        }
    };
    println!("stopping every process");
    handle.stop(false).await;
    fleet.stop_all().await;
    result
}

async fn started(fleet: &Fleet, folder: &Path, check: bool) -> anyhow::Result<()> {
    fleet.start_all().await?;
    print!("{}", fleet.manifest().await.summary(folder));
    if check { check::run(folder).await } else { fleet.watch().await }
}

/// One demo per folder: two would write into each other's databases.
fn lock(folder: &Path) -> anyhow::Result<std::fs::File> {
    let path = folder.join("lock");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
    let file = file.with_context(|| format!("{} cannot be made", path.display()))?;
    file.try_lock().with_context(|| {
        format!("another demo runs on {}: stop it, or give --data-dir another folder", folder.display())
    })?;
    Ok(file)
}

/// SIGINT and SIGTERM.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be waited for");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
