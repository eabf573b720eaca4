//! Webhooks: where a bucket may send what happens to its objects. Only an operator declares them, so that no tenant can make
//! the gateway speak to an address of its choice.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use domicile_types::{Place, TenantId};
use serde::{Deserialize, Serialize};
use url::Url;

use super::ConfigError;

/// How a secret begins, as Standard Webhooks writes it.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a secret (Standard Webhooks: 24 to 64).
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A webhook.
#[derive(Clone)]
pub struct Webhook {
    /// What buckets call it, in `arn:domicile:webhook:::NAME`.
    pub name: String,
    /// Where it is asked.
    pub url: Url,
    /// What messages are signed with.
    pub secret: Vec<u8>,
    /// Where whoever receives the messages is: what it is told counts as told there.
    pub place: Place,
    /// Whose buckets may notify it.
    pub tenants: Vec<TenantId>,
    /// Whether it may be on a private network or this machine.
    pub allow_private: bool,
    /// PEM certificates that its own must lead to; none: those that this machine trusts.
    pub ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).field("place", &self.place).finish_non_exhaustive()
    }
}

/// `[[webhook]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWebhook {
    /// Name.
    pub name: String,
    /// `https`; `http` only with `allow_private`.
    pub url: String,
    /// `whsec_` and 24 to 64 bytes in base64.
    pub secret: String,
    /// Place of the receiver.
    pub place: Place,
    /// Tenants whose buckets may notify it.
    pub tenants: Vec<TenantId>,
    /// Whether its address may be private, link-local or loopback.
    #[serde(default)]
    pub allow_private: bool,
    /// PEM certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Checks all of them.
pub(super) fn parse_all(raw: Vec<RawWebhook>, folder: &Path) -> Result<Vec<Webhook>, ConfigError> {
    let mut hooks: Vec<Webhook> = Vec::with_capacity(raw.len());
    for webhook in raw {
        let name = webhook.name.clone();
        let webhook =
            parse(webhook, folder).map_err(|why| ConfigError::Contradiction(format!("webhook {name:?}: {why}")))?;
        if hooks.iter().any(|known| known.name == webhook.name) {
            return Err(ConfigError::Contradiction(format!("webhook {name:?} is declared twice")));
        }
        hooks.push(webhook);
    }
    Ok(hooks)
}

fn parse(raw: RawWebhook, folder: &Path) -> Result<Webhook, &'static str> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if raw.name.is_empty() || raw.name.len() > 64 || !raw.name.bytes().all(is_name) {
        return Err("a name has 1 to 64 letters, digits, - and _");
    }
    let url = Url::parse(&raw.url).map_err(|_| "the url is not a URL")?;
    match url.scheme() {
        "https" => {}
        "http" if raw.allow_private => {}
        _ => return Err("the url is https, or http where allow_private = true"),
    }
    if url.host().is_none() || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("the url has a host, and neither user, password nor fragment");
    }
    let secret = raw.secret.strip_prefix(SECRET_PREFIX).and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let secret = secret.filter(|secret| SECRET_BYTES.contains(&secret.len()));
    Ok(Webhook {
        name: raw.name,
        url,
        secret: secret.ok_or("the secret is whsec_ and 24 to 64 bytes in base64")?,
        place: raw.place,
        tenants: raw.tenants,
        allow_private: raw.allow_private,
        ca_file: raw.ca_file.map(|file| folder.join(file)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(url: &str, allow_private: bool) -> RawWebhook {
        RawWebhook {
            name: "ingest".to_owned(),
            url: url.to_owned(),
            secret: format!("whsec_{}", BASE64.encode(&[7; 32])),
            place: Place::parse("DE").unwrap(),
            tenants: vec![TenantId::parse("tenant-a").unwrap()],
            allow_private,
            ca_file: None,
        }
    }

    #[test]
    fn a_webhook_is_https_unless_it_is_ones_own() {
        let folder = Path::new("/f");
        assert!(parse(raw("https://hooks.example/x", false), folder).is_ok());
        assert!(parse(raw("http://127.0.0.1:1/x", true), folder).is_ok());
        for bad in ["http://hooks.example/x", "ftp://hooks.example", "https://u:p@hooks.example", "hooks.example"] {
            assert!(parse(raw(bad, false), folder).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_unique_and_secrets_are_long() {
        let twice = vec![raw("https://a.example", false), raw("https://b.example", false)];
        assert!(parse_all(twice, Path::new("/f")).is_err());
        for secret in ["whsec_c2hvcnQ=", "c2VjcmV0", ""] {
            let short = RawWebhook { secret: secret.to_owned(), ..raw("https://a.example", false) };
            assert!(parse_all(vec![short], Path::new("/f")).is_err(), "{secret}");
        }
    }
}
