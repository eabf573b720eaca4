//! The demo as the README promises it: the program that ships, its twenty-two processes, and the tour of real clients.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use domicile_tests::given;

#[test]
fn every_step_of_the_tour_holds() -> Result<()> {
    let program = given("DOMICILE_BIN")?;
    given("DOMICILE_PYTHON")?;
    let folder = tempfile::tempdir()?;
    let done = Command::new(&program)
        .args(["demo", "--check", "--data-dir"])
        .arg(folder.path().join("demo"))
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    ensure!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    ensure!(said.contains("steps held"), "the tour did not run to its end: {said}");
    Ok(())
}
