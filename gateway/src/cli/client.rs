//! Asks the admin API.

use std::path::Path;

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::AdminArgs;
use crate::admin::views::Failure;

/// Where the demo says what it runs.
const DEMO_FILE: &str = "target/demo/demo.json";

/// The gateway that a command asks.
pub(super) struct Admin {
    http: Client,
    url: String,
    token: String,
}

/// What of `demo.json` this needs.
#[derive(Deserialize)]
struct Demo {
    admin: String,
    token: String,
}

impl Admin {
    /// Finds the gateway: arguments, else environment, else the demo's file under the current folder.
    pub(super) fn find(args: &AdminArgs) -> anyhow::Result<Self> {
        let demo = || -> anyhow::Result<Demo> {
            let text = std::fs::read_to_string(Path::new(DEMO_FILE)).context(
                "no gateway to ask: give --admin URL and --token T, or set DOMICILE_ADMIN and DOMICILE_TOKEN, or start the \
                 demo (cargo xtask demo) and run this from the same folder",
            )?;
            serde_json::from_str(&text).with_context(|| format!("{DEMO_FILE} is not what the demo writes"))
        };
        let (url, token) = match (&args.admin, &args.token) {
            (Some(url), Some(token)) => (url.clone(), token.clone()),
            (Some(url), None) => (url.clone(), demo()?.token),
            (None, Some(token)) => (demo()?.admin, token.clone()),
            (None, None) => {
                let demo = demo()?;
                (demo.admin, demo.token)
            }
        };
        Ok(Self { http: http_client()?, url: url.trim_end_matches('/').to_owned(), token })
    }

    /// GET, and the JSON that came.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<T> {
        Ok(self.send(self.http.get(self.address(path)).query(query)).await?.json().await?)
    }

    /// GET, and the text that came.
    pub(super) async fn text(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<String> {
        Ok(self.send(self.http.get(self.address(path)).query(query)).await?.text().await?)
    }

    /// GET, and whatever came.
    pub(super) async fn open(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Response> {
        self.send(self.http.get(self.address(path)).query(query)).await
    }

    /// POST with a JSON body, and the JSON that came.
    pub(super) async fn post<B: serde::Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> anyhow::Result<T> {
        Ok(self.send(self.http.post(self.address(path)).json(body)).await?.json().await?)
    }

    /// PUT with a JSON body, and the JSON that came.
    pub(super) async fn put<B: serde::Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> anyhow::Result<T> {
        Ok(self.send(self.http.put(self.address(path)).json(body)).await?.json().await?)
    }

    /// POST with a JSON body, where nothing comes back.
    pub(super) async fn change<B: serde::Serialize>(&self, path: &str, body: &B) -> anyhow::Result<()> {
        self.send(self.http.post(self.address(path)).json(body)).await.map(drop)
    }

    /// DELETE.
    pub(super) async fn remove(&self, path: &str) -> anyhow::Result<()> {
        self.send(self.http.delete(self.address(path))).await.map(drop)
    }

    /// POST without a body, and whatever came.
    pub(super) async fn download(&self, path: &str) -> anyhow::Result<Response> {
        self.send(self.http.post(self.address(path))).await
    }

    /// POST with a JSON body, and whatever came.
    pub(super) async fn fetch<B: serde::Serialize>(&self, path: &str, body: &B) -> anyhow::Result<Response> {
        self.send(self.http.post(self.address(path)).json(body)).await
    }

    /// Where the gateway's admin API is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.bearer_auth(&self.token).send().await;
        let response = response.with_context(|| format!("the gateway at {} does not answer", self.url))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        match response.json::<Failure>().await {
            Ok(failure) => bail!("{} (HTTP {status})", failure.error),
            Err(_) => bail!("the gateway at {} answered HTTP {status}", self.url),
        }
    }
}

/// A client for the admin API, which is plain HTTP on a trusted network or behind a proxy that ends TLS.
pub(crate) fn http_client() -> anyhow::Result<Client> {
    let roots = rustls::RootCertStore::empty();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Client::builder().tls_backend_preconfigured(tls).no_proxy().build()?)
}
