//! The S3 front: S3's protocol on one side, the use cases of [`crate::objects`] on the other.
//!
//! s3s speaks the protocol (SigV4, routing, XML); actix's HTTP server carries it; [`bridge`] joins them; one file per family
//! of operations translates. No type of s3s passes this module, so that it can be replaced.
//!
//! *Absent on purpose*: SigV2 (but for forms), and every operation that
//! is not in [`OPERATIONS`]. What a client demands and the gateway does not do is refused, never ignored.

mod access;
mod acl;
mod admission;
mod attributes;
mod auth;
mod body;
mod bridge;
mod bucket;
mod checksum;
mod chunks;
mod copy;
mod cors;
mod crowd;
mod default_encryption;
mod encryption;
mod error;
mod form;
mod front;
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod hosts;
mod invitation;
mod journal;
mod lifecycle;
mod lifecycle_rules;
mod listen;
mod listing;
mod lock;
mod logging;
mod markup;
mod multipart;
mod names;
mod notification;
mod object;
mod object_lock;
mod operations;
mod overrides;
mod ranges;
mod stated;
mod sts;
mod tagging;
mod unconfigured;
mod versions;
#[cfg(test)]
mod wire_tests;

use std::sync::Arc;

use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::S3ServiceBuilder;

pub use error::{CITE_HEADER, LEGAL_CODE, LOG_INDEX_HEADER, RULE_HEADER};
pub use listen::{S3ServeError, S3Server};
pub use operations::{OPERATIONS, operation_kind};

use crate::config::Config;
use crate::objects::Gateway;

/// The largest body of PutObject and UploadPart, in bytes: S3's own.
const BODY_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;

/// The largest signed chunk, in bytes. It is held in memory until its signature is checked; SDKs send 64 KiB to 1 MiB.
const SIGNED_CHUNK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How far a client's clock may be off, in seconds: SigV4's own tolerance.
const CLOCK_SKEW_SECONDS_MAX: u32 = 15 * 60;

/// Translates S3 operations into use cases.
#[derive(Clone)]
struct Front {
    gateway: Gateway,
    /// The names of the residency regions, for messages.
    region_names: Arc<str>,
}

/// Starts serving S3 on the configuration's HTTP and TLS addresses.
///
/// # Errors
/// [`S3ServeError`] where an address cannot be bound, or certificate or key cannot be used.
pub fn run_s3(gateway: Gateway, config: &Config) -> Result<S3Server, S3ServeError> {
    let sharing = cors::Sharing::of(&gateway);
    let journal = journal::Journal(Some(gateway.clone()));
    let front = Front { gateway, region_names: config.region_names().into() };
    let keyring = auth::Keyring::new(front.gateway.accounts.clone());
    let gateway = Some(front.gateway.clone());
    let door = bridge::Door { journal, ..door(front, sharing, gateway, &keyring, config) };
    listen::start(&door, &keyring, config)
}

/// The front as the listeners know it. `gateway` serves AssumeRole, and knows who may write where.
fn door(
    front: impl s3s::S3 + Clone,
    sharing: cors::Sharing,
    gateway: Option<Gateway>,
    keyring: &auth::Keyring,
    config: &Config,
) -> bridge::Door {
    let limits = Arc::new(StaticConfigProvider::new(Arc::new(protocol_limits())));
    let gate = Arc::new(auth::Gate::new(keyring.clone(), config));
    let hosts = hosts::Hosts::new(&config.domains);
    let mut verified = S3ServiceBuilder::new(front.clone());
    verified.set_config(Arc::clone(&limits) as _);
    let forms = form::Forms::new(verified.build(), Arc::clone(&gate), keyring.clone(), hosts.clone());
    let mut builder = S3ServiceBuilder::new(front);
    builder.set_config(Arc::clone(&limits) as _);
    builder.set_host(hosts.clone());
    builder.set_auth(keyring.clone());
    builder.set_access(auth::SharedGate(Arc::clone(&gate)));
    let invitations =
        invitation::Invitations::new(gateway.clone(), Arc::clone(&gate), keyring.clone(), hosts.clone(), limits);
    if let Some(gateway) = gateway {
        builder.set_route(sts::Sts { gateway, gate });
    }
    let service = builder.build();
    bridge::Door { service, forms, invitations, sharing, hosts, journal: journal::Journal(None) }
}

fn protocol_limits() -> S3Config {
    let mut limits = S3Config::default();
    limits.xml_max_body_size = operations::LARGE_DOCUMENT_BYTES_MAX;
    limits.put_object_max_size = Some(BODY_BYTES_MAX);
    limits.aws_chunked_stream_max_chunk_size = SIGNED_CHUNK_BYTES_MAX;
    limits.presigned_url_max_skew_time_secs = CLOCK_SKEW_SECONDS_MAX;
    limits.sig_v4_allowed_services = vec!["s3".to_owned(), "sts".to_owned()];
    limits.enable_sig_v2 = false;
    limits.allow_post_signature = false;
    // Forms do not come this far; these limits hold should one ever do.
    limits.post_object_max_file_size = 0;
    limits.form_max_fields_size = 64 * 1024;
    limits.form_max_field_size = 64 * 1024;
    limits
}
