//! `domicile deletion s3://BUCKET/KEY`

use anyhow::Context;
use domicile_node_protocol::{Receipt, ReceiptError, SignedReceipt};
use domicile_types::NodeId;

use super::client::Admin;
use super::{AdminArgs, table};
use crate::admin::deletion::CertificateView;

pub(super) async fn run(object: &str, args: &AdminArgs) -> anyhow::Result<()> {
    let path = object.strip_prefix("s3://").context("an object is named s3://BUCKET/KEY")?;
    let (bucket, key) = path.split_once('/').context("an object is named s3://BUCKET/KEY")?;
    let query = [("bucket", bucket.to_owned()), ("key", key.to_owned())];
    let found: Vec<CertificateView> = Admin::find(args)?.get("/v1/deletions", &query).await?;
    if args.json {
        return table::json(&found);
    }
    for certificate in &found {
        let version = certificate.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
        println!("{object}{version}: data key shredded {}", certificate.shredded);
        let state = match (certificate.swept, certificate.residue) {
            (false, _) => "shards are being deleted".to_owned(),
            (true, 0) => "every shard is deleted".to_owned(),
            (true, residue) => format!("{residue} shards may still lie on nodes that cannot be reached"),
        };
        let entries: Vec<String> = certificate.stated.iter().map(ToString::to_string).collect();
        println!(
            "{state}; stated in log entries {}",
            if entries.is_empty() { "none yet".into() } else { entries.join(", ") }
        );
        let rows = certificate.receipts.iter().map(|receipt| match read(receipt) {
            Some(receipt) => {
                vec![
                    receipt.verb.to_string(),
                    receipt.time.to_string(),
                    receipt.node.to_string(),
                    receipt.cid.to_string(),
                ]
            }
            None => vec!["unreadable".to_owned()],
        });
        table::print(&["RECEIPT", "TIME", "NODE", "CID"], &rows.collect::<Vec<_>>());
        println!("BLAKE3 of the receipts: {}", certificate.receipts_hash);
    }
    Ok(())
}

/// The receipt, if the node that it names signed it.
fn read(text: &str) -> Option<Receipt> {
    let signed = SignedReceipt::from_wire(text);
    match signed.verify(&NodeId::from_public_key([0; 32])) {
        Ok(receipt) => Some(receipt),
        Err(ReceiptError::OtherNode { actual, .. }) => signed.verify(&actual).ok(),
        Err(_) => None,
    }
}
