//! OpenMetrics text, made anew for each scrape from what the node counts anyway.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::view::LocalView;

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<u64, AtomicU64>>;
type Counters = Family<Labels, Counter>;

/// The metrics of a view, as OpenMetrics text.
pub(super) fn encode(view: &LocalView) -> String {
    let mut registry = Registry::with_prefix("domicile_node");
    let status = &view.status;
    let mut gauge = |name: &str, help: &str, unit: Option<Unit>, rows: Vec<(Labels, u64)>| {
        let family = Gauges::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).set(value);
        }
        match unit {
            Some(unit) => registry.register_with_unit(name, help, unit, family),
            None => registry.register(name, help, family),
        }
    };
    let bytes = || Some(Unit::Bytes);
    gauge("capacity", "Bytes offered", bytes(), vec![(Vec::new(), status.capacity_bytes)]);
    gauge("used", "Bytes taken of what is offered", bytes(), vec![(Vec::new(), status.used_bytes)]);
    gauge("free", "Bytes free of what is offered", bytes(), vec![(Vec::new(), status.free_bytes)]);
    gauge("shards", "Live shards", None, vec![(Vec::new(), status.shards)]);
    gauge("corrupt_shards", "Shards found damaged on disk", None, vec![(Vec::new(), status.corrupt_shards)]);
    gauge("start_time", "When the node started", Some(Unit::Seconds), vec![(Vec::new(), status.started.0 / 1000)]);
    let per = |of: &dyn Fn(&super::GatewayView) -> Option<u64>| -> Vec<(Labels, u64)> {
        let row = |view: &super::GatewayView| Some((vec![("gateway", view.gateway.to_string())], of(view)?));
        view.gateways.iter().filter_map(row).collect()
    };
    let score = |view: &super::GatewayView| Some(u64::from(view.notice.as_ref()?.score_basis_points));
    gauge("score_basis_points", "Challenges and requests answered lately, as a gateway counts", None, per(&score));
    let usable = |view: &super::GatewayView| Some(u64::from(view.notice.as_ref()?.state == "online"));
    gauge("in_good_standing", "1: a gateway gives this node shards", None, per(&usable));
    let grade = |view: &super::GatewayView| Some(u64::from(view.notice.as_ref()?.evidence.number()));
    gauge("evidence_grade", "How well the node's place is evidenced, 0 to 4", None, per(&grade));
    gauge("month_byte_hours", "Byte-hours of this month so far", None, per(&|view| Some(view.account.byte_hours)));
    gauge("month_served", "Shard bytes served this month", bytes(), per(&|view| Some(view.account.served_bytes)));
    gauge("month_payable_micros", "Earned this month so far", None, per(&|view| Some(view.owed.payable_micros)));

    let mut counter = |name: &str, help: &str, rows: Vec<(Labels, u64)>| {
        let family = Counters::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).inc_by(value);
        }
        registry.register(name, help, family);
    };
    let verbs = [("stored", status.stored), ("served", status.served), ("deleted", status.deleted)];
    let label = |verb: &str| vec![("verb", verb.to_owned())];
    counter("requests", "Requests that succeeded", verbs.iter().map(|(verb, n)| (label(verb), n.requests)).collect());
    counter("shard_bytes", "Shard bytes moved", verbs.iter().map(|(verb, n)| (label(verb), n.bytes)).collect());
    let refused = status.refused.iter().map(|(code, count)| (vec![("code", code.to_string())], *count));
    counter("refusals", "Requests refused", refused.collect());
    let handshakes = vec![(Vec::new(), status.refused_handshakes)];
    counter("refused_handshakes", "TLS handshakes of peers that are not enrolled", handshakes);
    let mut text = String::new();
    if let Err(error) = encode_text(&mut text, &registry) {
        tracing::error!(%error, "the metrics cannot be written");
    }
    // Metrics without labels are written with an empty set of them, which not every scraper reads.
    text.replace("{} ", " ")
}
