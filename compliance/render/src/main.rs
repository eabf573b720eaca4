//! `domicile-render`: a report as JSON on standard input becomes PDF/A-2a on standard output.
//!
//! *In scope*: typesetting what `domicile-compliance` calls a report, in the schema that it names. *Out of scope*: what a report says.
//! The program reads no file, opens no connection and asks no clock: fonts and template are in it, the date is the report's. So the same
//! report gives the same bytes.
//!
//! It is a program of its own because typst is 300 crates that a gateway need not carry; the gateway starts it where a PDF is asked for.

mod text;
mod world;

use std::io::{Read, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use time::OffsetDateTime;
use typst::diag::SourceDiagnostic;
use typst::foundations::{Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards, Timestamp};

use crate::world::ReportWorld;

/// The form of a report that the template is for.
const SCHEMA: &str = "domicile-report/1";
/// The longest report that is taken, in bytes of JSON.
const REPORT_BYTES_MAX: u64 = 256 << 20;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("domicile-render: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut json = Vec::new();
    std::io::stdin().lock().take(REPORT_BYTES_MAX + 1).read_to_end(&mut json).context("the report cannot be read")?;
    let length = u64::try_from(json.len()).unwrap_or(u64::MAX);
    ensure!(length <= REPORT_BYTES_MAX, "the report is longer than {REPORT_BYTES_MAX} bytes");
    let pdf = render(&json)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&pdf).and_then(|()| out.flush()).context("the PDF cannot be written")
}

/// The PDF of a report.
fn render(json: &[u8]) -> Result<Vec<u8>> {
    let mut report: Value = serde_json::from_slice(json).context("the report is not JSON")?;
    let schema = report.get("schema").and_then(Value::as_str).unwrap_or_default();
    ensure!(schema == SCHEMA, "the report is of the form {schema:?}, and this program sets {SCHEMA}");
    let made = report.get("made").and_then(Value::as_u64).context("the report does not say when it was made")?;
    let fonts = world::fonts()?;
    text::show_what_fonts_lack(&mut report, &fonts);
    let world = ReportWorld::new(fonts, serde_json::to_vec(&report)?)?;
    let compiled = typst::compile::<PagedDocument>(&world);
    let document = match compiled.output {
        Ok(document) => document,
        Err(errors) => bail!("the report cannot be set: {}", told(&errors)),
    };
    let standards = PdfStandards::new(&[PdfStandard::A_2a]).map_err(|error| anyhow::anyhow!("{}", error.message()))?;
    let options = PdfOptions {
        ident: Smart::Custom(identity(json)),
        creator: Smart::Custom(Some("Domicile".to_owned())),
        timestamp: Some(Timestamp::new_utc(moment(made)?)),
        standards,
        ..PdfOptions::default()
    };
    typst_pdf::pdf(&document, &options).map_err(|errors| anyhow::anyhow!("the PDF cannot be made: {}", told(&errors)))
}

/// A stable name of the document: what it is made of.
fn identity(json: &[u8]) -> String {
    String::from_utf8_lossy(json).into_owned()
}

fn moment(millis: u64) -> Result<Datetime> {
    let seconds = i64::try_from(millis / 1_000)?;
    let at = OffsetDateTime::from_unix_timestamp(seconds).context("the report's time is beyond the year 9999")?;
    Datetime::from_ymd_hms(at.year(), at.month().into(), at.day(), at.hour(), at.minute(), at.second())
        .context("the report's time is no date")
}

fn told(errors: &[SourceDiagnostic]) -> String {
    errors.iter().map(|error| error.message.to_string()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(title: &str) -> Vec<u8> {
        let report = serde_json::json!({
            "schema": SCHEMA, "kind": "export-register", "language": "zh", "title": title, "purpose": "p", "from": 0, "to": 1,
            "made": 1_790_000_000_000_u64,
            "log": { "gateway": "g", "place": "CN", "key": "k", "size": 3, "root": "r" },
            "cover": [{ "key": "log", "label": "l", "value": "g", "shown": "g" }], "notes": [], "sections": [], "footnotes": [],
            "words": { "page_of": "{n}/{m}", "period": "p", "contents": "c", "notes": "n", "from_the_log": "f", "to_be_completed": "t",
                "name": "n", "title": "t", "signature": "s", "date": "d", "footnotes": "f", "footnotes_intro": "i" },
        });
        serde_json::to_vec(&report).unwrap()
    }

    #[test]
    fn the_same_report_gives_the_same_bytes_and_says_that_it_is_pdf_a() {
        let one = render(&report("数据出境登记册 #eval(\"1\")")).unwrap();
        assert_eq!(one, render(&report("数据出境登记册 #eval(\"1\")")).unwrap());
        assert_ne!(one, render(&report("another")).unwrap());
        assert!(one.starts_with(b"%PDF-1.7"));
        let text = String::from_utf8_lossy(&one);
        assert!(
            text.contains("<pdfaid:part>2</pdfaid:part>")
                && text.contains("<pdfaid:conformance>A</pdfaid:conformance>")
        );
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(render(b"{").unwrap_err().to_string().contains("not JSON"));
        assert!(render(br#"{"schema":"domicile-report/2"}"#).unwrap_err().to_string().contains("domicile-report/1"));
    }
}
