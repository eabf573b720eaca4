//! `domicile tenant | user | key | role`

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;
use domicile_types::{TenantId, UnixMillis};
use time::format_description::well_known::Rfc3339;

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::views::{
    IdentityEdit, KeyRotation, KeyView, NewKeyBody, NewRoleBody, NewTenantBody, NewUserBody, RoleView, TenantView,
    UserView,
};

#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Makes a tenant.
    Create {
        /// Its name.
        tenant: String,
    },
    /// Lists tenants.
    List,
    /// Lets its keys work again.
    Enable {
        /// Its name.
        tenant: String,
    },
    /// Lets none of its keys work.
    Disable {
        /// Its name.
        tenant: String,
    },
    /// Removes a tenant that has neither buckets nor users, keys and roles.
    Delete {
        /// Its name.
        tenant: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Makes a user.
    Create {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Its name.
        #[arg(long)]
        name: String,
        /// A file with a policy document: what it may do. Without: all that its tenant may.
        #[arg(long)]
        policy: Option<PathBuf>,
    },
    /// Lists users.
    List,
    /// Replaces what it may do.
    Policy {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Its name.
        #[arg(long)]
        name: String,
        /// A file with a policy document. Without: all that its tenant may.
        #[arg(long)]
        policy: Option<PathBuf>,
    },
    /// Lets its keys work again.
    Enable {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Its name.
        #[arg(long)]
        name: String,
    },
    /// Lets none of its keys work.
    Disable {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Its name.
        #[arg(long)]
        name: String,
    },
    /// Removes a user that has no keys.
    Delete {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Its name.
        #[arg(long)]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Makes a key and shows its secret, this once.
    Create {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Of which user; without: of the tenant itself.
        #[arg(long)]
        user: Option<String>,
        /// From when on it works no more, such as 2027-01-31T00:00:00Z.
        #[arg(long)]
        expires: Option<String>,
    },
    /// Lists keys, without their secrets.
    List,
    /// Makes another key for the same holder; the old one works for a while yet.
    Rotate {
        /// The old key.
        access_key: String,
        /// How long the old one goes on working, in seconds.
        #[arg(long, default_value_t = 86_400)]
        old_seconds: u64,
    },
    /// Sets from when on it works no more.
    Expire {
        /// The key.
        access_key: String,
        /// Such as 2027-01-31T00:00:00Z; without: never.
        #[arg(long)]
        at: Option<String>,
    },
    /// Lets it work again.
    Enable {
        /// The key.
        access_key: String,
    },
    /// Lets it work no more, and its sessions neither.
    Disable {
        /// The key.
        access_key: String,
    },
    /// Removes it.
    Delete {
        /// The key.
        access_key: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RoleCommand {
    /// Makes a role.
    Create {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Its name.
        #[arg(long)]
        name: String,
        /// The bucket.
        #[arg(long)]
        bucket: String,
        /// The beginning of the keys; without: all.
        #[arg(long, default_value = "")]
        prefix: String,
        /// Where requesters must be, such as CN,HK; without: wherever the bucket's packs allow.
        #[arg(long, value_delimiter = ',')]
        places: Vec<String>,
    },
    /// Lists roles.
    List,
    /// Removes a role; its sessions end.
    Delete {
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// Its name.
        #[arg(long)]
        name: String,
    },
}

pub(super) async fn tenant(command: TenantCommand, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    let enabled = |enabled| IdentityEdit { enabled: Some(enabled), ..IdentityEdit::default() };
    match command {
        TenantCommand::Create { tenant } => {
            let made: TenantView =
                admin.post("/v1/tenants", &NewTenantBody { tenant: TenantId::parse(&tenant)? }).await?;
            show(args, &[made], tenants)
        }
        TenantCommand::List => show(args, &admin.get::<Vec<TenantView>>("/v1/tenants", &[]).await?, tenants),
        TenantCommand::Enable { tenant } => admin.change(&format!("/v1/tenants/{tenant}"), &enabled(true)).await,
        TenantCommand::Disable { tenant } => admin.change(&format!("/v1/tenants/{tenant}"), &enabled(false)).await,
        TenantCommand::Delete { tenant } => admin.remove(&format!("/v1/tenants/{tenant}")).await,
    }
}

pub(super) async fn user(command: UserCommand, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    let path = |tenant: &str, name: &str| format!("/v1/users/{tenant}/{name}");
    let enabled = |enabled| IdentityEdit { enabled: Some(enabled), ..IdentityEdit::default() };
    match command {
        UserCommand::Create { tenant, name, policy } => {
            let policy = policy.as_deref().map(document).transpose()?;
            let new = NewUserBody { tenant: TenantId::parse(&tenant)?, name, policy };
            let made: UserView = admin.post("/v1/users", &new).await?;
            show(args, &[made], users)
        }
        UserCommand::List => show(args, &admin.get::<Vec<UserView>>("/v1/users", &[]).await?, users),
        UserCommand::Policy { tenant, name, policy } => {
            let none = || Ok(serde_json::Value::String(String::new()));
            let policy = Some(policy.as_deref().map_or_else(none, document)?);
            let edit = IdentityEdit { policy, ..IdentityEdit::default() };
            admin.change(&path(&tenant, &name), &edit).await
        }
        UserCommand::Enable { tenant, name } => admin.change(&path(&tenant, &name), &enabled(true)).await,
        UserCommand::Disable { tenant, name } => admin.change(&path(&tenant, &name), &enabled(false)).await,
        UserCommand::Delete { tenant, name } => admin.remove(&path(&tenant, &name)).await,
    }
}

pub(super) async fn key(command: KeyCommand, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    let enabled = |enabled| IdentityEdit { enabled: Some(enabled), ..IdentityEdit::default() };
    match command {
        KeyCommand::Create { tenant, user, expires } => {
            let expires = expires.as_deref().map(date).transpose()?;
            let new = NewKeyBody { tenant: TenantId::parse(&tenant)?, user, expires };
            show(args, &[admin.post::<_, KeyView>("/v1/keys", &new).await?], keys)
        }
        KeyCommand::List => show(args, &admin.get::<Vec<KeyView>>("/v1/keys", &[]).await?, keys),
        KeyCommand::Rotate { access_key, old_seconds } => {
            let path = format!("/v1/keys/{access_key}/rotate");
            let made: KeyView = admin.post(&path, &KeyRotation { old_seconds: Some(old_seconds) }).await?;
            show(args, &[made], keys)
        }
        KeyCommand::Expire { access_key, at } => {
            let expires = Some(at.as_deref().map_or(Ok(UnixMillis(0)), date)?);
            let edit = IdentityEdit { expires, ..IdentityEdit::default() };
            admin.change(&format!("/v1/keys/{access_key}"), &edit).await
        }
        KeyCommand::Enable { access_key } => admin.change(&format!("/v1/keys/{access_key}"), &enabled(true)).await,
        KeyCommand::Disable { access_key } => admin.change(&format!("/v1/keys/{access_key}"), &enabled(false)).await,
        KeyCommand::Delete { access_key } => admin.remove(&format!("/v1/keys/{access_key}")).await,
    }
}

pub(super) async fn role(command: RoleCommand, args: &AdminArgs) -> anyhow::Result<()> {
    let admin = Admin::find(args)?;
    match command {
        RoleCommand::Create { tenant, name, bucket, prefix, places } => {
            let new = NewRoleBody { tenant: TenantId::parse(&tenant)?, name, bucket, prefix, places };
            show(args, &[admin.post::<_, RoleView>("/v1/roles", &new).await?], roles)
        }
        RoleCommand::List => show(args, &admin.get::<Vec<RoleView>>("/v1/roles", &[]).await?, roles),
        RoleCommand::Delete { tenant, name } => admin.remove(&format!("/v1/roles/{tenant}/{name}")).await,
    }
}

/// A table's head and rows.
type Drawn = (&'static [&'static str], Vec<Vec<String>>);

fn show<T: serde::Serialize>(args: &AdminArgs, views: &[T], draw: fn(&[T]) -> Drawn) -> anyhow::Result<()> {
    if args.json {
        return table::json(&views);
    }
    let (head, rows) = draw(views);
    table::print(head, &rows);
    Ok(())
}

fn tenants(views: &[TenantView]) -> Drawn {
    let row = |view: &TenantView| vec![view.tenant.to_string(), works(view.enabled), moment(view.created)];
    (&["TENANT", "WORKS", "CREATED"], views.iter().map(row).collect())
}

fn users(views: &[UserView]) -> Drawn {
    let row = |view: &UserView| {
        let policy = if view.policy.is_some() { "its policy" } else { "all of its tenant" };
        vec![view.tenant.to_string(), view.name.clone(), works(view.enabled), policy.to_owned(), moment(view.created)]
    };
    (&["TENANT", "USER", "WORKS", "MAY DO", "CREATED"], views.iter().map(row).collect())
}

fn keys(views: &[KeyView]) -> Drawn {
    let row = |view: &KeyView| {
        vec![
            view.access_key.clone(),
            view.secret_key.clone().unwrap_or_else(|| "-".to_owned()),
            view.tenant.to_string(),
            view.user.clone().unwrap_or_else(|| "-".to_owned()),
            works(view.enabled),
            view.expires.map_or_else(|| "never".to_owned(), moment),
            moment(view.created),
        ]
    };
    let head = &["ACCESS KEY", "SECRET (SHOWN ONCE)", "TENANT", "USER", "WORKS", "EXPIRES", "CREATED"];
    (head, views.iter().map(row).collect())
}

fn roles(views: &[RoleView]) -> Drawn {
    let row = |view: &RoleView| {
        let places = if view.places.is_empty() { "as the law".to_owned() } else { view.places.join(",") };
        vec![view.arn.clone(), format!("s3://{}/{}*", view.bucket, view.prefix), places, moment(view.created)]
    };
    (&["ROLE", "REACHES", "FROM", "CREATED"], views.iter().map(row).collect())
}

fn works(enabled: bool) -> String {
    if enabled { "yes" } else { "no" }.to_owned()
}

fn moment(at: UnixMillis) -> String {
    time::OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

fn date(text: &str) -> anyhow::Result<UnixMillis> {
    let at = time::OffsetDateTime::parse(text, &Rfc3339);
    Ok(at.with_context(|| format!("{text} is not a date such as 2027-01-31T00:00:00Z"))?.into())
}

fn document(path: &Path) -> anyhow::Result<serde_json::Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}
