//! Intents end in an outcome, whichever way they end.

use domicile_types::{Entry, Outcome, OutcomeStatus};

use super::*;

fn outcomes(log: &AuditLog) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    log.entries(0..u64::MAX, |entry| {
        if let Entry::Outcome(outcome) = entry.record().unwrap().entry {
            outcomes.push(outcome);
        }
        true
    })
    .unwrap();
    outcomes
}

/// Everything that was queued before it is durable when it returns.
fn flush(log: &AuditLog) {
    log.incident(request(0), "flush", None, None).wait().unwrap();
}

#[test]
fn a_finished_intent_records_what_was_counted() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let logged = log.intend(request(7), intent(Verdict::Allow)).wait().unwrap();
    let index = logged.index();
    let done = logged.finish(OutcomeStatus::Aborted, 17, 206).wait().unwrap();
    assert_eq!(log.read(done.index).unwrap().request, request(7));
    let expected = Outcome { intent: index, status: OutcomeStatus::Aborted, bytes: 17, http_status: 206 };
    assert_eq!(outcomes(&log), [expected]);
}

#[test]
fn a_dropped_intent_is_recorded_as_if_the_whole_range_had_left() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let logged = log.intend(request(7), intent(Verdict::Allow)).wait().unwrap();
    let index = logged.index();
    drop(logged);
    flush(&log);
    let expected = Outcome { intent: index, status: OutcomeStatus::AssumedWhole, bytes: 1000, http_status: 0 };
    assert_eq!(outcomes(&log), [expected]);
}

#[test]
fn an_intent_that_nobody_waits_for_any_more_is_recorded_as_failed_with_nothing_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    for n in 0..200 {
        let waiting = log.intend(request(n), intent(Verdict::Allow));
        if n % 2 == 0 {
            // Sometimes the answer is there already when the future is dropped, sometimes not.
            std::thread::yield_now();
        }
        drop(waiting);
    }
    flush(&log);
    flush(&log);
    let outcomes = outcomes(&log);
    assert_eq!(outcomes.len(), 200);
    assert!(outcomes.iter().all(|outcome| outcome.status == OutcomeStatus::Failed && outcome.bytes == 0));
}

#[test]
fn intents_open_at_a_crash_are_closed_at_the_next_start_as_if_the_whole_range_had_left() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    fill(&log, 3);
    let open_ones: Vec<_> = (0..3).map(|n| log.intend(request(n), intent(Verdict::Allow)).wait().unwrap()).collect();
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    let (restarted, recovery) = open(copy.path());
    let indices: Vec<u64> = open_ones.iter().map(LoggedIntent::index).collect();
    assert_eq!(recovery.closed_intents.iter().map(|(index, _)| *index).collect::<Vec<_>>(), indices);
    let closed: Vec<_> = outcomes(&restarted).into_iter().filter(|o| indices.contains(&o.intent)).collect();
    assert_eq!(closed.len(), 3);
    assert!(closed.iter().all(|outcome| outcome.status == OutcomeStatus::AssumedWhole && outcome.bytes == 1000));
    let last = restarted.read(restarted.len() - 1).unwrap();
    assert!(matches!(last.entry, Entry::Started { closed_intents: 3, .. }));
    drop(restarted);
    let (_, recovery) = open(copy.path());
    assert_eq!(recovery.closed_intents, []);
}

#[test]
fn a_denied_attempt_is_recorded_and_an_allowed_one_needs_its_permit() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let draft = || {
        let intent = intent(Verdict::Deny);
        IntentDraft {
            request: request(3),
            actor: intent.actor,
            address: intent.address,
            bucket: intent.bucket,
            key: intent.key,
            requester_places: intent.requester_places,
            gateway_place: intent.gateway_place,
            data: intent.data,
            range: intent.range,
            shards: intent.shards,
            budget: intent.budget,
            expires: intent.expires,
            epoch: intent.epoch,
            worker: intent.worker,
            charge: None,
        }
    };
    let denied = log.denied(OperationKind::GetObject, &decision(Verdict::Deny), draft()).wait().unwrap();
    let Entry::Denied(attempt) = log.read(denied.index).unwrap().entry else { panic!("not an attempt") };
    assert!(attempt.decision.export && attempt.node_places.is_empty());
    let allowed = log.denied(OperationKind::GetObject, &decision(Verdict::Allow), draft()).wait();
    assert_eq!(allowed.map(drop), Err(AppendError::NeedsPermit));
}

#[test]
fn an_entry_that_is_too_long_is_refused_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let mut long = intent(Verdict::Allow);
    long.decision.warnings = vec!["w".repeat(9000)];
    assert!(matches!(log.intend(request(1), long).wait(), Err(AppendError::TooLong { bytes }) if bytes > 9000));
    fill(&log, 1);
}
