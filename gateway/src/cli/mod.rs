//! The `domicile` command: starts gateways and nodes, and asks a gateway's admin API.
//!
//! Subcommands that print take `--json` and then print what the API answered, unchanged.

mod approval;
mod audit;
mod client;
mod deletion;
mod evidence;
mod fleet;
mod identity;
mod join;
mod nodes;
mod policy;
mod proof;
mod proposal;
mod register;
mod repair;
mod report;
mod serve;
mod table;
mod whereabouts;
mod witness;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use client::http_client;

use crate::demo;

/// The file of an exported log that holds the checkpoints which nodes have seen.
pub(crate) const SEEN_FILE: &str = "seen.json";

/// Decentralized storage with data-residency compliance.
#[derive(Debug, Parser)]
#[command(name = "domicile", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a gateway until it is interrupted.
    Gateway {
        /// Its configuration, in TOML.
        #[arg(long)]
        config: PathBuf,
        /// A domain whose subdomains are buckets, such as s3.example.com; beside those of the configuration.
        #[arg(long)]
        domain: Vec<String>,
    },
    /// Runs a storage node until it is interrupted; or makes one join, or shows how it stands.
    #[command(args_conflicts_with_subcommands = true)]
    Node {
        /// Its configuration, in TOML.
        #[arg(long, required = true)]
        config: Option<PathBuf>,
        #[command(subcommand)]
        command: Option<join::NodeCommand>,
    },
    /// Runs two gateways and twenty nodes on this machine until it is interrupted.
    Demo {
        /// Where everything is kept.
        #[arg(long, default_value = "target/demo")]
        data_dir: PathBuf,
        /// Runs the tour with real clients, prints each step, stops everything.
        #[arg(long)]
        check: bool,
        /// How long a day is to lifecycle rules, to see them followed. With shorter days than real ones objects are
        /// deleted sooner than their rules say.
        #[arg(long, default_value_t = 86_400, value_name = "SECONDS")]
        lifecycle_day_seconds: u64,
    },
    /// Shows where every shard of an object is.
    Where {
        /// `s3://BUCKET/KEY`
        object: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Shows what became of the bytes of an object that was deleted: receipts of nodes, and residue.
    Deletion {
        /// `s3://BUCKET/KEY`
        object: String,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Asks for approvals to let data leave, decides on them, and shows how they stand.
    Approval {
        #[command(subcommand)]
        command: approval::ApprovalCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Shows what exports add up to in the packs' ledgers.
    Ledger {
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Lists, shows, verifies and exports the audit log.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Makes the reports that officers file, sealed in the log; and holds a file against its seal.
    Report {
        #[command(subcommand)]
        command: report::ReportCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Shows registers: what was exported, decided, approved, placed, deleted. Filtered, in pages, or whole as a file.
    Register {
        #[command(flatten)]
        asked: Box<register::RegisterArgs>,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Lists, tests and explains the packs.
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Makes, lists and changes tenants: whose buckets there are.
    Tenant {
        #[command(subcommand)]
        command: identity::TenantCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Makes, lists and changes users of a tenant.
    User {
        #[command(subcommand)]
        command: identity::UserCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Makes, lists, rotates and changes access keys.
    Key {
        #[command(subcommand)]
        command: identity::KeyCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Makes, lists and removes roles: what AssumeRole gives short credentials for.
    Role {
        #[command(subcommand)]
        command: identity::RoleCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Operators and their nodes: invites, approves, shows and changes their records.
    Fleet {
        #[command(subcommand)]
        command: fleet::FleetCommand,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Shows what was repaired, and what nodes are still to delete.
    Repairs {
        /// Has every segment judged again first, by the law and the evidence in force.
        #[arg(long)]
        scan: bool,
        /// Asks every node what it holds, and has deleted what nothing counts on.
        #[arg(long)]
        orphans: bool,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Computes how likely a segment is to survive a year, and how many lost shards may wait for repair.
    Durability {
        /// The code, such as 16+8.
        #[arg(long, default_value = "4+2")]
        profile: domicile_types::CodeProfile,
        /// Nodes lost per node and year: 0.08 is 8%.
        #[arg(long, default_value_t = 0.08)]
        afr: f64,
        /// Days that a repair takes.
        #[arg(long, default_value_t = 7.0)]
        repair_days: f64,
        /// Segments of an object.
        #[arg(long, default_value_t = 1)]
        segments: u32,
        /// Prints JSON.
        #[arg(long)]
        json: bool,
    },
    /// Prints the admin API as an OpenAPI 3.1 document: every route, who may, what it takes and answers.
    Openapi,
    /// Runs a witness of logs until it is interrupted: it remembers the newest checkpoint of each, and cosigns only what grew from it.
    Witness(witness::WitnessArgs),
    /// Lists the enrolled nodes.
    Nodes {
        #[command(flatten)]
        admin: AdminArgs,
    },
}

/// Which gateway to ask, and how to print.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// The admin API, such as http://127.0.0.1:9001. Else DOMICILE_ADMIN, else target/demo/demo.json.
    #[arg(long, global = true, env = "DOMICILE_ADMIN")]
    admin: Option<String>,
    /// The bearer token. Else DOMICILE_TOKEN, else target/demo/demo.json.
    #[arg(long, global = true, env = "DOMICILE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

impl Cli {
    /// Runs the command. An error's chain of causes is for the caller to print, once.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Gateway { config, domain } => serve::gateway(&config, domain).await,
            Command::Node { command: Some(command), .. } => join::run(command).await,
            Command::Node { config: Some(config), .. } => serve::node(&config).await,
            Command::Node { .. } => anyhow::bail!("a node needs --config FILE; domicile node join makes one"),
            Command::Demo { data_dir, check, lifecycle_day_seconds } => {
                demo::run(demo::Options { data_dir, check, lifecycle_day_seconds }).await
            }
            Command::Where { object, admin } => whereabouts::run(&object, &admin).await,
            Command::Deletion { object, admin } => deletion::run(&object, &admin).await,
            Command::Approval { command, admin } => approval::run(command, &admin).await,
            Command::Ledger { admin } => approval::ledger(&admin).await,
            Command::Audit { command, admin } => audit::run(command, &admin).await,
            Command::Report { command, admin } => report::run(command, &admin).await,
            Command::Register { asked, admin } => register::run(&asked, &admin).await,
            Command::Policy { command, admin } => policy::run(command, &admin).await,
            Command::Tenant { command, admin } => identity::tenant(command, &admin).await,
            Command::User { command, admin } => identity::user(command, &admin).await,
            Command::Key { command, admin } => identity::key(command, &admin).await,
            Command::Role { command, admin } => identity::role(command, &admin).await,
            Command::Fleet { command, admin } => fleet::run(command, &admin).await,
            Command::Repairs { scan, orphans, admin } => repair::repairs(scan, orphans, &admin).await,
            Command::Durability { profile, afr, repair_days, segments, json } => {
                repair::model(profile, afr, repair_days, segments, json)
            }
            Command::Openapi => table::json(&crate::admin::openapi()),
            Command::Witness(args) => witness::run(args).await,
            Command::Nodes { admin } => nodes::run(&admin).await,
        }
    }
}
