//! `cargo xtask`: from a fresh clone on a fresh machine to a running demo, the tests or the figures.
//!
//! In scope: finding out what the machine lacks, installing it or saying what to install, and calling cargo so
//! that demo, tests and bench share every compiled dependency. Out of scope: what is being built.
//!
//! Why every call of cargo looks the same (`--workspace --release --ignore-rust-version --locked`, and the renderer apart): cargo
//! resolves features for the packages it is asked for, so `-p one` and `--workspace` may compile the same dependency twice, and
//! ours take a quarter of an hour. No serde or clap here: this program is built before anything else can be.

mod build;
mod machine;
mod python;

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::build::{RENDERER, Workspace};

const USAGE: &str = "\
usage: cargo xtask <command>

  demo [--check] [args..]   build, then run `domicile demo --data-dir target/demo` in the foreground;
                            --check runs the tour with real clients and exits 0 only if every step held
  test [filter]             check the format, build, run every test (or those whose name contains the filter)
  fuzz [target] [inputs]    mutated inputs for the decoders that face the network: of one or of all, a million unless told otherwise
  soak [seeds] [from]       the simulated cluster over 100,000 seeds, or so many, beginning with one; seeds that find something
                            are added to gateway/src/sim/seeds.txt, which every test runs
  bench [args..]            build, then run the benchmarks and print their table
  lint                      clippy over the workspace, warnings refused (compiles the dependencies in another form:
                            some ten minutes the first time, hence not part of test)

Environment:
  CARGO_TARGET_DIR          where to build; unset: $XDG_CACHE_HOME/domicile-target, or ~/.cache/domicile-target
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let done = match command.to_str() {
        Some("demo") => demo(&rest),
        Some("test") => test(&rest),
        Some("fuzz") => fuzz(&rest),
        Some("soak") => soak(&rest),
        Some("bench") => bench(&rest),
        Some("lint") => lint(),
        Some("" | "help" | "--help" | "-h") => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("xtask: there is no command {command:?}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Says what happens next: every step does.
fn say(step: &str) {
    eprintln!("xtask: {step}");
}

fn demo(arguments: &[OsString]) -> Result<()> {
    let workspace = Workspace::find()?;
    machine::provide(&machine::BUILD)?;
    let has = |flag: &str| {
        arguments.iter().any(|argument| {
            argument
                .to_str()
                .is_some_and(|text| text == flag || text.strip_prefix(flag).is_some_and(|rest| rest.starts_with('=')))
        })
    };
    let python = if has("--check") {
        machine::provide(&machine::CLIENTS)?;
        machine::provide(&machine::VERIFIERS)?;
        Some(python::provide(&workspace)?)
    } else {
        None
    };
    workspace.build(&["domicile"])?;
    let mut command = workspace.binary("domicile");
    command.arg("demo");
    if !has("--data-dir") {
        command.args(["--data-dir", "target/demo"]);
    }
    if let Some(python) = python {
        command.env(python::VARIABLE, python);
    }
    workspace.become_command(command.args(arguments))
}

fn test(arguments: &[OsString]) -> Result<()> {
    if arguments.len() > 1 {
        bail!("test takes one filter at most: part of the name of the tests to run");
    }
    let workspace = Workspace::find()?;
    machine::provide(&machine::BUILD)?;
    machine::provide(&machine::CLIENTS)?;
    machine::provide(&machine::FAULTS)?;
    machine::provide(&machine::VERIFIERS)?;
    let python = python::provide(&workspace)?;
    format_check(&workspace)?;
    // The end-to-end tests run the program that ships, so it has to be there and new.
    workspace.build(&["domicile"])?;
    let (binary, renderer) = (workspace.binary_path("domicile"), workspace.binary_path(RENDERER));
    build::run(workspace.cargo_renderer("test").args(arguments))?;
    let mut command = workspace.cargo("test");
    // Cargo's own closing lines are the last of the output; nothing may follow them.
    command.arg("--no-fail-fast").args(arguments).env(python::VARIABLE, python).env("DOMICILE_BIN", binary);
    command.env("DOMICILE_RENDER", renderer);
    workspace.become_command(&mut command)
}

fn fuzz(arguments: &[OsString]) -> Result<()> {
    let workspace = Workspace::find()?;
    machine::provide(&machine::BUILD)?;
    let is_number = |argument: &&OsString| argument.to_str().is_some_and(|text| text.parse::<u64>().is_ok());
    let inputs = arguments.iter().find(is_number);
    let mut command = workspace.cargo("test");
    command.args(["--test", "fuzz", "--", "--nocapture"]);
    command.env("DOMICILE_FUZZ_INPUTS", inputs.map_or(OsStr::new("1000000"), OsString::as_os_str));
    if let Some(target) = arguments.iter().find(|argument| !is_number(argument)) {
        command.env("DOMICILE_FUZZ_TARGET", target);
    }
    workspace.become_command(&mut command)
}

fn soak(arguments: &[OsString]) -> Result<()> {
    let numbers: Option<Vec<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let numbers =
        numbers.filter(|numbers| numbers.len() <= 2 && numbers.iter().all(|text| text.parse::<u64>().is_ok()));
    let Some(numbers) = numbers else { bail!("soak takes two numbers at most: how many seeds, and the first of them") };
    let workspace = Workspace::find()?;
    machine::provide(&machine::BUILD)?;
    let mut command = workspace.cargo("test");
    command.args(["--lib", "sim::", "--", "--nocapture"]);
    command.env("DOMICILE_SIM_SEEDS", numbers.first().unwrap_or(&"100000"));
    command.env("DOMICILE_SIM_FROM", numbers.get(1).unwrap_or(&"0"));
    command.env("DOMICILE_SIM_KEEP", "1");
    workspace.become_command(&mut command)
}

fn format_check(workspace: &Workspace) -> Result<()> {
    let available = workspace.plain_cargo(&["fmt", "--version"]).output().is_ok_and(|output| output.status.success());
    if !available {
        say("rustfmt is missing, adding it: rustup component add rustfmt");
        let added = std::process::Command::new("rustup").args(["component", "add", "rustfmt"]).status();
        if !added.is_ok_and(|status| status.success()) {
            bail!("rustfmt is missing and could not be added: run `rustup component add rustfmt`");
        }
    }
    build::run(&mut workspace.plain_cargo(&["fmt", "--all", "--check"]))
        .context("the sources are not formatted as rustfmt.toml says: run `cargo fmt --all`")
}

fn bench(arguments: &[OsString]) -> Result<()> {
    let workspace = Workspace::find()?;
    machine::provide(&machine::BUILD)?;
    workspace.build(&["domicile", "domicile-bench"])?;
    let mut command = workspace.binary("domicile-bench");
    command.args(arguments).env("DOMICILE_BIN", workspace.binary_path("domicile"));
    command.env("DOMICILE_RENDER", workspace.binary_path(RENDERER));
    workspace.become_command(&mut command)
}

fn lint() -> Result<()> {
    let workspace = Workspace::find()?;
    machine::provide(&machine::BUILD)?;
    let mut command = workspace.cargo("clippy");
    command.args(["--all-targets", "--", "--deny", "warnings"]);
    workspace.become_command(&mut command)
}
