//! The rules of the house: who may import whom, what may be linked, what no file may say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Who may import whom, within the workspace. Changing it changes the architecture: say why in ARCHITECTURE.md.
const IMPORTS: [(&str, &[&str]); 11] = [
    ("domicile-types", &[]),
    ("domicile-chunker", &["domicile-types"]),
    ("domicile-compliance", &["domicile-types"]),
    ("domicile-node-protocol", &["domicile-types"]),
    ("domicile-swarm", &["domicile-node-protocol", "domicile-types"]),
    ("domicile-placement", &["domicile-compliance", "domicile-types"]),
    ("domicile-render", &[]),
    (
        "domicile-storage-node",
        &["domicile-swarm", "domicile-node-protocol", "domicile-compliance", "domicile-chunker", "domicile-types"],
    ),
    ("domicile", EVERYTHING),
    ("domicile-tests", EVERYTHING),
    ("xtask", EVERYTHING),
];

const EVERYTHING: &[&str] = &[
    "domicile",
    "domicile-chunker",
    "domicile-compliance",
    "domicile-node-protocol",
    "domicile-placement",
    "domicile-storage-node",
    "domicile-swarm",
    "domicile-types",
];

/// The one registry that crates come from, as Cargo.lock writes it.
const REGISTRY: &str = concat!("registry+https://github.com/rust-lang/", "crates", ".io-index");

#[test]
fn crates_import_only_what_the_table_allows() -> Result<()> {
    let metadata = metadata()?;
    let table: BTreeMap<&str, &[&str]> = IMPORTS.into_iter().collect();
    let members = members(&metadata)?;
    let names: BTreeSet<&str> = members.iter().map(|package| text(package, "name")).collect();
    ensure!(names == table.keys().copied().collect(), "the table and the workspace differ: {names:?}");
    for package in members {
        let name = text(package, "name");
        for dependency in list(package, "dependencies").filter(|dependency| dependency.get("path").is_some()) {
            let imported = text(dependency, "name");
            ensure!(table[name].contains(&imported), "{name} imports {imported}, which the table does not allow");
        }
    }
    Ok(())
}

#[test]
fn every_crate_has_the_lints_table_and_the_licence() -> Result<()> {
    for package in members(&metadata()?)? {
        let path = text(package, "manifest_path");
        let manifest: toml::Table = std::fs::read_to_string(path)?.parse()?;
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        ensure!(inherits == Some(true), "{path} lacks `[lints] workspace = true`");
        ensure!(text(package, "license") == "Apache-2.0", "{path} lacks `license.workspace = true`");
    }
    Ok(())
}

#[test]
fn every_linked_crate_has_a_permissive_licence() -> Result<()> {
    let metadata = metadata()?;
    let rules = deny_rules()?;
    let allowed = strings(&rules, "licenses", "allow")?;
    let exceptions: BTreeMap<String, Vec<String>> = tables(&rules, "licenses", "exceptions")?
        .iter()
        .map(|exception| Ok((string(exception, "crate")?, string_list(exception, "allow")?)))
        .collect::<Result<_>>()?;
    let mut excepted = BTreeSet::new();
    for package in linked(&metadata)? {
        let (name, stated) = (text(package, "name"), text(package, "license"));
        let parsed = spdx::Expression::parse_mode(stated, spdx::ParseMode::LAX)
            .map_err(|error| anyhow::anyhow!("{name}: {stated:?} is no licence expression: {error}"))?;
        let permits = |list: &[String]| parsed.evaluate(|needed| list.contains(&needed.to_string()));
        if permits(&allowed) {
            continue;
        }
        let excuse = exceptions
            .get(name)
            .with_context(|| format!("{name} is under {stated}, which deny.toml does not allow"))?;
        ensure!(permits(excuse), "{name} is under {stated}, which its exception in deny.toml does not cover");
        excepted.insert(name.to_owned());
    }
    let stale: Vec<&String> = exceptions.keys().filter(|name| !excepted.contains(*name)).collect();
    ensure!(stale.is_empty(), "deny.toml excepts {stale:?}, which needs no exception: take it out");
    Ok(())
}

#[test]
fn fenced_crates_are_used_only_by_whom_the_fence_names() -> Result<()> {
    let metadata = metadata()?;
    let names = names_by_id(&metadata);
    for fence in tables(&deny_rules()?, "bans", "deny")? {
        let (fenced, may) = (string(&fence, "crate")?, string_list(&fence, "wrappers")?);
        for node in list(&metadata["resolve"], "nodes") {
            let user = names[text(node, "id")];
            let uses = list(node, "deps").any(|dependency| names[text(dependency, "pkg")] == fenced);
            ensure!(!uses || may.iter().any(|name| name == user), "{user} uses {fenced}, which deny.toml fences off");
        }
    }
    for (path, content) in rust_files()? {
        let mentions = content.contains(concat!("rust_", "ipfs"));
        ensure!(!mentions || path.starts_with("storage-node/swarm"), "{} names rust-ipfs", path.display());
    }
    Ok(())
}

#[test]
fn every_crate_comes_from_the_workspace_or_the_one_registry() -> Result<()> {
    for package in list(&metadata()?, "packages") {
        let source = package["source"].as_str();
        ensure!(
            source.is_none_or(|source| source == REGISTRY),
            "{} comes from {source:?}: only the default registry and this workspace may",
            text(package, "name")
        );
    }
    Ok(())
}

#[test]
fn no_file_names_a_package_registry_host() -> Result<()> {
    // Written apart, or this file would name them. Cargo.lock names the default registry in every entry; that is its format.
    let hosts = [
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("//crates", ".io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("npmjs", ".org"),
        concat!("npmjs", ".com"),
        concat!("proxy.golang", ".org"),
        concat!("deb.debian", ".org"),
        concat!("arti", "factory"),
    ];
    for path in files()?.into_iter().filter(|path| path != Path::new("Cargo.lock")) {
        let content = std::fs::read(root().join(&path))?;
        let content = String::from_utf8_lossy(&content);
        for host in hosts {
            ensure!(
                !content.contains(host),
                "{} names {host}: leave registries to the machine's settings",
                path.display()
            );
        }
    }
    Ok(())
}

/// Two kinds of function carry the attribute without being tests that were switched off: measurements, which hold nothing
/// and are run by hand, and the child processes that other tests start and kill. Each says so in these words.
const NOT_A_TEST: [&str; 2] =
    [concat!("#[ign", "ore = \"a measurement"), concat!("#[ign", "ore = \"the child process of other tests\"]")];

#[test]
fn no_test_is_switched_off_and_no_code_is_left_out() -> Result<()> {
    for (path, content) in rust_files()? {
        for (number, line) in lines(&content) {
            // In an example, a reader's own function may be left to the reader; the example must still compile.
            let phrases: &[&str] = if line.starts_with("//") {
                &[concat!("```ign", "ore")]
            } else {
                &[concat!("#[ign", "ore"), concat!("to", "do!("), concat!("unimpl", "emented!(")]
            };
            let is_excused = NOT_A_TEST.iter().any(|excuse| line.starts_with(excuse));
            for phrase in phrases {
                ensure!(is_excused || !line.contains(phrase), "{}:{number} holds {phrase}", path.display());
            }
        }
    }
    Ok(())
}

#[test]
fn cores_read_no_clock_and_roll_no_dice() -> Result<()> {
    let cores = ["compliance/types/src", "compliance/src", "chunker/src", "placement/src", "storage-node/protocol/src"];
    let shells = ["SystemTime::now", "Instant::now", "now_utc(", "getrandom", "thread_rng", "rand::rng("];
    for (path, content) in rust_files()? {
        if cores.iter().any(|core| path.starts_with(core)) {
            for (number, line) in code_lines(&content) {
                let shell = shells.iter().find(|shell| line.contains(*shell));
                ensure!(
                    shell.is_none(),
                    "{}:{number}: {shell:?} belongs to a shell; take it as an argument",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

/// Nodes hold ciphertext. What opens it is not in their code, so no fault of theirs can.
#[test]
fn nodes_name_nothing_of_what_opens_a_segment() -> Result<()> {
    for (path, content) in rust_files()? {
        let is_node = path.starts_with("storage-node") && !path.components().any(|part| part.as_os_str() == "tests");
        for (number, line) in code_lines(&content).filter(|(_, line)| is_node && line.contains("domicile_chunker")) {
            let opens =
                ["Key", "Kek", "unwrap", "open", "Open", "Manifest", "::*"].iter().find(|name| line.contains(*name));
            ensure!(opens.is_none(), "{}:{number} names {opens:?} of the chunker", path.display());
        }
    }
    Ok(())
}

/// `cargo metadata` for this machine. Building the whole workspace's tests has fetched all it needs; `-p` may have not.
fn metadata() -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform", &platform])
        .current_dir(root())
        .output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Packages of the workspace.
fn members(metadata: &Value) -> Result<Vec<&Value>> {
    let ids: BTreeSet<&str> = list(metadata, "workspace_members").filter_map(Value::as_str).collect();
    let members: Vec<&Value> = list(metadata, "packages").filter(|package| ids.contains(text(package, "id"))).collect();
    ensure!(!members.is_empty(), "the workspace has no members");
    Ok(members)
}

/// Packages that this platform's build or tests take part of.
fn linked(metadata: &Value) -> Result<Vec<&Value>> {
    let ids: BTreeSet<&str> = list(&metadata["resolve"], "nodes").map(|node| text(node, "id")).collect();
    let linked: Vec<&Value> = list(metadata, "packages").filter(|package| ids.contains(text(package, "id"))).collect();
    ensure!(linked.len() > 100, "only {} packages: the metadata is not whole", linked.len());
    Ok(linked)
}

fn names_by_id(metadata: &Value) -> BTreeMap<&str, &str> {
    list(metadata, "packages").map(|package| (text(package, "id"), text(package, "name"))).collect()
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value[field].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

fn deny_rules() -> Result<toml::Table> {
    Ok(std::fs::read_to_string(root().join("deny.toml"))?.parse()?)
}

fn array<'a>(table: &'a toml::Table, field: &str) -> Result<&'a Vec<toml::Value>> {
    table.get(field).and_then(toml::Value::as_array).with_context(|| format!("deny.toml lacks a list {field}"))
}

fn section<'a>(rules: &'a toml::Table, name: &str) -> Result<&'a toml::Table> {
    rules.get(name).and_then(toml::Value::as_table).with_context(|| format!("deny.toml lacks [{name}]"))
}

fn tables(rules: &toml::Table, name: &str, field: &str) -> Result<Vec<toml::Table>> {
    Ok(array(section(rules, name)?, field)?.iter().filter_map(|value| value.as_table().cloned()).collect())
}

fn strings(rules: &toml::Table, name: &str, field: &str) -> Result<Vec<String>> {
    string_list(section(rules, name)?, field)
}

fn string_list(table: &toml::Table, field: &str) -> Result<Vec<String>> {
    Ok(array(table, field)?.iter().filter_map(|value| value.as_str().map(ToOwned::to_owned)).collect())
}

fn string(table: &toml::Table, field: &str) -> Result<String> {
    table
        .get(field)
        .and_then(toml::Value::as_str)
        .map(ToOwned::to_owned)
        .with_context(|| format!("an entry lacks {field}"))
}

/// Every file of the checkout, relative to its root: what git tracks, and what it would.
fn files() -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("git does not start")?;
    ensure!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout)?;
    let files: Vec<PathBuf> =
        names.split_terminator('\0').map(PathBuf::from).filter(|path| root().join(path).is_file()).collect();
    ensure!(files.len() > 50, "only {} files: the listing is not whole", files.len());
    Ok(files)
}

fn rust_files() -> Result<Vec<(PathBuf, String)>> {
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    let read = |path: PathBuf| Ok((path.clone(), std::fs::read_to_string(root().join(path))?));
    files()?.into_iter().filter(is_rust).map(read).collect()
}

/// The lines of a file with their numbers, from 1, without what they are indented by.
fn lines(content: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(content.lines().map(str::trim_start))
}

/// Those that are not comments.
fn code_lines(content: &str) -> impl Iterator<Item = (usize, &str)> {
    lines(content).filter(|(_, line)| !line.starts_with("//"))
}
