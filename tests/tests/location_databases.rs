//! The program that ships, with location databases that are not there or not whole.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use domicile::clock::Clock;
use domicile::demo::files;
use domicile::demo::plan::Plan;
use domicile_tests::given;

/// Starts gateway `cn` of a demo folder, which must end by itself; what it said.
fn refused_start(config: &Path) -> Result<String> {
    let program = given("DOMICILE_BIN")?;
    let done = Command::new(&program)
        .args(["gateway", "--config"])
        .arg(config)
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    ensure!(!done.status.success(), "it started: {said}");
    Ok(said)
}

#[test]
fn a_gateway_does_not_start_without_a_whole_location_database_and_says_which_and_what_to_do() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let manifest = files::write(&Plan::of_the_demo(), folder.path(), Clock)?;
    let config = &manifest.gateways.first().context("the demo has a gateway")?.process.config_file;
    let database = folder.path().join("geo/dbip-country.mmdb");
    let whole = std::fs::read(&database)?;

    std::fs::remove_file(&database)?;
    let said = refused_start(config)?;
    ensure!(said.contains("dbip-country.mmdb") && said.contains("cannot read"), "missing: {said}");

    for (what, length) in [("empty", 0), ("half", whole.len() / 2), ("but for its last bytes", whole.len() - 20)] {
        std::fs::write(&database, whole.get(..length).context("a shorter length")?)?;
        let said = refused_start(config)?;
        ensure!(said.contains("dbip-country.mmdb") && said.contains("truncated"), "{what}: {said}");
    }
    Ok(())
}
