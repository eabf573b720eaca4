//! Browser uploads on a real socket.

use data_encoding::{BASE64, HEXLOWER};
use sha1::{Digest as _, Sha1};

use super::client::{Answer, Ask, Wire, amz_date, hmac, signing_key};
use super::{ACCESS_KEY, SECRET_KEY, start};

const FILE: &[u8] = b"all of the file";

/// A form before it is written. Fields keep their order.
#[derive(Clone)]
struct Sheet {
    bucket: &'static str,
    fields: Vec<(String, String)>,
    file_name: &'static str,
    file: Vec<u8>,
    end: &'static str,
}

impl Sheet {
    fn new(fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self {
            bucket: "bucket",
            fields,
            file_name: "C:\\photos\\cat.png",
            file: FILE.to_vec(),
            end: "\r\n--line--\r\n",
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    fn head(&self) -> String {
        let fields: String = self
            .fields
            .iter()
            .map(|(name, value)| {
                format!("--line\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            })
            .collect();
        format!(
            "{fields}--line\r\nContent-Disposition: form-data; name=\"File\"; filename=\"{}\"\r\n\
             Content-Type: image/png\r\n\r\n",
            self.file_name
        )
    }

    fn body(&self) -> Vec<u8> {
        [self.head().as_bytes(), &self.file, self.end.as_bytes()].concat()
    }

    async fn post(&self, address: std::net::SocketAddr) -> Answer {
        let body = self.body();
        let mut wire = Wire::connect(address).await;
        wire.send(self.request(body.len())).await;
        wire.send(body).await;
        wire.answer("POST").await
    }

    fn request(&self, length: usize) -> String {
        format!(
            "POST /{} HTTP/1.1\r\nhost: test\r\ncontent-type: multipart/form-data; boundary=line\r\n\
             content-length: {length}\r\n\r\n",
            self.bucket
        )
    }
}

fn expiration(seconds: i64) -> String {
    let at = time::OffsetDateTime::from(crate::clock::Clock.now()) + time::Duration::seconds(seconds);
    at.format(&time::format_description::well_known::Rfc3339).unwrap()
}

/// A policy for `conditions` and what every form of these tests says, in base64.
fn policy(conditions: &str) -> String {
    let all = format!(
        r#"{{"expiration":"{}","conditions":[{{"bucket":"bucket"}},["starts-with","$key","a/"]{conditions}]}}"#,
        expiration(600)
    );
    BASE64.encode(all.as_bytes())
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> Vec<u8> {
    let pad = |byte: u8| {
        let mut block = [byte; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to ^= from;
        }
        block
    };
    let inner = Sha1::new().chain_update(pad(0x36)).chain_update(message).finalize();
    Sha1::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// Signed as SigV2 signs forms.
fn v2(fields: &[(&str, &str)], policy: &str) -> Sheet {
    let signature = BASE64.encode(&hmac_sha1(SECRET_KEY.as_bytes(), policy.as_bytes()));
    Sheet::new(fields).with("AWSAccessKeyId", ACCESS_KEY).with("Policy", policy).with("signature", &signature)
}

/// Signed as SigV4 signs forms, `age` seconds ago.
fn v4(fields: &[(&str, &str)], conditions: &str, age: i64) -> Sheet {
    let date = amz_date(-age);
    let credential = format!("{ACCESS_KEY}/{}/cn/s3/aws4_request", &date[..8]);
    let policy = policy(&format!(
        r#"{conditions},{{"x-amz-date":"{date}"}},{{"x-amz-credential":"{credential}"}},{{"x-amz-algorithm":"AWS4-HMAC-SHA256"}}"#
    ));
    let signature = HEXLOWER.encode(&hmac(&signing_key(SECRET_KEY, &date), policy.as_bytes()));
    Sheet::new(fields)
        .with("x-amz-algorithm", "AWS4-HMAC-SHA256")
        .with("x-amz-credential", &credential)
        .with("x-amz-date", &date)
        .with("policy", &policy)
        .with("x-amz-signature", &signature)
}

#[tokio::test]
async fn a_signed_form_is_stored_under_its_key() {
    let (address, seen, server) = start();
    let key = [("key", "a/1 ä")];
    for sheet in [v2(&key, &policy("")), v4(&key, "", 0), v4(&key, "", 3600)] {
        let answer = sheet.post(address).await;
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(answer.header("location"), Some("http://test/bucket/a/1%20%C3%A4"));
    }
    assert_eq!(seen.stored(), vec![("a/1 ä".to_owned(), FILE.to_vec()); 3]);
    server.stop().await;
}

#[tokio::test]
async fn the_variable_filename_is_the_files_name_without_its_folder() {
    let (address, seen, server) = start();
    assert_eq!(v4(&[("key", "a/${filename}")], "", 0).post(address).await.status, 204);
    assert_eq!(seen.stored(), [("a/cat.png".to_owned(), FILE.to_vec())]);
    server.stop().await;
}

#[tokio::test]
async fn a_form_says_what_it_wants_to_hear() {
    let (address, _, server) = start();
    let status = r#",["starts-with","$success_action_status",""]"#;
    for (asked, heard) in [("200", 200), ("201", 201), ("204", 204), ("404", 204)] {
        let answer = v4(&[("key", "a/<1>"), ("success_action_status", asked)], status, 0).post(address).await;
        assert_eq!(answer.status, heard);
        assert_eq!(answer.body.contains("<Key>a/&lt;1&gt;</Key>"), heard == 201, "{}", answer.body);
    }
    let redirect = r#",["starts-with","$success_action_redirect",""]"#;
    let fields = [("key", "a/1"), ("success_action_redirect", "http://here.example/done?x=1")];
    let answer = v4(&fields, redirect, 0).post(address).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("http://here.example/done?x=1&bucket=bucket&key=a%2F1&etag="));
    server.stop().await;
}

#[tokio::test]
async fn forms_that_may_not_be_taken_are_refused_and_nothing_is_stored() {
    let (address, seen, server) = start();
    let key = [("key", "a/1")];
    let plain = policy("");
    let raw = |json: &str| v2(&key, &BASE64.encode(json.as_bytes()));
    let soon = expiration(600);
    let unsigned = Sheet::new(&key).with("policy", &plain);
    let mut forged = v4(&key, "", 0);
    forged.fields.last_mut().unwrap().1.replace_range(..1, "x");
    let mut elsewhere = v4(&key, "", 0);
    elsewhere.bucket = "bucket-b";
    let mut stranger = v2(&key, &plain);
    stranger.fields[1].1 = "AKIDNOBODY".to_owned();
    let mut both = v2(&key, &plain);
    both.fields.push(("x-amz-signature".to_owned(), "0".to_owned()));
    for (why, sheet, status, code) in [
        ("a forged signature", forged, 403, "SignatureDoesNotMatch"),
        ("an unknown key", stranger, 403, "InvalidAccessKeyId"),
        ("a policy that nobody signed", unsigned, 400, "InvalidArgument"),
        ("two signatures", both, 400, "InvalidArgument"),
        ("another bucket", elsewhere, 403, "AccessDenied"),
        ("no key", v2(&[], &plain), 403, "AccessDenied"),
        ("a key outside the policy", v2(&[("key", "b/1")], &plain), 403, "AccessDenied"),
        (
            "a field that the policy does not cover",
            v2(&[("key", "a/1"), ("acl", "private")], &plain),
            403,
            "AccessDenied",
        ),
        ("a field named twice", v2(&[("key", "a/1"), ("Key", "a/2")], &plain), 400, "InvalidArgument"),
        ("a field bucket that is untrue", v2(&[("key", "a/1"), ("bucket", "bucket-b")], &plain), 403, "AccessDenied"),
        ("a field that is missing", v2(&key, &policy(r#",["starts-with","$x-amz-meta-a","b"]"#)), 403, "AccessDenied"),
        (
            "a copy",
            v2(
                &[("key", "a/1"), ("x-amz-copy-source", "/b/k")],
                &policy(r#",["starts-with","$x-amz-copy-source",""]"#),
            ),
            400,
            "InvalidArgument",
        ),
        ("a signature older than a week", v4(&key, "", 8 * 24 * 3600), 403, "AccessDenied"),
        ("a signature from the future", v4(&key, "", -3600), 403, "RequestTimeTooSkewed"),
        (
            "an old policy",
            raw(&format!(r#"{{"expiration":"{}","conditions":[]}}"#, expiration(-1))),
            403,
            "AccessDenied",
        ),
        ("a file too short", v2(&key, &policy(r#",["content-length-range",16,20]"#)), 400, "EntityTooSmall"),
        ("a file too long", v2(&key, &policy(r#",["content-length-range",0,14]"#)), 400, "EntityTooLarge"),
        ("a policy for nothing", raw(&format!(r#"{{"expiration":"{soon}","conditions":[]}}"#)), 403, "AccessDenied"),
        ("no conditions", raw(&format!(r#"{{"expiration":"{soon}"}}"#)), 400, "InvalidPolicyDocument"),
        ("no expiration", raw(r#"{"conditions":[]}"#), 400, "InvalidPolicyDocument"),
        (
            "a misspelt member",
            raw(&format!(r#"{{"expiration":"{soon}","CONDITIONS":[]}}"#)),
            400,
            "InvalidPolicyDocument",
        ),
        (
            "an empty condition",
            raw(&format!(r#"{{"expiration":"{soon}","conditions":[{{}}]}}"#)),
            400,
            "InvalidPolicyDocument",
        ),
        ("an unknown operator", v2(&key, &policy(r#",["ends-with","$key",""]"#)), 400, "InvalidPolicyDocument"),
        ("half a range", v2(&key, &policy(r#",["content-length-range",0]"#)), 400, "InvalidPolicyDocument"),
        ("a negative range", v2(&key, &policy(r#",["content-length-range",-1,0]"#)), 400, "InvalidPolicyDocument"),
        (
            "a date with a blank",
            raw(&format!(r#"{{"expiration":"{}","conditions":[]}}"#, soon.replace('T', " "))),
            400,
            "InvalidPolicyDocument",
        ),
        ("no base64", v2(&key, "{}"), 400, "InvalidPolicyDocument"),
    ] {
        let answer = sheet.post(address).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{why}: {}", answer.body);
    }
    assert!(seen.stored().is_empty(), "{:?}", seen.stored());
    server.stop().await;
}

#[tokio::test]
async fn a_form_that_nobody_signed_comes_from_nobody() {
    let (address, seen, server) = start();
    assert_eq!(Sheet::new(&[("key", "a/1")]).post(address).await.status, 204, "the stub lets everybody in");
    assert_eq!(seen.0.lock().callers[0].principal, crate::objects::Principal::Anonymous);
    server.stop().await;
}

#[tokio::test]
async fn the_file_is_not_awaited_before_the_signature_is_verified() {
    let (address, seen, server) = start();
    let mut sheet = v2(&[("key", "a/1")], &policy(""));
    sheet.fields.last_mut().unwrap().1.replace_range(..1, "!");
    let mut wire = Wire::connect(address).await;
    wire.send(sheet.request(1_000_000_000)).await;
    wire.send(sheet.head()).await;
    let answer = wire.answer("POST").await;
    assert_eq!((answer.status, answer.code()), (403, "SignatureDoesNotMatch"));
    assert!(wire.is_closed().await);
    assert_eq!((seen.stored().len(), seen.failed()), (0, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_form_that_breaks_off_is_not_stored() {
    let (address, seen, server) = start();
    let mut sheet = v2(&[("key", "a/1")], &policy(""));
    sheet.end = "\r\n--lin";
    let answer = sheet.post(address).await;
    assert_eq!((answer.status, answer.code()), (400, "IncompleteBody"));
    let mut wire = Wire::connect(address).await;
    wire.send(sheet.request(1000 + sheet.body().len())).await;
    wire.send(sheet.body()).await;
    wire.leave().await;
    assert!(wire.is_closed().await);
    while seen.failed() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(seen.stored().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn what_stands_before_the_file_is_bounded() {
    let (address, seen, server) = start();
    let long = "v".repeat(65 * 1024);
    let many: Vec<(String, String)> = (0..101).map(|n| (format!("x-ignore-{n}"), String::new())).collect();
    let mut crowded = Sheet::new(&[]);
    crowded.fields = many;
    let mut deep = Sheet::new(&[]);
    deep.fields = vec![("n".repeat(5000), String::new())];
    let mut preamble = Sheet::new(&[]);
    preamble.fields = vec![("key".to_owned(), "a/1".to_owned())];
    for (why, body) in [
        ("a long value", Sheet::new(&[("key", &long)]).body()),
        ("many fields", crowded.body()),
        ("a long header", deep.body()),
        ("a long preamble", [vec![b'.'; 512 * 1024], preamble.body()].concat()),
    ] {
        let mut wire = Wire::connect(address).await;
        wire.send(preamble.request(body.len())).await;
        wire.send(body).await;
        let answer = wire.answer("POST").await;
        let code = "MaxPostPreDataLengthExceededError";
        assert_eq!((answer.status, answer.code()), (400, code), "{why}: {}", answer.body);
    }
    for (why, body) in [
        ("no file", "--line--\r\n"),
        ("no form", "key=a"),
        ("a part without a name", "--line\r\n\r\nx\r\n--line--\r\n"),
    ] {
        let mut wire = Wire::connect(address).await;
        wire.send(preamble.request(body.len())).await;
        wire.send(body).await;
        assert_eq!(wire.answer("POST").await.status, 400, "{why}");
    }
    assert!(seen.stored().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn a_form_is_posted_to_a_bucket_and_bears_its_signature_itself() {
    let (address, seen, server) = start();
    let mut sheet = v2(&[("key", "a/1")], &policy(""));
    sheet.bucket = "bucket/key";
    assert_eq!(sheet.post(address).await.status, 405);
    let body = sheet.body();
    let ask = Ask::new("POST", "/bucket")
        .header("content-type", "multipart/form-data; boundary=line")
        .header("content-length", body.len().to_string());
    let answer = Wire::connect(address).await.ask(&ask, &body).await;
    assert_eq!((answer.status, answer.code()), (400, "InvalidArgument"));
    assert!(seen.stored().is_empty());
    server.stop().await;
}
