//! The demo's control endpoint and the gateway's admin API, as JSON over HTTP.

use anyhow::{Context, Result, bail};
use domicile::admin::views::{EntryPage, EntryView, Health};
use domicile::demo::manifest::{Control, Gateway, Manifest};
use reqwest::{Client, RequestBuilder};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Entries of a page of the log.
const PAGE: &str = "1000";

pub(super) struct Fleet {
    http: Client,
    control: Control,
    gateway: Gateway,
    token: String,
}

impl Fleet {
    pub(super) fn new(manifest: &Manifest, gateway: &Gateway) -> Result<Self> {
        // Whichever test of this program comes first installs it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = Client::builder().no_proxy().build()?;
        Ok(Self { http, control: manifest.control.clone(), gateway: gateway.clone(), token: manifest.token.clone() })
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(super) async fn process(&self, name: &str, action: &str) -> Result<Value> {
        let url = format!("{}/processes/{name}/{action}", self.control.url);
        json(self.http.post(url).bearer_auth(&self.control.token)).await
    }

    pub(super) async fn healthy(&self) -> Result<()> {
        let url = format!("{}/healthy", self.control.url);
        json::<Value>(self.http.post(url).bearer_auth(&self.control.token)).await.map(drop)
    }

    pub(super) async fn status(&self, node: &str) -> Result<Value> {
        let url = format!("{}/nodes/{node}/status", self.control.url);
        json(self.http.get(url).bearer_auth(&self.control.token)).await
    }

    pub(super) async fn health(&self) -> Result<Health> {
        self.get("/v1/health", &[]).await
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let url = format!("{}{path}", self.gateway.admin);
        json(self.http.get(url).query(query).bearer_auth(&self.token)).await
    }

    pub(super) async fn entries(&self, since: u64, query: &[(&str, &str)]) -> Result<Vec<EntryView>> {
        let mut found = Vec::new();
        let mut next = Some(since);
        while let Some(from) = next {
            let from = from.to_string();
            let query = [query, &[("from", from.as_str()), ("limit", PAGE)]].concat();
            let page: EntryPage = self.get("/v1/audit/entries", &query).await?;
            found.extend(page.entries);
            next = page.next;
        }
        Ok(found)
    }
}

async fn json<T: DeserializeOwned>(request: RequestBuilder) -> Result<T> {
    let answer = request.send().await?;
    let (status, url) = (answer.status(), answer.url().clone());
    let body = answer.bytes().await?;
    if !status.is_success() {
        bail!("{url} answered {status}: {}", String::from_utf8_lossy(&body));
    }
    serde_json::from_slice(&body).with_context(|| format!("{url} answered something else than is expected"))
}
