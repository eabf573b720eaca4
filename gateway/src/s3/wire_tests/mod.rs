//! The front on a real socket, with a client made by hand: hostile input that no SDK would send.
//!
//! Behind it stands a stub instead of the use cases, so that a test sees exactly what would have reached them.

mod bodies;
mod client;
mod crowds;
mod documents;
mod forms;
mod framing;
mod heads;
mod links;
mod pages;

use std::sync::Arc;

use domicile_types::TenantId;
use futures::StreamExt as _;
use parking_lot::Mutex;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result};

use super::{auth, body, names};
use crate::accounts::{Accounts, Seals};
use crate::clock::Clock;
use crate::config::{Config, Credential, RawConfig};
use crate::objects::digest::BodyDigests;
use crate::objects::{BodyStream, Caller, Error};

pub(super) const ACCESS_KEY: &str = "AKIDTEST";
pub(super) const SECRET_KEY: &str = "wire-test-secret";

/// Size of the object that the stub gives out.
pub(super) const LARGE_BYTES: usize = 256 * 1024 * 1024;

/// What reached the stub.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Record>>);

#[derive(Default)]
struct Record {
    stored: Vec<(String, Vec<u8>)>,
    failed: usize,
    deleted: usize,
    given: usize,
    callers: Vec<Caller>,
}

impl Seen {
    fn stored(&self) -> Vec<(String, Vec<u8>)> {
        self.0.lock().stored.clone()
    }

    fn failed(&self) -> usize {
        self.0.lock().failed
    }

    fn given(&self) -> usize {
        self.0.lock().given
    }
}

#[derive(Clone)]
struct Stub(Seen);

async fn swallow(mut stream: BodyStream, expected: crate::objects::ExpectedDigests) -> Result<Vec<u8>, Error> {
    let mut digests = BodyDigests::new(&expected);
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|_| Error::IncompleteBody { received: digests.received() })?;
        digests.update(&piece);
        bytes.extend_from_slice(&piece);
    }
    digests.finish(expected)?;
    Ok(bytes)
}

#[async_trait::async_trait]
impl s3s::S3 for Stub {
    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let caller = names::caller(&request)?;
        let key = names::key(&request.input.key)?;
        let (trailers, body) = (request.trailing_headers.take(), request.input.body.take());
        let received = body::receive(&caller, &request.headers, trailers, body, request.input.content_length)?;
        let body::Received { stream, fault, expected, .. } = received;
        let swallowed = swallow(stream, expected).await;
        let mut seen = self.0.0.lock();
        seen.callers.push(caller);
        match swallowed {
            Ok(bytes) => seen.stored.push((key.as_str().to_owned(), bytes)),
            Err(error) => {
                seen.failed += 1;
                return Err(fault.explain(error));
            }
        }
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn get_object(&self, _: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        const PIECE: usize = 64 * 1024;
        let seen = self.0.clone();
        let stream = futures::stream::iter(0..LARGE_BYTES / PIECE).map(move |_| {
            seen.0.lock().given += PIECE;
            Ok(bytes::Bytes::from_static(&[7; PIECE]))
        });
        let output = GetObjectOutput {
            body: Some(body::outgoing(Box::pin(stream))),
            content_length: i64::try_from(LARGE_BYTES).ok(),
            ..GetObjectOutput::default()
        };
        Ok(S3Response::new(output))
    }

    async fn head_object(&self, _: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let content_length = i64::try_from(LARGE_BYTES).ok();
        Ok(S3Response::new(HeadObjectOutput { content_length, ..HeadObjectOutput::default() }))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.0.0.lock().deleted += request.input.delete.objects.len();
        Ok(S3Response::new(DeleteObjectsOutput::default()))
    }
}

/// A front on a port of its own, and what its stub sees.
pub(super) fn start() -> (std::net::SocketAddr, Seen, super::S3Server) {
    start_with(config())
}

fn start_with(config: Config) -> (std::net::SocketAddr, Seen, super::S3Server) {
    let seen = Seen::default();
    let accounts = Accounts::new(config.credentials.clone(), Seals::derive(&[7; 32], Clock));
    let keyring = auth::Keyring::new(accounts);
    let door = super::door(Stub(seen.clone()), pages::sharing(), None, &keyring, &config);
    let server = super::listen::start(&door, &keyring, &config).unwrap();
    (server.http().unwrap(), seen, server)
}

fn config() -> Config {
    let raw: RawConfig = toml::from_str(
        r#"
        name = "test"
        place = "CN"
        data_dir = "."
        policies_dir = "."
        location_databases = ["a.mmdb", "b.mmdb"]
        default_region = "cn"
        party = { id = "p", name = "P", incorporated = "CN", headquartered = "CN" }
        listen = { s3 = "127.0.0.1:0", admin = "127.0.0.1:0", swarm = "127.0.0.1:0" }
        region = [{ name = "cn", packs = ["cn-data-export"] }]
        "#,
    )
    .unwrap();
    let mut config = raw.into_config(std::path::Path::new(".")).unwrap();
    config.credentials = vec![Credential {
        tenant: TenantId::parse("tenant-a").unwrap(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
    }];
    config.domains = vec!["s3.test".to_owned()];
    config.limits.s3_workers = 1;
    config.limits.connections_per_address_max = config.limits.connections_max;
    config
}
