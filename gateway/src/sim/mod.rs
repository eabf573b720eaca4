//! The simulated cluster: real use cases of a gateway over a simulated clock, network and disks, driven by a seed.
//!
//! What is real: the law and its packs, which change in mid-run; the use cases from PUT to sweep, and repair; placement and
//! its check; the catalog over the store in memory; erasure code and ciphers; the audit log with its tickets; each node's
//! admission, which examines every ticket. What is simulated: time, randomness, the way to nodes, their disks, and all that goes wrong with
//! them. One step is done after the other, so that a seed does the same each time ([`tests::a_seed_does_the_same_twice`]).
//!
//! After every step [`checks`] examines what must hold. A seed that found something is kept in `seeds.txt` and always runs.
//! `DOMICILE_SIM_SEEDS` says how many seeds run instead of 2,000; `DOMICILE_SIM_FROM`, from which on; with `DOMICILE_SIM_KEEP` those
//! that find something are added to `seeds.txt`. `cargo xtask soak` sets all three.

mod chance;
mod checks;
mod dice;
mod law;
mod net;
mod node;
mod steps;
mod tests;
mod world;

use self::chance::Step;
use self::dice::Dice;
use self::world::{NODES, World};

/// Steps of a run.
const STEPS: usize = 40;

/// One run. What it did, line by line; or what must not be, with the steps that led there.
fn run(seed: u64) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut trace = Vec::new();
    let done = runtime.block_on(run_steps(seed, &mut trace));
    match done {
        Ok(()) => Ok(trace),
        Err(violation) => Err(format!("seed {seed}: {violation}\n  {}", trace.join("\n  "))),
    }
}

async fn run_steps(seed: u64, trace: &mut Vec<String>) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let mut world = World::new(seed).await;
    for _ in 0..STEPS {
        let step = Step::draw(&mut dice, NODES);
        trace.push(format!("{step:?}"));
        let before = world.handles.law.lock().law;
        world = world.step(step, &mut dice, trace).await?;
        world.check(before).await?;
    }
    trace.push("all is put right".to_owned());
    world.settle(&mut dice).await?;
    // How long the log is by now is not part of what a seed does: its own thread may write the last outcome a moment later.
    world.handles.gateway.log.close();
    Ok(())
}
