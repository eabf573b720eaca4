//! Reports as a reader has them: the PDF of the program that ships, read by another program.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use domicile_compliance::report::{Block, Language, Report, ReportKind, report};
use domicile_tests::given;
use domicile_tests::reports::{material, rendered};
use serde_json::Value;

const ROWS: u64 = 120;

fn made(kind: ReportKind, language: Language) -> Result<(Report, Vec<u8>)> {
    let report = report(kind, language, &material(ROWS)?);
    let pdf = rendered(&given("DOMICILE_RENDER")?, &serde_json::to_vec(&report)?)?;
    Ok((report, pdf))
}

fn read(pdf: &[u8]) -> Result<Value> {
    let file = tempfile::NamedTempFile::with_suffix(".pdf")?;
    std::fs::write(file.path(), pdf)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reports/read_pdf.py");
    let output = Command::new(given("DOMICILE_PYTHON")?).arg(script).arg(file.path()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Text without what a line break or a column adds to it, and without the marks at which long words may break.
fn dense(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != '\u{200b}').collect()
}

fn figures(report: &Report) -> Vec<&str> {
    let blocks = report.sections.iter().flat_map(|section| &section.blocks);
    let facts = blocks.filter_map(|block| match block {
        Block::Facts { facts } => Some(facts),
        _ => None,
    });
    facts.flatten().map(|fact| fact.shown.as_str()).collect()
}

#[test]
fn a_register_is_tagged_pdf_a_with_its_figures_in_both_languages() -> Result<()> {
    for (language, tag, words) in [
        (
            Language::En,
            "en-GB",
            ["Register of data exports", "By destination", "To be completed and signed by a person"],
        ),
        (Language::Zh, "zh-CN", ["数据出境登记册", "按目的地", "由责任人员填写并签署"]),
    ] {
        let (report, pdf) = made(ReportKind::ExportRegister, language)?;
        let found = read(&pdf)?;
        let text = dense(found["text"].as_str().context("no text")?);
        for word in words.into_iter().chain(figures(&report)) {
            ensure!(text.contains(&dense(word)), "{tag}: {word:?} is not in the text");
        }
        // 108 of 120 were allowed: people 1 to 120 without every tenth, as each export was charged with one person more.
        let people: u64 = (1..=ROWS).filter(|nth| nth % 10 != 0).sum();
        ensure!(figures(&report).contains(&"108") && figures(&report).contains(&people_shown(people).as_str()));
        ensure!(text.contains("医学影像-train[U+1F600]"), "{tag}: a name is not as it should be");
        let xmp = found["xmp"].as_str().unwrap_or_default();
        ensure!(
            xmp.contains("<pdfaid:part>2</pdfaid:part>") && xmp.contains("<pdfaid:conformance>A</pdfaid:conformance>"),
            "{xmp}"
        );
        ensure!(found["tagged"] == true && found["structured"] == true && found["scripts"] == false, "{found}");
        ensure!(found["language"] == tag && found["title"] == report.title, "{} {}", found["language"], found["title"]);
        let fonts = found["fonts"].as_array().context("no fonts")?;
        ensure!(!fonts.is_empty() && fonts.iter().all(|font| font[1] == true), "{fonts:?}");
    }
    Ok(())
}

fn people_shown(people: u64) -> String {
    format!("{},{:03}", people / 1_000, people % 1_000)
}

#[test]
fn every_report_can_be_set_in_both_languages_and_names_the_entries_behind_its_figures() -> Result<()> {
    for kind in ReportKind::ALL {
        for language in Language::ALL {
            let (report, pdf) = made(kind, language)?;
            let text = dense(read(&pdf)?["text"].as_str().context("no text")?);
            for section in &report.sections {
                ensure!(text.contains(&dense(&section.title)), "{kind}: {}", section.title);
            }
            for footnote in &report.footnotes {
                ensure!(text.contains(&dense(&footnote.shown)), "{kind}: {footnote:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_same_report_is_the_same_file() -> Result<()> {
    ensure!(made(ReportKind::DojAnnual, Language::En)?.1 == made(ReportKind::DojAnnual, Language::En)?.1);
    Ok(())
}
