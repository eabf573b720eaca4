//! `domicile node join | status`: what an operator does on the machine of a node. No token of the gateway is needed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domicile_storage_node::accounting::Terms;
use domicile_storage_node::{GatewayPeer, LOCAL_STATUS_PATH, LocalView, NodeConfig, UpkeepConfig};
use domicile_types::UnixMillis;

use super::client::http_client;
use crate::admin::views::Failure;
use crate::clock::Clock;
use crate::fleet::joining::{Application, Invitation, Joined, Sealed};

/// The configuration's name in a data directory.
const CONFIG_FILE: &str = "node.toml";

#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// Asks a gateway to take this machine's node on its roster, and writes the node's configuration. The node's key is
    /// made here and never leaves. Ask again to hear whether it was approved.
    Join(JoinArgs),
    /// Shows how the node on this machine stands: space, earnings so far, audits, evidence of its place, what is asked of it.
    Status {
        /// Its configuration, in TOML.
        #[arg(long)]
        config: PathBuf,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct JoinArgs {
    /// What the gateway's operator sent.
    invitation: String,
    /// What is said of the node and of whom it belongs to, in TOML.
    #[arg(long)]
    record: PathBuf,
    /// Where the node keeps everything.
    #[arg(long)]
    data_dir: PathBuf,
    /// Where its data plane listens (HTTPS).
    #[arg(long)]
    listen: SocketAddr,
    /// Where others reach the data plane, if not there.
    #[arg(long)]
    advertise: Option<SocketAddr>,
    /// Where its control plane listens.
    #[arg(long)]
    swarm: SocketAddr,
    /// Where its page and its metrics are to be, on loopback.
    #[arg(long, default_value = "127.0.0.1:7480")]
    page: SocketAddr,
    /// Where to write the configuration; without: node.toml in the data directory.
    #[arg(long)]
    config: Option<PathBuf>,
}

pub(super) async fn run(command: NodeCommand) -> anyhow::Result<()> {
    match command {
        NodeCommand::Join(args) => join(&args).await,
        NodeCommand::Status { config, json } => status(&config, json).await,
    }
}

async fn join(args: &JoinArgs) -> anyhow::Result<()> {
    let invitation = Invitation::parse(&args.invitation)?;
    let text = std::fs::read_to_string(&args.record);
    let text = text.with_context(|| format!("{} cannot be read", args.record.display()))?;
    let mut application: Application =
        toml::from_str(&text).with_context(|| format!("{} is not the record of a node", args.record.display()))?;
    application.swarm = application.swarm.or(Some(args.swarm));
    let file = args.config.clone().unwrap_or_else(|| args.data_dir.join(CONFIG_FILE));
    // What cannot be run by is found before anything is sent.
    let mut config = config(args, &invitation, &application, &file)?;
    let key = domicile_storage_node::load_or_create(&args.data_dir, &Clock.random())?;
    let joined = ask(&invitation, &invitation.request(&key, application, Clock.now()), &key.id()).await?;
    if joined.state == "rejected" {
        bail!("the gateway turned this node down: {}", joined.reason.unwrap_or_default());
    }
    config.terms = joined.terms;
    write(&file, &config.to_toml()?)?;
    println!("{} {}", joined.node, joined.state);
    eprintln!("run it: domicile node --config {}", file.display());
    Ok(())
}

async fn ask(invitation: &Invitation, request: &Sealed, node: &domicile_types::NodeId) -> anyhow::Result<Joined> {
    let url = format!("{}/v1/fleet/join", invitation.claims.join);
    let response = http_client()?.post(&url).json(request).send().await;
    let response = response.with_context(|| format!("the gateway does not answer at {url}"))?;
    let status = response.status();
    if !status.is_success() {
        match response.json::<Failure>().await {
            Ok(failure) => bail!("{} (HTTP {status})", failure.error),
            Err(_) => bail!("{url} answered HTTP {status}"),
        }
    }
    let answer: Sealed = response.json().await.context("the answer is not one to a request to join")?;
    Ok(invitation.open_answer(&answer, node)?)
}

/// The node's configuration: a new one, or the one that is there with this gateway beside the others.
fn config(args: &JoinArgs, invitation: &Invitation, said: &Application, file: &Path) -> anyhow::Result<NodeConfig> {
    let claims = &invitation.claims;
    let gateway = GatewayPeer { id: claims.gateway, origin: claims.origin.clone(), swarm: Some(claims.swarm) };
    if file.exists() {
        let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let mut known = NodeConfig::from_toml(&text).with_context(|| format!("in {}", file.display()))?;
        if known.place != said.place || known.operator != claims.operator {
            bail!(
                "{} is of operator {} in {}: a node has one operator and one place; give this one a data directory of its own",
                file.display(),
                known.operator,
                known.place
            );
        }
        known.gateways.retain(|peer| peer.id != gateway.id);
        known.gateways.push(gateway);
        return Ok(known);
    }
    let party = said.parties.iter().find(|party| party.id == said.party);
    let party = party.with_context(|| format!("the record names party {} and does not describe it", said.party))?;
    let folder = std::path::absolute(&args.data_dir).context("the data directory has no path")?;
    let config = NodeConfig {
        data_dir: folder,
        listen: args.listen,
        advertise: args.advertise,
        place: said.place,
        operator: claims.operator.clone(),
        party: party.clone(),
        capacity_bytes: said.capacity_bytes,
        segment_bytes_max: NodeConfig::SEGMENT_BYTES_DEFAULT,
        gateways: vec![gateway],
        swarm_listen: vec![args.swarm],
        swarm_peers: Vec::new(),
        workers: NodeConfig::WORKERS_DEFAULT,
        rebuild_index: false,
        upkeep: UpkeepConfig::default(),
        page: Some(args.page),
        terms: Terms::default(),
    };
    // Written down and read again, it passes every check that starting will make.
    Ok(NodeConfig::from_toml(&config.to_toml()?)?)
}

/// Written whole under another name first: half a configuration would be another one.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let unfinished = file.with_extension("toml.new");
    let written = std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, file));
    written.with_context(|| format!("{} cannot be written", file.display()))
}

async fn status(file: &Path, json: bool) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let config = NodeConfig::from_toml(&text).with_context(|| format!("in {}", file.display()))?;
    let page = config.page.context("the node has no page: add page = \"127.0.0.1:7480\" to its configuration")?;
    let url = format!("http://{page}{LOCAL_STATUS_PATH}");
    let response = http_client()?.get(&url).send().await;
    let response = response.with_context(|| format!("no node answers at {page}: is it running?"))?;
    let view: LocalView = response.error_for_status()?.json().await.context("the answer is not a node's status")?;
    if json {
        return super::table::json(&view);
    }
    print!("{}", told(&view));
    Ok(())
}

/// The status as a person reads it.
fn told(view: &LocalView) -> String {
    let status = &view.status;
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let money =
        |micros: u64| format!("{}.{:02} {}", micros / 1_000_000, micros % 1_000_000 / 10_000, view.terms.currency);
    let mut lines = vec![
        format!("node {} of {} in {}", status.node, status.operator, status.place),
        format!(
            "space: {} of {} taken, {} free",
            mib(status.used_bytes),
            mib(status.capacity_bytes),
            mib(status.free_bytes)
        ),
        format!("shards: {}, of which damaged: {}", status.shards, status.corrupt_shards),
        format!("requests refused: {}", status.refused.values().sum::<u64>()),
    ];
    for gateway in &view.gateways {
        lines.push(format!("gateway {}", gateway.gateway));
        let (account, owed) = (&gateway.account, &gateway.owed);
        lines.push(format!(
            "  {}: {} byte-hours, {} served, {} challenges met; earned so far: {}, withheld: {}",
            account.month,
            account.byte_hours,
            mib(account.served_bytes),
            account.proofs,
            money(owed.payable_micros),
            money(owed.withheld_micros)
        ));
        let Some(notice) = &gateway.notice else {
            lines.push("  it has not said yet how this node stands with it".to_owned());
            continue;
        };
        let reasons =
            if notice.reasons.is_empty() { String::new() } else { format!(" ({})", notice.reasons.join(", ")) };
        lines.push(format!(
            "  standing: {}{reasons}, score {} of 10000, evidence of place {}: grade {}",
            notice.state,
            notice.score_basis_points,
            notice.place,
            notice.evidence.number()
        ));
        for line in &notice.evidence_lines {
            let against = if line.contradicts { " CONTRADICTS" } else { "" };
            lines.push(format!("  evidence: {}: {}{against}", line.kind, line.says));
        }
        for failed in &notice.failures {
            lines.push(format!("  missed challenge: {} {} at {}", failed.reason, failed.shard, date(failed.time)));
        }
        lines.extend(notice.asks.iter().map(|ask| format!("  asked of you: {ask}")));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn date(time: UnixMillis) -> String {
    crate::fleet::entities::Day::of(time).to_string()
}
