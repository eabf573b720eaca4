use std::sync::Arc;

use domicile_compliance::pack::LedgerWindow;

use super::*;
use crate::approvals::ledger::tests::account;
use crate::catalog::CatalogConfig;
use crate::state::{MemoryStore, Owner};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const DAY: u64 = 86_400_000;

fn catalog() -> Catalog {
    let config = CatalogConfig { token_key: [1; 32], process: Owner([2; 16]), sweep_grace_millis: 0 };
    Catalog::new(Arc::new(MemoryStore::new(Arc::new(|| UnixMillis(0)))), config)
}

fn id() -> ApprovalId {
    ApprovalId::from_bytes([7; 16])
}

fn bill(data: u8, subjects: u64, bytes: u64) -> Bill {
    Bill {
        now: NOW,
        data: DataId::from_bytes([data; 16]),
        counts: Counts { subjects, sensitive: 0, bytes },
        approvals: vec![(id(), Quota { subjects: Some(10), bytes: 1_000 })],
        accounts: vec![account(LedgerWindow::RollingTwelveMonths, 10)],
    }
}

async fn charge(catalog: &Catalog, bill: Bill) -> Charged {
    let judged = catalog.tally(bill.clone()).await.unwrap();
    catalog.charge(bill, judged).await.unwrap()
}

async fn done(catalog: &Catalog, bill: Bill) -> Receipt {
    match charge(catalog, bill).await {
        Charged::Done(receipt) => receipt,
        other => panic!("{other:?}"),
    }
}

/// Individuals and bytes: of the approval, and of the account's window.
async fn stands(catalog: &Catalog, now: UnixMillis) -> [(u64, u64); 2] {
    let nothing = Bill { now, counts: Counts::default(), data: DataId::from_bytes([99; 16]), ..bill(0, 0, 0) };
    let tally = catalog.tally(nothing).await.unwrap();
    [tally.approvals[0].before, tally.accounts[0].before].map(|counts| (counts.subjects, counts.bytes))
}

#[tokio::test]
async fn each_version_is_counted_once_and_every_byte() {
    let catalog = catalog();
    for (data, subjects, bytes) in [(1, 4, 100), (1, 4, 100), (2, 3, 100)] {
        done(&catalog, bill(data, subjects, bytes)).await;
    }
    assert_eq!(stands(&catalog, NOW).await, [(7, 300), (7, 300)]);
    let later = NOW.plus_millis(40 * DAY);
    done(&catalog, Bill { now: later, ..bill(1, 4, 1) }).await;
    assert_eq!(stands(&catalog, later).await, [(7, 301), (7, 301)]);
    // A year after the first day version 2 is out of the window, and version 1 is in it still.
    assert_eq!(stands(&catalog, NOW.plus_millis(367 * DAY)).await, [(7, 301), (4, 1)]);
}

#[tokio::test]
async fn a_quota_is_never_passed_by_one_byte_or_one_individual() {
    let catalog = catalog();
    done(&catalog, bill(1, 10, 999)).await;
    assert_eq!(charge(&catalog, bill(1, 10, 2)).await, Charged::Over(id()));
    assert_eq!(charge(&catalog, bill(2, 1, 1)).await, Charged::Over(id()));
    done(&catalog, bill(1, 10, 1)).await;
    assert_eq!(stands(&catalog, NOW).await, [(10, 1_000), (10, 1_000)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_come_at_once_never_take_the_same_room() {
    let catalog = catalog();
    let read = |reader: u8| {
        let catalog = catalog.clone();
        tokio::spawn(async move {
            let mut taken = 0;
            // Odd sizes, so that the quota cannot come out even by chance.
            for size in [37, 11, 7, 3, 1] {
                let bill = bill(reader, 0, size);
                loop {
                    let judged = catalog.tally(bill.clone()).await.unwrap();
                    match catalog.charge(bill.clone(), judged).await.unwrap() {
                        Charged::Done(receipt) => taken += receipt.bytes,
                        Charged::Changed => continue,
                        Charged::Over(_) => {}
                    }
                    break;
                }
            }
            taken
        })
    };
    let readers: Vec<_> = (0..48).map(read).collect();
    let mut taken = 0;
    for reader in readers {
        taken += reader.await.unwrap();
    }
    assert_eq!(taken, 1_000, "48 readers want 2832 bytes of 1000, down to single ones");
    assert_eq!(stands(&catalog, NOW).await.map(|(_, bytes)| bytes), [1_000, 1_000]);
}

#[tokio::test]
async fn what_was_judged_by_another_tally_is_not_charged() {
    let catalog = catalog();
    let judged = catalog.tally(bill(1, 1, 10)).await.unwrap();
    done(&catalog, bill(2, 1, 10)).await;
    assert_eq!(catalog.charge(bill(1, 1, 10), judged).await.unwrap(), Charged::Changed);
    assert_eq!(stands(&catalog, NOW).await, [(1, 10), (1, 10)]);
}

#[tokio::test]
async fn bytes_that_did_not_leave_are_given_back_and_individuals_are_not() {
    let catalog = catalog();
    let receipt = done(&catalog, bill(1, 4, 100)).await;
    let left = catalog.refund(receipt.clone(), 60).await.unwrap();
    assert_eq!(left[0].1.counts, Counts { subjects: 4, sensitive: 0, bytes: 40 });
    assert_eq!(stands(&catalog, NOW).await, [(4, 40), (4, 40)]);
    // More than was charged is not given back.
    catalog.refund(receipt, 1_000).await.unwrap();
    assert_eq!(stands(&catalog, NOW).await, [(4, 0), (4, 0)]);
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_reopen_a_window() {
    let catalog = catalog();
    let later = NOW.plus_millis(400 * DAY);
    done(&catalog, Bill { now: later, ..bill(1, 4, 100) }).await;
    done(&catalog, bill(2, 3, 100)).await;
    let accounts = catalog.accounts().await.unwrap();
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0].last, later);
    assert_eq!(accounts[0].days.len(), 1, "both on the later day");
    assert_eq!(stands(&catalog, NOW).await[1], (7, 200));
}

#[tokio::test]
async fn each_mark_is_told_once() {
    let catalog = catalog();
    let mut told = Vec::new();
    for (data, subjects, bytes) in [(1, 6, 699), (2, 1, 1), (2, 1, 1), (3, 2, 200), (4, 1, 99)] {
        let receipt = done(&catalog, bill(data, subjects, bytes)).await;
        told.push(receipt.marks.into_iter().map(|(_, name)| name).collect::<Vec<_>>());
    }
    let year = |mark: u8| format!("cn-data-export-year-subjects-{mark}-percent");
    assert_eq!(told[0], Vec::<String>::new());
    assert_eq!(told[1], ["subjects-70-percent".to_owned(), "bytes-70-percent".to_owned(), year(70)]);
    assert_eq!(told[2], Vec::<String>::new());
    assert_eq!(told[3], ["subjects-90-percent".to_owned(), "bytes-90-percent".to_owned(), year(90)]);
    assert_eq!(told[4], Vec::<String>::new());
}
