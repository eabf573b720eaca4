//! XML documents as an attacker would write them.

use super::client::{Answer, Ask, Wire};
use super::start;

fn delete(document: &[u8]) -> Ask {
    Ask::new("POST", "/bucket")
        .query("delete=")
        .header("content-length", document.len().to_string())
        .header("content-md5", data_encoding::BASE64.encode(&fast_md5::digest(document)))
}

/// Sends a DeleteObjects document; the answer and how many deletions reached the use case.
async fn ask(document: &[u8]) -> (Answer, usize) {
    let (address, seen, server) = start();
    let answer = Wire::connect(address).await.ask(&delete(document), document).await;
    server.stop().await;
    (answer, seen.0.lock().deleted)
}

async fn refused(what: &str, document: &[u8]) {
    let (answer, deleted) = ask(document).await;
    assert!(
        (400..500).contains(&answer.status) && !answer.code().is_empty(),
        "{what}: {} {}",
        answer.head,
        answer.body
    );
    assert_eq!(deleted, 0, "{what}");
}

fn object(key: &str) -> String {
    format!("<Delete><Object><Key>{key}</Key></Object></Delete>")
}

#[tokio::test]
async fn document_types_and_their_entities_are_refused() {
    let mut laughs = String::from("<!DOCTYPE d [<!ENTITY a0 \"ha\">");
    for level in 1..64 {
        laughs += &format!("<!ENTITY a{level} \"&a{0};&a{0};&a{0};&a{0};\">", level - 1);
    }
    for (what, prologue, key) in [
        ("a document type", "<!DOCTYPE Delete>", "k"),
        ("an internal entity", "<!DOCTYPE d [<!ENTITY k \"victim\">]>", "&k;"),
        ("an external entity", "<!DOCTYPE d [<!ENTITY k SYSTEM \"file:///etc/passwd\">]>", "&k;"),
        ("an external subset", "<!DOCTYPE d SYSTEM \"http://127.0.0.1:9/x.dtd\">", "k"),
        ("a parameter entity", "<!DOCTYPE d [<!ENTITY % p SYSTEM \"http://127.0.0.1:9/x\"> %p;]>", "k"),
        ("a billion laughs", &format!("{laughs}]>"), "&a63;"),
        ("an entity nobody declared", "", "&k;"),
    ] {
        refused(what, format!("{prologue}{}", object(key)).as_bytes()).await;
    }
}

#[tokio::test]
async fn a_key_that_stands_partly_in_a_cdata_section_names_no_other_object() {
    refused("CDATA", object("a<![CDATA[b]]>").as_bytes()).await;
    refused("CDATA alone", object("<![CDATA[b]]>").as_bytes()).await;
}

#[tokio::test]
async fn an_object_may_hold_what_a_document_may_not() {
    let (address, seen, server) = start();
    let page = b"<!DOCTYPE html><p><![CDATA[x]]></p>";
    for query in ["", "x-id=PutObject"] {
        let ask = Ask::new("PUT", "/bucket/index.html").query(query).header("content-length", page.len().to_string());
        assert_eq!(Wire::connect(address).await.ask(&ask, page).await.status, 200);
    }
    assert_eq!(seen.stored().len(), 2);
    assert!(seen.stored().iter().all(|(_, bytes)| bytes == page));
    server.stop().await;
}

#[tokio::test]
async fn documents_that_are_no_xml_are_refused() {
    let utf16: Vec<u8> = object("k").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (what, document) in [
        ("nothing", Vec::new()),
        ("no root", b"<?xml version=\"1.0\"?>".to_vec()),
        ("another root", b"<Other/>".to_vec()),
        ("an end that is missing", b"<Delete><Object><Key>k</Key></Object>".to_vec()),
        ("ends that are crossed", b"<Delete><Object><Key>k</Object></Key></Delete>".to_vec()),
        ("no object", b"<Delete/>".to_vec()),
        ("no key", b"<Delete><Object/></Delete>".to_vec()),
        ("two keys of one object", b"<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>".to_vec()),
        ("a reference to NUL", object("a&#0;b").into_bytes()),
        ("a reference to half a character", object("a&#xD800;b").into_bytes()),
        ("a reference without end", object("a&#65b").into_bytes()),
        ("bytes that are no UTF-8", b"<Delete><Object><Key>\xff\xfe</Key></Object></Delete>".to_vec()),
        ("UTF-16", utf16),
        ("JSON", b"{\"Delete\": {}}".to_vec()),
    ] {
        refused(what, &document).await;
    }
}

#[tokio::test]
async fn depth_does_not_overflow_the_stack() {
    // The longest document that is taken holds 190,000 levels, and one element within another is all that it is.
    let levels = 190_000;
    let deep = |inner: &str| format!("{}{inner}{}", "<a>".repeat(levels), "</a>".repeat(levels));
    let (answer, deleted) = ask(format!("<Delete>{}<Object><Key>k</Key></Object></Delete>", deep("")).as_bytes()).await;
    assert_eq!((answer.status, deleted), (200, 1), "unknown elements are skipped, however deep: {}", answer.body);
    refused("a key so deep", object(&deep("k")).as_bytes()).await;
    refused("a root so deep", deep("").as_bytes()).await;
    refused("only beginnings", "<Delete><a>".repeat(levels).as_bytes()).await;
}

#[tokio::test]
async fn breadth_is_bounded() {
    let attributes: String = (0..100_000).map(|number| format!(" a{number}=\"\"")).collect();
    let (answer, _) = ask(format!("<Delete{attributes}><Object><Key>k</Key></Object></Delete>").as_bytes()).await;
    assert!(answer.status < 500 && answer.status > 0, "{}", answer.head);
    let name = "n".repeat(3_000_000);
    refused("an element with a name of 3 MB", format!("<Delete><{name}/></Delete>").as_bytes()).await;
    refused("an attribute that has no end", format!("<Delete a=\"{name}").as_bytes()).await;
}

#[tokio::test]
async fn a_document_above_its_limit_is_refused_whether_it_says_so_or_not() {
    let (address, seen, server) = start();
    let long = object(&"k".repeat(5 << 20));
    let answer = Wire::connect(address).await.ask(&delete(long.as_bytes()), long.as_bytes()).await;
    assert!((400..500).contains(&answer.status) && !answer.code().is_empty(), "declared: {}", answer.head);

    let mut wire = Wire::connect(address).await;
    let ask = Ask::new("POST", "/bucket").query("delete=").header("transfer-encoding", "chunked");
    wire.send(ask.signed()).await;
    let piece = format!("{:x}\r\n{}\r\n", 65_536, "k".repeat(65_536));
    wire.send(format!("{:x}\r\n<Delete><Object><Key>\r\n", 21)).await;
    let mut sent = 0;
    // The server may close as soon as it has enough.
    while sent < 1024 && wire.send(&piece).await {
        sent += 1;
    }
    let answer = wire.answer("POST").await;
    assert!(answer.status == 0 || (400..500).contains(&answer.status), "not declared: {}", answer.head);
    assert_eq!(seen.0.lock().deleted, 0);
    assert!(Wire::connect(address).await.ask(&Ask::new("HEAD", "/bucket/key"), b"").await.status == 200);
    server.stop().await;
}
