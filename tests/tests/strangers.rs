//! Strangers at a real gateway: requests that nobody signed, requests of another tenant, and presigned links, each judged by
//! the bucket's rules first and then by the law, from where it is asked.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration, PublicAccessBlockConfiguration};
use domicile_tests::demo::{Manifest, RunningDemo};
use domicile_tests::given;
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const HOME: &str = "127.10.0.9";
const GERMANY: &str = "127.30.0.9";
const HONG_KONG: &str = "127.20.0.9";
const CONTENT: &[u8] = b"flight log";

/// A running demo, and who asks it.
struct World {
    program: PathBuf,
    manifest: Manifest,
    endpoint: String,
    region: String,
    owner: aws_sdk_s3::Client,
    other: aws_sdk_s3::Client,
}

/// What came back.
struct Answer {
    status: StatusCode,
    /// S3's code, of an error that has a body.
    code: String,
    request: String,
    rule: Option<String>,
    body: Vec<u8>,
}

#[tokio::test]
async fn strangers_get_what_the_buckets_rules_and_the_law_both_let_them() -> Result<()> {
    // The client of this program speaks plain HTTP, but is built for TLS as well.
    let installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ensure!(installed.is_ok(), "another provider of cryptography is installed");
    let program = given("DOMICILE_BIN")?;
    let demo = RunningDemo::start(&program)?;
    let manifest = demo.manifest()?;
    let gateway = manifest.gateways.first().context("the demo has a gateway")?;
    let (endpoint, region) = (gateway.s3.clone(), gateway.default_region.clone());
    let client = |tenant: &str| -> Result<aws_sdk_s3::Client> {
        let (access, secret) = demo.credentials_of(tenant)?;
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(&endpoint)
            .region(Region::new(region.clone()))
            .credentials_provider(Credentials::new(access, secret, None, None, "demo"))
            .force_path_style(true);
        Ok(aws_sdk_s3::Client::from_conf(config.build()))
    };
    let (owner, other) = (client("a")?, client("b")?);
    let world = World { program, endpoint, region, owner, other, manifest };
    nobody_is_let_in_unless_a_rule_says_so(&world).await.context("a bucket without rules")?;
    whoever_is_anonymous_is_placed_by_address(&world).await.context("a public bucket")?;
    nobody_is_invited_to_send_what_would_be_refused(&world).await.context("bodies that wait")?;
    another_tenant_gets_what_a_policy_gives_and_no_more(&world).await.context("another tenant")?;
    a_link_is_judged_from_where_it_is_used(&world).await.context("links")?;
    demo.stop()
}

async fn nobody_is_let_in_unless_a_rule_says_so(world: &World) -> Result<()> {
    world.bucket("strangers-private").await?;
    for (method, path) in [
        (Method::GET, "strangers-private/k"),
        (Method::GET, "strangers-private/none"),
        (Method::HEAD, "strangers-private/k"),
        (Method::PUT, "strangers-private/k"),
        (Method::DELETE, "strangers-private/k"),
        (Method::GET, "strangers-private"),
        (Method::GET, "strangers-private?uploads"),
        (Method::GET, "strangers-private?policy"),
        (Method::PUT, "strangers-private?policy"),
        (Method::GET, "strangers-private/k?tagging"),
        (Method::GET, ""),
        (Method::PUT, "strangers-none"),
    ] {
        let answer = world.ask(method.clone(), path, HOME).await?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{method} /{path}: {} {}", answer.status, answer.code);
    }
    let absent = world.ask(Method::GET, "strangers-none/k", HOME).await?;
    ensure!((absent.status.as_u16(), &*absent.code) == (404, "NoSuchBucket"), "{} {}", absent.status, absent.code);
    ensure!(world.owner_reads("strangers-private").await? == CONTENT, "a stranger changed the object");
    Ok(())
}

async fn whoever_is_anonymous_is_placed_by_address(world: &World) -> Result<()> {
    let bucket = "strangers-public";
    world.bucket(bucket).await?;
    world.allow(bucket, "\"*\"", "s3:GetObject").await?;
    let home = world.ask(Method::GET, "strangers-public/k", HOME).await?;
    ensure!(home.status == StatusCode::OK && home.body == CONTENT, "at home: {} {}", home.status, home.code);
    ensure!(world.kinds(&home.request)?.contains(&"intent get-object".to_owned()), "the read at home is not logged");
    for place in [GERMANY, HONG_KONG] {
        for method in [Method::GET, Method::HEAD] {
            world.is_denied(method, "strangers-public/k", place).await?;
        }
        // Whoever is not told of an object is not told that there is none, either.
        let none = world.ask(Method::GET, "strangers-public/none", place).await?;
        ensure!([403, 451].contains(&none.status.as_u16()), "a key that is not there, from {place}: {}", none.status);
    }
    for (method, path) in [
        (Method::PUT, "strangers-public/k"),
        (Method::DELETE, "strangers-public/k"),
        (Method::GET, "strangers-public"),
        (Method::GET, "strangers-public/none"),
        (Method::GET, "strangers-public/k?versionId=null"),
    ] {
        let answer = world.ask(method.clone(), path, HOME).await?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{method} /{path}: {} {}", answer.status, answer.code);
    }
    let closed = PublicAccessBlockConfiguration::builder().restrict_public_buckets(true).build();
    world.owner.put_public_access_block().bucket(bucket).public_access_block_configuration(closed).send().await?;
    let shut = world.ask(Method::GET, "strangers-public/k", HOME).await?;
    ensure!(shut.status == StatusCode::FORBIDDEN, "a bucket that is closed to the public: {}", shut.status);
    Ok(())
}

async fn nobody_is_invited_to_send_what_would_be_refused(world: &World) -> Result<()> {
    world.bucket("strangers-drop").await?;
    let refused = world.waits("strangers-drop/k").await?;
    ensure!(refused.starts_with("HTTP/1.1 403 "), "a stranger without a rule: {refused}");
    world.allow("strangers-drop", "\"*\"", "s3:PutObject").await?;
    let invited = world.waits("strangers-drop/k").await?;
    ensure!(invited.starts_with("HTTP/1.1 100 "), "a stranger that may write: {invited}");
    let elsewhere = world.waits("strangers-none/k").await?;
    ensure!(elsewhere.starts_with("HTTP/1.1 404 "), "a bucket that is not there: {elsewhere}");
    Ok(())
}

async fn another_tenant_gets_what_a_policy_gives_and_no_more(world: &World) -> Result<()> {
    let (bucket, other) = ("strangers-lent", &world.other);
    world.bucket(bucket).await?;
    let body = || ByteStream::from_static(b"other");
    let tried = |step| async move {
        let refusals = [
            ("GetObject", code(other.get_object().bucket(bucket).key("k").send().await)),
            ("PutObject", code(other.put_object().bucket(bucket).key("k").body(body()).send().await)),
            ("DeleteObject", code(other.delete_object().bucket(bucket).key("k").send().await)),
            ("ListObjectsV2", code(other.list_objects_v2().bucket(bucket).send().await)),
            ("CreateMultipartUpload", code(other.create_multipart_upload().bucket(bucket).key("m").send().await)),
            ("GetBucketPolicy", code(other.get_bucket_policy().bucket(bucket).send().await)),
            ("DeleteBucket", code(other.delete_bucket().bucket(bucket).send().await)),
        ];
        let let_in: Vec<&str> =
            refusals.iter().filter(|(_, code)| code != "AccessDenied").map(|(operation, _)| *operation).collect();
        (step, let_in)
    };
    let before = tried("without a policy").await;
    ensure!(before.1.is_empty(), "{before:?}");
    let taken = other.create_bucket().bucket(bucket).create_bucket_configuration(world.region()).send().await;
    ensure!(code(taken) == "BucketAlreadyExists", "the name of another's bucket was given away");
    world.allow(bucket, "{\"AWS\":\"b\"}", "s3:GetObject").await?;
    let with = tried("with one").await;
    ensure!(with.1 == ["GetObject"], "{with:?}");

    // What may be read may be copied, into a bucket of one's own, and nothing else may.
    other.create_bucket().bucket("strangers-own").create_bucket_configuration(world.region()).send().await?;
    let copy = |from| other.copy_object().bucket("strangers-own").key("copy").copy_source(from);
    copy("strangers-lent/k").send().await?;
    let private = code(copy("strangers-private/k").send().await);
    ensure!(private == "AccessDenied", "a copy of what may not be read: {private}");

    // The law is asked after the policy, about the tenant that was let in as about any other.
    let link = other.get_object().bucket(bucket).key("k").presigned(minute()?).await?;
    let home = world.follow(&Method::GET, link.uri(), HOME, None).await?;
    ensure!(home.body == CONTENT, "at home: {} {}", home.status, home.code);
    let away = world.follow(&Method::GET, link.uri(), GERMANY, None).await?;
    world.denied(&away, "get-object").context("the other tenant, from Germany")?;
    ensure!(world.owner_reads(bucket).await? == CONTENT, "the object is not what its owner stored");
    Ok(())
}

async fn a_link_is_judged_from_where_it_is_used(world: &World) -> Result<()> {
    let bucket = "strangers-links";
    world.bucket(bucket).await?;
    let get = world.owner.get_object().bucket(bucket).key("k").presigned(minute()?).await?;
    let head = world.owner.head_object().bucket(bucket).key("k").presigned(minute()?).await?;
    // Home, abroad, and home again: no use of a link is answered by an earlier one.
    for place in [HOME, GERMANY, HONG_KONG, HOME] {
        let read = world.follow(&Method::GET, get.uri(), place, None).await?;
        let told = world.follow(&Method::HEAD, head.uri(), place, None).await?;
        if place == HOME {
            ensure!(read.body == CONTENT && told.status == StatusCode::OK, "at home: {} {}", read.status, told.status);
            ensure!(world.kinds(&read.request)?.contains(&"intent get-object".to_owned()), "a use is not logged");
        } else {
            world.denied(&read, "get-object").with_context(|| format!("GET from {place}"))?;
            world.denied(&told, "head-object").with_context(|| format!("HEAD from {place}"))?;
        }
    }
    // What a client says of itself places nobody.
    let said = world.follow(&Method::GET, get.uri(), GERMANY, Some(("x-forwarded-for", HOME))).await?;
    world.denied(&said, "get-object").context("a header that claims another place")?;

    let another = get.uri().replace("/k?", "/other?");
    let another = world.follow(&Method::GET, &another, HOME, None).await?;
    ensure!(another.code == "SignatureDoesNotMatch", "a link for another key: {}", another.code);
    let past = PresigningConfig::builder()
        .start_time(SystemTime::now() - Duration::from_hours(1))
        .expires_in(Duration::from_mins(5));
    let past = world.owner.get_object().bucket(bucket).key("k").presigned(past.build()?).await?;
    let past = world.follow(&Method::GET, past.uri(), HOME, None).await?;
    ensure!(past.status == StatusCode::FORBIDDEN && past.body != CONTENT, "a link that has ended: {}", past.status);
    // A link is its maker's word: whoever may not read cannot let others read.
    let foreign = world.other.get_object().bucket(bucket).key("k").presigned(minute()?).await?;
    let foreign = world.follow(&Method::GET, foreign.uri(), HOME, None).await?;
    ensure!(foreign.code == "AccessDenied", "a link of another tenant: {}", foreign.code);
    Ok(())
}

impl World {
    fn region(&self) -> CreateBucketConfiguration {
        let place = BucketLocationConstraint::from(self.region.as_str());
        CreateBucketConfiguration::builder().location_constraint(place).build()
    }

    /// A bucket of tenant `a` with one object, `k`.
    async fn bucket(&self, name: &str) -> Result<()> {
        self.owner.create_bucket().bucket(name).create_bucket_configuration(self.region()).send().await?;
        self.owner.put_object().bucket(name).key("k").body(ByteStream::from_static(CONTENT)).send().await?;
        Ok(())
    }

    /// Lets a principal do one thing to all objects of a bucket.
    async fn allow(&self, bucket: &str, principal: &str, action: &str) -> Result<()> {
        let resource = format!("arn:aws:s3:::{bucket}/*");
        let statement =
            format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"{action}","Resource":"{resource}"}}"#);
        let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        self.owner.put_bucket_policy().bucket(bucket).policy(policy).send().await?;
        Ok(())
    }

    async fn owner_reads(&self, bucket: &str) -> Result<Vec<u8>> {
        Ok(self.owner.get_object().bucket(bucket).key("k").send().await?.body.collect().await?.to_vec())
    }

    /// Asks without a signature, from an address.
    async fn ask(&self, method: Method, path: &str, from: &str) -> Result<Answer> {
        self.follow(&method, &format!("{}/{path}", self.endpoint), from, None).await
    }

    async fn follow(&self, method: &Method, url: &str, from: &str, more: Option<(&str, &str)>) -> Result<Answer> {
        let client = reqwest::Client::builder().no_proxy().local_address(from.parse::<IpAddr>()?).build()?;
        let mut request = client.request(method.clone(), url);
        if let Some((name, value)) = more {
            request = request.header(name, value);
        }
        if *method == Method::PUT {
            request = request.body("stranger");
        }
        let answer = request.send().await?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (status, rule) = (answer.status(), header("x-domicile-rule"));
        let request = header("x-amz-request-id").context("an answer without a request id")?;
        let body = answer.bytes().await?.to_vec();
        let text = String::from_utf8_lossy(&body).into_owned();
        let code = text.split("<Code>").nth(1).and_then(|rest| rest.split("</Code>").next()).unwrap_or_default();
        Ok(Answer { status, code: code.to_owned(), request, rule, body })
    }

    async fn is_denied(&self, method: Method, path: &str, from: &str) -> Result<()> {
        let answer = self.ask(method.clone(), path, from).await?;
        let operation = if method == Method::HEAD { "head-object" } else { "get-object" };
        self.denied(&answer, operation).with_context(|| format!("{method} /{path} from {from}"))
    }

    /// Holds an answer to be a refusal by law that names its rule, tells nothing else, and stands in the log.
    fn denied(&self, answer: &Answer, operation: &str) -> Result<()> {
        ensure!(answer.status.as_u16() == 451, "{} {}", answer.status, answer.code);
        ensure!(answer.rule.is_some(), "no rule is named");
        ensure!(!answer.body.windows(CONTENT.len()).any(|bytes| bytes == CONTENT), "the content is in the answer");
        let kinds = self.kinds(&answer.request)?;
        ensure!(kinds == [format!("denied {operation}")], "the log has {kinds:?}");
        Ok(())
    }

    /// Kind and operation of a request's entries in the log.
    fn kinds(&self, request: &str) -> Result<Vec<String>> {
        let listed = Command::new(&self.program)
            .args(["audit", "list", "--json", "--request", request])
            .env("DOMICILE_ADMIN", &self.manifest.admin)
            .env("DOMICILE_TOKEN", &self.manifest.token)
            .output()?;
        ensure!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let page: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
        let entries = page.get("entries").and_then(|entries| entries.as_array()).context("a page of entries")?;
        let text = |entry: &serde_json::Value, name: &str| Some(entry.get(name)?.as_str()?.to_owned());
        let named = entries.iter().filter_map(|entry| Some((text(entry, "kind")?, text(entry, "operation")?)));
        Ok(named.map(|(kind, operation)| format!("{kind} {operation}")).collect())
    }

    /// The first line that an unsigned PUT hears that waits before it sends its body.
    async fn waits(&self, path: &str) -> Result<String> {
        let host = self.endpoint.strip_prefix("http://").context("plain HTTP")?;
        let mut wire = tokio::net::TcpStream::connect(host).await?;
        let head =
            format!("PUT /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n");
        wire.write_all(head.as_bytes()).await?;
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n") {
            heard.push(wire.read_u8().await?);
        }
        Ok(String::from_utf8(heard)?)
    }
}

fn minute() -> Result<PresigningConfig> {
    Ok(PresigningConfig::expires_in(Duration::from_mins(1))?)
}

/// S3's code of a refusal; empty where there is none.
fn code<T, E: ProvideErrorMetadata>(answer: Result<T, SdkError<E>>) -> String {
    let refusal = answer.err();
    refusal.and_then(|error| error.as_service_error()?.code().map(str::to_owned)).unwrap_or_default()
}
