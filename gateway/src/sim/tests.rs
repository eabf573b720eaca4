//! Seeds.

use std::io::Write;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use domicile_storage_node::admission::Verb;
use domicile_types::{DataId, NodeId, OperationKind, ShardCid, UnixMillis};

use super::chance::Step;
use super::dice::Dice;
use super::law::Law;
use super::node::Deed;
use super::run;
use super::world::World;

/// Seeds that found something once.
const KEPT: &str = include_str!("seeds.txt");

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Runs seeds on as many threads as there are cores; the first violations, if any.
fn run_all(seeds: &[u64]) -> Vec<String> {
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = || {
            let mut violations = Vec::new();
            while let Some(seed) = seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
                let ran =
                    catch_unwind(|| run(*seed)).unwrap_or_else(|_| Err(format!("seed {seed}: something panicked")));
                if let Err(violation) = ran {
                    println!("{violation}\n");
                    keep(*seed);
                    violations.push(violation);
                }
            }
            violations
        };
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}

/// Adds a seed to the file of those that always run, where a soak asks for it.
fn keep(seed: u64) {
    if setting("DOMICILE_SIM_KEEP").is_none() {
        return;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sim/seeds.txt");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    writeln!(file, "{seed}  # found by a soak").unwrap();
}

fn assert_none(violations: &[String]) {
    let shown: Vec<&str> = violations.iter().take(3).map(String::as_str).collect();
    assert!(
        violations.is_empty(),
        "{} seeds found what must not be; add them to seeds.txt beside this file:\n{}",
        violations.len(),
        shown.join("\n\n")
    );
}

#[test]
fn what_must_hold_holds_after_every_step_of_every_seed() {
    let from = setting("DOMICILE_SIM_FROM").unwrap_or(0);
    let count = setting("DOMICILE_SIM_SEEDS").unwrap_or(2_000);
    assert_none(&run_all(&(from..from + count).collect::<Vec<_>>()));
}

#[test]
fn seeds_that_found_something_once_find_nothing_any_more() {
    let lines = KEPT.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let seeds: Vec<u64> = lines.filter(|line| !line.is_empty()).map(|line| line.parse().unwrap()).collect();
    assert_none(&run_all(&seeds));
}

#[test]
fn a_seed_does_the_same_twice() {
    for seed in [1, 2, 3] {
        assert_eq!(run(seed), run(seed));
    }
}

/// A world with one object, and nothing wrong with it.
async fn stored() -> World {
    let mut dice = Dice::new(7);
    let put = Step::Put { key: 0, bytes: 150_000, upset: None };
    let world = World::new(7).await.step(put, &mut dice, &mut Vec::new()).await.unwrap();
    world.check(Law::Open).await.unwrap();
    world
}

/// A shard of it: name, holder, data id.
async fn a_shard(world: &World) -> (ShardCid, NodeId, DataId) {
    let named = world.named("k0").await.unwrap();
    let (cid, node) = named[0].shards[0];
    (cid, node, named[0].data)
}

#[tokio::test]
async fn a_shard_that_vanishes_is_found() {
    let world = stored().await;
    let (cid, node, _) = a_shard(&world).await;
    world.handles.net.with(|net| net.nodes.get_mut(&node).unwrap().disk.remove(&cid));
    assert!(world.check(Law::Open).await.unwrap_err().starts_with("I3"));
    // What chance destroyed is no fault of the gateway's.
    world.handles.net.with(|net| net.destroyed.insert((node, cid)));
    assert_eq!(world.check(Law::Open).await, Ok(()));
}

#[tokio::test]
async fn a_deletion_of_what_is_counted_on_is_found_and_so_is_a_shard_for_a_node_abroad() {
    let world = stored().await;
    let (cid, node, data) = a_shard(&world).await;
    let deed = Deed { node, verb: Verb::Delete, cid, data, operation: OperationKind::Sweep, at: world.now() };
    world.handles.net.with(|net| net.deeds.push(deed.clone()));
    assert!(world.check(Law::Open).await.unwrap_err().starts_with("I8"));
    let put = Deed { verb: Verb::Put, ..deed };
    world.handles.net.with(|net| net.deeds.push(put.clone()));
    assert_eq!(world.check(Law::Open).await, Ok(()));
    world.handles.nodes.lock().get_mut(&node).unwrap().told_abroad = Some(UnixMillis(0));
    world.handles.net.with(|net| net.deeds.push(put));
    assert!(world.check(Law::Open).await.unwrap_err().starts_with("I1"));
}

#[tokio::test]
async fn an_object_that_lies_where_it_may_not_is_found_when_it_is_acknowledged() {
    let world = stored().await;
    let (_, node, _) = a_shard(&world).await;
    assert_eq!(world.check_acknowledged("k0").await, Ok(()));
    world.handles.nodes.lock().get_mut(&node).unwrap().of_straits = true;
    world.handles.law.lock().law = Law::NoStraits;
    assert!(world.check_acknowledged("k0").await.unwrap_err().starts_with("I1"));
}

#[tokio::test]
async fn an_answer_of_other_bytes_and_none_where_there_could_be_one_are_found() {
    let mut world = stored().await;
    assert_eq!(world.get("k0").await.as_deref(), Ok("read"));
    world.books.get_mut("k0").unwrap().bytes[0] ^= 1;
    assert!(world.get("k0").await.unwrap_err().starts_with("I3"));
    world.books.remove("k0");
    assert!(world.get("k0").await.unwrap_err().starts_with("I3"));
}
