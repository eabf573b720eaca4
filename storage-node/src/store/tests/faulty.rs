//! A disk that fails when told to.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;

use parking_lot::Mutex;

use super::super::disk::{Disk, RealDisk, SegmentWriter};
use super::*;

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// No more space is to be had; what is allocated stays.
    Full,
    /// The file system has next to nothing left, although it would still give it.
    AlmostFull,
    /// A write reaches the disk and is refused all the same.
    FullAfterWrite,
    /// The next sync fails.
    Sync,
    /// The next write of a batch reaches the disk up to this many bytes, then the power fails.
    TornWrite(usize),
}

#[derive(Clone)]
pub(crate) struct FaultyDisk(pub(crate) Arc<Mutex<Fault>>);

struct FaultyWriter {
    real: Box<dyn SegmentWriter>,
    fault: Arc<Mutex<Fault>>,
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn SegmentWriter>> {
        Ok(Box::new(FaultyWriter { real: RealDisk.open(path)?, fault: Arc::clone(&self.0) }))
    }

    fn available_bytes(&self, directory: &Path) -> io::Result<u64> {
        match *self.0.lock() {
            Fault::AlmostFull => Ok(1 << 20),
            _ => RealDisk.available_bytes(directory),
        }
    }
}

impl SegmentWriter for FaultyWriter {
    fn allocate(&mut self, start: u64, end: u64) -> io::Result<()> {
        match *self.fault.lock() {
            Fault::Full => Err(io::ErrorKind::StorageFull.into()),
            _ => self.real.allocate(start, end),
        }
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match *self.fault.lock() {
            Fault::TornWrite(written) => {
                let written = written.min(bytes.len()) / 4096 * 4096;
                self.real.write_at(&bytes[..written], offset)?;
                self.real.sync()?;
                Err(io::Error::other("power failure"))
            }
            Fault::FullAfterWrite => {
                self.real.write_at(bytes, offset)?;
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => self.real.write_at(bytes, offset),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        match *self.fault.lock() {
            Fault::Sync => Err(io::Error::from_raw_os_error(5)),
            _ => self.real.sync(),
        }
    }
}

/// A store on a faulty disk, the switch for its faults, and where the end of its writer is told.
pub(crate) fn open_faulty(config: &StoreConfig) -> (ShardStore, Arc<Mutex<Fault>>, mpsc::Receiver<String>) {
    let fault = Arc::new(Mutex::new(Fault::None));
    let (tell, told) = mpsc::channel();
    let disk = Box::new(FaultyDisk(Arc::clone(&fault)));
    let opened = open_on(disk, config, [7; 16], move |fault| tell.send(fault.to_string()).unwrap()).unwrap();
    (opened.store, fault, told)
}

#[test]
fn a_full_disk_refuses_shards_loses_nothing_and_still_takes_deletes() {
    for full in [Fault::Full, Fault::AlmostFull] {
        fill(full);
    }
}

fn fill(full: Fault) {
    let directory = tempfile::tempdir().unwrap();
    let (store, fault, _told) = open_faulty(&config(directory.path()));
    let kept = put(&store, &bytes(1, 1_000_000), 1).unwrap();
    let goes = put(&store, &bytes(2, 1_000_000), 1).unwrap();
    *fault.lock() = full;
    let mut refused = 0;
    for seed in 10..20 {
        refused += u32::from(put(&store, &bytes(seed, 1_000_000), 1) == Err(PutError::Full));
    }
    assert!(refused >= 8, "only {refused} of 10 were refused");
    delete(&store, goes, 1).unwrap();
    assert_eq!(store.read(&kept, &data(1), None).unwrap(), bytes(1, 1_000_000));
    *fault.lock() = Fault::None;
    put(&store, &bytes(30, 1_000_000), 1).unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.read(&kept, &data(1), None).unwrap(), bytes(1, 1_000_000));
    assert_eq!(store.find(&goes, &data(1)).unwrap(), Found::Nowhere);
}

#[test]
fn a_batch_that_was_refused_does_not_come_back_although_it_stands_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let (store, fault, _told) = open_faulty(&config(directory.path()));
    for seed in 0..4 {
        put(&store, &bytes(seed, 900_000), 1).unwrap();
    }
    *fault.lock() = Fault::FullAfterWrite;
    assert_eq!(put(&store, &bytes(50, 10_000), 1), Err(PutError::Full));
    *fault.lock() = Fault::None;
    // This one no longer fits the first file.
    let later = put(&store, &bytes(5, 900_000), 1).unwrap();
    assert!(directory.path().join("segments/00000002.seg").exists());
    drop(store);
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    let rebuilding = StoreConfig { rebuild_index: true, ..config(directory.path()) };
    let store = super::super::open(&rebuilding, [7; 16]).unwrap().store;
    assert_eq!(store.read(&later, &data(1), None).unwrap(), bytes(5, 900_000));
    assert_eq!(store.find(&ShardCid::of(&bytes(50, 10_000)), &data(1)).unwrap(), Found::Nowhere);
    assert_eq!(store.totals().shards, 5);
}

#[test]
fn after_a_failed_sync_nothing_is_taken_or_tried_again_and_everything_acknowledged_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let (store, fault, told) = open_faulty(&config(directory.path()));
    let kept = put(&store, &bytes(1, 100_000), 1).unwrap();
    *fault.lock() = Fault::Sync;
    assert_eq!(store.condition(), NodeCondition::Serving);
    assert_eq!(put(&store, &bytes(2, 100_000), 1), Err(PutError::DiskFault));
    assert!(told.recv().unwrap().contains("what is on the disk is unknown"));
    *fault.lock() = Fault::None;
    assert_eq!(put(&store, &bytes(3, 100_000), 1), Err(PutError::DiskFault), "nothing is tried after a failed sync");
    assert_eq!(delete(&store, kept, 1), Err(DeleteError::DiskFault));
    assert_eq!(store.condition(), NodeCondition::DiskFault);
    assert_eq!(store.read(&kept, &data(1), None).unwrap(), bytes(1, 100_000));
    assert_eq!(store.find(&ShardCid::of(&bytes(2, 100_000)), &data(1)).unwrap(), Found::Nowhere);
    store.close();
    assert_eq!(put(&store, &bytes(3, 100_000), 1), Err(PutError::Closed));
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.read(&kept, &data(1), None).unwrap(), bytes(1, 100_000));
    let unfinished = ShardCid::of(&bytes(2, 100_000));
    assert_eq!(store.find(&unfinished, &data(1)).unwrap(), Found::Nowhere, "what was not synced was cut off");
    assert_eq!(store.condition(), NodeCondition::Serving);
    put(&store, &bytes(2, 100_000), 1).unwrap();
}

#[test]
fn a_store_is_full_at_its_high_water_mark_and_takes_releases_and_compaction_above_it() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { capacity_bytes: 20 * MIB, high_water_percent: 50, ..config(directory.path()) };
    let store = super::super::open(&config, [7; 16]).unwrap().store;
    let mut kept = Vec::new();
    while let Ok(cid) = put(&store, &bytes(kept.len() as u64, 900_000), 1) {
        kept.push(cid);
    }
    assert!(store.totals().used_bytes <= 10 * MIB && kept.len() >= 9, "{:?}", store.totals());
    assert_eq!(store.condition(), NodeCondition::Full);
    super::compact::compact(&store).unwrap();
    delete(&store, kept[0], 1).unwrap();
    delete(&store, kept[1], 1).unwrap();
    delete(&store, kept[2], 1).unwrap();
    // The writer gives space back after it answered; the next request finds it done.
    put(&store, &bytes(100, 10), 1).unwrap();
    assert_eq!(store.condition(), NodeCondition::Serving);
}
