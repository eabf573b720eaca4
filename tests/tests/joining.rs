//! An operator joins, with the program that ships: invited, asking, approved, serving; and what is refused on the way.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use domicile_tests::given;

/// Addresses that nothing else of these tests listens on.
const GATEWAY: &str = "127.90.0.1";
const NODE: &str = "127.91.0.1";
const TOKEN: &str = "the-token-of-this-test";
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

struct Place {
    domicile: PathBuf,
    folder: tempfile::TempDir,
}

impl Place {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.domicile);
        command.args(arguments).env("DOMICILE_ADMIN", format!("http://{GATEWAY}:9001")).env("DOMICILE_TOKEN", TOKEN);
        command
    }

    fn start(&self, arguments: &[&str]) -> Result<Running> {
        let child = self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Running(child))
    }

    fn ask(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.command(arguments).output()?)
    }

    /// What the command prints; an error if it fails.
    fn told(&self, arguments: &[&str]) -> Result<String> {
        let done = self.ask(arguments)?;
        ensure!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        Ok(String::from_utf8(done.stdout)?.trim().to_owned())
    }

    fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.told(&[arguments, &["--json"]].concat())?)?)
    }

    /// Why the command fails.
    fn refused(&self, arguments: &[&str]) -> Result<String> {
        let done = self.ask(arguments)?;
        ensure!(!done.status.success(), "{arguments:?} was not refused");
        Ok(String::from_utf8(done.stderr)?)
    }

    fn until(&self, what: &str, holds: impl Fn() -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !holds()? {
            if begun.elapsed() > WAIT_MAX {
                bail!("{what} did not come about");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn invite(&self) -> Result<String> {
        self.told(&["fleet", "invite", "--operator", "storage-sz"])
    }

    fn join(&self, invitation: &str, record: &str, folder: &str) -> Vec<String> {
        let (record, folder) = (self.path(record), self.path(folder));
        let (listen, swarm, page) = (format!("{NODE}:7400"), format!("{NODE}:7401"), format!("{NODE}:7480"));
        ["node", "join", invitation, "--record", &record, "--data-dir", &folder]
            .into_iter()
            .chain(["--listen", &listen, "--swarm", &swarm, "--page", &page])
            .map(ToOwned::to_owned)
            .collect()
    }
}

fn gateway_config(folder: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    format!(
        r#"
        name = "joined"
        place = "CN"
        data_dir = "{data}"
        policies_dir = "{root}/policies"
        location_databases = [
            "{root}/compliance/geo/dbip-country.mmdb",
            "{root}/compliance/geo/geo-whois-asn-country.mmdb",
        ]
        default_region = "cn"
        party = {{ id = "p", name = "P", incorporated = "CN", headquartered = "CN" }}
        listen = {{ s3 = "{GATEWAY}:9000", admin = "{GATEWAY}:9001", swarm = "{GATEWAY}:9002", outbound = "{GATEWAY}" }}
        region = [{{ name = "cn", packs = ["cn-data-export"] }}]
        place_override = [{{ network = "127.0.0.0/8", place = "CN" }}]
        token = [{{ role = "admin", token = "{TOKEN}" }}]
        [terms]
        micros_per_tib_hour = 5479
        "#,
        data = folder.join("gateway").display(),
        root = root.display(),
    )
}

fn record(shares: [u16; 2]) -> String {
    format!(
        r#"
        party = "storage-sz"
        as_of = "2026-01-31"
        place = "CN"
        site = "Hall 3"
        capacity_bytes = 1073741824
        [[parties]]
        id = "storage-sz"
        name = "Storage Ltd"
        incorporated = "CN"
        headquartered = "CN"
        owners = [
            {{ owner = "holding", place = "CN", share_basis_points = {} }},
            {{ owner = "founder", place = "CN", share_basis_points = {} }},
        ]
        "#,
        shares[0], shares[1]
    )
}

#[test]
fn an_operator_is_invited_joins_is_approved_and_serves() -> Result<()> {
    let place = Place { domicile: given("DOMICILE_BIN")?, folder: tempfile::tempdir()? };
    std::fs::write(place.path("gateway.toml"), gateway_config(place.folder.path()))?;
    std::fs::write(place.path("record.toml"), record([6_000, 4_000]))?;
    std::fs::write(place.path("contradicts.toml"), record([6_000, 6_000]))?;
    let _gateway = place.start(&["gateway", "--config", &place.path("gateway.toml")])?;
    place.until("the gateway", || Ok(place.ask(&["nodes"])?.status.success()))?;

    let invitation = place.invite()?;
    let join = |invitation: &str, record: &str, folder: &str| place.join(invitation, record, folder);
    let words = |arguments: &[String]| -> Result<String> {
        place.told(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let refused = |arguments: &[String]| -> Result<String> {
        place.refused(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let why = refused(&join(&invitation, "contradicts.toml", "node"))?;
    ensure!(why.contains("12000"), "{why}");
    let asked = words(&join(&invitation, "record.toml", "node"))?;
    let (node, state) = asked.split_once(' ').context("a node and its state")?;
    ensure!(state == "waiting", "{asked}");
    let why = refused(&join(&invitation, "record.toml", "second"))?;
    ensure!(why.contains("used by another node"), "{why}");
    let forged = format!("{}A", invitation.strip_suffix(|_| true).unwrap_or_default());
    ensure!(forged == invitation || !refused(&join(&forged, "record.toml", "third"))?.is_empty());
    // The same identity by another invitation: a data directory that was copied.
    let second = place.invite()?;
    let why = refused(&join(&second, "record.toml", "node"))?;
    ensure!(why.contains("identity"), "{why}");

    let config = place.path("node/node.toml");
    let _node = place.start(&["node", "--config", &config])?;
    let nodes = || place.json(&["nodes"]);
    ensure!(nodes()?.as_array().is_some_and(Vec::is_empty), "it is on the roster before it was approved");
    place.told(&["fleet", "approve", node])?;
    let online = || Ok(nodes()?[0]["state"] == "online");
    place.until("the approved node", online)?;
    ensure!(nodes()?[0]["controller"] == "holding", "whoever owns more than half controls: {}", nodes()?);
    ensure!(words(&join(&invitation, "record.toml", "node"))?.ends_with("enrolled"));

    let status = place.json(&["node", "status", "--config", &config])?;
    ensure!(status["status"]["node"] == node && status["terms"]["micros_per_tib_hour"] == 5_479, "{status}");
    let month = status["gateways"][0]["account"]["month"].as_str().context("a month")?.to_owned();
    let statement = place.json(&["fleet", "statement", &month])?;
    ensure!(statement["nodes"][0]["differences"].as_array().is_some_and(Vec::is_empty), "{statement}");
    let csv = place.told(&["fleet", "statement", &month, "--csv"])?;
    ensure!(csv.lines().count() == 2 && csv.contains(node), "{csv}");
    let log = place.json(&["audit", "list", "--kind", "fleet"])?;
    for what in ["invited", "joined", "approved"] {
        ensure!(log.to_string().contains(&format!("\"what\":\"{what}\"")), "{what} is not in {log}");
    }
    Ok(())
}
