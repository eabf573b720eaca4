//! Calling cargo, always in the same words.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::say;

/// The program that makes PDFs of reports.
pub(crate) const RENDERER: &str = "domicile-render";

/// The checkout that this is run for.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    target: PathBuf,
    cargo: PathBuf,
}

impl Workspace {
    /// The workspace that cargo started us from: asked at run time, for a build may be shared between checkouts.
    pub(crate) fn find() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`, not by itself")?;
        let root = PathBuf::from(manifest).parent().context("the folder of xtask has a parent")?.to_owned();
        let cargo = env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(target) => root.join(target),
            None => cache_folder()?.join("domicile-target"),
        };
        Ok(Self { root, target, cargo })
    }

    /// `cargo <command>` over everything but the renderer of reports, in the one profile that everything shares.
    pub(crate) fn cargo(&self, command: &str) -> Command {
        self.cargo_over(command, &["--workspace", "--exclude", RENDERER])
    }

    /// The same over the renderer alone: its hundreds of crates would else decide the features of ours.
    pub(crate) fn cargo_renderer(&self, command: &str) -> Command {
        self.cargo_over(command, &["--package", RENDERER])
    }

    fn cargo_over(&self, command: &str, packages: &[&str]) -> Command {
        let mut cargo = self.plain_cargo(&[command]);
        cargo.args(packages).args(["--release", "--ignore-rust-version", "--locked"]);
        cargo
    }

    /// `cargo` with just these arguments.
    pub(crate) fn plain_cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo.args(arguments).current_dir(&self.root).env("CARGO_TARGET_DIR", &self.target);
        // What cargo told us of ourselves is not true of what we start.
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    /// Builds these programs, and the renderer of reports.
    pub(crate) fn build(&self, binaries: &[&str]) -> Result<()> {
        run(&mut self.cargo_renderer("build"))?;
        let mut build = self.cargo("build");
        build.args(binaries.iter().flat_map(|binary| ["--bin", binary]));
        run(&mut build)
    }

    /// Where a program lies once it is built.
    pub(crate) fn binary_path(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Such a program, to be run at the root of the workspace.
    pub(crate) fn binary(&self, name: &str) -> Command {
        let mut command = Command::new(self.binary_path(name));
        command.current_dir(&self.root);
        command
    }

    /// Becomes `command`: the terminal, signals and the exit code are its own from here on.
    pub(crate) fn become_command(&self, command: &mut Command) -> Result<()> {
        say(&format!("running {}", shown(command)));
        let error = command.exec();
        Err(error).with_context(|| format!("{} does not start", shown(command)))
    }
}

/// Runs `command` and waits for it; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    say(&format!("running {}", shown(command)));
    let status = command.status().with_context(|| format!("{} does not start", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

fn cache_folder() -> Result<PathBuf> {
    let from_home = || env::home_dir().filter(|home| home.is_absolute()).map(|home| home.join(".cache"));
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        // The XDG Base Directory Specification: a relative path is invalid and to be ignored.
        .filter(|folder| folder.is_absolute())
        .or_else(from_home)
        .context("there is no home folder to build in: set CARGO_TARGET_DIR")
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let name = PathBuf::from(command.get_program());
    let name = name.file_name().unwrap_or(command.get_program());
    std::iter::once(name).chain(command.get_args()).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
