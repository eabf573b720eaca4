//! Fuzz targets: each decoder that faces the network, as a function of bytes that must return.
//!
//! A target checks more than that nothing panics: what decodes encodes again to the same, what is resolved lies within bounds,
//! what nobody signed is not believed. Inputs are mutations of what is in `tests/corpus/TARGET/` and of what the code itself
//! writes; they depend on nothing but the target's name and the number of the input, so a failure repeats.
//!
//! `cargo xtask test` runs some thousand of each; `cargo xtask fuzz [TARGET] [INPUTS]` runs as many as it is told. An input
//! that fails belongs into the corpus. Under a nightly compiler the same functions serve cargo-fuzz:
//! `fuzz_target!(|bytes: &[u8]| domicile_tests::fuzz::find("ticket").unwrap().run(bytes))`.

mod location;
mod mutate;
mod targets;

use std::path::Path;

use anyhow::{Context, Result, bail};

pub use targets::TARGETS;

/// A decoder, what it is given first, and what must hold of what it says.
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    check: fn(&[u8]),
}

/// The target of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Runs it once. Panics where something does not hold.
    pub fn run(&self, bytes: &[u8]) {
        (self.check)(bytes);
    }

    /// Runs it on its seeds, its corpus, and `inputs` mutations of them. How many inputs that were.
    ///
    /// # Errors
    /// With the input, where something does not hold.
    pub fn run_all(&self, corpus: &Path, inputs: u64) -> Result<u64> {
        let mut seeds = (self.seeds)();
        seeds.extend(read_corpus(&corpus.join(self.name))?);
        if seeds.is_empty() {
            bail!("{} has neither seeds nor a corpus", self.name);
        }
        let mut mutator = mutate::Mutator::new(self.name);
        for seed in &seeds {
            self.guarded(seed)?;
        }
        for _ in 0..inputs {
            self.guarded(&mutator.next(&seeds))?;
        }
        Ok(inputs + u64::try_from(seeds.len())?)
    }

    fn guarded(&self, bytes: &[u8]) -> Result<()> {
        let run = std::panic::AssertUnwindSafe(|| self.run(bytes));
        if std::panic::catch_unwind(run).is_err() {
            bail!("{} fails on these bytes, which belong into its corpus: {}", self.name, bytes.escape_ascii());
        }
        Ok(())
    }
}

fn read_corpus(folder: &Path) -> Result<Vec<Vec<u8>>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let what = || format!("{} cannot be read", folder.display());
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).with_context(what)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort_unstable();
    paths.iter().map(|path| std::fs::read(path).with_context(what)).collect()
}
