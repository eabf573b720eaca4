//! Decoders of this module that face the network, as plain functions of bytes, for the fuzz targets. Nothing else calls them.

use std::path::Path;
use std::sync::OnceLock;

use actix_http::ServiceConfig;
use actix_http::h1::{Codec, Message};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use tokio_util::codec::Decoder as _;

use super::{admission, auth, form};
use crate::clock::Clock;
use crate::config::RawConfig;

/// The head of a request as it comes from a socket, and what is decided from it alone. An error where HTTP itself is not met.
///
/// # Errors
/// When the bytes are no head of a request, or are refused from it.
pub fn request_head(bytes: &[u8]) -> Result<(), String> {
    static KEYRING: OnceLock<Option<auth::Keyring>> = OnceLock::new();
    let keyring = KEYRING.get_or_init(keyring).as_ref().ok_or("the configuration below is not valid")?;
    thread_local! {
        // The codec's configuration starts a task that keeps the date, so it needs a place to run.
        static LOCAL: Option<(actix_rt::Runtime, ServiceConfig)> = actix_rt::Runtime::new().ok().map(|runtime| {
            let config = runtime.block_on(async { ServiceConfig::default() });
            (runtime, config)
        });
    }
    let config = LOCAL.with(|local| local.as_ref().map(|(_, config)| config.clone()));
    let mut buffer = BytesMut::from(bytes);
    let mut codec = Codec::new(config.ok_or("there is no runtime")?);
    match codec.decode(&mut buffer) {
        Ok(Some(Message::Item(request))) => {
            admission::look(request.head(), keyring, Clock.now()).map_err(|(_, code, _)| code.to_owned())
        }
        Ok(_) => Err("incomplete".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// An upload form up to its file, with the boundary `xYzZY`: how many fields it has.
///
/// # Errors
/// When it is no form, or one that is refused.
pub async fn upload_form(bytes: &[u8]) -> Result<usize, String> {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("multipart/form-data; boundary=xYzZY");
    headers.insert(http::header::CONTENT_TYPE, kind);
    let body = Full::new(Bytes::copy_from_slice(bytes)).map_err(|never| match never {});
    form::count_fields(&headers, body).await.map_err(|error| error.to_string())
}

/// One key, of a gateway that serves nobody.
fn keyring() -> Option<auth::Keyring> {
    let raw: RawConfig = toml::from_str(
        r#"
        name = "fuzz"
        place = "CN"
        data_dir = "."
        policies_dir = "."
        location_databases = ["a.mmdb", "b.mmdb"]
        default_region = "cn"
        party = { id = "p", name = "P", incorporated = "CN", headquartered = "CN" }
        listen = { s3 = "127.0.0.1:0", admin = "127.0.0.1:0", swarm = "127.0.0.1:0" }
        region = [{ name = "cn", packs = ["cn-data-export"] }]
        credential = [{ tenant = "t", access_key = "AKIDTEST", secret_key = "a secret of sufficient length" }]
        "#,
    )
    .ok()?;
    let config = raw.into_config(Path::new(".")).ok()?;
    let seals = crate::accounts::Seals::derive(&[0; 32], crate::clock::Clock);
    Some(auth::Keyring::new(crate::accounts::Accounts::new(config.credentials, seals)))
}
