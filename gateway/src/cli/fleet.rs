//! `domicile fleet`

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use domicile_storage_node::accounting::Month;
use domicile_types::{NodeId, OperatorId, Place, UnixMillis};

use super::client::Admin;
use super::evidence::{self, EvidenceCommand};
use super::{AdminArgs, table};
use crate::admin::views::{FleetView, InvitationView, InviteBody, Recorded, RejectBody, StatementsView};
use crate::fleet::entities::Entity;
use crate::objects::NodeChange;

#[derive(Debug, Subcommand)]
pub(super) enum FleetCommand {
    /// Invites one node of an operator, and prints the invitation, this once.
    Invite {
        /// Whose node.
        #[arg(long)]
        operator: OperatorId,
        /// For how many days the invitation holds.
        #[arg(long, default_value_t = 7)]
        days: u64,
        /// Where the node reaches this gateway's admin API, if not where this command does.
        #[arg(long)]
        join: Option<String>,
        /// Where nodes reach the gateway's control plane, if not where it listens.
        #[arg(long)]
        swarm: Option<SocketAddr>,
    },
    /// Lists invitations.
    Invitations,
    /// Takes an invitation back.
    Withdraw {
        /// Its id.
        id: String,
    },
    /// Lists nodes that ask to join.
    Requests,
    /// Shows what a node that asks to join says of itself.
    Request {
        /// Which node.
        node: NodeId,
    },
    /// Puts a node that asked to join on the roster.
    Approve {
        /// Which node.
        node: NodeId,
    },
    /// Turns a node down.
    Reject {
        /// Which node.
        node: NodeId,
        /// Why; its operator is told.
        #[arg(long)]
        reason: String,
    },
    /// Empties a node in good order: it gets nothing new, its shards are copied to others and then deleted with receipts.
    Drain {
        /// Which node.
        node: NodeId,
        /// Shows how far it is, until nothing is left.
        #[arg(long)]
        wait: bool,
    },
    /// Shows how far a node is emptied, whatever it is emptied for.
    Drained {
        /// Which node.
        node: NodeId,
    },
    /// Attests that a node which is gone for good holds nothing any more: what it was still to delete is struck off.
    Attest {
        /// Which node.
        node: NodeId,
    },
    /// Puts a node back into service that was being emptied.
    Undrain {
        /// Which node.
        node: NodeId,
    },
    /// Takes a node off the roster that was drained, or that is lost and no longer counted on.
    Remove {
        /// Which node.
        node: NodeId,
    },
    /// A month's statements of account: what nodes kept and served, as this gateway and they themselves count it.
    Statement {
        /// The month in UTC, such as 2026-11.
        month: Month,
        /// Of one operator alone.
        #[arg(long)]
        operator: Option<OperatorId>,
        /// Prints CSV.
        #[arg(long)]
        csv: bool,
    },
    /// Lists operators with who controls them.
    Operators,
    /// Lists legal entities with their owners.
    Entities,
    /// Writes the record of a legal entity from a TOML file. Its nodes are judged by it at once.
    Record {
        /// The file.
        file: PathBuf,
    },
    /// How nodes stand, and what speaks for and against their places.
    Evidence {
        #[command(subcommand)]
        command: EvidenceCommand,
    },
    /// Changes the record of a node.
    Change {
        /// Which node.
        node: NodeId,
        /// Where it is.
        #[arg(long)]
        place: Option<Place>,
        /// The building or data centre.
        #[arg(long)]
        site: Option<String>,
        /// Where its control plane listens.
        #[arg(long)]
        swarm: Option<SocketAddr>,
    },
}

pub(super) async fn run(command: FleetCommand, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    match command {
        FleetCommand::Invite { operator, days, join, swarm } => {
            let join = join.unwrap_or_else(|| admin.url().to_owned());
            let body = InviteBody { operator, seconds: days.saturating_mul(86_400), join, swarm };
            let made: InvitationView = admin.post("/v1/fleet/invitations", &body).await?;
            if args.json {
                return table::json(&made);
            }
            println!("{}", made.text);
            eprintln!("for one node of {}, until {}; id {}", made.operator, date(made.expires), made.id);
        }
        FleetCommand::Withdraw { id } => admin.remove(&format!("/v1/fleet/invitations/{id}")).await?,
        FleetCommand::Approve { node } => {
            admin.change(&format!("/v1/fleet/requests/{node}/approve"), &serde_json::json!({})).await?;
        }
        FleetCommand::Reject { node, reason } => {
            admin.change(&format!("/v1/fleet/requests/{node}/reject"), &RejectBody { reason }).await?;
        }
        FleetCommand::Record { file } => {
            let recorded: Recorded = admin.post("/v1/fleet/entities", &entity(&file)?).await?;
            if args.json {
                return table::json(&recorded);
            }
            let operators: Vec<String> = recorded.operators.iter().map(ToString::to_string).collect();
            println!(
                "judged by it from now on: {}",
                if operators.is_empty() { "nobody".into() } else { operators.join(", ") }
            );
        }
        FleetCommand::Drain { node, wait } => super::repair::drain(node, wait, args).await?,
        FleetCommand::Drained { node } => super::repair::drained(node, args).await?,
        FleetCommand::Attest { node } => super::repair::attest(node, args).await?,
        FleetCommand::Undrain { node } => super::repair::undrain(node, args).await?,
        FleetCommand::Evidence { command } => evidence::run(command, args).await?,
        FleetCommand::Change { node, place, site, swarm } => {
            admin.change(&format!("/v1/fleet/nodes/{node}"), &NodeChange { place, site, swarm }).await?;
        }
        FleetCommand::Remove { node } => admin.remove(&format!("/v1/fleet/nodes/{node}")).await?,
        FleetCommand::Statement { month, operator, csv } => {
            let mut query: Vec<(&str, String)> = operator.iter().map(|o| ("operator", o.to_string())).collect();
            let path = format!("/v1/fleet/statements/{month}");
            if csv {
                query.push(("format", "csv".to_owned()));
                print!("{}", admin.text(&path, &query).await?);
                return Ok(());
            }
            let view: StatementsView = admin.get(&path, &query).await?;
            if args.json {
                return table::json(&view);
            }
            statement(&view);
        }
        command => {
            let fleet: FleetView = admin.get("/v1/fleet", &[]).await?;
            show(command, &fleet, args.json)?;
        }
    }
    Ok(())
}

fn show(command: FleetCommand, fleet: &FleetView, json: bool) -> anyhow::Result<()> {
    match command {
        FleetCommand::Invitations if json => table::json(&fleet.invitations),
        FleetCommand::Invitations => {
            let row = |row: &crate::catalog::InvitationRow| {
                let used = row.used_by.map_or_else(|| "-".to_owned(), |node| node.to_string());
                vec![row.claims.id.clone(), row.claims.operator.to_string(), date(row.claims.expires), used]
            };
            let rows: Vec<_> = fleet.invitations.iter().map(row).collect();
            table::print(&["INVITATION", "OPERATOR", "UNTIL", "USED BY"], &rows);
            Ok(())
        }
        FleetCommand::Requests if json => table::json(&fleet.requests),
        FleetCommand::Requests => {
            let row = |row: &crate::catalog::RequestRow| {
                let state =
                    row.rejected.as_ref().map_or_else(|| "waiting".to_owned(), |why| format!("rejected: {why}"));
                let (place, party) = (row.application.place.to_string(), row.application.party.to_string());
                vec![row.operator.to_string(), party, place, date(row.received), state, row.node.to_string()]
            };
            let rows: Vec<_> = fleet.requests.iter().map(row).collect();
            table::print(&["OPERATOR", "PARTY", "PLACE", "RECEIVED", "STATE", "NODE"], &rows);
            Ok(())
        }
        FleetCommand::Request { node } => {
            let request = fleet.requests.iter().find(|request| request.node == node);
            table::json(request.with_context(|| format!("{node} does not ask to join"))?)
        }
        FleetCommand::Entities if json => table::json(&fleet.entities),
        FleetCommand::Entities => {
            let row = |entity: &Entity| {
                let share = |basis_points: u16| format!("{}.{:02}%", basis_points / 100, basis_points % 100);
                let owners =
                    entity.owners.iter().map(|o| format!("{} {} ({})", share(o.share_basis_points), o.id, o.place));
                let control = entity.controlled_by.iter().map(|control| format!("controlled by {}", control.id));
                let above: Vec<String> = owners.chain(control).collect();
                let source = format!("{} {}", entity.from.source, entity.from.as_of);
                let seats = format!("{}/{}", entity.incorporated, entity.headquartered);
                vec![entity.id.to_string(), entity.name.clone(), seats, above.join(", "), source]
            };
            let rows: Vec<_> = fleet.entities.iter().map(row).collect();
            table::print(&["PARTY", "NAME", "SEATS", "ABOVE IT", "SOURCE"], &rows);
            Ok(())
        }
        _ if json => table::json(&fleet.operators),
        _ => {
            let row = |operator: &crate::admin::views::OperatorView| {
                let controller = operator.controller.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
                let places: std::collections::BTreeSet<String> =
                    operator.nodes.iter().map(|node| node.place.to_string()).collect();
                let places = places.into_iter().collect::<Vec<_>>().join(" ");
                let nodes = operator.nodes.len().to_string();
                vec![operator.operator.to_string(), operator.party.to_string(), controller, nodes, places]
            };
            let rows: Vec<_> = fleet.operators.iter().map(row).collect();
            table::print(&["OPERATOR", "PARTY", "CONTROLLER", "NODES", "PLACES"], &rows);
            Ok(())
        }
    }
}

fn statement(view: &StatementsView) {
    let row = |row: &crate::fleet::statement::Reconciled| {
        let money = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        vec![
            row.operator.to_string(),
            row.ours.byte_hours.to_string(),
            row.theirs.as_ref().map_or_else(|| "-".to_owned(), |theirs| theirs.byte_hours.to_string()),
            row.ours.served_bytes.to_string(),
            row.failures.to_string(),
            money(row.owed.withheld_micros),
            money(row.owed.payable_micros),
            if row.differences.is_empty() { "agree".to_owned() } else { row.differences.join("; ") },
            row.node.to_string(),
        ]
    };
    let rows: Vec<_> = view.nodes.iter().map(row).collect();
    let payable = format!("PAYABLE {}", view.terms.currency);
    let head =
        ["OPERATOR", "BYTE-HOURS", "BY NODE", "SERVED", "FAILED", "WITHHELD", payable.as_str(), "BOTH SIDES", "NODE"];
    table::print(&head, &rows);
}

fn entity(file: &Path) -> anyhow::Result<Entity> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not the record of an entity", file.display()))
}

fn date(time: UnixMillis) -> String {
    crate::fleet::entities::Day::of(time).to_string()
}
