//! The page: one column, no script, readable on a phone.

use domicile_node_protocol::Notice;
use domicile_types::UnixMillis;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::view::{GatewayView, LocalView};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --bad: #b3261e; --good: #1b7f3b; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --good: #7fd69a; } }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 44rem; padding: 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
code, .id { font-family: ui-monospace, monospace; font-size: .85rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .25rem 1rem; margin: 0; }
dt { opacity: .75; } dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0; padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
section { border-top: 1px solid var(--line); padding-bottom: .5rem; }
meter { width: 100%; height: 1rem; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
small { opacity: .75; }
";

/// The page of a view.
pub(super) fn render(view: &LocalView) -> Markup {
    let status = &view.status;
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content="60";
                title { "Storage node in " (status.place) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Storage node in " (status.place) }
                    p.id { (status.node) }
                }
                main {
                    (space(view))
                    @for gateway in &view.gateways { (standing(gateway, view)) }
                    (requests(view))
                }
                footer { small { (status.software) ", running since " (date(status.started)) ". As of " (date(view.time)) "." } }
            }
        }
    }
}

fn space(view: &LocalView) -> Markup {
    let status = &view.status;
    let percent = u128::from(status.used_bytes).saturating_mul(100) / u128::from(status.capacity_bytes.max(1));
    html! {
        section aria-labelledby="space" {
            h2 id="space" { "Space" }
            meter min="0" max="100" high="90" value=(percent) aria-label="Space taken" { (percent) "%" }
            dl {
                dt { "Taken" } dd { (bytes(status.used_bytes)) " of " (bytes(status.capacity_bytes)) " (" (percent) "%)" }
                dt { "Free" } dd { (bytes(status.free_bytes)) }
                dt { "Shards" } dd { (status.shards) }
                @if status.corrupt_shards > 0 {
                    dt { "Damaged" } dd.bad { (status.corrupt_shards) " shards: check the disk" }
                }
                dt { "Operator" } dd { (status.operator) " (" (view.party.name) ")" }
            }
        }
    }
}

fn standing(gateway: &GatewayView, view: &LocalView) -> Markup {
    let label = format!("g-{}", gateway.gateway);
    html! {
        section aria-labelledby=(label) {
            h2 id=(label) { "Gateway " span.id { (gateway.gateway) } }
            @match &gateway.notice {
                Some(notice) => (told(notice)),
                None => p { "It has not said yet how this node stands with it. A node that asked to join waits for approval." },
            }
            h3 { "This month" }
            (account(gateway, view))
        }
    }
}

fn told(notice: &Notice) -> Markup {
    let good = notice.state == "online";
    html! {
        @if !notice.asks.is_empty() {
            h3 { "Asked of you" }
            ul { @for ask in &notice.asks { li { (ask) } } }
        }
        dl {
            dt { "Standing" }
            dd {
                span class=(if good { "good" } else { "bad" }) { (notice.state) }
                @if !notice.reasons.is_empty() { ": " (notice.reasons.join(", ")) }
            }
            dt { "Answered" } dd { (percent(notice.score_basis_points)) " of challenges and requests lately" }
            dt { "Place" } dd { (notice.place) ", evidence of grade " (notice.evidence.number()) }
            dt { "Said at" } dd { (date(notice.time)) }
        }
        @if !notice.evidence_lines.is_empty() {
            h3 { "Evidence of place" }
            ul {
                @for line in &notice.evidence_lines {
                    li class=[line.contradicts.then_some("bad")] {
                        (line.kind) ": " (line.says)
                        @if line.contradicts { " (contradicts)" }
                        @if let Some(expires) = line.expires { small { " until " (date(expires)) } }
                    }
                }
            }
        }
        h3 { "Audits" }
        @if notice.failures.is_empty() { p { "No challenge was missed." } }
        @else {
            ul {
                @for failed in &notice.failures {
                    li {
                        (date(failed.time)) ": " span.bad { (failed.reason) } ", shard " code { (failed.shard) }
                        small { " (entry " (failed.log_index) " of its log)" }
                    }
                }
            }
        }
    }
}

fn account(gateway: &GatewayView, view: &LocalView) -> Markup {
    let (account, owed) = (&gateway.account, &gateway.owed);
    let money =
        |micros: u64| format!("{}.{:02} {}", micros / 1_000_000, micros % 1_000_000 / 10_000, view.terms.currency);
    html! {
        dl {
            dt { "Month" } dd { (account.month) ", until " (date(account.until)) }
            dt { "Kept" } dd { (bytes(account.held_bytes)) " now, " (bytes(account.byte_hours)) "-hours so far" }
            dt { "Served" } dd { (bytes(account.served_bytes)) }
            dt { "Challenges met" } dd { (account.proofs) }
            dt { "Earned so far" } dd {
                (money(owed.payable_micros))
                @if owed.withheld_micros > 0 { ", " (money(owed.withheld_micros)) " withheld for missed challenges" }
            }
        }
    }
}

fn requests(view: &LocalView) -> Markup {
    let status = &view.status;
    let refused: u64 = status.refused.values().sum();
    html! {
        section aria-labelledby="requests" {
            h2 id="requests" { "Requests since the node was made" }
            dl {
                @for (name, count) in [("Stored", status.stored), ("Served", status.served), ("Deleted", status.deleted)] {
                    dt { (name) } dd { (count.requests) " (" (bytes(count.bytes)) ")" }
                }
                dt { "Refused" } dd {
                    (refused)
                    @if refused > 0 {
                        ": " (status.refused.iter().map(|(code, count)| format!("{code} {count}")).collect::<Vec<_>>().join(", "))
                    }
                }
                dt { "Strangers" } dd { (status.refused_handshakes) " connections of peers that are not enrolled" }
            }
        }
    }
}

fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut scaled = u128::from(count) * 100;
    while scaled >= 102_400 && unit + 1 < UNITS.len() {
        scaled /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{count} {name}") } else { format!("{}.{:02} {name}", scaled / 100, scaled % 100) }
}

fn percent(basis_points: u16) -> String {
    format!("{}.{:02}%", basis_points / 100, basis_points % 100)
}

fn date(time: UnixMillis) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    let date = time::OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let form = time::macros::format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    date.format(form).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (1 << 40, "1.00 TiB"), (u64::MAX, "16383.99 PiB")]
        {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(percent(9_950), "99.50%");
        assert_eq!(date(UnixMillis(1_795_305_600_000)), "2026-11-22 00:00 UTC");
    }
}
