//! Tickets: the good one opens, and each forgery is refused by its own name.

use data_encoding::BASE64URL_NOPAD;
use domicile_types::{Entry, OutcomeStatus, Record};

use super::*;

fn verifier() -> TicketVerifier {
    TicketVerifier::new(key(), identity().id(), TicketRules::starting_at(UnixMillis(NOW.0 - 1000)))
}

/// A ticket of a log of eleven entries, the intent the fifth.
fn ticket() -> Ticket {
    ticket_of(Entry::Intent(intent(Verdict::Allow)), NOW)
}

fn ticket_of(entry: Entry, time: UnixMillis) -> Ticket {
    ticket_by(&identity(), ORIGIN, entry, time)
}

fn ticket_by(signer: &IdentityKey, origin: &str, entry: Entry, time: UnixMillis) -> Ticket {
    let record = Record { v: 1, time, gateway: identity().id(), request: request(5), entry };
    ticket_with(signer, origin, &serde_json::to_vec(&record).unwrap())
}

fn ticket_with(signer: &IdentityKey, origin: &str, leaf: &[u8]) -> Ticket {
    let mut tree = EdgeTree::default();
    for n in 0..11u8 {
        tree.push(if n == 5 { TreeHash::of_leaf(leaf) } else { TreeHash::of_leaf(&[n]) });
    }
    let origin = KeyName::parse(origin).unwrap();
    let signer = NoteSigner::from_identity(origin.clone(), signer);
    let checkpoint = Arc::new(Checkpoint { origin, size: 11, root: tree.root() }.sign(&signer));
    Ticket::new(leaf, LogProof { index: 5, path: inclusion_path(5, 11, &tree).unwrap(), checkpoint })
}

fn refusal(ticket: &Ticket) -> TicketError {
    verifier().verify(ticket, NOW).unwrap_err()
}

#[test]
fn a_logged_intent_makes_a_ticket_that_a_node_believes() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let logged = log.intend(request(9), intent(Verdict::Allow)).wait().unwrap();
    let text = logged.ticket().to_string();
    let verified = verifier().verify(&Ticket::parse(&text).unwrap(), NOW).unwrap();
    assert_eq!(verified.intent(), logged.intent());
    assert_eq!((verified.index, verified.leaf_hash), (logged.index(), logged.leaf_hash()));
    assert_eq!(verified.record.request, request(9));
    drop(logged.finish(OutcomeStatus::Completed, 1, 200));
}

#[test]
fn a_ticket_round_trips_through_its_text() {
    let text = ticket().to_string();
    assert!(text.len() < TICKET_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(Ticket::parse(&text).unwrap(), ticket());
}

#[test]
fn texts_that_are_no_ticket_are_refused() {
    let text = ticket().to_string();
    let (entry, proof) = text.split_once('.').unwrap();
    for bad in [
        String::new(),
        ".".to_owned(),
        entry.to_owned(),
        format!("{entry}!.{proof}"),
        format!(".{proof}"),
        format!("{entry}.{}", BASE64URL_NOPAD.encode(&[0xff, 0xfe])),
        format!("{}.{proof}", BASE64URL_NOPAD.encode(&[b'x'; 8193])),
        format!("{text}."),
        format!("{text}="),
    ] {
        assert!(matches!(Ticket::parse(&bad), Err(TicketError::Malformed { .. })), "{bad}");
    }
    let long = "A".repeat(TICKET_BYTES_MAX + 1);
    assert!(matches!(Ticket::parse(&long), Err(TicketError::TooLong { .. })));
    let no_proof = format!("{entry}.{}", BASE64URL_NOPAD.encode(b"no proof"));
    assert!(matches!(Ticket::parse(&no_proof), Err(TicketError::Forged(ProofError::Malformed { .. }))));
}

#[test]
fn any_changed_bit_of_the_entry_is_forged() {
    let good = ticket();
    for bit in 0..good.entry().len() * 8 {
        let mut entry = good.entry().to_vec();
        entry[bit / 8] ^= 1 << (bit % 8);
        let forged = Ticket::new(&entry, good.proof().clone());
        assert!(matches!(refusal(&forged), TicketError::Forged(ProofError::NotIncluded { .. })), "bit {bit}");
    }
}

#[test]
fn a_changed_index_path_size_root_or_signature_is_forged() {
    let good = ticket();
    let proof = good.proof();
    let swapped = |proof: LogProof| refusal(&Ticket::new(good.entry(), proof));
    assert!(matches!(
        swapped(LogProof { index: 6, ..proof.clone() }),
        TicketError::Forged(ProofError::NotIncluded { index: 6, size: 11 })
    ));
    let mut path = proof.path.clone();
    path.swap(0, 1);
    assert!(matches!(swapped(LogProof { path, ..proof.clone() }), TicketError::Forged(ProofError::NotIncluded { .. })));
    let text = proof.checkpoint.to_string();
    let root = proof.checkpoint.root().to_string();
    let (head, signature) = text.trim_end().rsplit_once(' ').unwrap();
    let mut bytes = data_encoding::BASE64.decode(signature.as_bytes()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    for changed in [
        text.replacen("\n11\n", "\n12\n", 1),
        text.replacen(&root, &TreeHash::of_leaf(b"other").to_string(), 1),
        format!("{head} {}\n", data_encoding::BASE64.encode(&bytes)),
    ] {
        let checkpoint = Arc::new(SignedCheckpoint::parse(&changed).unwrap());
        let error = swapped(LogProof { checkpoint, ..proof.clone() });
        assert!(matches!(error, TicketError::Forged(ProofError::Checkpoint(_))), "{error:?}");
    }
}

#[test]
fn a_ticket_of_another_key_or_another_log_is_refused() {
    let entry = || Entry::Intent(intent(Verdict::Allow));
    let stranger = IdentityKey::from_seed(&[1; 32]);
    assert!(matches!(refusal(&ticket_by(&stranger, ORIGIN, entry(), NOW)), TicketError::Forged(_)));
    let elsewhere = ticket_by(&identity(), "domicile.example/gateway/eu", entry(), NOW);
    assert_eq!(refusal(&elsewhere), TicketError::UnknownLog { origin: "domicile.example/gateway/eu".to_owned() });
    let served = TicketVerifier::new(key(), stranger.id(), TicketRules::starting_at(UnixMillis(0)));
    assert_eq!(served.verify(&ticket(), NOW).unwrap_err(), TicketError::OtherGateway);
}

#[test]
fn entries_that_are_no_allowed_intent_open_nothing() {
    let denied = ticket_of(Entry::Denied(intent(Verdict::Deny)), NOW);
    assert_eq!(refusal(&denied), TicketError::NotAnIntent { kind: "denied" });
    let contradiction = ticket_of(Entry::Intent(intent(Verdict::Deny)), NOW);
    assert_eq!(refusal(&contradiction), TicketError::NotAnIntent { kind: "denied" });
    let incident = Entry::Incident { what: "test".to_owned(), node: None, shard: None };
    assert_eq!(refusal(&ticket_of(incident, NOW)), TicketError::NotAnIntent { kind: "incident" });
}

#[test]
fn records_of_another_version_or_with_unknown_fields_open_nothing() {
    let text = String::from_utf8(ticket().entry().to_vec()).unwrap();
    for other in [text.replacen("\"v\":1", "\"v\":2", 1), text.replacen("\"epoch\"", "\"era\"", 1), "{}".to_owned()] {
        assert_ne!(other, text);
        let error = refusal(&ticket_with(&identity(), ORIGIN, other.as_bytes()));
        assert!(matches!(error, TicketError::Malformed { .. }), "{error:?}");
    }
}

#[test]
fn a_ticket_ends_at_its_time_with_the_skew_that_the_rules_allow() {
    let (ticket, verifier) = (ticket(), verifier());
    let expires = intent(Verdict::Allow).expires;
    assert!(verifier.verify(&ticket, expires.plus_millis(30_000)).is_ok());
    let now = expires.plus_millis(30_001);
    assert_eq!(verifier.verify(&ticket, now).unwrap_err(), TicketError::Expired { expires, now });
    assert!(verifier.verify(&ticket, UnixMillis(NOW.0 - 30_000)).is_ok());
    let now = UnixMillis(NOW.0 - 30_001);
    assert_eq!(verifier.verify(&ticket, now).unwrap_err(), TicketError::NotYet { issued: NOW, now });
}

#[test]
fn a_node_refuses_tickets_from_before_its_start_and_those_that_run_too_long() {
    let issued = UnixMillis(NOW.0 - 1001);
    let early = ticket_of(Entry::Intent(intent(Verdict::Allow)), issued);
    assert_eq!(refusal(&early), TicketError::BeforeStart { issued, not_before: UnixMillis(NOW.0 - 1000) });
    let mut long = intent(Verdict::Allow);
    long.expires = NOW.plus_millis(6 * 3_600_000 + 1);
    assert!(matches!(refusal(&ticket_of(Entry::Intent(long), NOW)), TicketError::TooLongLived { .. }));
}

#[test]
fn a_remembered_checkpoint_lends_its_signature_to_no_other() {
    let (verifier, good) = (verifier(), ticket());
    assert!(verifier.verify(&good, NOW).is_ok());
    let text = good.proof().checkpoint.to_string().replacen("\n11\n", "\n12\n", 1);
    let checkpoint = Arc::new(SignedCheckpoint::parse(&text).unwrap());
    let forged = Ticket::new(good.entry(), LogProof { checkpoint, ..good.proof().clone() });
    assert!(matches!(verifier.verify(&forged, NOW), Err(TicketError::Forged(_))));
    assert!(verifier.verify(&good, NOW).is_ok());
}
