//! A demo under faults: what drives it, what remembers which writes were acknowledged, and what holds it to its promises.
//!
//! In scope: the processes as a whole, from outside. Signals, files that change behind a process's back, system calls that
//! fail, and S3 requests all the while. Out of scope: which faults a test sets; those are in `tests/faults.rs`.

mod book;
mod disk;
mod fleet;
mod rawput;
mod segments;
mod traffic;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use domicile::admin::views::{EntryView, Health, NodeView, ShardView, Whereabouts};
use domicile::demo::manifest::{MANIFEST_FILE, Manifest, Node, Process};
use domicile_types::{Entry, FleetChange, NodeId, OperationKind};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

pub use self::book::{Book, Found};
pub use self::disk::{Call, FailingDisk, last_file};
pub use self::rawput::HalfRequest;
pub use self::segments::{Sums, corrupt};
pub use self::traffic::Traffic;

use self::fleet::Fleet;
use crate::demo::RunningDemo;

/// How long a condition may take to come about, before the test gives it up. No test asserts that it took less.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often conditions are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// The gateway that is asked, and the region of its buckets.
pub const GATEWAY: &str = "gateway-cn";

/// A running demo, a bucket in it, and what was acknowledged there.
pub struct World {
    demo: RunningDemo,
    manifest: Manifest,
    fleet: Fleet,
    program: PathBuf,
    /// An S3 client that asks once: what failed, failed.
    pub s3: aws_sdk_s3::Client,
    /// The bucket of the test.
    pub bucket: String,
    /// What was written and acknowledged.
    pub book: Book,
}

impl World {
    /// Starts a demo and makes a bucket.
    ///
    /// # Errors
    /// Where the demo does not come up.
    pub async fn start(program: &Path, bucket: &str) -> Result<Self> {
        let demo = RunningDemo::start(program)?;
        let manifest = Manifest::read(&demo.folder().join(MANIFEST_FILE))?;
        let gateway = manifest.gateways.iter().find(|gateway| gateway.process.name == GATEWAY);
        let gateway = gateway.context("the demo has that gateway")?;
        let (access, secret) = demo.credentials()?;
        let s3 = client(&gateway.s3, &gateway.default_region.to_string(), &access, &secret);
        let place = BucketLocationConstraint::from(gateway.default_region.as_str());
        let place = CreateBucketConfiguration::builder().location_constraint(place).build();
        s3.create_bucket().bucket(bucket).create_bucket_configuration(place).send().await?;
        let fleet = Fleet::new(&manifest, gateway)?;
        let book = Book::new(s3.clone(), bucket);
        let bucket = bucket.to_owned();
        Ok(Self { demo, manifest, fleet, program: program.to_owned(), s3, bucket, book })
    }

    /// Stops the demo, after a last look at everything.
    ///
    /// # Errors
    /// Where something acknowledged is gone, the log does not verify, or a process failed meanwhile.
    pub async fn end(self) -> Result<()> {
        self.holds("").await.context("in the end")?;
        self.demo.stop()
    }

    // ---- what must hold, whatever happened ---------------------------------------------------------------------------

    /// What must hold after every fault: what was acknowledged under `prefix` reads back byte by byte, what was not is there
    /// whole or not at all, every read has an entry in the log, and the log verifies.
    ///
    /// # Errors
    /// With what does not hold.
    pub async fn holds(&self, prefix: &str) -> Result<()> {
        let checked = self.book.read_back(prefix).await?;
        ensure!(checked.acknowledged > 0, "no write under {prefix:?} was acknowledged: nothing was tested");
        let mut decided = std::collections::BTreeSet::new();
        for entry in self.entries(0, &[("operation", "get-object")]).await? {
            if matches!(entry.record.entry, Entry::Intent(_)) {
                decided.insert(entry.record.request.to_string());
            }
        }
        let reads = self.book.reads();
        let silent: Vec<&String> = reads.iter().filter(|request| !decided.contains(*request)).collect();
        ensure!(silent.is_empty(), "{} of {} reads have no entry in the log: {silent:?}", silent.len(), reads.len());
        let gateway = self.fleet.gateway();
        let verified = tokio::process::Command::new(&self.program)
            .args(["audit", "verify", "--admin", &gateway.admin, "--token", &self.manifest.token])
            .output()
            .await?;
        let said = [verified.stdout, verified.stderr].concat();
        ensure!(verified.status.success(), "domicile audit verify: {}", String::from_utf8_lossy(&said));
        println!("    {checked}; {} reads logged; {}", reads.len(), String::from_utf8_lossy(&said).trim());
        Ok(())
    }

    /// Waits until `look` finds something.
    ///
    /// # Errors
    /// With `what`, where it does not come about.
    pub async fn until<T, F: Future<Output = Result<Option<T>>>>(&self, what: &str, look: impl Fn() -> F) -> Result<T> {
        let begun = Instant::now();
        loop {
            let seen = look().await;
            if let Ok(Some(found)) = seen {
                return Ok(found);
            }
            if begun.elapsed() > PATIENCE {
                let last = seen.err().map(|error| format!(" ({error:#})")).unwrap_or_default();
                bail!("waited {} s, in vain: {what}{last}", PATIENCE.as_secs());
            }
            sleep(LOOK).await;
        }
    }

    // ---- processes ---------------------------------------------------------------------------------------------------

    /// `kill -9`, all at once.
    ///
    /// # Errors
    /// Where one does not run.
    pub async fn kill(&self, names: &[&str]) -> Result<()> {
        let kills = names.iter().map(|name| self.fleet.process(name, "kill"));
        futures::future::try_join_all(kills).await.map(drop)
    }

    /// Takes one down in good order.
    ///
    /// # Errors
    /// Where it does not run.
    pub async fn stop(&self, name: &str) -> Result<()> {
        self.fleet.process(name, "stop").await.map(drop)
    }

    /// Starts processes without waiting for them to be seen.
    ///
    /// # Errors
    /// Where one runs already, or cannot be started.
    pub async fn launch(&self, names: &[&str]) -> Result<()> {
        for name in names {
            self.fleet.process(name, "start").await?;
        }
        Ok(())
    }

    /// Starts processes and waits until nodes answer and every gateway sees every node.
    ///
    /// # Errors
    /// Where they do not come up.
    pub async fn restart(&self, names: &[&str]) -> Result<()> {
        self.launch(names).await?;
        for name in names.iter().filter(|name| self.node(name).is_ok()) {
            self.until(&format!("{name} answers"), || async { self.status(name).await.map(Some) }).await?;
        }
        self.fleet.healthy().await
    }

    /// Lets a process end by itself, which is a failure of the demo otherwise.
    ///
    /// # Errors
    /// Where there is no such process.
    pub async fn doom(&self, name: &str) -> Result<()> {
        self.fleet.process(name, "doom").await.map(drop)
    }

    /// Waits until a doomed process has ended; how it did.
    ///
    /// # Errors
    /// Where it goes on.
    pub async fn ended(&self, name: &str) -> Result<String> {
        let answer = self.fleet.process(name, "ended").await?;
        Ok(answer["ended"].as_str().unwrap_or_default().to_owned())
    }

    /// Freezes a process until the guard is dropped or thawed.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn freeze(&self, name: &str) -> Result<Frozen> {
        let pid = i32::try_from(self.pid(name)?).ok().and_then(Pid::from_raw).context("process ids are positive")?;
        kill_process(pid, Signal::STOP)?;
        Ok(Frozen { pid })
    }

    /// The process id as of now: it is another after each start.
    fn pid(&self, name: &str) -> Result<u32> {
        let manifest = Manifest::read(&self.demo.folder().join(MANIFEST_FILE))?;
        let process = manifest.processes().find(|process| process.name == name).cloned();
        process.and_then(|process| process.pid).with_context(|| format!("{name} does not run"))
    }

    /// What is known of a process but its id.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn process(&self, name: &str) -> Result<&Process> {
        let found = self.manifest.processes().find(|process| process.name == name);
        found.with_context(|| format!("there is no {name}"))
    }

    /// Makes system calls of a process on a file fail, until the guard is dropped.
    ///
    /// # Errors
    /// Where this machine does not let one process trace another.
    pub async fn failing_disk(&self, name: &str, file: &Path, calls: &[Call]) -> Result<FailingDisk> {
        FailingDisk::attach(self.pid(name)?, file, calls).await.with_context(|| format!("the disk of {name}"))
    }

    /// A node of the demo.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn node(&self, name: &str) -> Result<&Node> {
        let found = self.manifest.nodes.iter().find(|node| node.process.name == name);
        found.with_context(|| format!("there is no node {name}"))
    }

    /// Its name.
    #[must_use]
    pub fn name_of(&self, id: &NodeId) -> &str {
        let found = self.manifest.nodes.iter().find(|node| node.id == *id);
        found.map_or("a stranger", |node| &node.process.name)
    }

    /// Names of the nodes in a place.
    #[must_use]
    pub fn nodes_in(&self, place: &str) -> Vec<&str> {
        let here = self.manifest.nodes.iter().filter(|node| node.place.to_string() == place);
        here.map(|node| node.process.name.as_str()).collect()
    }

    // ---- what it says of itself --------------------------------------------------------------------------------------

    /// A node's own counters.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn status(&self, name: &str) -> Result<serde_json::Value> {
        self.fleet.status(name).await
    }

    /// How often a node refused with this code.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn refusals(&self, name: &str, code: &str) -> Result<u64> {
        Ok(self.status(name).await?["refused"][code].as_u64().unwrap_or(0))
    }

    /// Shard bytes that all nodes together ever served.
    ///
    /// # Errors
    /// Where one does not answer.
    pub async fn served_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for node in &self.manifest.nodes {
            bytes += self.served(&node.process.name).await?;
        }
        Ok(bytes)
    }

    /// Shard bytes that one node ever served.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn served(&self, name: &str) -> Result<u64> {
        self.status(name).await?["served"]["bytes"].as_u64().context("a count")
    }

    /// The gateway's view of itself.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn health(&self) -> Result<Health> {
        self.fleet.health().await
    }

    /// The gateway's view of one node.
    ///
    /// # Errors
    /// Where the gateway does not answer.
    pub async fn standing(&self, name: &str) -> Result<NodeView> {
        let id = self.node(name)?.id;
        let nodes: Vec<NodeView> = self.fleet.get("/v1/nodes", &[]).await?;
        nodes.into_iter().find(|view| view.node == id).with_context(|| format!("{name} is not enrolled"))
    }

    /// Waits until the gateway sees a node in this state.
    ///
    /// # Errors
    /// Where it never does.
    pub async fn until_state(&self, name: &str, state: &str) -> Result<()> {
        let what = format!("{name} is seen as {state}");
        self.until(&what, || async { Ok((self.standing(name).await?.state == state).then_some(())) }).await
    }

    /// Waits until the gateway counts so many nodes less than all as online.
    ///
    /// # Errors
    /// Where it never does.
    pub async fn until_fewer_online(&self, fewer: usize) -> Result<()> {
        let count = |health: Health| (health.nodes - health.nodes_online >= fewer).then_some(());
        self.until(&format!("{fewer} nodes are seen to be gone"), || async { Ok(count(self.health().await?)) }).await
    }

    /// Every shard of an object.
    ///
    /// # Errors
    /// Where the object is not there.
    pub async fn shards(&self, key: &str) -> Result<Vec<ShardView>> {
        let query = [("bucket", self.bucket.as_str()), ("key", key)];
        Ok(self.fleet.get::<Whereabouts>("/v1/where", &query).await?.shards)
    }

    /// How many entries the log has.
    ///
    /// # Errors
    /// Where the gateway does not answer.
    pub async fn log_size(&self) -> Result<u64> {
        Ok(self.health().await?.log_entries)
    }

    /// Entries from index `since` on that the query picks.
    ///
    /// # Errors
    /// Where the gateway does not answer.
    pub async fn entries(&self, since: u64, query: &[(&str, &str)]) -> Result<Vec<EntryView>> {
        self.fleet.entries(since, query).await
    }

    /// Incidents of that name about that node since.
    ///
    /// # Errors
    /// Where the gateway does not answer.
    pub async fn incidents(&self, since: u64, name: &str, node: &str) -> Result<Vec<EntryView>> {
        let id = self.node(node)?.id;
        let about =
            |entry: &Entry| matches!(entry, Entry::Incident { what, node, .. } if what == name && *node == Some(id));
        let incidents = self.entries(since, &[("kind", "incident")]).await?;
        Ok(incidents.into_iter().filter(|entry| about(&entry.record.entry)).collect())
    }

    /// Waits for such an incident.
    ///
    /// # Errors
    /// Where none is told.
    pub async fn until_incident(&self, since: u64, name: &str, node: &str) -> Result<EntryView> {
        let found = || async { Ok(self.incidents(since, name, node).await?.into_iter().next()) };
        self.until(&format!("an incident {name} about {node}"), found).await
    }

    /// Waits for the entry that says that this happened to the node.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn until_told(&self, since: u64, change: FleetChange, node: &str) -> Result<EntryView> {
        let id = self.node(node)?.id;
        let about =
            |entry: &Entry| matches!(entry, Entry::Fleet { what, node, .. } if *what == change && *node == Some(id));
        let found = || async {
            let told = self.entries(since, &[("kind", "fleet")]).await?;
            Ok(told.into_iter().find(|entry| about(&entry.record.entry)))
        };
        self.until(&format!("the log says {change:?} of {node}"), found).await
    }

    /// Waits for an intent of this operation on this bucket that has no outcome yet.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn until_open_intent(&self, since: u64, operation: OperationKind, bucket: &str) -> Result<EntryView> {
        let name = serde_json::to_value(operation)?.as_str().unwrap_or_default().to_owned();
        let what = format!("the log has an open intent of {name} in {bucket}");
        self.until(&what, || async {
            let outcomes = self.entries(since, &[("kind", "outcome")]).await?;
            let closed = |index: u64| {
                outcomes.iter().any(|view| matches!(&view.record.entry, Entry::Outcome(end) if end.intent == index))
            };
            let query = [("kind", "intent"), ("operation", name.as_str()), ("bucket", bucket)];
            Ok(self.entries(since, &query).await?.into_iter().find(|intent| !closed(intent.index)))
        })
        .await
    }
}

/// A process that was sent SIGSTOP. Dropped, it goes on: frozen it would not end with the demo.
pub struct Frozen {
    pid: Pid,
}

impl Frozen {
    /// Lets it go on.
    ///
    /// # Errors
    /// Where it is gone.
    pub fn thaw(self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Gone is as good as thawed.
        let _ = kill_process(self.pid, Signal::CONT);
    }
}

/// A changed configuration of a process, and what it was before.
pub struct Edited {
    path: PathBuf,
    before: String,
}

impl Edited {
    /// Replaces the value of the line `name = ..`.
    ///
    /// # Errors
    /// Where there is not exactly one such line.
    pub fn set(path: &Path, name: &str, value: &str) -> Result<Self> {
        let before = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let is_it = |line: &&str| line.split_once(" = ").is_some_and(|(key, _)| key == name);
        ensure!(before.lines().filter(is_it).count() == 1, "{} has not one line {name}", path.display());
        let change = |line: &str| if is_it(&line) { format!("{name} = {value}\n") } else { format!("{line}\n") };
        std::fs::write(path, before.lines().map(change).collect::<String>())?;
        Ok(Self { path: path.to_owned(), before })
    }

    /// Adds a section at the end.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn add(path: &Path, section: &str) -> Result<Self> {
        let before = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        std::fs::write(path, format!("{before}\n{section}\n"))?;
        Ok(Self { path: path.to_owned(), before })
    }

    /// Puts the old text back.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn undo(self) -> Result<()> {
        Ok(std::fs::write(&self.path, &self.before)?)
    }
}

/// An S3 client that does not ask twice and waits for as long as it takes.
fn client(endpoint: &str, region: &str, access: &str, secret: &str) -> aws_sdk_s3::Client {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(access, secret, None, None, "demo"))
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
        .force_path_style(true);
    aws_sdk_s3::Client::from_conf(config.build())
}
