//! Runs the tour: a script of real clients, in a Python that has them.

use std::path::Path;

use anyhow::{Context, bail};
use tokio::process::Command;

use super::embedded;

/// Which Python: one with boto3, awscli, pyarrow and the packages that carry the data. `cargo xtask` makes one.
const PYTHON_VARIABLE: &str = "DOMICILE_PYTHON";

/// Runs the tour against the demo on `folder`; its steps go to standard output.
pub(super) async fn run(folder: &Path) -> anyhow::Result<()> {
    let python = std::env::var_os(PYTHON_VARIABLE).with_context(|| {
        format!(
            "the tour needs a Python with real clients: run `cargo xtask demo --check`, which makes one, or set \
             {PYTHON_VARIABLE} to a Python that has what tests/requirements.txt and tests/requirements-data.txt list"
        )
    })?;
    let scripts = folder.join("tour");
    embedded::write_tour(&scripts)?;
    let program = std::env::current_exe().context("this program cannot find itself")?;
    let mut tour = Command::new(&python);
    tour.arg("-u").arg(scripts.join(embedded::TOUR_FILE)).arg(folder).arg(program);
    // Nothing of the caller's own AWS or proxy settings may lead the clients elsewhere.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("AWS_") || name.starts_with("DOMICILE_") || name.to_lowercase().ends_with("_proxy") {
            tour.env_remove(name.as_ref());
        }
    }
    let status = tour.kill_on_drop(true).status().await;
    let status = status.with_context(|| format!("{} does not start", Path::new(&python).display()))?;
    if !status.success() {
        bail!("the tour did not hold ({status}); what the processes say is in {}", folder.join("logs").display());
    }
    Ok(())
}
