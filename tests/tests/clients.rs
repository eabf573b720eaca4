//! The clients that AI teams use, unmodified, over HTTP and over TLS: each writes and reads real files and compares bytes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use domicile_tests::demo::RunningDemo;
use domicile_tests::given;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

#[test]
fn every_python_and_command_line_client_brings_its_bytes_there_and_back() -> Result<()> {
    let python = given("DOMICILE_PYTHON")?;
    let demo = RunningDemo::start(&given("DOMICILE_BIN")?)?;
    let done = Command::new(&python).arg("-u").arg(scripts().join("run.py")).arg(demo.folder()).output()?;
    let said = String::from_utf8_lossy(&done.stdout);
    println!("{said}");
    ensure!(done.status.success(), "{said}\n{}", String::from_utf8_lossy(&done.stderr));
    demo.stop()
}

/// docs/clients.md names each client with its version; the lists of requirements say what is tested.
#[test]
fn the_table_of_clients_names_the_versions_that_are_tested() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = std::fs::read_to_string(root.join("docs/clients.md"))?;
    let rows: BTreeMap<&str, &str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .filter_map(|row| {
            let mut cells = row.split(" | ");
            Some((cells.next()?.trim_matches('`'), cells.next()?.trim()))
        })
        .collect();
    let python = std::fs::read_to_string(scripts().join("run.py"))?;
    let clients = python.split_once("CLIENTS = {").and_then(|(_, rest)| rest.split_once('}')).context("CLIENTS")?.0;
    let packages: Vec<&str> =
        clients.lines().filter_map(|line| line.split_once(": \"")?.1.strip_suffix("\",")).collect();
    ensure!(packages.len() > 10, "run.py lists {packages:?}");
    let pins = ["requirements.txt", "requirements-torch.txt"]
        .map(|name| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap_or_default());
    for package in packages {
        let pin = pins.iter().flat_map(|list| list.lines()).find_map(|line| line.strip_prefix(&format!("{package}==")));
        let pin = pin.with_context(|| format!("{package} is in no list of requirements"))?;
        ensure!(rows.get(package) == Some(&pin), "{package} {pin}: the table says {:?}", rows.get(package));
    }
    Ok(())
}
