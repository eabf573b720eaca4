//! Each decoder that faces the network, on its corpus and on mutations of it.

use std::path::Path;

use anyhow::{Context, Result};
use domicile_tests::fuzz::{TARGETS, find};

/// Mutated inputs of each target, where nobody says otherwise.
const INPUTS: u64 = 3000;

/// `cargo xtask fuzz` says which targets, and how many inputs.
#[test]
fn every_decoder_that_faces_the_network_holds_on_mutated_inputs() -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let inputs = std::env::var("DOMICILE_FUZZ_INPUTS").map_or(Ok(INPUTS), |text| text.parse())?;
    let only = std::env::var("DOMICILE_FUZZ_TARGET").ok();
    let only = only.map(|name| find(&name).with_context(|| format!("there is no target {name}"))).transpose()?;
    for target in TARGETS.iter().filter(|target| only.is_none_or(|only| only.name == target.name)) {
        let run = target.run_all(&corpus, inputs)?;
        println!("{}: {run} inputs", target.name);
    }
    Ok(())
}
