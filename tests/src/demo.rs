//! A running demo: two gateways and twenty nodes on this machine's loopback addresses.
//!
//! Its ports are fixed, so only one runs at a time: cargo runs one test program after another, and within a program a lock
//! keeps tests apart.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// What the demo prints when everything is up.
const READY: &str = "The demo runs.";

/// `demo.json`, as much of it as tests need.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// The admin API of the first gateway.
    pub admin: String,
    /// A token for it.
    pub token: String,
    /// The certificate authority of the TLS listeners.
    pub ca_file: PathBuf,
    /// AWS shared-credentials file.
    pub credentials_file: PathBuf,
    /// The gateways, `cn` first.
    pub gateways: Vec<Gateway>,
}

/// Where a gateway is reached.
#[derive(Debug, Deserialize)]
pub struct Gateway {
    /// The region of buckets created without one.
    pub default_region: String,
    /// S3 over HTTP.
    pub s3: String,
    /// S3 over TLS.
    pub s3_tls: String,
}

/// A demo that runs until this is dropped or stopped.
pub struct RunningDemo {
    child: Child,
    folder: TempDir,
    output: Option<JoinHandle<()>>,
    _turn: MutexGuard<'static, ()>,
}

impl RunningDemo {
    /// Starts the program at `domicile` and waits until all of it is up.
    ///
    /// # Errors
    /// With what the demo said, where it does not come up.
    pub fn start(domicile: &Path) -> Result<Self> {
        // A test that failed while it held the turn has dropped its demo.
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(domicile)
            .args(["demo", "--data-dir"])
            .arg(folder.path().join("demo"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} does not start", domicile.display()))?;
        let stdout = child.stdout.take().context("the demo's output is piped")?;
        let mut demo = Self { child, folder, output: None, _turn: turn };
        let mut said = String::new();
        let mut lines = BufReader::new(stdout);
        while !said.contains(READY) {
            if lines.read_line(&mut said)? == 0 {
                let mut errors = String::new();
                demo.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut errors)).transpose()?;
                bail!("the demo ended before it was up: {said}{errors}");
            }
        }
        // A pipe that nobody reads would stop the demo.
        demo.output = Some(std::thread::spawn(move || drop(std::io::copy(&mut lines, &mut std::io::sink()))));
        Ok(demo)
    }

    /// The demo's data folder.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    /// Its `demo.json`.
    ///
    /// # Errors
    /// Where it is not what the demo writes.
    pub fn manifest(&self) -> Result<Manifest> {
        let path = self.folder().join("demo.json");
        let bytes = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is not what is expected", path.display()))
    }

    /// Access key and secret of tenant `a`.
    ///
    /// # Errors
    /// Where the file is not what the demo writes.
    pub fn credentials(&self) -> Result<(String, String)> {
        self.credentials_of("a")
    }

    /// Access key and secret of a tenant.
    ///
    /// # Errors
    /// Where the file is not what the demo writes, or knows no such tenant.
    pub fn credentials_of(&self, tenant: &str) -> Result<(String, String)> {
        let text = std::fs::read_to_string(self.manifest()?.credentials_file)?;
        let profile = format!("[uploader-{tenant}]");
        let own: Vec<&str> = text.lines().skip_while(|line| line.trim() != profile).skip(1).collect();
        let value = |name: &str| {
            let lines = own.iter().take_while(|line| !line.starts_with('['));
            let found = lines.filter_map(|line| line.split_once('=')).find(|(key, _)| key.trim() == name);
            found.map(|(_, value)| value.trim().to_owned()).with_context(|| format!("{profile} has no {name}"))
        };
        Ok((value("aws_access_key_id")?, value("aws_secret_access_key")?))
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
            kill_process(id.context("the demo has no id")?, Signal::INT)?;
        }
        let status = self.child.wait()?;
        if let Some(output) = self.output.take()
            && output.join().is_err()
        {
            bail!("the demo's output could not be read");
        }
        if !status.success() {
            bail!("the demo ended with {status}");
        }
        Ok(())
    }

    /// Stops it; an error if it did not end in good order.
    ///
    /// # Errors
    /// Where a process of it failed meanwhile.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }
}

impl Drop for RunningDemo {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("{error:#}");
        }
    }
}
