//! Reason codes: why a node stands as it does, for the log, for programs and for its operator.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One reason. Its name is what the log keeps; [`Reason::asks`] is what an operator can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Enrolled, and not heard of once.
    NeverHeard,
    /// No announcement for a while.
    Silent,
    /// Most of the fleet is silent, so that it is rather this gateway that is cut off: nobody is taken for lost.
    MostAreSilent,
    /// Too few requests were answered lately.
    RequestsUnanswered,
    /// Too few challenges were met lately.
    ChallengesUnmet,
    /// Several shards that it should hold were missing or wrong.
    ShardsNotProved,
    /// Its disk is above its high-water mark, by its own word.
    Full,
    /// Its disk failed a write, by its own word.
    DiskFault,
    /// Its operator asked to leave.
    Leaving,
    /// It was told to drain.
    DrainOrdered,
    /// It and this gateway speak no common version of the node protocol.
    OtherProtocol,
    /// It announces another place than it is enrolled with.
    PlaceDeclaredOtherwise,
    /// A location database puts its address elsewhere.
    PlaceLocatedElsewhere,
    /// It answered faster than light could have come from the declared place.
    DelayTooShort,
    /// A document on file puts it elsewhere.
    PlaceAttestedElsewhere,
    /// It announces another operator or another legal entity than it is enrolled with.
    PartyDeclaredOtherwise,
    /// Its address lies in another network (autonomous system) than its evidence was taken in.
    NetworkChanged,
    /// Somebody with the right to do so fenced it.
    FencedByOfficer,
    /// What contradicted its place is gone; it stays fenced until an officer releases it.
    AwaitsRelease,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 19] = [
        Self::NeverHeard,
        Self::Silent,
        Self::MostAreSilent,
        Self::RequestsUnanswered,
        Self::ChallengesUnmet,
        Self::ShardsNotProved,
        Self::Full,
        Self::DiskFault,
        Self::Leaving,
        Self::DrainOrdered,
        Self::OtherProtocol,
        Self::PlaceDeclaredOtherwise,
        Self::PlaceLocatedElsewhere,
        Self::DelayTooShort,
        Self::PlaceAttestedElsewhere,
        Self::PartyDeclaredOtherwise,
        Self::NetworkChanged,
        Self::FencedByOfficer,
        Self::AwaitsRelease,
    ];

    /// The name in the log and on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NeverHeard => "never-heard",
            Self::Silent => "silent",
            Self::MostAreSilent => "most-are-silent",
            Self::RequestsUnanswered => "requests-unanswered",
            Self::ChallengesUnmet => "challenges-unmet",
            Self::ShardsNotProved => "shards-not-proved",
            Self::Full => "full",
            Self::DiskFault => "disk-fault",
            Self::Leaving => "leaving",
            Self::DrainOrdered => "drain-ordered",
            Self::OtherProtocol => "other-protocol",
            Self::PlaceDeclaredOtherwise => "place-declared-otherwise",
            Self::PlaceLocatedElsewhere => "place-located-elsewhere",
            Self::DelayTooShort => "delay-too-short",
            Self::PlaceAttestedElsewhere => "place-attested-elsewhere",
            Self::PartyDeclaredOtherwise => "party-declared-otherwise",
            Self::NetworkChanged => "network-changed",
            Self::FencedByOfficer => "fenced-by-officer",
            Self::AwaitsRelease => "awaits-release",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// Whether it contradicts what enrolment says of place or party, and so fences the node.
    #[must_use]
    pub const fn contradicts(self) -> bool {
        matches!(
            self,
            Self::PlaceDeclaredOtherwise
                | Self::PlaceLocatedElsewhere
                | Self::DelayTooShort
                | Self::PlaceAttestedElsewhere
                | Self::PartyDeclaredOtherwise
        )
    }

    /// What the node's operator can do about it.
    #[must_use]
    pub const fn asks(self) -> Option<&'static str> {
        Some(match self {
            Self::NeverHeard | Self::MostAreSilent | Self::DrainOrdered | Self::Leaving => return None,
            Self::Silent => "start the node, or see why its announcements do not arrive",
            Self::RequestsUnanswered => "see that the data plane's port can be reached, and that the machine keeps up",
            Self::ChallengesUnmet => "see which challenges were not met, and check disk and network",
            Self::ShardsNotProved => "scrub the disk; what is missing or wrong is being rebuilt elsewhere",
            Self::Full => "delete nothing: offer more space, or leave it as it is",
            Self::DiskFault => "replace the disk that failed",
            Self::OtherProtocol => "update the node's software",
            Self::PlaceDeclaredOtherwise => "set the place in the node's configuration, or have the enrolment changed",
            Self::PlaceLocatedElsewhere => "if the databases are wrong, dispute it with evidence of the site",
            Self::DelayTooShort => "if the declared place is right, dispute it with evidence of the site",
            Self::PlaceAttestedElsewhere => "have the enrolment changed, or the document withdrawn",
            Self::PartyDeclaredOtherwise => "set the party in the node's configuration, or have the enrolment changed",
            Self::NetworkChanged => "say why the network changed; evidence of place is gathered anew",
            Self::FencedByOfficer => "ask whoever fenced the node, or dispute it",
            Self::AwaitsRelease => "ask for a release, and say what has changed",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_json_are_the_same_words() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
            assert_eq!(Reason::parse(reason.name()), Some(reason));
        }
    }
}
