use domicile_types::{ApprovalId, Ownership};

use super::*;

const DAY: u64 = 86_400_000;
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

pub(crate) fn place(text: &str) -> Place {
    Place::parse(text).unwrap()
}

pub(crate) fn party(id: &str) -> Party {
    Party {
        id: PartyId::parse(id).unwrap(),
        name: "Acme GmbH".to_owned(),
        incorporated: place("DE"),
        headquartered: place("DE"),
        owners: Vec::new(),
        controlled_by: None,
        certifications: Vec::new(),
    }
}

/// A request that can be approved.
pub(crate) fn terms() -> Terms {
    Terms {
        tenant: TenantId::parse("a").unwrap(),
        bucket: BucketName::parse("training").unwrap(),
        prefix: "set/".to_owned(),
        purpose: "training of a model".to_owned(),
        necessity: "the model is trained in Munich".to_owned(),
        recipient: Recipient {
            party: party("acme"),
            contact: "dpo@acme.example".to_owned(),
            places: [place("DE")].into(),
        },
        actors: [Actor::AccessKey("AKID".to_owned())].into(),
        pack: PackId::parse("cn-data-export").unwrap(),
        mechanism: MechanismId::parse("contract").unwrap(),
        instrument: "standard contract of 2 May".to_owned(),
        authority_number: None,
        quota: Quota { subjects: Some(100), bytes: 1_000 },
        operations: [Use::Retrieve, Use::Query].into(),
        effective: None,
        expires: NOW.plus_millis(30 * DAY),
        assessment: "PIA-7".to_owned(),
        renews: None,
    }
}

/// That request, as it was made.
pub(crate) fn requested() -> Approval {
    Approval {
        id: ApprovalId::from_bytes([1; 16]),
        ultimate: terms().recipient.party.id,
        terms: terms(),
        maker: "olga".to_owned(),
        requested: NOW,
        checker: None,
        decided: None,
        state: State::Requested,
        reason: None,
        emergency: None,
        renewed_by: None,
        salt: "00".to_owned(),
    }
}

pub(crate) fn mechanisms() -> BTreeMap<MechanismId, Mechanism> {
    let text = r#"
        [contract]
        title = "Contract"
        cite = "Art. 1"
        days_max = 1000
        renewal_working_days = 10
        demands_subject_quota = true
    "#;
    toml::from_str(text).unwrap()
}

fn refused(change: impl FnOnce(&mut Terms)) -> TermsError {
    let mut terms = terms();
    change(&mut terms);
    terms.check(&mechanisms(), NOW, false).unwrap_err()
}

#[test]
fn a_request_that_says_everything_is_taken() {
    assert_eq!(terms().check(&mechanisms(), NOW, false), Ok(()));
}

#[test]
fn a_request_is_refused_with_what_is_wrong_with_it() {
    let past = refused(|terms| terms.expires = NOW);
    assert_eq!(past, TermsError::PastExpiry { expires: NOW, after: NOW });
    assert_eq!(refused(|terms| terms.quota.bytes = 0), TermsError::NoQuota { what: "bytes" });
    assert_eq!(refused(|terms| terms.quota.subjects = Some(0)), TermsError::NoQuota { what: "subjects" });
    assert!(matches!(refused(|terms| terms.quota.subjects = None), TermsError::SubjectsDemanded { .. }));
    let nowhere = refused(|terms| terms.recipient.places = [place("DE"), Place::Unknown].into());
    assert!(matches!(nowhere, TermsError::UnknownPlace { .. }));
    assert!(matches!(
        refused(|terms| terms.recipient.party.incorporated = Place::Unknown),
        TermsError::UnknownPlace { .. }
    ));
    let other = refused(|terms| terms.mechanism = MechanismId::parse("wish").unwrap());
    assert!(other.to_string().contains("no mechanism wish; it has: contract"), "{other}");
    let long = refused(|terms| terms.expires = NOW.plus_millis(1_000 * DAY + 1));
    assert!(matches!(long, TermsError::TooLong { days_max: 1_000, .. }));
    let late = refused(|terms| terms.effective = Some(terms.expires));
    assert!(matches!(late, TermsError::PastExpiry { .. }));
    assert_eq!(refused(|terms| terms.purpose = " ".to_owned()), TermsError::Text { what: "the purpose" });
    assert!(matches!(refused(|terms| terms.actors.clear()), TermsError::List { what: "actors", .. }));
    assert!(matches!(refused(|terms| terms.operations.clear()), TermsError::List { .. }));
    let owner = |share_basis_points| Ownership {
        owner: PartyId::parse("holding").unwrap(),
        place: place("US"),
        share_basis_points,
    };
    for owners in [vec![owner(0)], vec![owner(6_000), owner(4_001)]] {
        assert_eq!(refused(|terms| terms.recipient.party.owners = owners), TermsError::Owners);
    }
}

#[test]
fn an_emergency_is_short_and_begins_at_once() {
    let check = |change: fn(&mut Terms)| {
        let mut terms = Terms { expires: NOW.plus_millis(DAY), ..terms() };
        change(&mut terms);
        terms.check(&mechanisms(), NOW, true)
    };
    assert_eq!(check(|_| {}), Ok(()));
    assert_eq!(check(|terms| terms.expires = NOW.plus_millis(DAY + 1)), Err(TermsError::NoEmergency));
    assert_eq!(check(|terms| terms.effective = Some(NOW.plus_millis(1))), Err(TermsError::NoEmergency));
    assert_eq!(check(|terms| terms.renews = Some(ApprovalId::from_bytes([2; 16]))), Err(TermsError::NoEmergency));
}

#[test]
fn control_is_followed_upwards_by_statement_and_by_majority() {
    let id = |text: &str| PartyId::parse(text).unwrap();
    let owned = |of: &str, by: &str, share_basis_points| Party {
        owners: vec![Ownership { owner: id(by), place: place("US"), share_basis_points }],
        ..party(of)
    };
    let controlled = Party { controlled_by: Some(id("group")), ..party("holding") };
    let known = BTreeMap::from([(id("holding"), controlled)]);
    assert_eq!(ultimate(&party("acme"), &known), id("acme"));
    assert_eq!(ultimate(&owned("acme", "holding", 5_000), &known), id("acme"));
    assert_eq!(ultimate(&owned("acme", "holding", 5_001), &known), id("group"));
    assert_eq!(ultimate(&owned("acme", "fund", 5_001), &known), id("fund"));
    let circle = BTreeMap::from([
        (id("acme"), Party { controlled_by: Some(id("other")), ..party("acme") }),
        (id("other"), Party { controlled_by: Some(id("acme")), ..party("other") }),
    ]);
    // It ends, at one of them.
    assert!(circle.contains_key(&ultimate(&circle[&id("acme")], &circle)));
}

#[test]
fn a_record_reads_back_as_it_was_written_and_its_hash_follows() {
    let approval = requested();
    assert_eq!(serde_json::from_str::<Approval>(&approval.canonical()).unwrap(), approval);
    let other = Approval { salt: "01".to_owned(), ..approval.clone() };
    assert_ne!(approval.hash(), other.hash());
}
