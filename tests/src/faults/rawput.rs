//! Requests whose bodies stop in the middle.

use anyhow::{Context, Result};
use aws_sdk_s3::presigning::PresignedRequest;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A request under way: its head and a part of its body were sent, the rest never will be.
pub struct HalfRequest {
    /// Held open: a client that waits.
    _connection: TcpStream,
}

impl HalfRequest {
    /// Sends the head of a presigned request and the first half of its body.
    ///
    /// # Errors
    /// Where there is no connection.
    pub async fn send(request: &PresignedRequest, body: &[u8]) -> Result<Self> {
        let rest = request.uri().strip_prefix("http://").context("plain HTTP")?;
        let (host, path) = rest.split_at(rest.find('/').context("a path")?);
        let mut head =
            format!("{} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {}\r\n", request.method(), body.len());
        for (name, value) in request.headers().filter(|(name, _)| !["host", "content-length"].contains(name)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut connection = TcpStream::connect(host).await?;
        connection.write_all(head.as_bytes()).await?;
        let (half, _) = body.split_at(body.len() / 2);
        connection.write_all(half).await?;
        Ok(Self { _connection: connection })
    }
}
