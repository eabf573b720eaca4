//! No process outlives the demo, however the demo ends.
//!
//! Every process joins the process group of a shell that waits for the end of a pipe. While the demo lives it holds the
//! other end; when it dies, even by SIGKILL, the pipe ends and the shell ends the group. (Linux's parent-death signal
//! would be shorter, but it takes `unsafe` between fork and exec, and fires when the spawning *thread* ends.) A group of
//! their own also keeps the terminal's Ctrl-C from the processes: the demo stops them in order.

use std::process::Stdio;

use anyhow::Context;
use tokio::process::{Child, Command};

/// `done` on the pipe: all is well. Anything else is the demo's death: ask the group to end, then make it.
const SCRIPT: &str =
    r#"read -r word; [ "$word" = done ] && exit 0; trap "" TERM; kill -TERM 0; sleep 10; kill -KILL 0"#;

/// The shell, and the group that it leads.
pub(super) struct Watchdog {
    shell: Child,
    group: i32,
}

impl Watchdog {
    /// Starts the shell.
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let shell = shell.spawn().context("/bin/sh does not start")?;
        let group = shell.id().and_then(|id| i32::try_from(id).ok()).context("/bin/sh ended at once")?;
        Ok(Self { shell, group })
    }

    /// The process group to join.
    pub(super) const fn group(&self) -> i32 {
        self.group
    }

    /// Sends the shell home, once every process of the group has ended.
    pub(super) async fn dismiss(&mut self) {
        use tokio::io::AsyncWriteExt;
        if let Some(mut pipe) = self.shell.stdin.take()
            && pipe.write_all(b"done\n").await.is_err()
        {
            tracing::warn!("the watchdog ended before it was dismissed");
        }
        if let Err(error) = self.shell.wait().await {
            tracing::warn!(%error, "the watchdog cannot be waited for");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sleeper(group: i32) -> Child {
        Command::new("sleep").arg("600").process_group(group).spawn().unwrap()
    }

    #[tokio::test]
    async fn when_the_demo_dies_its_processes_end() {
        let mut watchdog = Watchdog::start().unwrap();
        let mut process = sleeper(watchdog.group()).await;
        drop(watchdog.shell.stdin.take());
        assert!(!process.wait().await.unwrap().success());
        // It waits ten seconds to make sure of the rest; there is no rest.
        watchdog.shell.kill().await.unwrap();
    }

    #[tokio::test]
    async fn a_dismissed_watchdog_ends_nothing() {
        let mut watchdog = Watchdog::start().unwrap();
        let mut process = sleeper(watchdog.group()).await;
        watchdog.dismiss().await;
        assert!(process.try_wait().unwrap().is_none());
        process.kill().await.unwrap();
    }
}
