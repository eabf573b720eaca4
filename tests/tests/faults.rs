//! Real processes under real faults: killed, frozen, lied to by their disks, moved. While clients write and read, and after
//! each fault, what was acknowledged is there byte by byte, and nothing else is there in part; every read has its entry in
//! the log, which verifies; and the fault was seen and told.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use domicile_tests::faults::{
    Book, Call, Edited, FailingDisk, Found, GATEWAY, HalfRequest, Sums, Traffic, World, corrupt, last_file,
};
use domicile_tests::given;
use domicile_types::{Entry, FleetChange, OperationKind, OutcomeStatus};

const MIB: usize = 1 << 20;
/// Shards of a segment that may be lost: the region's code is 4+2.
const PARITY: usize = 2;
/// From when a node is known to be abroad to when it is fenced.
const FENCED_WITHIN_MILLIS: u64 = 5_000;
/// Requests that must be answered under each fault.
const SOME: u64 = 12;

async fn world(bucket: &str) -> Result<World> {
    World::start(&given("DOMICILE_BIN")?, bucket).await
}

fn step(what: &str) {
    println!("  {what}");
}

// ---- nodes that go away ----------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_killed_in_waves_and_a_frozen_one_stop_neither_writes_nor_reads() -> Result<()> {
    let world = world("faults-away").await?;
    waves(&world).await.context("nodes killed in waves")?;
    frozen(&world).await.context("a frozen node")?;
    world.end().await
}

/// kill -9 of as many nodes at once as the code has parity, and back, until every node had its turn.
async fn waves(world: &World) -> Result<()> {
    let traffic = Traffic::start(&world.book, "waves/");
    traffic.goes_on(world, SOME).await?;
    let nodes = world.nodes_in("CN");
    for wave in nodes.chunks(PARITY) {
        world.kill(wave).await?;
        traffic.goes_on(world, SOME).await.with_context(|| format!("without {wave:?}"))?;
        world.until_fewer_online(wave.len()).await?;
        world.restart(wave).await?;
        step(&format!("kill -9 of {}: seen, and both writes and reads went on", wave.join(" and ")));
    }
    traffic.goes_on(world, SOME).await?;
    let refused = traffic.end().await?;
    ensure!(refused.is_empty(), "with no more than {PARITY} nodes gone, requests were refused: {refused:#?}");
    world.holds("waves/").await
}

/// SIGSTOP: connections stand, nothing comes over them.
async fn frozen(world: &World) -> Result<()> {
    world.book.must_put("frozen/before", 9 * MIB).await?;
    let victim = holder(world, "frozen/before").await?;
    let frozen = world.freeze(&victim)?;
    world.book.must_get("frozen/before").await.with_context(|| format!("{victim} is frozen"))?;
    for number in 0..4 {
        world.book.must_put(&format!("frozen/during-{number}"), 5 * MIB).await?;
    }
    world.until_fewer_online(1).await?;
    step(&format!("SIGSTOP of {victim}: reads and writes went around it, and it is seen to be silent"));
    frozen.thaw()?;
    world.until_state(&victim, "online").await?;
    step(&format!("SIGCONT: {victim} is back"));
    world.holds("frozen/").await
}

/// The holder of the first shard of an object: every read of its beginning asks there.
async fn holder(world: &World, key: &str) -> Result<String> {
    let shards = world.shards(key).await?;
    let first = shards.iter().find(|shard| shard.segment == 0 && shard.shard == 0).context("a first shard")?;
    Ok(world.name_of(&first.node).to_owned())
}

// ---- nodes that lie --------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_serve_wrong_bytes_or_lost_what_they_signed_for_are_found_out() -> Result<()> {
    let world = world("faults-lies").await?;
    wrong_bytes(&world, Sums::Left).await.context("a disk that corrupts")?;
    wrong_bytes(&world, Sums::Forged).await.context("a node that serves wrong bytes")?;
    rolled_back(&world).await.context("a node that does not have what it signed for")?;
    world.end().await
}

/// A byte of a segment file is changed while the node runs. Where its own checksums fit the change it cannot notice.
async fn wrong_bytes(world: &World, sums: Sums) -> Result<()> {
    let key = format!("lies/{sums:?}");
    world.book.must_put(&key, 7 * MIB + 1).await?;
    let shards = world.shards(&key).await?;
    let shard = shards.iter().find(|shard| (shard.segment, shard.shard) == (0, 1)).context("a second shard")?;
    let node = world.name_of(&shard.node).to_owned();
    let since = world.log_size().await?;
    corrupt(&world.node(&node)?.process.data_dir.join("segments"), &shard.cid, sums)?;
    // In parts: whole shards are held against their names, which no checksum of the node's can forge.
    for start in (0..7 * MIB).step_by(MIB / 2) {
        world.book.must_get_range(&key, start, MIB / 2).await?;
    }
    world.book.must_get(&key).await?;
    let told = world.until_incident(since, "corrupt-shard", &node).await?;
    let Entry::Incident { shard: named, .. } = told.record.entry else { bail!("an incident") };
    ensure!(named == Some(shard.cid), "the incident names {named:?}, not {}", shard.cid);
    step(&format!("{node}, one byte changed, checksums {sums:?}: read around, entry {} tells it", told.index));
    world.holds(&key).await
}

/// The node's folder is put back to what it was before a PUT that the node signed for.
async fn rolled_back(world: &World) -> Result<()> {
    let node = "cn-5";
    let folder = world.process(node)?.data_dir.clone();
    let copies = tempfile::tempdir()?;
    world.stop(node).await?;
    copy(&folder, copies.path())?;
    world.restart(&[node]).await?;
    let keys = put_until_held(world, "rolled-back/", node).await?;
    let since = world.log_size().await?;
    world.kill(&[node]).await?;
    std::fs::remove_dir_all(&folder)?;
    copy(copies.path(), &folder)?;
    world.restart(&[node]).await?;
    let before = world.refusals(node, "not-found").await?;
    for key in &keys {
        world.book.must_get(key).await?;
    }
    let missed = world.refusals(node, "not-found").await? - before;
    ensure!(missed > 0, "nobody asked {node} for what it lost");
    let told = world.until_incident(since, "missing-shard", node).await?;
    step(&format!("{node} put back to before a PUT: {missed} times asked in vain, entry {} tells it", told.index));
    world.holds("rolled-back/").await
}

/// Writes objects under `prefix` until `node` holds a data shard of one: which nodes take part is drawn for each segment.
async fn put_until_held(world: &World, prefix: &str, node: &str) -> Result<Vec<String>> {
    let id = world.node(node)?.id;
    let mut keys = Vec::new();
    for number in 0..64 {
        let key = format!("{prefix}{number}");
        world.book.must_put(&key, 9 * MIB).await?;
        let held = world.shards(&key).await?.iter().any(|shard| shard.node == id && shard.shard < 4);
        keys.push(key);
        if held {
            return Ok(keys);
        }
    }
    bail!("of 64 objects none has a shard on {node}")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

// ---- nodes whose disks fail ------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_full_or_failing_disks_are_written_around_and_sign_for_nothing_that_is_not_durable() -> Result<()> {
    let world = world("faults-disks").await?;
    full_disk(&world).await.context("a full disk")?;
    failing_sync(&world).await.context("a disk that fails to sync")?;
    world.end().await
}

/// Every write to the node's segment file ends with "no space left on device".
async fn full_disk(world: &World) -> Result<()> {
    let node = "cn-3";
    put_until_held(world, "full/before-", node).await?;
    let before = world.refusals(node, "full").await?;
    let file = last_file(&world.process(node)?.data_dir.join("segments"), "seg")?;
    let disk = world.failing_disk(node, &file, &[Call::NoSpace]).await?;
    let keys = put_until_failed(world, "full/during-", &disk).await?;
    // It goes on reading.
    world.holds("full/before-").await?;
    let failed = disk.mend().await?;
    for key in &keys {
        let held = world.shards(key).await?.iter().filter(|shard| world.name_of(&shard.node) == node).count();
        ensure!(held == 0, "{held} shards of {key} are taken to be on {node}, which had no space for them");
    }
    let refused = world.refusals(node, "full").await? - before;
    ensure!(refused > 0, "{node} had no space {} times, and never said so", failed.len());
    put_until_held(world, "full/after-", node).await?;
    step(&format!(
        "{node} without space for {} writes: said so {refused} times, served on, took shards again",
        failed.len()
    ));
    world.holds("full/").await
}

/// fdatasync of the segment file ends with EIO: what the disk holds is unknown from then on. The node signs for nothing,
/// says so, and goes on serving what it has; only a start anew lets it take shards again.
async fn failing_sync(world: &World) -> Result<()> {
    let node = "cn-6";
    let kept = put_until_held(world, "sync/before-", node).await?;
    let since = world.log_size().await?;
    let file = last_file(&world.process(node)?.data_dir.join("segments"), "seg")?;
    let disk = world.failing_disk(node, &file, &[Call::SyncFails]).await?;
    let mut keys = put_until_failed(world, "sync/during-", &disk).await?;
    let failed = disk.mend().await?;
    world.until_state(node, "read-only").await?;
    // The disk works again, but what the kernel dropped meanwhile nobody knows.
    for number in 0..3 {
        let key = format!("sync/mended-{number}");
        world.book.must_put(&key, 9 * MIB).await?;
        keys.push(key);
    }
    for key in &keys {
        let held = world.shards(key).await?.iter().filter(|shard| world.name_of(&shard.node) == node).count();
        ensure!(held == 0, "{held} shards of {key} are taken to be durable on {node}, whose disk failed to sync them");
    }
    let told = world.until_told(since, FleetChange::NodeChanged, node).await?;
    let Entry::Fleet { reasons, .. } = &told.record.entry else { bail!("an entry about the fleet") };
    ensure!(reasons.iter().any(|reason| reason == "disk-fault"), "the log gives {reasons:?} as reasons");
    let before = world.served(node).await?;
    for key in &kept {
        world.book.must_get(key).await?;
    }
    ensure!(world.served(node).await? > before, "{node} serves nothing of what it has");
    world.stop(node).await?;
    world.restart(&[node]).await?;
    world.until_state(node, "online").await?;
    put_until_held(world, "sync/after-", node).await?;
    step(&format!(
        "{node}, {} syncs failed: signed for nothing, entry {} says so, served on",
        failed.len(),
        told.index
    ));
    world.holds("sync/").await
}

/// Writes objects under `prefix` until one made the disk fail.
async fn put_until_failed(world: &World, prefix: &str, disk: &FailingDisk) -> Result<Vec<String>> {
    let mut keys = Vec::new();
    for number in 0..64 {
        let key = format!("{prefix}{number}");
        world.book.must_put(&key, 9 * MIB).await?;
        keys.push(key);
        if !disk.failed()?.is_empty() {
            return Ok(keys);
        }
    }
    bail!("64 objects were written, and none met the failing disk")
}

// ---- the gateway -----------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_killed_or_without_its_log_loses_nothing_and_serves_nothing_unlogged() -> Result<()> {
    let world = world("faults-gateway").await?;
    killed(&world).await.context("kill -9")?;
    log_full(&world).await.context("a full log")?;
    log_sync_fails(&world).await.context("a log that fails to sync")?;
    world.end().await
}

/// kill -9 in the middle of a PUT, of a part and of a GET, under load, and again.
async fn killed(world: &World) -> Result<()> {
    let s3 = &world.s3;
    world.book.must_put("killed/large", 48 * MIB).await?;
    // Where no other intents are than those of the halves.
    let halves = "faults-halves";
    s3.create_bucket().bucket(halves).send().await?;
    let traffic = Traffic::start(&world.book, "killed/traffic-");
    for round in 0..2 {
        traffic.goes_on(world, SOME).await?;
        let since = world.log_size().await?;
        let minute = || PresigningConfig::expires_in(std::time::Duration::from_mins(1));
        let body = Book::content("the half that is sent", 24 * MIB);

        let halved = format!("halved-{round}");
        let put = s3.put_object().bucket(halves).key(&halved).presigned(minute()?).await?;
        let parts = format!("killed/parts-{round}");
        let upload = s3.create_multipart_upload().bucket(&world.bucket).key(&parts).send().await?;
        let upload = upload.upload_id().context("an upload id")?;
        let content = Book::content(&parts, 11 * MIB);
        let (first, last) = content.split_at(6 * MIB);
        let part = |number| s3.upload_part().bucket(&world.bucket).key(&parts).upload_id(upload).part_number(number);
        let sent = part(1).body(ByteStream::from(first.to_vec())).send().await?;
        let second = part(2).presigned(minute()?).await?;
        let _put = HalfRequest::send(&put, &body).await?;
        let _part = HalfRequest::send(&second, &body).await?;
        let mut opened = Vec::new();
        for (operation, bucket) in [(OperationKind::PutObject, halves), (OperationKind::UploadPart, &world.bucket)] {
            opened.push(world.until_open_intent(since, operation, bucket).await?.index);
        }
        let _get = world.book.begin_get("killed/large").await?;

        world.kill(&[GATEWAY]).await?;
        world.restart(&[GATEWAY]).await?;

        let there = s3.list_objects_v2().bucket(halves).send().await?;
        ensure!(there.contents().is_empty(), "{halved} is there, of which half was sent");
        let got = s3.get_object().bucket(halves).key(&halved).send().await;
        let status = got.err().and_then(|error| error.raw_response().map(|answer| answer.status().as_u16()));
        ensure!(status == Some(404), "{halved} is there, of which half was sent: {status:?}");
        let listed = s3.list_parts().bucket(&world.bucket).key(&parts).upload_id(upload).send().await?;
        let numbers: Vec<Option<i32>> = listed.parts().iter().map(aws_sdk_s3::types::Part::part_number).collect();
        ensure!(numbers == [Some(1)], "one part was acknowledged, and the upload has {numbers:?}");
        let outcomes = world.entries(since, &[("kind", "outcome")]).await?;
        let closed = |intent: u64| {
            outcomes.iter().any(|view| {
                let Entry::Outcome(end) = &view.record.entry else { return false };
                end.intent == intent && end.status != OutcomeStatus::Completed
            })
        };
        ensure!(opened.iter().all(|intent| closed(*intent)), "of the intents {opened:?} some were left open");
        let again = part(2).body(ByteStream::from(last.to_vec())).send().await?;
        let done = [(1, sent.e_tag()), (2, again.e_tag())].map(|(number, tag)| {
            CompletedPart::builder().part_number(number).set_e_tag(tag.map(str::to_owned)).build()
        });
        let done = CompletedMultipartUpload::builder().set_parts(Some(done.to_vec())).build();
        let complete = s3.complete_multipart_upload().bucket(&world.bucket).key(&parts).upload_id(upload);
        complete.multipart_upload(done).send().await?;
        world.book.note(&parts, content.len(), true);
        step(&format!(
            "{GATEWAY} killed within a PUT, a part and a GET: intents {opened:?} closed, the upload went on"
        ));
    }
    traffic.goes_on(world, SOME).await?;
    let refused = traffic.end().await?;
    step(&format!("{} requests of the traffic met a gateway that was down", refused.len()));
    world.holds("killed/").await
}

/// No space for the log, by the disk and by the configured limit: nothing is served that cannot be logged.
async fn log_full(world: &World) -> Result<()> {
    world.book.must_put("log-full/before", 6 * MIB).await?;
    let file = last_written(world)?;
    let disk = world.failing_disk(GATEWAY, &file, &[Call::NoSpace]).await?;
    nothing_is_served(world, "log-full/").await?;
    let failed = disk.mend().await?;
    ensure!(!failed.is_empty(), "no write of the log failed: nothing was tested");
    world.book.must_get("log-full/before").await?;
    world.book.must_put("log-full/after", 6 * MIB).await?;
    step(&format!(
        "no space for {} writes of the log: all 503, no shard left a node, served again after",
        failed.len()
    ));

    // The least that a limit can be: what is kept for outcomes.
    let config = &world.process(GATEWAY)?.config_file;
    let edited = Edited::add(config, &format!("[limits]\nlog_bytes_max = {}", 4 * MIB))?;
    world.stop(GATEWAY).await?;
    world.restart(&[GATEWAY]).await?;
    nothing_is_served(world, "log-full/limit-").await?;
    edited.undo()?;
    world.stop(GATEWAY).await?;
    world.restart(&[GATEWAY]).await?;
    step("a log at its configured limit: the same");
    world.holds("log-full/").await
}

async fn nothing_is_served(world: &World, prefix: &str) -> Result<()> {
    let before = world.served_bytes().await?;
    let got = world.book.get("log-full/before").await?;
    ensure!(matches!(got, Found::Refused(Some(503), _)), "GET without a log: {got:?}");
    let listed = world.s3.list_objects_v2().bucket(&world.bucket).send().await;
    let status = listed.err().and_then(|error| error.raw_response().map(|answer| answer.status().as_u16()));
    ensure!(status == Some(503), "LIST without a log: {status:?}");
    let put = world.book.put(&format!("{prefix}during"), 6 * MIB).await?;
    let status = put.as_ref().err().and_then(|refusal| refusal.status);
    ensure!(status == Some(503), "PUT without a log: {put:?}");
    let served = world.served_bytes().await? - before;
    ensure!(served == 0, "{served} bytes of shards were served without an entry");
    Ok(())
}

/// fdatasync of the log ends with EIO: nobody knows what of it is on the disk, so the process ends.
async fn log_sync_fails(world: &World) -> Result<()> {
    world.book.must_put("log-sync/before", 6 * MIB).await?;
    let since = world.log_size().await?;
    world.doom(GATEWAY).await?;
    let disk = world.failing_disk(GATEWAY, &last_written(world)?, &[Call::SyncFails]).await?;
    let put = world.book.put("log-sync/during", 6 * MIB).await?;
    ensure!(put.is_err(), "a PUT was acknowledged whose entry is not durable");
    let how = world.ended(GATEWAY).await?;
    let failed = disk.mend().await?;
    ensure!(!failed.is_empty(), "no sync of the log failed: nothing was tested");
    world.restart(&[GATEWAY]).await?;
    let started = world.entries(since, &[("kind", "started")]).await?;
    ensure!(!started.is_empty(), "the log does not say that the gateway started anew");
    world.book.must_put("log-sync/after", 6 * MIB).await?;
    step(&format!("{GATEWAY}, a sync of the log failed: ended ({how}), started again clean"));
    world.holds("log-sync/").await
}

/// The file of the log that entries go to: the last one lies ready, and is empty but for its head.
fn last_written(world: &World) -> Result<std::path::PathBuf> {
    Ok(world.process(GATEWAY)?.data_dir.join("log/wal/000000000000.wal"))
}

// ---- nodes that move -------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_moves_to_another_country_is_fenced_within_five_seconds() -> Result<()> {
    let world = world("faults-moved").await?;
    // Its address moves; then, at another node, what it says of itself.
    moved(&world, "cn-8", "listen", "\"127.20.0.9:7400\"", "place-located-elsewhere")
        .await
        .context("another address")?;
    moved(&world, "cn-7", "place", "\"HK\"", "place-declared-otherwise").await.context("another place")?;
    world.end().await
}

async fn moved(world: &World, node: &str, setting: &str, value: &str, reason: &str) -> Result<()> {
    let prefix = format!("moved-{setting}/");
    put_until_held(world, &format!("{prefix}before-"), node).await?;
    let since = world.log_size().await?;
    let config = world.process(node)?.config_file.clone();
    world.stop(node).await?;
    let home = world.standing(node).await?.heard;
    let edited = Edited::set(&config, setting, value)?;
    world.launch(&[node]).await?;
    // By the node's clock, which is this machine's as the gateway's is.
    let what = format!("{node} is heard from where it is now");
    let heard = world
        .until(&what, || async { Ok(world.standing(node).await?.heard.filter(|heard| Some(*heard) != home)) })
        .await?;
    world.until_state(node, "quarantined").await?;
    let told = world.until_told(since, FleetChange::Quarantined, node).await?;
    let Entry::Fleet { reasons, .. } = &told.record.entry else { bail!("an entry about the fleet") };
    ensure!(reasons.iter().any(|told| told == reason), "{node} is fenced for {reasons:?}, not for {reason}");
    let took = told.record.time.millis_since(heard);
    ensure!(took <= FENCED_WITHIN_MILLIS, "{node} was fenced {took} ms after it was heard to be abroad");
    world.until_incident(since, "node-quarantined", node).await?;
    for number in 0..4 {
        let key = format!("{prefix}during-{number}");
        world.book.must_put(&key, 5 * MIB).await?;
        let held = world.shards(&key).await?.iter().filter(|shard| world.name_of(&shard.node) == node).count();
        ensure!(held == 0, "{held} shards of {key} went to {node}, which is in Hong Kong");
    }
    world.holds(&prefix).await?;
    step(&format!(
        "{node}, {setting} = {value}: entry {} fences it, nothing new went there, reads went on",
        told.index
    ));
    world.stop(node).await?;
    edited.undo()?;
    world.launch(&[node]).await?;
    let what = format!("{node} is home again, and waits for an officer");
    world
        .until(&what, || async {
            let standing = world.standing(node).await?;
            let waits = standing.reasons.iter().any(|reason| reason == "awaits-release");
            Ok((waits && standing.state == "quarantined").then_some(()))
        })
        .await?;
    step(&format!("{what} to release it"));
    Ok(())
}
