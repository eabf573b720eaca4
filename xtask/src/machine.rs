//! What a fresh Debian machine with Rust lacks, and how it gets it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use crate::build::run;
use crate::say;

/// Something the machine must have.
pub(crate) struct Need {
    /// What, and what for.
    what: &'static str,
    /// The Debian package that brings it.
    package: &'static str,
    is_there: fn() -> bool,
}

/// To build: RocksDB is C++, and its Rust bindings are generated with libclang. aws-lc needs no more than the C
/// compiler on this platform (its bindings are shipped, its assembly is in a form the C compiler takes).
pub(crate) const BUILD: [Need; 2] = [
    Need {
        what: "a C++ compiler, for RocksDB",
        package: "build-essential",
        is_there: || starts("c++", &["--version"]),
    },
    Need { what: "libclang and its headers, for RocksDB's bindings", package: "libclang-dev", is_there: has_libclang },
];

/// To run real clients against what was built.
pub(crate) const CLIENTS: [Need; 3] = [
    Need {
        what: "Chromium, for the operator's page",
        package: "chromium",
        is_there: || starts("chromium", &["--version"]) || starts("chromium-browser", &["--version"]),
    },
    Need { what: "curl", package: "curl", is_there: || starts("curl", &["--version"]) },
    Need { what: "Python 3", package: "python3", is_there: || starts("python3", &["--version"]) },
];

/// To verify logs by code that is not ours.
pub(crate) const VERIFIERS: [Need; 2] = [
    Need { what: "Go, for the second verifier of logs", package: "golang-go", is_there: || starts("go", &["version"]) },
    Need {
        what: "Go's packages of transparency logs",
        package: "golang-golang-x-mod-dev",
        is_there: || Path::new("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog").is_dir(),
    },
];

/// To make disks fail that do not.
pub(crate) const FAULTS: [Need; 1] =
    [Need { what: "strace", package: "strace", is_there: || starts("strace", &["--version"]) }];

/// Sees to it that everything needed is there: installs what is missing, or says what to install.
pub(crate) fn provide(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !(need.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        say(&format!("missing: {} (Debian package {})", need.what, need.package));
    }
    install(&missing.iter().map(|need| need.package).collect::<Vec<_>>())?;
    for need in missing {
        if !(need.is_there)() {
            bail!("the package {} is installed, yet there still is no {}", need.package, need.what);
        }
    }
    Ok(())
}

/// Installs Debian packages: as root directly, else through sudo if that asks no password, else not at all.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let by_hand = format!("install by hand: apt-get install {}", packages.join(" "));
    if !starts("apt-get", &["--version"]) {
        bail!("this machine has no apt-get; {by_hand}, or what your system calls them");
    }
    let prefix: &[&str] = if is_root() {
        &[]
    } else if starts("sudo", &["-n", "true"]) {
        &["sudo", "-n"]
    } else {
        bail!("not root, and sudo asks for a password; {by_hand}");
    };
    let mut full = ["install", "--yes", "--no-install-recommends"].to_vec();
    full.extend(packages);
    // The package lists of a fresh machine are old or absent. Once is enough; a list that cannot be had (some third
    // party's, maybe) need not matter, so its failure is told only if the installation fails, too.
    static ARE_LISTS_NEW: AtomicBool = AtomicBool::new(false);
    let updated = match ARE_LISTS_NEW.swap(true, Ordering::Relaxed) {
        true => Ok(()),
        false => run(&mut apt_get(prefix, &["update", "--quiet"])),
    };
    if let Err(error) = run(&mut apt_get(prefix, &full)) {
        bail!("{error:#}{}; {by_hand}", updated.err().map(|error| format!(" (after {error:#})")).unwrap_or_default());
    }
    Ok(())
}

fn apt_get(prefix: &[&str], arguments: &[&str]) -> Command {
    // `env` rather than our own environment: sudo passes none on.
    let words = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], arguments].concat();
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().unwrap_or("env"));
    command.args(words);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn starts(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Where clang-sys (which loads libclang at build time) looks, roughly; and the compiler's own headers (`stddef.h`), which
/// Debian packs apart from the library and without which bindings cannot be generated.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let llvm = entries(Path::new("/usr/lib"), "llvm-").map(|folder| folder.join("lib"));
    let mut roots: Vec<PathBuf> = llvm.collect();
    roots.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    roots.extend(["x86_64-linux-gnu", "aarch64-linux-gnu"].map(|folder| Path::new("/usr/lib").join(folder)));
    let has_library = roots.iter().any(|root| {
        entries(root, "libclang").any(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            (name.starts_with("libclang.so") || name.starts_with("libclang-")) && name.contains(".so")
        })
    });
    let has_headers = roots
        .iter()
        .any(|root| entries(&root.join("clang"), "").any(|version| version.join("include/stddef.h").is_file()));
    has_library && has_headers
}

/// What is in `folder` under a name that begins with `prefix`. Nothing, where the folder is not there.
fn entries(folder: &Path, prefix: &str) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(move |entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix)))
        .map(|entry| entry.path())
}
