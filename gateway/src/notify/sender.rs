//! One webhook: where it is, and a signed POST to it (the form of Standard Webhooks).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use domicile_types::UnixMillis;
use hmac::{Hmac, KeyInit as _, Mac as _};
use parking_lot::Mutex;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha2::Sha256;
use url::Host;

use super::address::is_public;
use crate::config::Webhook;

/// Certificates that this machine trusts, where a webhook names none.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a webhook may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a message did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// Its name does not resolve.
    #[error("the webhook's name does not resolve")]
    Name(#[source] std::io::Error),
    /// It resolves to nothing that may be spoken to.
    #[error("the webhook has no public address, and its declaration does not allow private ones")]
    Private,
    /// No connection, or no answer.
    #[error("the webhook does not answer")]
    Silent(#[source] reqwest::Error),
    /// An answer other than 2xx.
    #[error("the webhook answered {0}")]
    Refused(StatusCode),
}

/// Sends to one webhook.
pub(super) struct Sender {
    webhook: Webhook,
    client: Client,
    pinned: Arc<Pinned>,
}

impl Sender {
    pub(super) fn new(webhook: &Webhook) -> anyhow::Result<Self> {
        let pinned = Arc::new(Pinned::default());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots(webhook)?)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::clone(&pinned))
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent("Domicile")
            .build()?;
        Ok(Self { webhook: webhook.clone(), client, pinned })
    }

    /// The addresses that messages go to next: those that the webhook's name has now, as far as they may be spoken to.
    pub(super) async fn locate(&self) -> Result<Vec<IpAddr>, SendError> {
        let port = self.webhook.url.port_or_known_default().unwrap_or(443);
        let found: Vec<SocketAddr> = match self.webhook.url.host() {
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            Some(Host::Domain(name)) => tokio::net::lookup_host((name, port)).await.map_err(SendError::Name)?.collect(),
            None => Vec::new(),
        };
        let allowed = |address: &SocketAddr| self.webhook.allow_private || is_public(address.ip());
        let found: Vec<SocketAddr> = found.into_iter().filter(allowed).collect();
        if found.is_empty() {
            return Err(SendError::Private);
        }
        let addresses = found.iter().map(SocketAddr::ip).collect();
        *self.pinned.0.lock() = found;
        Ok(addresses)
    }

    /// Sends one message to where [`Sender::locate`] found the webhook.
    pub(super) async fn send(&self, id: &[u8; 16], body: &str, now: UnixMillis) -> Result<(), SendError> {
        self.send_as("application/json", id, body, now).await
    }

    /// The same, where the body is of another media type.
    pub(super) async fn send_as(
        &self,
        media_type: &'static str,
        id: &[u8; 16],
        body: &str,
        now: UnixMillis,
    ) -> Result<(), SendError> {
        let id = format!("msg_{}", HEXLOWER.encode(id));
        let timestamp = (now.0 / 1000).to_string();
        let signature = signature(&self.webhook.secret, &id, &timestamp, body);
        let request = self
            .client
            .post(self.webhook.url.clone())
            .header("content-type", media_type)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .body(body.to_owned());
        // Errors repeat the URL, which may hold a token; whoever reads the log knows it by the webhook's name.
        let answer = request.send().await.map_err(|error| SendError::Silent(error.without_url()))?;
        if answer.status().is_success() { Ok(()) } else { Err(SendError::Refused(answer.status())) }
    }
}

/// `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
fn signature(secret: &[u8], id: &str, timestamp: &str, body: &str) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret).map(|mac| {
        let signed = [id, ".", timestamp, ".", body].iter().fold(mac, |mac, piece| mac.chain_update(piece.as_bytes()));
        BASE64.encode(&signed.finalize().into_bytes())
    });
    // HMAC takes keys of any length.
    format!("v1,{}", mac.unwrap_or_default())
}

fn roots(webhook: &Webhook) -> anyhow::Result<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    let file = match &webhook.ca_file {
        Some(file) => file.as_path(),
        // Plain HTTP trusts nobody.
        None if webhook.url.scheme() == "http" => return Ok(roots),
        None => std::path::Path::new(SYSTEM_ROOTS),
    };
    let why = || format!("the certificates in {} cannot be read", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| anyhow::Error::new(error).context(why()))?;
    let (_, unusable) = roots.add_parsable_certificates(found.filter_map(Result::ok));
    if roots.is_empty() {
        anyhow::bail!("{} holds no certificate that can be used ({unusable} cannot)", file.display());
    }
    Ok(roots)
}

/// Answers every name with the addresses that were looked at before: what is judged is what is spoken to.
#[derive(Default)]
struct Pinned(Mutex<Vec<SocketAddr>>);

impl reqwest::dns::Resolve for Pinned {
    fn resolve(&self, _: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let addresses = self.0.lock().clone();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs) })
    }
}

#[cfg(test)]
mod tests {
    use domicile_types::{Place, TenantId};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn webhook(url: &str, allow_private: bool) -> Webhook {
        Webhook {
            name: "ingest".to_owned(),
            url: url.parse().unwrap(),
            secret: vec![7; 32],
            place: Place::parse("DE").unwrap(),
            tenants: vec![TenantId::parse("tenant-a").unwrap()],
            allow_private,
            ca_file: None,
        }
    }

    /// A receiver on a socket that gives one answer; what it was sent.
    async fn receiver(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/hook?x=1", listener.local_addr().unwrap().port());
        let received = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"the body") {
                let mut buffer = [0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "the request ended early");
                seen.extend_from_slice(&buffer[..read]);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(seen).unwrap()
        });
        (url, received)
    }

    async fn deliver(answer: &'static str) -> (Result<(), SendError>, String) {
        let (url, received) = receiver(answer).await;
        let sender = Sender::new(&webhook(&url, true)).unwrap();
        assert!(sender.locate().await.unwrap().iter().all(IpAddr::is_loopback));
        let sent = sender.send(&[0xab; 16], "the body", UnixMillis(1_700_000_000_123)).await;
        (sent, received.await.unwrap())
    }

    #[tokio::test]
    async fn a_message_arrives_with_its_id_its_time_and_its_signature() {
        let (sent, seen) = deliver("HTTP/1.1 204 No Content\r\n\r\n").await;
        sent.unwrap();
        let id = format!("msg_{}", "ab".repeat(16));
        let signature = signature(&[7; 32], &id, "1700000000", "the body");
        assert!(seen.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{seen}");
        for line in [
            format!("webhook-id: {id}"),
            "webhook-timestamp: 1700000000".to_owned(),
            format!("webhook-signature: {signature}"),
            "content-type: application/json".to_owned(),
        ] {
            assert!(seen.contains(&format!("{line}\r\n")), "{line} is missing in {seen}");
        }
    }

    #[tokio::test]
    async fn a_redirection_is_a_failure_and_is_not_followed() {
        let answer = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        let (sent, _) = deliver(answer).await;
        assert!(matches!(sent, Err(SendError::Refused(StatusCode::TEMPORARY_REDIRECT))), "{sent:?}");
    }

    #[tokio::test]
    async fn an_address_of_this_machine_is_not_spoken_to_unless_the_operator_says_so() {
        for host in ["127.0.0.1", "[::1]", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
            let sender = Sender::new(&webhook(&format!("http://{host}:9/hook"), false)).unwrap();
            let found = sender.locate().await;
            assert!(matches!(found, Err(SendError::Private)), "{host}: {found:?}");
        }
    }

    #[tokio::test]
    async fn a_webhook_that_does_not_listen_is_a_failure_without_its_url() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let sender = Sender::new(&webhook(&format!("http://127.0.0.1:{free}/secret-path"), true)).unwrap();
        sender.locate().await.unwrap();
        let failed = sender.send(&[1; 16], "the body", UnixMillis(0)).await.unwrap_err();
        assert!(matches!(failed, SendError::Silent(_)));
        assert!(!crate::admin::with_causes(&failed).contains("secret-path"));
    }

    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        // The example of the specification (github.com/standard-webhooks/standard-webhooks, libraries' common test).
        let secret = BASE64.decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
