//! `domicile-render` as a process: JSON in, PDF out, within bounds.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::sync::Semaphore;

/// The variable that names the program, where it does not lie beside this one.
const VARIABLE: &str = "DOMICILE_RENDER";
/// The program's name.
const PROGRAM: &str = "domicile-render";
/// How long it may take: ten thousand rows take some ten seconds.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest PDF, in bytes.
const PDF_BYTES_MAX: u64 = 256 << 20;
/// The longest complaint of it that is told.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;
/// Rendering takes a core and some hundred MiB: others wait for their turn.
static TURN: Semaphore = Semaphore::const_new(1);

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    /// It is not installed.
    #[error(
        "there is no {PROGRAM} beside this program ({looked}), so no PDF can be made: install it there, or set {VARIABLE} to where it is; \
         HTML and JSON need none"
    )]
    Missing {
        /// Where it was looked for.
        looked: PathBuf,
    },
    /// It does not start, or breaks off.
    #[error("{PROGRAM} cannot be run")]
    Io(#[from] std::io::Error),
    /// It says why.
    #[error("{PROGRAM} made no PDF: {complaint}")]
    Refused {
        /// What it says.
        complaint: String,
    },
    /// It took too long.
    #[error("{PROGRAM} was ended after {} seconds: make a report of a shorter period", PATIENCE.as_secs())]
    TooSlow,
    /// It made too much.
    #[error("the PDF is longer than {PDF_BYTES_MAX} bytes: make a report of a shorter period")]
    TooLong,
}

/// Where the renderer is.
#[derive(Debug, Clone)]
pub(crate) struct Renderer(PathBuf);

impl Renderer {
    /// Finds it: where the environment says, else beside this program.
    pub(crate) fn find() -> Result<Self, RenderError> {
        let beside = || {
            let this = std::env::current_exe().unwrap_or_default();
            this.parent().unwrap_or(Path::new("")).join(PROGRAM)
        };
        Self::at(std::env::var_os(VARIABLE).map_or_else(beside, PathBuf::from))
    }

    fn at(program: PathBuf) -> Result<Self, RenderError> {
        if program.is_file() { Ok(Self(program)) } else { Err(RenderError::Missing { looked: program }) }
    }

    /// The PDF of a report in its JSON form.
    pub(crate) async fn pdf(&self, report: Vec<u8>) -> Result<Vec<u8>, RenderError> {
        let _turn = TURN.acquire().await;
        match tokio::time::timeout(PATIENCE, self.run(report)).await {
            Ok(made) => made,
            Err(_) => Err(RenderError::TooSlow),
        }
    }

    async fn run(&self, report: Vec<u8>) -> Result<Vec<u8>, RenderError> {
        let mut command = Command::new(&self.0);
        // It needs nothing of ours, and gets nothing: no secrets of the environment, no place in the file system.
        command.env_clear().current_dir("/").kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // A program that refuses early reads no further; what it says is what counts.
                let _ = stdin.write_all(&report).await;
                let _ = stdin.shutdown().await;
            }
        };
        let ((), pdf, complaint) =
            tokio::join!(write, bounded(stdout, PDF_BYTES_MAX), bounded(stderr, COMPLAINT_BYTES_MAX));
        let (pdf, complaint) = (pdf?, complaint?);
        if u64::try_from(pdf.len()).unwrap_or(u64::MAX) > PDF_BYTES_MAX {
            return Err(RenderError::TooLong);
        }
        let status = child.wait().await?;
        if status.success() && pdf.starts_with(b"%PDF-") {
            return Ok(pdf);
        }
        Err(RenderError::Refused { complaint: String::from_utf8_lossy(&complaint).trim().to_owned() })
    }
}

/// What comes, and at most one byte more than `bytes_max`.
async fn bounded(from: Option<impl tokio::io::AsyncRead + Unpin>, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(dir: &Path, text: &str) -> Renderer {
        let path = dir.join("render");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Renderer::at(path).unwrap()
    }

    #[tokio::test]
    async fn what_it_makes_comes_back_and_what_it_says_against_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let made = script(dir.path(), "printf '%%PDF-'; cat").pdf(vec![b'x'; 200_000]).await.unwrap();
        assert_eq!(made.len(), 200_005);
        let refused = script(dir.path(), "echo 'not a report' >&2; exit 1").pdf(vec![b'x'; 200_000]).await;
        assert!(matches!(refused, Err(RenderError::Refused { complaint }) if complaint == "not a report"));
        let no_pdf = script(dir.path(), "cat >/dev/null; echo hello").pdf(Vec::new()).await;
        assert!(matches!(no_pdf, Err(RenderError::Refused { .. })));
    }

    #[test]
    fn without_the_program_the_error_says_what_to_do() {
        let error = Renderer::at(PathBuf::from("/nowhere/domicile-render")).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere/domicile-render") && error.contains(VARIABLE) && error.contains("HTML"),
            "{error}"
        );
    }
}
