//! The Python clients, in a virtual environment that is made once.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::{Workspace, run};
use crate::{machine, say};

/// The environment variable that tells the tour and the tests which Python has the clients.
pub(crate) const VARIABLE: &str = "DOMICILE_PYTHON";

/// What to install, and how: the clients with everything they need; packages that only carry data, alone.
const LISTS: [(&str, &[&str]); 2] = [("tests/requirements.txt", &[]), ("tests/requirements-data.txt", &["--no-deps"])];

/// The Python that has what the lists name. Made under `target/venv`, and again when a list changes.
pub(crate) fn provide(workspace: &Workspace) -> Result<PathBuf> {
    let mut wanted = Vec::new();
    for (list, _) in LISTS {
        let list = workspace.root.join(list);
        wanted.extend(fs::read(&list).with_context(|| format!("{} cannot be read", list.display()))?);
    }
    let folder = workspace.root.join("target/venv");
    let python = folder.join("bin/python");
    // Written last, so an installation cut short is made again.
    let stamp = folder.join("requirements-installed.txt");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) && is_working(&python) {
        return Ok(python);
    }
    say("installing the Python clients into target/venv (once; some 900 MB)");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    let make = || Command::new("python3").args(["-m", "venv"]).arg(&folder).output();
    // Debian packs the module's other half (ensurepip) apart from Python; only trying tells.
    if !make().is_ok_and(|output| output.status.success()) {
        machine::install(&["python3-venv"])?;
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    }
    for (list, how) in LISTS {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]).args(how);
        run(pip.arg("--requirement").arg(workspace.root.join(list)))
            .with_context(|| format!("{list} could not be installed: is there a network?"))?;
    }
    fs::write(&stamp, wanted).with_context(|| format!("{} cannot be written", stamp.display()))?;
    Ok(python)
}

fn is_working(python: &PathBuf) -> bool {
    Command::new(python).args(["-c", "import boto3, pyarrow"]).output().is_ok_and(|output| output.status.success())
}
