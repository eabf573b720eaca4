//! `domicile-bench`: what Domicile costs in time, processor and memory. `cargo xtask bench` builds and runs it.
//!
//! *In scope*: the chunker against its parts, the whole path through gateway and nodes as processes of their own (those that
//! `domicile demo` starts), many large uploads at once, and the audit log on a real disk.
//!
//! *Out of scope*: judging. Every figure says what it is, ratios are taken within one run, and nothing fails for being slow.

mod bundle;
mod chunker;
mod client;
mod decisions;
mod disk;
mod fleet;
mod intents;
mod listing;
mod objects;
mod parts;
mod pattern;
mod process;
mod registers;
mod repairs;
mod report;
mod reports;
mod sigv4;
mod stopwatch;
mod uploads;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};

use crate::fleet::Fleet;
use crate::report::Report;

/// Measures Domicile on this machine.
#[derive(Debug, Parser)]
#[command(name = "domicile-bench")]
struct Options {
    /// Measure only these; all if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// More of everything: steadier figures, some four times as long.
    #[arg(long)]
    full: bool,
    /// GiB of each of the 16 uploads at once. Memory does not depend on it once all of them flow; the disk must hold 24
    /// times as much. Unset: 0.25, or 1 with `--full`.
    #[arg(long, value_name = "GIB")]
    upload_gib: Option<f64>,
    /// Files of 10 to 100 KiB that are stored and read.
    #[arg(long, value_name = "FILES", default_value_t = 2000)]
    small_files: u32,
    /// Keys of the bucket that is listed. Unset: a million, or ten million with `--full` (7 GiB of disk while they are loaded).
    #[arg(long, value_name = "KEYS")]
    listing_keys: Option<u64>,
    /// Entries of the log that registers are asked about. Unset: 200,000, or ten million with `--full` (8 GiB of disk meanwhile).
    #[arg(long, value_name = "ENTRIES")]
    register_entries: Option<u64>,
    /// Entries of the evidence bundle that is verified. Unset: 200,000, or a million with `--full`.
    #[arg(long, value_name = "ENTRIES")]
    bundle_entries: Option<u64>,
    /// Where the measured fleet and log keep their data: on the disk that is to be measured. Emptied before and after.
    #[arg(long, value_name = "DIR", default_value = "target/bench")]
    data_dir: PathBuf,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE", default_value = "target/bench.json")]
    json: PathBuf,
    /// The jurisdiction packs that intents are decided by.
    #[arg(long, value_name = "DIR", default_value = "policies")]
    policies: PathBuf,
    /// The program to measure; `cargo xtask bench` names the one it built.
    #[arg(long, value_name = "FILE", env = "DOMICILE_BIN")]
    domicile: Option<PathBuf>,
    /// The program that makes PDFs of reports; `cargo xtask bench` names the one it built.
    #[arg(long, value_name = "FILE", env = "DOMICILE_RENDER")]
    renderer: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The load client: reads an order from standard input, prints what came of it. Started by the benchmark itself.
    #[command(hide = true)]
    LoadClient,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// An evidence bundle made, verified and replayed.
    Bundle,
    /// Encoding and decoding against their parts.
    Chunker,
    /// Decisions by 1, 5 and 20 packs.
    Decisions,
    /// Intents per second on a real log.
    Intents,
    /// A page of a listing in a bucket of many keys.
    Listing,
    /// PUT, GET and ranges through gateway and nodes.
    Objects,
    /// First pages of registers over many entries.
    Registers,
    /// A node drained of its shards.
    Repairs,
    /// A register of a thousand exports, as an officer files it.
    Reports,
    /// Sixteen large uploads at once.
    Uploads,
}

/// How much of everything is done.
#[derive(Debug, Clone, Copy)]
struct Effort {
    /// 1 for the quick run.
    times: u32,
    upload_bytes: u64,
    small_files: u32,
    listing_keys: u64,
    register_entries: u64,
    bundle_entries: u64,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = match options.command {
        Some(Command::LoadClient) => client::run_order(),
        None => measure(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("domicile-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<()> {
    let effort = options.effort()?;
    let wants = |section| options.only.is_empty() || options.only.contains(&section);
    let mut report = Report::begin(options.full);
    // Within a folder of our own name, so that a mistyped --data-dir is never emptied.
    let folder = options.data_dir.join("domicile-bench");
    disk::empty(&folder)?;
    if wants(Section::Chunker) {
        chunker::run(&mut report, effort)?;
    }
    if wants(Section::Decisions) {
        report.add(decisions::run(&options.policies, effort)?);
    }
    if wants(Section::Intents) {
        report.add(intents::run(&folder.join("log"), &options.policies, effort)?);
    }
    if wants(Section::Bundle) {
        report.add(bundle::run(&folder.join("bundle"), &options.policies, effort.bundle_entries)?);
    }
    if wants(Section::Listing) {
        report.add(listing::run(&folder.join("listing"), effort)?);
    }
    if wants(Section::Reports) {
        let renderer = options.renderer.as_deref().context("name the program that makes PDFs with --renderer")?;
        report.add(reports::run(renderer, effort)?);
    }
    if wants(Section::Registers) {
        report.add(registers::run(&folder.join("registers"), effort)?);
    }
    if wants(Section::Objects) || wants(Section::Repairs) || wants(Section::Uploads) {
        if wants(Section::Uploads) {
            uploads::check_space(&folder, effort)?;
        }
        let fleet = Fleet::start(&options.domicile()?, &folder.join("fleet"))?;
        if wants(Section::Objects) {
            report.add(objects::run(&fleet, effort)?);
        }
        if wants(Section::Repairs) {
            report.add(repairs::run(&fleet, effort)?);
        }
        if wants(Section::Uploads) {
            report.add(uploads::run(&fleet, effort)?);
        }
        fleet.stop()?;
    }
    disk::remove(&folder)?;
    report.write(&options.json)
}

impl Options {
    fn effort(&self) -> Result<Effort> {
        let gib = self.upload_gib.unwrap_or(if self.full { 1.0 } else { 0.25 });
        if !(0.001..=5.0).contains(&gib) {
            bail!("--upload-gib is {gib}: take 0.001 to 5, the most that S3 allows one PUT");
        }
        if self.small_files == 0 {
            bail!("--small-files is 0: take at least one");
        }
        let keys = self.listing_keys.unwrap_or(if self.full { 10_000_000 } else { 1_000_000 });
        if !(100_000..=100_000_000).contains(&keys) {
            bail!("--listing-keys is {keys}: take 100,000 to 100,000,000");
        }
        let entries = self.register_entries.unwrap_or(if self.full { 10_000_000 } else { 200_000 });
        if !(10_000..=100_000_000).contains(&entries) {
            bail!("--register-entries is {entries}: take 10,000 to 100,000,000");
        }
        let bundle_entries = self.bundle_entries.unwrap_or(if self.full { 1_000_000 } else { 200_000 });
        if !(1_000..=100_000_000).contains(&bundle_entries) {
            bail!("--bundle-entries is {bundle_entries}: take 1,000 to 100,000,000");
        }
        Ok(Effort {
            bundle_entries,
            times: if self.full { 4 } else { 1 },
            upload_bytes: stopwatch::whole(gib * 1_073_741_824.0),
            small_files: self.small_files,
            listing_keys: keys,
            register_entries: entries,
        })
    }

    fn domicile(&self) -> Result<PathBuf> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("domicile"));
        let path = match &self.domicile {
            Some(path) => path.clone(),
            None => beside().context("this program does not know where it is: give --domicile FILE")?,
        };
        if !Path::is_file(&path) {
            bail!("{} is not there: run `cargo xtask bench`, or give --domicile FILE", path.display());
        }
        Ok(path)
    }
}
