//! Disks that fail: strace answers system calls of a process in the kernel's stead.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// A system call and the error that it ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `fdatasync` ends with EIO.
    SyncFails,
    /// `pwrite64` and `fallocate` end with ENOSPC.
    NoSpace,
}

impl Call {
    const fn injections(self) -> &'static [&'static str] {
        match self {
            Self::SyncFails => &["inject=fdatasync:error=EIO"],
            Self::NoSpace => &["inject=pwrite64,fallocate:error=ENOSPC"],
        }
    }
}

/// System calls of one process on one file fail until this is detached or dropped.
pub struct FailingDisk {
    strace: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    said: tempfile::NamedTempFile,
}

impl FailingDisk {
    pub(super) async fn attach(pid: u32, file: &Path, calls: &[Call]) -> Result<Self> {
        let said = tempfile::NamedTempFile::new()?;
        ensure!(file.exists(), "{} is not there", file.display());
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string(), "-P"]).arg(file).args(["-e", "trace=fdatasync,pwrite64,fallocate"]);
        for injection in calls.iter().flat_map(|call| call.injections()) {
            command.args(["-e", injection]);
        }
        command.arg("-o").arg(said.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut strace = command.spawn().context("strace is not there: run `cargo xtask test`, which installs it")?;
        let stderr = strace.stderr.take().context("its errors are piped")?;
        let mut disk = Self { strace, stderr: BufReader::new(stderr).lines(), said };
        let mut heard = String::new();
        while let Some(line) = disk.stderr.next_line().await? {
            if line.contains(" attached") {
                return Ok(disk);
            }
            heard.push_str(&line);
        }
        bail!(
            "one process may not trace another here, so that failing disks cannot be tested: {heard}\nallow ptrace: run as \
             root or set kernel.yama.ptrace_scope=0; in a container grant CAP_SYS_PTRACE and a seccomp profile that admits ptrace"
        )
    }

    /// The calls that were made to fail so far, as strace writes them down.
    ///
    /// # Errors
    /// Where strace's file cannot be read.
    pub fn failed(&self) -> Result<Vec<String>> {
        let said = std::fs::read_to_string(self.said.path())?;
        Ok(said.lines().filter(|line| line.contains("(INJECTED)")).map(str::to_owned).collect())
    }

    /// Lets the disk work again; the calls that failed.
    ///
    /// # Errors
    /// Where strace does not let go.
    pub async fn mend(mut self) -> Result<Vec<String>> {
        // Asked to end, strace lets go of every thread first; killed, it might take the process along.
        if let Some(pid) = self.strace.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            kill_process(pid, Signal::INT)?;
        }
        while self.stderr.next_line().await?.is_some() {}
        self.strace.wait().await?;
        self.failed()
    }
}

/// The last file of a folder by name, of those with this ending: the one that is written to.
///
/// # Errors
/// Where there is none.
pub fn last_file(folder: &Path, ending: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    let ours = paths.into_iter().filter(|path| path.extension().is_some_and(|end| end == ending));
    ours.max().with_context(|| format!("{} holds no file {ending}", folder.display()))
}
