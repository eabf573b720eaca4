//! The Rust SDK, over HTTP and over TLS: real files there and back.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart,
    CreateBucketConfiguration, Delete, ObjectIdentifier,
};
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use domicile_tests::demo::RunningDemo;
use domicile_tests::given;

/// What is stored under which key.
type Files = BTreeMap<String, Vec<u8>>;

#[tokio::test]
async fn the_rust_sdk_brings_its_bytes_there_and_back() -> Result<()> {
    // Of all tests of this program only this one speaks TLS: nothing has installed one before.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ensure!(installed.is_ok(), "another provider of cryptography is installed");
    let python = given("DOMICILE_PYTHON")?;
    let demo = RunningDemo::start(&given("DOMICILE_BIN")?)?;
    let folder = tempfile::tempdir()?;
    let made = Command::new(&python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/data.py"))
        .arg(folder.path().join("data"))
        .status()?;
    ensure!(made.success(), "the files could not be made");
    let photos = read_files(&folder.path().join("data/photos"))?;
    let table = std::fs::read(folder.path().join("data/flights.csv"))?;
    for secure in [false, true] {
        let client = client(&demo, secure)?;
        let bucket = if secure { "c-rust-https" } else { "c-rust-http" };
        create_bucket(&client, &demo, bucket).await?;
        small_objects(&client, bucket, &photos).await.with_context(|| format!("{bucket}: small objects"))?;
        large_object(&client, bucket, &table).await.with_context(|| format!("{bucket}: a large object"))?;
        if !secure {
            presigned(&client, bucket, &table).await.with_context(|| format!("{bucket}: presigned links"))?;
        }
    }
    demo.stop()
}

fn client(demo: &RunningDemo, secure: bool) -> Result<aws_sdk_s3::Client> {
    let manifest = demo.manifest()?;
    let gateway = manifest.gateways.first().context("the demo has a gateway")?;
    let (access, secret) = demo.credentials()?;
    let authority = TrustStore::empty().with_pem_certificate(std::fs::read(&manifest.ca_file)?);
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc))
        .tls_context(TlsContext::builder().with_trust_store(authority).build()?)
        .build_https();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(if secure { &gateway.s3_tls } else { &gateway.s3 })
        .region(Region::new(gateway.default_region.clone()))
        .credentials_provider(Credentials::new(access, secret, None, None, "demo"))
        .force_path_style(true);
    Ok(aws_sdk_s3::Client::from_conf(config.build()))
}

async fn create_bucket(client: &aws_sdk_s3::Client, demo: &RunningDemo, bucket: &str) -> Result<()> {
    let region = demo.manifest()?.gateways.first().context("the demo has a gateway")?.default_region.clone();
    let place =
        CreateBucketConfiguration::builder().location_constraint(BucketLocationConstraint::from(region.as_str()));
    client.create_bucket().bucket(bucket).create_bucket_configuration(place.build()).send().await?;
    Ok(())
}

/// Every photograph with the checksum that the SDK adds by itself; listed in pages; deleted at once.
async fn small_objects(client: &aws_sdk_s3::Client, bucket: &str, photos: &Files) -> Result<()> {
    for (key, content) in photos {
        let put = client.put_object().bucket(bucket).key(key).body(ByteStream::from(content.clone())).send().await?;
        ensure!(put.checksum_crc32().is_some() || put.checksum_crc64_nvme().is_some(), "{key}: no checksum came back");
        let again = client.put_object().bucket(bucket).key(key).if_none_match("*").send().await;
        let refused = again.err().and_then(|error| error.into_service_error().meta().code().map(str::to_owned));
        ensure!(refused.as_deref() == Some("PreconditionFailed"), "{key} was replaced: {refused:?}");
    }
    let mut listed = Vec::new();
    let mut pages = client.list_objects_v2().bucket(bucket).into_paginator().page_size(7).send();
    while let Some(page) = pages.next().await {
        listed.extend(page?.contents().iter().filter_map(|entry| entry.key().map(str::to_owned)));
    }
    ensure!(listed == photos.keys().cloned().collect::<Vec<_>>(), "LIST shows {listed:?}");
    for (key, content) in photos {
        let got = client.get_object().bucket(bucket).key(key).checksum_mode(ChecksumMode::Enabled).send().await?;
        ensure!(got.body.collect().await?.into_bytes() == content.as_slice(), "{key} came back otherwise");
    }
    let keys = photos.keys().map(|key| ObjectIdentifier::builder().key(key).build());
    let all = Delete::builder().set_objects(Some(keys.collect::<Result<_, _>>()?)).build()?;
    let deleted = client.delete_objects().bucket(bucket).delete(all).send().await?;
    ensure!(deleted.errors().is_empty() && deleted.deleted().len() == photos.len(), "{:?}", deleted.errors());
    Ok(())
}

/// Parts of 5 MiB with CRC64NVME, sent from last to first; read whole and by range.
async fn large_object(client: &aws_sdk_s3::Client, bucket: &str, content: &[u8]) -> Result<()> {
    let key = "flights.csv";
    let created = client.create_multipart_upload().bucket(bucket).key(key);
    let created = created.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).send().await?;
    let upload = created.upload_id().context("an upload id")?;
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(content.chunks(5 << 20)).collect::<Vec<_>>().into_iter().rev() {
        let part = client.upload_part().bucket(bucket).key(key).upload_id(upload).part_number(number);
        let part = part.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).body(ByteStream::from(piece.to_vec()));
        let sent = part.send().await?;
        let done = CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag().map(str::to_owned));
        parts.push(done.set_checksum_crc64_nvme(sent.checksum_crc64_nvme().map(str::to_owned)).build());
    }
    parts.reverse();
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let done = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload).multipart_upload(parts);
    done.send().await?;
    let got = client.get_object().bucket(bucket).key(key).checksum_mode(ChecksumMode::Enabled).send().await?;
    ensure!(got.checksum_crc64_nvme().is_some(), "no checksum of the whole");
    ensure!(got.body.collect().await?.into_bytes() == content, "the object came back otherwise");
    let got = client.get_object().bucket(bucket).key(key).range("bytes=10000000-10000999").send().await?;
    let expected = content.get(10_000_000..10_001_000).context("a table of 30 MiB")?;
    ensure!(got.body.collect().await?.into_bytes() == expected, "a range came back otherwise");
    Ok(())
}

async fn presigned(client: &aws_sdk_s3::Client, bucket: &str, content: &[u8]) -> Result<()> {
    let minute = PresigningConfig::expires_in(std::time::Duration::from_mins(1))?;
    let link = client.get_object().bucket(bucket).key("flights.csv").presigned(minute).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let got = http.get(link.uri()).send().await?.error_for_status()?.bytes().await?;
    ensure!(got == content, "a presigned link gave other bytes");
    Ok(())
}

/// Everything below a folder, by path.
fn read_files(folder: &Path) -> Result<Files> {
    let mut files = Files::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_str().context("names are UTF-8")?.to_owned();
                files.insert(name, std::fs::read(&path)?);
            }
        }
    }
    Ok(files)
}

#[test]
fn the_table_of_clients_names_the_version_of_the_sdk() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let lock: toml::Table = std::fs::read_to_string(root.join("Cargo.lock"))?.parse()?;
    let locked = lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock has packages")?;
    let of = |package: &toml::Value, field: &str| package.get(field).and_then(toml::Value::as_str).map(str::to_owned);
    let sdk = locked.iter().find(|package| of(package, "name").as_deref() == Some("aws-sdk-s3"));
    let sdk = sdk.and_then(|package| of(package, "version")).context("Cargo.lock has the SDK")?;
    let table = std::fs::read_to_string(root.join("docs/clients.md"))?;
    ensure!(table.contains(&format!("| `aws-sdk-s3` (Rust) | {sdk} |")), "the table does not name {sdk}");
    Ok(())
}
