//! A node that does the work in the gateway's stead, where the gateway is in a place that may not pass the data on.

use domicile_compliance::{Ask, AskClass, Question};
use domicile_types::{Action, Subject, SubjectFacts};

/// Asks of `worker` what was asked of the gateway's hands: to pass ciphertext on, and to rebuild. What the gateway does itself,
/// keeping the log, is asked of it as before.
pub(super) fn stand_in(question: &mut Question, worker: &SubjectFacts) {
    question.asks.retain(|ask| ask.action != Action::Relay || !matches!(ask.facts.subject, Subject::Gateway(_)));
    for action in [Action::Relay, Action::Repair] {
        question.asks.push(Ask { action, facts: worker.clone(), class: AskClass::Required });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domicile_compliance::{Circumstances, Grounds, Lawbook};
    use domicile_types::{Classification, EvidenceGrade, NodeId, OperationKind, PackId, Place, UnixMillis};

    use super::*;

    fn facts(subject: Subject, place: &str) -> SubjectFacts {
        let places = vec![Place::parse(place).unwrap()];
        SubjectFacts { subject, places, evidence: EvidenceGrade::Observed, party: None }
    }

    #[test]
    fn a_gateway_abroad_may_have_a_node_at_home_repair_and_none_elsewhere() {
        let lawbook = Lawbook::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")).unwrap();
        let node = |number, place| facts(Subject::Node(NodeId::from_public_key([number; 32])), place);
        let gateway = facts(Subject::Gateway(NodeId::from_public_key([9; 32])), "DE");
        let nodes = [node(1, "CN"), node(2, "CN"), node(3, "HK")];
        let question = Circumstances {
            packs: &[PackId::parse("cn-data-export").unwrap()],
            classification: &Classification::default(),
            gateway: &gateway,
            requester: None,
            nodes: &nodes,
            now: UnixMillis(1_795_305_600_000),
            located_warnings: &[],
            grounds: Grounds::NONE,
        }
        .question(OperationKind::Repair);
        assert!(lawbook.decide(&question).permit.is_none(), "a gateway in Germany passes nothing of China's on");
        let by = |worker: &SubjectFacts| {
            let mut question = question.clone();
            stand_in(&mut question, worker);
            lawbook.decide(&question).permit
        };
        let log_abroad = by(&nodes[0]);
        let relays = |permit: &domicile_compliance::Permit| permit.allows(Action::Relay, nodes[0].subject);
        assert!(log_abroad.as_ref().is_none_or(relays));
        assert!(by(&nodes[2]).is_none(), "a worker in Hong Kong is abroad, too");
    }
}
