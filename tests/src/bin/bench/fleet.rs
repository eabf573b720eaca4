//! The fleet under measurement: `domicile demo` as a child, and what `/proc` and the gateway say of its processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use crate::client::{Order, Target, Verb, Work, in_own_process};
use crate::process::{Usage, reset_peak};
use crate::stopwatch::{now, today};

/// Twenty-two processes on two cores take some seconds; the rest is for machines that do other things, too.
const START_SECONDS: u64 = 150;
const STOP_SECONDS: u64 = 30;
/// A node of the quick run holds some 200 MiB.
const DRAIN_SECONDS: u64 = 300;

/// A running demo with one bucket in it.
pub(crate) struct Fleet {
    demo: Child,
    output: PathBuf,
    manifest: Manifest,
    gateway: RunningGateway,
    http: Client,
    runtime: Runtime,
    /// Where to send requests: gateway `cn`, region `cn`, a bucket of our own.
    pub(crate) target: Target,
}

/// `demo.json`, as far as it is needed.
#[derive(Debug, Clone, Deserialize)]
struct Manifest {
    credentials_file: PathBuf,
    token: String,
    gateways: Vec<Gateway>,
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Deserialize)]
struct Gateway {
    pid: Option<u32>,
    default_region: String,
    s3: String,
    admin: String,
    log_file: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
struct Node {
    pid: Option<u32>,
}

/// The gateway that is measured.
#[derive(Debug, Clone)]
struct RunningGateway {
    pid: u32,
    admin: String,
    log_file: PathBuf,
}

/// `GET /v1/health`, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Health {
    nodes: usize,
    nodes_online: usize,
}

/// A row of `GET /v1/nodes`, as far as it is needed.
#[derive(Debug, Deserialize)]
struct NodeView {
    served: Option<Moved>,
}

#[derive(Debug, Deserialize)]
struct Moved {
    bytes: u64,
}

/// What gateway and nodes have used, and what nodes have served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) gateway: Usage,
    pub(crate) nodes: Usage,
    /// Shard bytes that all nodes served; absent when one of them did not say.
    pub(crate) served_bytes: Option<u64>,
}

impl Fleet {
    /// Starts `domicile demo` on `folder`, waits until the gateway sees every node, and makes a bucket.
    pub(crate) fn start(domicile: &Path, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let output = folder.with_extension("log");
        let log = File::create(&output).with_context(|| format!("{} cannot be made", output.display()))?;
        eprintln!("bench: starting the demo's fleet on {}", folder.display());
        let demo = Command::new(domicile)
            .arg("demo")
            .arg("--data-dir")
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", domicile.display()))?;
        let mut starting = Starting { demo: Some(demo), output, folder: folder.to_owned() };
        // Already installed is as good; the client wants a provider to be there, though it speaks no TLS here.
        let _or_already_there = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        let (manifest, gateway, target) = runtime.block_on(starting.ready(&http))?;
        let demo = starting.demo.take().context("the demo was started")?;
        let fleet = Self { demo, output: starting.output.clone(), manifest, gateway, http, runtime, target };
        fleet.make_bucket()?;
        Ok(fleet)
    }

    fn make_bucket(&self) -> Result<()> {
        let work = Work {
            verb: Verb::CreateBucket,
            name: String::new(),
            objects: 1,
            object_bytes: 0,
            object_bytes_min: 0,
            requests: 1,
            at_once: 1,
        };
        let done = self.runtime.block_on(in_own_process(&Order { target: self.target.clone(), work }))?;
        match done.first_failure {
            None => Ok(()),
            Some(failure) => bail!("the bucket {} cannot be made: {failure}", self.target.bucket),
        }
    }

    /// Carries out `work` in a client process and reads everything before and after.
    pub(crate) fn measure(&self, work: Work) -> Result<Measured> {
        for pid in self.node_pids()?.into_iter().chain([self.gateway.pid]) {
            reset_peak(pid)?;
        }
        self.runtime.block_on(async {
            let before = self.reading().await?;
            let done = in_own_process(&Order { target: self.target.clone(), work: work.clone() }).await?;
            // What is acknowledged is durable; index writes and receipts of the same work may follow a little later.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let after = self.reading().await?;
            let served_bytes = after.served_bytes.zip(before.served_bytes).map(|(a, b)| a.saturating_sub(b));
            let (gateway, nodes) = (after.gateway.since(before.gateway), after.nodes.since(before.nodes));
            if let Some(failure) = &done.first_failure {
                let log = self.gateway.log_file.display();
                eprintln!("bench: {} of {} failed, the first with {failure} (see {log})", done.failed, done.requests);
            }
            Ok(Measured { done, used: Reading { gateway, nodes, served_bytes } })
        })
    }

    /// Empties the node that holds the most, and reads everything before and after; then puts it back into service.
    pub(crate) fn drain_the_fullest(&self) -> Result<Drained> {
        for pid in self.node_pids()?.into_iter().chain([self.gateway.pid]) {
            reset_peak(pid)?;
        }
        self.runtime.block_on(async {
            let (admin, token) = (&self.gateway.admin, self.manifest.token.as_str());
            let nodes: Vec<Room> = get(&self.http, &format!("{admin}/v1/nodes"), Some(token)).await?;
            let taken = |node: &Room| node.capacity_bytes.unwrap_or(0).saturating_sub(node.free_bytes.unwrap_or(0));
            let node = nodes.into_iter().max_by_key(taken).context("the gateway knows of no node")?.node;
            let url = format!("{admin}/v1/fleet/nodes/{node}");
            let (before, counted) = (self.reading().await?, self.repairs().await?);
            let begun = now();
            self.order(&format!("{url}/drain")).await?;
            while get::<Leaving>(&self.http, &format!("{url}/drain"), Some(token)).await?.statement.is_none() {
                if begun.elapsed() > Duration::from_secs(DRAIN_SECONDS) {
                    bail!("node {node} is not empty after {DRAIN_SECONDS} s");
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let seconds = begun.elapsed().as_secs_f64();
            let (after, done) = (self.reading().await?, self.repairs().await?);
            self.order(&format!("{url}/undrain")).await?;
            let (gateway, nodes) = (after.gateway.since(before.gateway), after.nodes.since(before.nodes));
            Ok(Drained {
                seconds,
                shards: done.shards.saturating_sub(counted.shards),
                stored_bytes: done.stored_bytes.saturating_sub(counted.stored_bytes),
                fetched_bytes: done.fetched_bytes.saturating_sub(counted.fetched_bytes),
                used: Reading { gateway, nodes, served_bytes: None },
            })
        })
    }

    async fn repairs(&self) -> Result<Repairs> {
        get(&self.http, &format!("{}/v1/repairs", self.gateway.admin), Some(&self.manifest.token)).await
    }

    async fn order(&self, url: &str) -> Result<()> {
        let order = self.http.post(url).bearer_auth(&self.manifest.token).json(&serde_json::json!({}));
        order.send().await?.error_for_status()?;
        Ok(())
    }

    async fn reading(&self) -> Result<Reading> {
        let served_bytes = self.served_bytes().await?;
        let nodes = Usage::of_all(&self.node_pids()?)?;
        Ok(Reading { gateway: Usage::of(self.gateway.pid)?, nodes, served_bytes })
    }

    async fn served_bytes(&self) -> Result<Option<u64>> {
        let Self { gateway, manifest, http, .. } = self;
        let nodes: Vec<NodeView> = get(http, &format!("{}/v1/nodes", gateway.admin), Some(&manifest.token)).await?;
        // Only nodes that have data of the bucket's region are asked for it; those that do not answer would hide something.
        Ok(nodes.into_iter().map(|node| node.served.map(|served| served.bytes)).sum())
    }

    fn node_pids(&self) -> Result<Vec<u32>> {
        self.manifest.nodes.iter().map(|node| node.pid.context("every node was running")).collect()
    }

    /// Stops the demo and everything it started.
    pub(crate) fn stop(mut self) -> Result<()> {
        eprintln!("bench: stopping the fleet");
        stop(&mut self.demo)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Err(error) = stop(&mut self.demo) {
            eprintln!("bench: {error:#}; its output is in {}", self.output.display());
        }
    }
}

/// What it took to empty a node.
pub(crate) struct Drained {
    /// From the order to the statement.
    pub(crate) seconds: f64,
    /// Shards that have a new holder.
    pub(crate) shards: u64,
    /// Their bytes.
    pub(crate) stored_bytes: u64,
    /// Shard bytes that were read for it.
    pub(crate) fetched_bytes: u64,
    /// What gateway and nodes used.
    pub(crate) used: Reading,
}

/// `GET /v1/repairs`, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Repairs {
    shards: u64,
    stored_bytes: u64,
    fetched_bytes: u64,
}

/// `GET /v1/fleet/nodes/{node}/drain`, as far as it is needed.
#[derive(Debug, Deserialize)]
struct Leaving {
    statement: Option<serde_json::Value>,
}

/// A row of `GET /v1/nodes`, for how full the node is.
#[derive(Debug, Deserialize)]
struct Room {
    node: String,
    capacity_bytes: Option<u64>,
    free_bytes: Option<u64>,
}

/// What one piece of work took.
pub(crate) struct Measured {
    pub(crate) done: crate::client::Done,
    pub(crate) used: Reading,
}

/// A demo that is not ready yet; dropped, it is stopped.
struct Starting {
    demo: Option<Child>,
    output: PathBuf,
    folder: PathBuf,
}

impl Starting {
    async fn ready(&mut self, http: &Client) -> Result<(Manifest, RunningGateway, Target)> {
        let deadline = now() + Duration::from_secs(START_SECONDS);
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let exited = self.demo.as_mut().map(Child::try_wait).transpose()?.flatten();
            if let Some(status) = exited {
                bail!("the demo ended ({status}); it said:\n{}", self.tail());
            }
            let state = match self.look(http).await {
                Ok(ready) => return Ok(ready),
                Err(state) => state,
            };
            if now() > deadline {
                bail!("the demo is not ready after {START_SECONDS} s ({state:#}); it said:\n{}", self.tail());
            }
        }
    }

    /// What there is once every process runs and the gateway hears every node; else what is missing.
    async fn look(&self, http: &Client) -> Result<(Manifest, RunningGateway, Target)> {
        let path = self.folder.join("demo.json");
        let manifest: Manifest = serde_json::from_slice(&fs::read(&path).context("no demo.json yet")?)?;
        for node in &manifest.nodes {
            node.pid.context("a node does not run yet")?;
        }
        let gateway = manifest.gateways.first().context("demo.json names no gateway")?;
        let pid = gateway.pid.context("the gateway does not run yet")?;
        let health: Health = get(http, &format!("{}/v1/health", gateway.admin), None).await?;
        if health.nodes_online < health.nodes {
            bail!("{} of {} nodes are online", health.nodes_online, health.nodes);
        }
        let credentials = fs::read_to_string(&manifest.credentials_file).context("no credentials yet")?;
        let (access_key, secret_key) = profile(&credentials, "uploader-a")?;
        let target = Target {
            host: gateway.s3.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            region: gateway.default_region.clone(),
            access_key,
            secret_key,
            bucket: format!("bench-{}", today().unix_timestamp()),
        };
        let running = RunningGateway { pid, admin: gateway.admin.clone(), log_file: gateway.log_file.clone() };
        Ok((manifest, running, target))
    }

    /// The end of what the demo printed.
    fn tail(&self) -> String {
        let text = fs::read_to_string(&self.output).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(demo) = &mut self.demo
            && let Err(error) = stop(demo)
        {
            eprintln!("bench: {error:#}");
        }
    }
}

/// The demo stops its processes when it is interrupted.
fn stop(demo: &mut Child) -> Result<()> {
    if demo.try_wait()?.is_some() {
        return Ok(());
    }
    let pid = i32::try_from(demo.id()).ok().and_then(rustix::process::Pid::from_raw).context("the demo has no id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::INT).context("the demo cannot be interrupted")?;
    let deadline = now() + Duration::from_secs(STOP_SECONDS);
    while demo.try_wait()?.is_none() {
        if now() > deadline {
            demo.kill()?;
            demo.wait()?;
            bail!("the demo did not stop within {STOP_SECONDS} s and was killed: its nodes may still run");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Access key and secret key of a profile in the AWS shared-credentials form.
fn profile(credentials: &str, name: &str) -> Result<(String, String)> {
    let header = format!("[{name}]");
    let section: Vec<&str> = credentials
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != header)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .collect();
    let value = |field: &str| {
        let pairs = section.iter().filter_map(|line| line.split_once('='));
        let mut values = pairs.filter(|(key, _)| key.trim() == field).map(|(_, value)| value.trim().to_owned());
        values.next().with_context(|| format!("profile {name} has no {field}"))
    };
    Ok((value("aws_access_key_id")?, value("aws_secret_access_key")?))
}

async fn get<T: DeserializeOwned>(http: &Client, url: &str, token: Option<&str>) -> Result<T> {
    let mut request = http.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await?.error_for_status()?;
    answer.json().await.with_context(|| format!("{url} did not answer what it should"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_read_from_its_own_section_only() {
        let text = "[uploader-b]\naws_access_key_id = B\naws_secret_access_key = b\n\n[uploader-a]\n\
            aws_access_key_id = A\naws_secret_access_key = a=b\n";
        assert_eq!(profile(text, "uploader-a").unwrap(), ("A".to_owned(), "a=b".to_owned()));
        assert!(profile(text, "uploader-c").unwrap_err().to_string().contains("no aws_access_key_id"));
    }
}
