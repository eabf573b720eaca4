//! Papers about nodes: documents of place that are filed, withdrawn or lapse; disputes that are opened and settled. Each is
//! logged by the hash of its record before it counts; who vouches for what stands in the gateway's own rows alone.

use domicile_types::{Commitment, FleetChange, NodeId, UnixMillis};

use super::directory::OnFile;
use super::standing::{Dispute, Document, Reason, Settlement, Standing};
use super::{Warden, WardenError};

/// How a dispute is settled.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Upheld or dismissed.
    pub settlement: Settlement,
    /// Why.
    pub answer: String,
    /// What the operator's evidence is kept as, where the dispute is upheld. Its contradictions are set aside while it holds.
    pub document: Option<Document>,
}

impl Warden {
    /// Puts a document on file. It counts from then on.
    pub async fn file_document(&self, document: Document, by: Option<Commitment>) -> Result<(), WardenError> {
        {
            let _turn = self.turn.lock().await;
            let reasons = vec![document.kind.name().to_owned()];
            self.note(FleetChange::EvidenceFiled, document.node, reasons, Some(document.record()), by).await?;
            self.keep_document(document).await?;
        }
        self.step().await
    }

    /// Takes a document off file. False: there is none of that name that counts.
    pub async fn withdraw_document(
        &self,
        node: &NodeId,
        id: &str,
        by: Option<Commitment>,
    ) -> Result<bool, WardenError> {
        {
            let _turn = self.turn.lock().await;
            let documents = self.directory.file(node, |on_file| on_file.documents.clone());
            let found = documents.into_iter().find(|document| document.id == id && document.ended.is_none());
            let Some(document) = found else { return Ok(false) };
            self.end_document(document, "withdrawn", by).await?;
        }
        self.step().await?;
        Ok(true)
    }

    /// Opens a dispute.
    pub async fn open_dispute(&self, dispute: Dispute, by: Option<Commitment>) -> Result<(), WardenError> {
        {
            let _turn = self.turn.lock().await;
            let reasons = names(dispute.contests.iter().map(|mark| mark.reason));
            self.note(FleetChange::Disputed, dispute.node, reasons, Some(dispute.record()), by).await?;
            self.catalog.put_dispute(dispute.clone(), None).await?;
            let node = dispute.node;
            self.directory.file(&node, |on_file| on_file.disputes.push(dispute));
        }
        self.directory.publish();
        Ok(())
    }

    /// Settles a dispute. One that is upheld releases the node, and what contradicted is set aside while its document holds.
    /// False: there is no such dispute, or it is settled.
    pub async fn settle_dispute(
        &self,
        node: &NodeId,
        id: &str,
        verdict: Verdict,
        by: Option<Commitment>,
    ) -> Result<bool, WardenError> {
        {
            let _turn = self.turn.lock().await;
            let now = self.clock.now();
            let disputes = self.directory.file(node, |on_file| on_file.disputes.clone());
            let open = disputes.into_iter().find(|it| it.id == id && it.settlement == Settlement::Open);
            let Some(mut dispute) = open else { return Ok(false) };
            let Verdict { settlement, answer, mut document } = verdict;
            dispute.settlement = settlement;
            dispute.settled = Some(now);
            dispute.answer = Some(answer);
            let upheld = settlement == Settlement::Upheld;
            let word = if upheld { "upheld" } else { "dismissed" };
            self.note(FleetChange::DisputeSettled, *node, vec![word.to_owned()], Some(dispute.record()), by).await?;
            if let Some(document) = &mut document {
                document.settles.clone_from(&dispute.contests);
                let reasons = vec![document.kind.name().to_owned()];
                self.note(FleetChange::EvidenceFiled, *node, reasons, Some(document.record()), by).await?;
            }
            if upheld {
                self.note(FleetChange::Released, *node, vec!["upheld".to_owned()], None, by).await?;
            }
            self.catalog.put_dispute(dispute.clone(), document.clone()).await?;
            self.directory.file(node, |on_file| {
                on_file.disputes.retain(|known| known.id != dispute.id);
                on_file.disputes.push(dispute);
                on_file.documents.extend(document);
                if upheld {
                    on_file.judged.get_or_insert_with(|| Standing::new(now)).release();
                }
            });
        }
        self.step().await?;
        self.directory.publish();
        Ok(true)
    }

    /// Ends what has lapsed by `now`: logged, then marked. It has not counted since its last moment in any case.
    pub(super) async fn lapse(&self, files: &[(NodeId, OnFile)], now: UnixMillis) -> Result<(), WardenError> {
        for document in files.iter().flat_map(|(_, on_file)| &on_file.documents) {
            if document.ended.is_none() && document.expires <= now {
                self.end_document(document.clone(), "lapsed", None).await?;
            }
        }
        Ok(())
    }

    async fn end_document(&self, mut document: Document, why: &str, by: Option<Commitment>) -> Result<(), WardenError> {
        let reasons = vec![document.kind.name().to_owned(), why.to_owned()];
        self.note(FleetChange::EvidenceEnded, document.node, reasons, Some(document.record()), by).await?;
        document.ended = Some(self.clock.now());
        self.keep_document(document).await
    }

    async fn keep_document(&self, document: Document) -> Result<(), WardenError> {
        self.catalog.put_document(document.clone()).await?;
        let node = document.node;
        self.directory.file(&node, |on_file| {
            on_file.documents.retain(|known| known.id != document.id);
            on_file.documents.push(document);
        });
        self.directory.publish();
        Ok(())
    }
}

fn names(reasons: impl Iterator<Item = Reason>) -> Vec<String> {
    reasons.map(|reason| reason.name().to_owned()).collect()
}
