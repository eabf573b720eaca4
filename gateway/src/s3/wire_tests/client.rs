//! HTTP/1.1 and SigV4 by hand: this side shares no code with the one under test.

use std::net::SocketAddr;

use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ACCESS_KEY, SECRET_KEY};

pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(Sha256::digest(bytes).as_slice())
}

/// RFC 2104 with SHA-256; keys here are shorter than a block.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to ^= from;
        }
        block
    };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

/// `20261122T150000Z`, `seconds` from now.
pub(super) fn amz_date(seconds: i64) -> String {
    let now = time::OffsetDateTime::from(crate::clock::Clock.now()) + time::Duration::seconds(seconds);
    now.format(&time::macros::format_description!("[year][month][day]T[hour][minute][second]Z")).unwrap()
}

/// A signing key of SigV4 for region `cn`.
pub(super) fn signing_key(secret: &str, date: &str) -> [u8; 32] {
    let day = hmac(format!("AWS4{secret}").as_bytes(), &date.as_bytes()[..8]);
    hmac(&hmac(&hmac(&day, b"cn"), b"s3"), b"aws4_request")
}

/// One request, before it is signed and written.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) query: &'static str,
    /// Lower-case names. `host`, `x-amz-date` and `x-amz-content-sha256` are added.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) mode: String,
    pub(super) access_key: &'static str,
    pub(super) secret: &'static str,
    pub(super) date: String,
}

impl Ask {
    pub(super) fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: "",
            headers: Vec::new(),
            mode: UNSIGNED.to_owned(),
            access_key: ACCESS_KEY,
            secret: SECRET_KEY,
            date: amz_date(0),
        }
    }

    pub(super) fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn mode(mut self, mode: impl Into<String>) -> Self {
        self.mode = mode.into();
        self
    }

    /// The request's signature, which seeds the chain of chunk signatures.
    pub(super) fn signature(&self) -> String {
        let headers = self.signed_headers();
        let canonical_headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!(
            "{}\n{}\n{}\n{canonical_headers}\n{}\n{}",
            self.method,
            self.path,
            self.query,
            names(&headers),
            self.mode
        );
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", self.date, self.scope(), sha256_hex(canonical.as_bytes()));
        HEXLOWER.encode(&hmac(&signing_key(self.secret, &self.date), to_sign.as_bytes()))
    }

    pub(super) fn scope(&self) -> String {
        format!("{}/cn/s3/aws4_request", &self.date[..8])
    }

    fn signed_headers(&self) -> Vec<(&str, &str)> {
        let own = self.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let mut headers: Vec<(&str, &str)> = own.filter(|(name, _)| name.starts_with("x-amz-")).collect();
        headers.extend([("host", "test"), ("x-amz-content-sha256", &*self.mode), ("x-amz-date", &*self.date)]);
        headers.sort_unstable();
        headers
    }

    /// The head, signed.
    pub(super) fn signed(&self) -> String {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
            self.access_key,
            self.scope(),
            names(&self.signed_headers()),
            self.signature()
        );
        self.head(Some(&authorization))
    }

    /// The head, with any `Authorization`.
    pub(super) fn head(&self, authorization: Option<&str>) -> String {
        let target = match self.query {
            "" => self.path.clone(),
            query => format!("{}?{}", self.path, query.trim_end_matches('=')),
        };
        let mut head = format!("{} {target} HTTP/1.1\r\nhost: test\r\n", self.method);
        head += &format!("x-amz-date: {}\r\nx-amz-content-sha256: {}\r\n", self.date, self.mode);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(authorization) = authorization {
            head += &format!("authorization: {authorization}\r\n");
        }
        head + "\r\n"
    }
}

fn names(headers: &[(&str, &str)]) -> String {
    headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";")
}

/// A connection.
pub(super) struct Wire {
    stream: TcpStream,
    read: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    /// The S3 code of an error document.
    pub(super) fn code(&self) -> &str {
        self.body.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next()).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| line.split_once(": ").filter(|(key, _)| *key == name).map(|(_, value)| value.len());
        self.head.lines().find_map(|line| value(line).map(|length| &line[line.len() - length..]))
    }
}

impl Wire {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    /// Sends bytes; a server that has closed already is no failure of the test.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends a signed request with its body and reads the answer.
    pub(super) async fn ask(&mut self, ask: &Ask, body: &[u8]) -> Answer {
        self.send(ask.signed()).await;
        self.send(body).await;
        self.answer(ask.method).await
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 8192];
        match self.stream.read(&mut buffer).await {
            Ok(read @ 1..) => {
                self.read.extend_from_slice(&buffer[..read]);
                true
            }
            _ => false,
        }
    }

    /// Reads the head of an answer.
    pub(super) async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.read.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            if !self.more().await {
                return String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned();
            }
        }
    }

    /// Reads so many bytes of a body.
    pub(super) async fn body(&mut self, length: usize) -> String {
        while self.read.len() < length && self.more().await {}
        let body: Vec<u8> = self.read.drain(..length.min(self.read.len())).collect();
        String::from_utf8_lossy(&body).into_owned()
    }

    /// Reads an answer whole.
    pub(super) async fn answer(&mut self, method: &str) -> Answer {
        let head = self.head().await;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let mut answer = Answer { status, head, body: String::new() };
        let length: usize = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or_default();
        if method != "HEAD" {
            while self.read.len() < length && self.more().await {}
            let body: Vec<u8> = self.read.drain(..length.min(self.read.len())).collect();
            answer.body = String::from_utf8_lossy(&body).into_owned();
        }
        answer
    }

    /// Whether the server has closed, after everything that it still sent.
    pub(super) async fn is_closed(&mut self) -> bool {
        let wait = std::time::Duration::from_secs(20);
        tokio::time::timeout(wait, async { while self.more().await {} }).await.is_ok()
    }

    /// Ends the sending half, as a client that leaves does.
    pub(super) async fn leave(&mut self) {
        let _ = self.stream.shutdown().await;
    }
}
