//! The law of the simulated cluster: a pack for the gateway, and the same law once more, in plain code, for those who check.

use domicile_compliance::pack::PackFiles;
use domicile_types::PackId;

/// What the pack in force says. Shards may lie in CN alone, and readers must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Law {
    /// Nothing more.
    Open,
    /// No shards with companies of SG, wherever their nodes are.
    NoStraits,
    /// No plaintext at any gateway: nothing is stored or read.
    Closed,
}

impl Law {
    pub(super) const ALL: [Self; 3] = [Self::Open, Self::NoStraits, Self::Closed];

    /// Whether shards may lie with a node in CN, of a company of SG or not: ciphertext, which repair moves without opening it.
    pub(super) fn lets_keep(self, of_straits: bool) -> bool {
        self != Self::NoStraits || !of_straits
    }

    /// Whether a gateway may put what it is given there: it handles plaintext.
    pub(super) fn lets_store(self, of_straits: bool) -> bool {
        self != Self::Closed && self.lets_keep(of_straits)
    }

    /// Whether somebody in CN may read.
    pub(super) fn lets_read(self) -> bool {
        self != Self::Closed
    }

    /// The pack that says so. `edition` makes its hash another.
    pub(super) fn pack(self, edition: usize) -> PackFiles {
        let (rule, case) = match self {
            Self::Open => ("", ""),
            Self::NoStraits => (NO_STRAITS, NO_STRAITS_CASE),
            Self::Closed => (CLOSED, CLOSED_CASE),
        };
        PackFiles {
            folder: PACK.into(),
            facts: FACTS.to_owned(),
            rules: format!("{AT_HOME}{rule}"),
            cases: format!("{CASES}{case}"),
            sources: format!("edition {edition}"),
        }
    }
}

/// The pack's name.
pub(super) const PACK: &str = "simulated";

pub(super) fn pack_id() -> PackId {
    PackId::parse(PACK).unwrap()
}

const FACTS: &str = r#"
title = "A pack of the simulation"
as_of = "2026-11-22"
home = "home"
default_cite = "Simulated Act s. 1"
shard_is_data = true
retention_days = 30
evidence_minimum = "declared"
algorithms = "any"
key_jurisdiction = "cn"
classes = []

[groups.home]
members = [{ places = ["CN"] }]

[groups.straits]
members = [{ places = ["SG"] }]
"#;

const AT_HOME: &str = r#"
@id("at-home")
@cite("Simulated Act s. 2")
permit (principal, action, resource) when { context.place.within.home };

@id("administer-anywhere")
@cite("Simulated Act s. 3")
permit (principal, action == Action::"Administer", resource);
"#;

const NO_STRAITS: &str = r#"
@id("no-straits")
@cite("Simulated Act s. 4")
forbid (principal is Node, action in [Action::"Store", Action::"Repair"], resource)
when { context has party && context.party.incorporated.within.straits };
"#;

const CLOSED: &str = r#"
@id("closed")
@cite("Simulated Act s. 5")
forbid (principal is Gateway, action == Action::"Process", resource);
"#;

const CASES: &str = r#"
[parties.sg]
id = "sg"
name = "Straits"
incorporated = "SG"
headquartered = "SG"

[[case]]
name = "somebody at home may read"
subject = "requester"
action = "Retrieve"
places = ["CN"]
expect = "allow"
rules = ["at-home"]

[[case]]
name = "anything may be deleted anywhere"
subject = "node"
action = "Administer"
places = ["US"]
expect = "allow"
rules = ["administer-anywhere"]
"#;

const NO_STRAITS_CASE: &str = r#"
[[case]]
name = "a company of SG keeps nothing"
subject = "node"
action = "Store"
places = ["CN"]
party = "sg"
expect = "deny"
rules = ["no-straits"]
"#;

const CLOSED_CASE: &str = r#"
[[case]]
name = "no gateway holds plaintext"
subject = "gateway"
action = "Process"
places = ["CN"]
expect = "deny"
rules = ["closed"]
"#;
