use domicile_types::{ControllerId, OperatorId, PartyId, Place, UnixMillis};

use super::*;

fn id(text: &str) -> PartyId {
    PartyId::parse(text).unwrap()
}

fn today() -> Day {
    Day::parse("2026-11-22").unwrap()
}

fn source() -> Source {
    Source {
        source: "register".to_owned(),
        as_of: Day::parse("2026-01-31").unwrap(),
        confidence: Confidence::Documented,
    }
}

/// An entity in `place`, owned as `owners` say: name, place, hundredths of a percent.
fn entity(name: &str, place: &str, owners: &[(&str, &str, u16)]) -> Entity {
    let place = Place::parse(place).unwrap();
    let owner = |(name, place, share): &(&str, &str, u16)| Owner {
        id: id(name),
        place: Place::parse(place).unwrap(),
        share_basis_points: *share,
        from: source(),
    };
    Entity {
        id: id(name),
        name: format!("{name} Ltd"),
        incorporated: place,
        headquartered: place,
        certifications: Vec::new(),
        owners: owners.iter().map(owner).collect(),
        controlled_by: None,
        from: source(),
    }
}

fn controlled(by: &str, entity: Entity) -> Entity {
    Entity { controlled_by: Some(Control { id: id(by), from: source() }), ..entity }
}

fn operator(name: &str, party: &str, stated: Option<&str>) -> Operator {
    Operator {
        id: OperatorId::parse(name).unwrap(),
        party: id(party),
        contact: None,
        stated_controller: stated.map(|stated| ControllerId::parse(stated).unwrap()),
        from: source(),
    }
}

fn graph(entities: impl IntoIterator<Item = Entity>) -> Result<Graph, RecordError> {
    Graph::new(entities, &today())
}

#[test]
fn two_owners_with_sixty_percent_each_contradict_each_other() {
    let both = entity("a", "CN", &[("b", "CN", 6_000), ("c", "CN", 6_000)]);
    assert_eq!(graph([both]).unwrap_err(), RecordError::OverOwned { party: id("a"), basis_points: 12_000 });
    assert!(graph([entity("a", "CN", &[("b", "CN", 6_000), ("c", "CN", 4_000)])]).is_ok());
}

#[test]
fn whoever_owns_itself_by_way_of_others_is_refused() {
    let circle = [
        entity("a", "CN", &[("b", "CN", 100)]),
        entity("b", "CN", &[("c", "CN", 100)]),
        entity("c", "CN", &[("a", "CN", 100)]),
    ];
    assert!(matches!(graph(circle), Err(RecordError::Circle { .. })));
    assert!(matches!(graph([entity("a", "CN", &[("a", "CN", 100)])]), Err(RecordError::Circle { .. })));
    let by_control = [controlled("b", entity("a", "CN", &[])), controlled("a", entity("b", "CN", &[]))];
    assert!(matches!(graph(by_control), Err(RecordError::Circle { .. })));
    let chain = |links: u32| {
        let links = 0..links;
        let link = |n: u32| entity(&format!("p{n}"), "CN", &[(&format!("p{}", n + 1), "CN", 10_000)]);
        graph(links.map(link))
    };
    assert!(chain(15).is_ok());
    assert!(matches!(chain(40), Err(RecordError::TooDeep { .. })));
}

#[test]
fn more_than_half_of_the_shares_moves_control_and_half_does_not() {
    let above = graph([entity("a", "CN", &[("b", "HK", 5_001)]), entity("b", "HK", &[("c", "SG", 10_000)])]).unwrap();
    assert_eq!(above.ultimate(&id("a")), id("c"));
    let half = graph([entity("a", "CN", &[("b", "HK", 5_000)])]).unwrap();
    assert_eq!(half.ultimate(&id("a")), id("a"));
    assert_eq!(half.party(&id("a")).unwrap().controlled_by, None);
    assert_eq!(above.party(&id("a")).unwrap().controlled_by, Some(id("c")));
}

#[test]
fn operators_with_one_parent_have_one_controller_whatever_the_configuration_named() {
    let graph = graph([
        entity("one", "CN", &[("parent", "CN", 6_000)]),
        entity("two", "HK", &[("between", "HK", 10_000)]),
        entity("between", "HK", &[("parent", "CN", 7_500)]),
        entity("alone", "CN", &[]),
    ])
    .unwrap();
    let controller = |party: &str| graph.controller(&operator("o", party, Some("named"))).unwrap().to_string();
    assert_eq!(controller("one"), "parent");
    assert_eq!(controller("two"), "parent");
    assert_eq!(controller("alone"), "named");
    assert_eq!(graph.controller(&operator("o", "alone", None)).unwrap().as_str(), "alone");
    let operators = [operator("o1", "one", None), operator("o2", "two", None), operator("o3", "alone", None)];
    let parent = id("parent");
    let below: Vec<_> = graph.operators_below(&parent, operators.iter()).map(OperatorId::as_str).collect();
    assert_eq!(below, ["o1", "o2"]);
}

#[test]
fn shares_reach_through_a_majority_whole_and_through_less_in_part() {
    let graph = graph([
        entity("a", "DE", &[("mostly", "NL", 4_000), ("partly", "IE", 4_000)]),
        entity("mostly", "NL", &[("top", "CN", 5_000)]),
        entity("partly", "IE", &[("other", "US", 2_501)]),
    ])
    .unwrap();
    let party = graph.party(&id("a")).unwrap();
    let share = |owner: &str| party.owners.iter().find(|o| o.owner == id(owner)).map(|o| o.share_basis_points);
    assert_eq!(share("mostly"), Some(4_000));
    assert_eq!(share("top"), Some(4_000));
    // 4,000 of 2,501 hundredths of a percent are 1,000.4, rounded up.
    assert_eq!(share("other"), Some(1_001));
    let place = |owner: &str| party.owners.iter().find(|o| o.owner == id(owner)).map(|o| o.place.to_string());
    assert_eq!(place("top").as_deref(), Some("CN"));
}

#[test]
fn an_owner_with_two_seats_counts_at_both() {
    let shell = Entity { headquartered: Place::parse("CN").unwrap(), ..entity("shell", "VG", &[]) };
    let graph = graph([entity("a", "US", &[("shell", "VG", 9_000)]), shell]).unwrap();
    let places: Vec<String> = graph.party(&id("a")).unwrap().owners.iter().map(|o| o.place.to_string()).collect();
    assert_eq!(places, ["CN", "VG"]);
}

#[test]
fn control_said_to_lie_elsewhere_than_with_the_majority_is_a_contradiction_unless_above_it() {
    let stated = controlled("x", entity("a", "CN", &[("b", "CN", 6_000)]));
    let contradicted = graph([stated.clone(), entity("x", "CN", &[]), entity("b", "CN", &[])]);
    assert!(matches!(contradicted, Err(RecordError::ControlContradicted { .. })));
    let above = graph([stated, entity("x", "CN", &[]), entity("b", "CN", &[("x", "CN", 10_000)])]).unwrap();
    assert_eq!(above.ultimate(&id("a")), id("x"));
}

#[test]
fn records_that_differ_or_name_nobody_are_refused() {
    let first = graph([entity("a", "CN", &[])]).unwrap();
    assert!(first.clone().with([entity("a", "CN", &[])], &today()).is_ok());
    let differs = first.clone().with([entity("a", "HK", &[])], &today());
    assert_eq!(differs.unwrap_err(), RecordError::PartyDiffers { party: id("a") });
    assert!(first.with_change(entity("a", "HK", &[]), &today()).is_ok());
    let nobody = graph([controlled("ghost", entity("a", "CN", &[]))]);
    assert_eq!(nobody.unwrap_err(), RecordError::NoSuchParty { party: id("ghost") });
    let elsewhere = graph([entity("a", "CN", &[("b", "CN", 100)]), entity("b", "HK", &[])]);
    assert!(matches!(elsewhere, Err(RecordError::PlaceContradicted { .. })));
}

#[test]
fn dates_and_shares_must_make_sense() {
    let mut late = entity("a", "CN", &[]);
    late.from.as_of = Day::parse("2026-11-23").unwrap();
    assert!(matches!(graph([late]), Err(RecordError::FromTheFuture { .. })));
    assert!(matches!(graph([entity("a", "CN", &[("b", "CN", 0)])]), Err(RecordError::NoShare { .. })));
    let twice = entity("a", "CN", &[("b", "CN", 1), ("b", "CN", 2)]);
    assert!(matches!(graph([twice]), Err(RecordError::OwnerTwice { .. })));
    for bad in ["2026-1-1", "2026-02-30", "26-01-01", "", "2026-01-01T00:00:00Z"] {
        assert!(Day::parse(bad).is_err(), "{bad}");
    }
    assert_eq!(Day::of(UnixMillis(1_795_305_600_000)).as_str(), "2026-11-22");
}
