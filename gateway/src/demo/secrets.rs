//! The demo's passwords: drawn once, kept, and handed out in the forms that clients read.

use std::path::Path;

use anyhow::Context;
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use serde::{Deserialize, Serialize};

use super::files::write_private;
use super::plan::Plan;
use crate::clock::Clock;
use crate::config::Role;

/// Where they are kept.
const SECRETS_FILE: &str = "secrets.json";

/// Everything that a client must know and nobody else may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Secrets {
    pub(super) uploaders: Vec<Uploader>,
    pub(super) tokens: Vec<BearerToken>,
    /// Of the control endpoint.
    pub(super) control: String,
}

/// An S3 access key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Uploader {
    pub(super) tenant: String,
    pub(super) access_key: String,
    pub(super) secret_key: String,
}

/// A token of the admin API, the same at both gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BearerToken {
    /// `officer`, `uploader-a`.
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) tenant: Option<String>,
    pub(super) token: String,
}

impl Secrets {
    /// Reads them, or draws and keeps new ones.
    pub(super) fn open(folder: &Path, plan: &Plan, clock: Clock) -> anyhow::Result<Self> {
        let path = folder.join(SECRETS_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{} is not of this version's form: remove the folder and start anew", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let drawn = Self::draw(plan, clock);
                write_private(&path, &serde_json::to_vec_pretty(&drawn)?)?;
                Ok(drawn)
            }
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }

    fn draw(plan: &Plan, clock: Clock) -> Self {
        let text = || BASE64URL_NOPAD.encode(&clock.random::<24>());
        let uploaders = plan.tenants.iter().map(|tenant| Uploader {
            tenant: tenant.to_string(),
            access_key: format!("DMCL{}", BASE32_NOPAD.encode(&clock.random::<10>())),
            secret_key: text(),
        });
        let of_role =
            |(name, role): (&str, Role)| BearerToken { name: name.to_owned(), role, tenant: None, token: text() };
        let staff = [
            ("auditor", Role::Auditor),
            ("officer", Role::Officer),
            ("officer-2", Role::Officer),
            ("approver", Role::Approver),
            ("approver-2", Role::Approver),
            ("operator", Role::Operator),
            ("security-admin", Role::SecurityAdmin),
            ("admin", Role::Admin),
        ];
        let of_tenant = |tenant: &domicile_types::TenantId| BearerToken {
            name: format!("uploader-{tenant}"),
            role: Role::Uploader,
            tenant: Some(tenant.to_string()),
            token: text(),
        };
        Self {
            uploaders: uploaders.collect(),
            tokens: staff.into_iter().map(of_role).chain(plan.tenants.iter().map(of_tenant)).collect(),
            control: text(),
        }
    }

    /// The AWS shared-credentials form: one profile per tenant.
    pub(super) fn credentials_file(&self) -> String {
        let profile = |uploader: &Uploader| {
            let Uploader { tenant, access_key, secret_key } = uploader;
            format!("[uploader-{tenant}]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n\n")
        };
        self.uploaders.iter().map(profile).collect()
    }

    /// `{ "officer": "...", .. }`
    pub(super) fn tokens_file(&self) -> serde_json::Value {
        let named = |token: &BearerToken| (token.name.clone(), serde_json::Value::String(token.token.clone()));
        serde_json::Value::Object(self.tokens.iter().map(named).collect())
    }

    /// The token of that name; empty if there is none, which opens nothing.
    pub(super) fn token(&self, name: &str) -> String {
        self.tokens.iter().find(|token| token.name == name).map(|token| token.token.clone()).unwrap_or_default()
    }
}
