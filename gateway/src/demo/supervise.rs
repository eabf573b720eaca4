//! The processes: started, watched, stopped. Only processes that this demo started are ever sent a signal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::files::write_manifest;
use super::manifest::{Manifest, Process};
use super::watchdog::Watchdog;
use crate::admin::views::Health;

/// How long a process may take to end after SIGTERM before it is made to.
const GRACE: Duration = Duration::from_secs(20);
/// How long the fleet may take to find itself together.
const STARTUP: Duration = Duration::from_secs(120);
/// How often to look.
const POLL: Duration = Duration::from_millis(250);
/// Lines of a log that are shown when its process ended unasked.
const LOG_LINES_SHOWN: usize = 12;

/// How to take a process down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Down {
    /// SIGTERM: it finishes what it does.
    Stop,
    /// SIGKILL: as if the machine had lost it.
    Kill,
}

/// Every process of the demo. Clones share it.
#[derive(Clone)]
pub(super) struct Fleet {
    inner: Arc<Mutex<Inner>>,
    folder: Arc<Path>,
    http: reqwest::Client,
}

struct Inner {
    manifest: Manifest,
    children: BTreeMap<String, Child>,
    /// Those whose end by themselves is no failure of the demo.
    doomed: BTreeSet<String>,
    watchdog: Watchdog,
    program: PathBuf,
}

impl Fleet {
    pub(super) fn new(manifest: Manifest, folder: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program cannot find itself")?;
        let inner = Inner {
            manifest,
            children: BTreeMap::new(),
            doomed: BTreeSet::new(),
            watchdog: Watchdog::start()?,
            program,
        };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), folder: folder.into(), http: super::ask::plain_client()? })
    }

    pub(super) async fn manifest(&self) -> Manifest {
        self.inner.lock().await.manifest.clone()
    }

    /// Starts every process and waits until each gateway sees every node.
    pub(super) async fn start_all(&self) -> anyhow::Result<()> {
        let names: Vec<String> = self.manifest().await.processes().map(|process| process.name.clone()).collect();
        println!("starting {} processes", names.len());
        for name in &names {
            self.start(name).await?;
        }
        self.healthy().await
    }

    /// Starts one process, which must not be running.
    pub(super) async fn start(&self, name: &str) -> anyhow::Result<()> {
        let mut inner = self.inner.lock().await;
        inner.reap(name)?;
        if inner.children.contains_key(name) {
            bail!("{name} is running");
        }
        let process = inner.process(name)?;
        let child = spawn(&inner.program, &process, inner.watchdog.group())?;
        inner.manifest.set_pid(name, child.id());
        inner.children.insert(name.to_owned(), child);
        write_manifest(&self.folder, &inner.manifest)
    }

    /// Takes one process down and waits until it is.
    pub(super) async fn down(&self, name: &str, how: Down) -> anyhow::Result<ExitStatus> {
        let mut inner = self.inner.lock().await;
        inner.process(name)?;
        let mut child = inner.children.remove(name).with_context(|| format!("{name} is not running"))?;
        inner.manifest.set_pid(name, None);
        write_manifest(&self.folder, &inner.manifest)?;
        drop(inner);
        end(&mut child, how).await.with_context(|| format!("{name} cannot be taken down"))
    }

    /// From now on the end of this process by itself is no failure of the demo: somebody is about to make its disk fail.
    pub(super) async fn doom(&self, name: &str) -> anyhow::Result<()> {
        let mut inner = self.inner.lock().await;
        inner.process(name)?;
        inner.doomed.insert(name.to_owned());
        Ok(())
    }

    /// Waits until a process that may end by itself has done so; how it ended.
    pub(super) async fn ended(&self, name: &str) -> anyhow::Result<ExitStatus> {
        let waiting = async {
            loop {
                if let Some(status) = self.reap_doomed(name).await? {
                    return Ok(status);
                }
                sleep(POLL).await;
            }
        };
        let ended = timeout(STARTUP, waiting).await;
        ended.unwrap_or_else(|_| Err(anyhow::anyhow!("{name} still runs after {} s", STARTUP.as_secs())))
    }

    async fn reap_doomed(&self, name: &str) -> anyhow::Result<Option<ExitStatus>> {
        let mut inner = self.inner.lock().await;
        if !inner.doomed.contains(name) {
            bail!("{name} is not expected to end: say so first, with POST /processes/{name}/doom");
        }
        let child = inner.children.get_mut(name).with_context(|| format!("{name} is not running"))?;
        let Some(status) = child.try_wait()? else { return Ok(None) };
        inner.children.remove(name);
        inner.doomed.remove(name);
        inner.manifest.set_pid(name, None);
        write_manifest(&self.folder, &inner.manifest)?;
        Ok(Some(status))
    }

    /// Waits until every gateway that runs sees every node that runs.
    pub(super) async fn healthy(&self) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                self.check_running().await?;
                if self.is_healthy().await {
                    return Ok(());
                }
                sleep(POLL).await;
            }
        };
        match timeout(STARTUP, waiting).await {
            Ok(result) => result,
            Err(_) => bail!(
                "after {} s the gateways do not see all nodes; what they say is in {}",
                STARTUP.as_secs(),
                self.folder.join("logs").display()
            ),
        }
    }

    async fn is_healthy(&self) -> bool {
        let (gateways, nodes) = {
            let inner = self.inner.lock().await;
            let running = |name: &str| inner.children.contains_key(name);
            let gateways = inner.manifest.gateways.iter().filter(|gateway| running(&gateway.process.name));
            let gateways: Vec<String> = gateways.map(|gateway| gateway.admin.clone()).collect();
            (gateways, inner.manifest.nodes.iter().filter(|node| running(&node.process.name)).count())
        };
        for gateway in gateways {
            let Ok(answer) = self.http.get(format!("{gateway}/v1/health")).send().await else { return false };
            match answer.json::<Health>().await {
                Ok(health) if health.nodes_online >= nodes => {}
                _ => return false,
            }
        }
        true
    }

    /// Stays until a process ends that nobody asked to.
    pub(super) async fn watch(&self) -> anyhow::Result<()> {
        loop {
            self.check_running().await?;
            sleep(POLL).await;
        }
    }

    /// An error if a process has ended by itself, with the end of what it said.
    async fn check_running(&self) -> anyhow::Result<()> {
        let mut inner = self.inner.lock().await;
        let Inner { children, doomed, .. } = &mut *inner;
        let mut ended = Vec::new();
        for (name, child) in children.iter_mut().filter(|(name, _)| !doomed.contains(*name)) {
            if let Some(status) = child.try_wait()? {
                ended.push((name.clone(), status));
            }
        }
        let Some((name, status)) = ended.first() else { return Ok(()) };
        let log = inner.process(name)?.log_file;
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        let last =
            lines.iter().skip(lines.len().saturating_sub(LOG_LINES_SHOWN)).copied().collect::<Vec<_>>().join("\n");
        bail!("{name} ended by itself ({status}); the end of {}:\n{last}", log.display());
    }

    /// Stops every process: gateways first, so that they finish what they do with the nodes still there.
    pub(super) async fn stop_all(&self) {
        let manifest = self.manifest().await;
        let gateways = manifest.gateways.iter().map(|gateway| gateway.process.name.clone()).collect::<Vec<_>>();
        let nodes = manifest.nodes.iter().map(|node| node.process.name.clone()).collect::<Vec<_>>();
        for names in [gateways, nodes] {
            futures::future::join_all(names.iter().map(|name| self.stop_if_running(name))).await;
        }
        self.inner.lock().await.watchdog.dismiss().await;
    }

    async fn stop_if_running(&self, name: &str) {
        if !self.inner.lock().await.children.contains_key(name) {
            return;
        }
        match self.down(name, Down::Stop).await {
            Ok(status) if status.success() => {}
            Ok(status) => println!("{name} ended with {status}"),
            Err(error) => println!("{error:#}"),
        }
    }
}

impl Inner {
    fn process(&self, name: &str) -> anyhow::Result<Process> {
        let found = self.manifest.processes().find(|process| process.name == name).cloned();
        found.with_context(|| format!("there is no process {name:?}; demo.json lists their names"))
    }

    /// Forgets a process that has ended.
    fn reap(&mut self, name: &str) -> anyhow::Result<()> {
        if let Some(child) = self.children.get_mut(name)
            && child.try_wait()?.is_some()
        {
            self.children.remove(name);
        }
        Ok(())
    }
}

fn spawn(program: &Path, process: &Process, group: i32) -> anyhow::Result<Child> {
    let kind = if process.name.starts_with("gateway-") { "gateway" } else { "node" };
    let what = || format!("{} cannot be written", process.log_file.display());
    if let Some(folder) = process.log_file.parent() {
        std::fs::create_dir_all(folder).with_context(what)?;
    }
    let log = std::fs::OpenOptions::new().create(true).append(true).open(&process.log_file).with_context(what)?;
    Command::new(program)
        .args([kind, "--config"])
        .arg(&process.config_file)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(group)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} does not start", process.name))
}

async fn end(child: &mut Child, how: Down) -> anyhow::Result<ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    if how == Down::Stop {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        kill_process(id.context("the process has no id")?, Signal::TERM)?;
        if let Ok(status) = timeout(GRACE, child.wait()).await {
            return Ok(status?);
        }
        println!("a process did not end within {} s of being asked to: it is killed", GRACE.as_secs());
    }
    child.start_kill()?;
    Ok(child.wait().await?)
}
