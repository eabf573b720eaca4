//! A report as one HTML file: no script, no reference to anything outside of it, fit to be printed.

use std::fmt::Write;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::map;
use super::model::{Block, Fact, Field, Report, Section, Table};

/// The only style; the page's own policy names its hash.
const STYLE: &str = "\
:root{color-scheme:light}\
body{font:15px/1.5 system-ui,'Noto Sans SC',sans-serif;color:#1a1a1a;background:#fff;max-width:72rem;margin:2rem auto;padding:0 1.5rem}\
h1{font-size:1.7rem;line-height:1.25;margin-bottom:.3rem;color:#143a5c}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;color:#143a5c;\
border-bottom:1px solid #9fb3c6}.purpose{margin-top:0;color:#444}\
dl{display:grid;grid-template-columns:minmax(14rem,2fr) 3fr;margin:.5rem 0}dt,dd{margin:0;padding:.25rem .4rem;border-bottom:1px solid #dde4ea}\
dd{font-weight:600;overflow-wrap:anywhere}sup{font-weight:400}\
table{border-collapse:collapse;width:100%;margin:.4rem 0 1.2rem;font-size:.86rem}caption{text-align:left;font-weight:600;padding:.5rem 0}\
th,td{border:1px solid #b9c6d2;padding:.25rem .4rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}th{background:#eef3f8}\
.n{text-align:right;font-variant-numeric:tabular-nums}.note{color:#444;font-size:.9rem}\
.field{border:1.5px dashed #8a5a00;background:#fffaf0;padding:.6rem .8rem;margin:.6rem 0;break-inside:avoid}\
.field p{margin:.1rem 0}.hint{color:#6b5a36;font-size:.86rem}.blank{border-bottom:1px solid #8a8a8a;height:1.7rem}\
.sign{display:grid;grid-template-columns:repeat(4,1fr);gap:1rem;margin-top:.8rem}.sign span{border-top:1px solid #555;font-size:.8rem;padding-top:.2rem;margin-top:1.8rem}\
svg{width:100%;max-width:46rem;border:1px solid #b9c6d2;margin:.5rem 0}.empty{color:#555;font-style:italic}\
@media print{body{margin:0;max-width:none;font-size:11px}thead{display:table-header-group}tr{break-inside:avoid}}";

/// The page. The same report gives the same bytes.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut page = String::with_capacity(64 * 1024);
    let policy = BASE64.encode(&Sha256::digest(STYLE));
    let _ = write!(
        page,
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{policy}'\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{}</title><style>{STYLE}</style></head><body><main>",
        match report.language {
            super::Language::En => "en",
            super::Language::Zh => "zh-Hans",
        },
        escaped(&report.title),
    );
    let _ = write!(page, "<h1>{}</h1><p class=\"purpose\">{}</p>", escaped(&report.title), escaped(&report.purpose));
    facts(&mut page, &report.cover);
    let _ = write!(page, "<h2>{}</h2><ul class=\"note\">", escaped(&report.words.notes));
    for note in &report.notes {
        let _ = write!(page, "<li>{}</li>", escaped(note));
    }
    page.push_str("</ul>");
    for part in &report.sections {
        section(&mut page, report, part);
    }
    let _ = write!(
        page,
        "<h2>{}</h2><p class=\"note\">{}</p><ol class=\"note\">",
        escaped(&report.words.footnotes),
        escaped(&report.words.footnotes_intro)
    );
    for footnote in &report.footnotes {
        let _ = write!(page, "<li id=\"e{}\">{}</li>", footnote.number, escaped(&footnote.shown));
    }
    page.push_str("</ol></main></body></html>\n");
    page
}

fn section(page: &mut String, report: &Report, section: &Section) {
    let _ = write!(page, "<section id=\"{}\"><h2>{}</h2>", escaped(&section.key), escaped(&section.title));
    for block in &section.blocks {
        match block {
            Block::Note { text } => {
                let _ = write!(page, "<p class=\"note\">{}</p>", escaped(text));
            }
            Block::Facts { facts: rows } => facts(page, rows),
            Block::Fields { fields } => fields.iter().for_each(|one| field(page, report, one)),
            Block::Table(one) => table(page, one),
            Block::Places(places) => {
                let _ = write!(page, "<figure>{}</figure>", map::svg(places));
                table(page, &places.table);
            }
        }
    }
    page.push_str("</section>");
}

fn facts(page: &mut String, facts: &[Fact]) {
    page.push_str("<dl>");
    for fact in facts {
        let _ = write!(page, "<dt>{}</dt><dd>{}", escaped(&fact.label), escaped(&fact.shown));
        if let Some(number) = fact.footnote {
            let _ = write!(page, " <sup><a href=\"#e{number}\">[{number}]</a></sup>");
        }
        page.push_str("</dd>");
    }
    page.push_str("</dl>");
}

fn field(page: &mut String, report: &Report, field: &Field) {
    let words = &report.words;
    let _ = write!(
        page,
        "<div class=\"field\"><p><strong>{}</strong></p><p class=\"hint\">{}. {}</p>",
        escaped(&field.label),
        escaped(&words.to_be_completed),
        escaped(&field.hint)
    );
    (0..field.lines).for_each(|_| page.push_str("<div class=\"blank\"></div>"));
    page.push_str("<div class=\"sign\">");
    for word in [&words.name, &words.title, &words.signature, &words.date] {
        let _ = write!(page, "<span>{}</span>", escaped(word));
    }
    page.push_str("</div></div>");
}

fn table(page: &mut String, table: &Table) {
    let _ = write!(page, "<table id=\"{}\"><caption>{}</caption>", escaped(&table.key), escaped(&table.title));
    page.push_str("<thead><tr>");
    let class = |figures: bool| if figures { " class=\"n\"" } else { "" };
    for column in &table.columns {
        let _ = write!(page, "<th scope=\"col\"{}>{}</th>", class(column.figures), escaped(&column.label));
    }
    page.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        page.push_str("<tr>");
        for (at, (cell, column)) in row.cells.iter().zip(&table.columns).enumerate() {
            let _ = write!(page, "<td{}>{}", class(column.figures), escaped(cell));
            if let Some(number) = row.footnote.filter(|_| at == 0) {
                let _ = write!(page, " <sup><a href=\"#e{number}\">[{number}]</a></sup>");
            }
            page.push_str("</td>");
        }
        page.push_str("</tr>");
    }
    if table.rows.is_empty() {
        let _ = write!(
            page,
            "<tr><td class=\"empty\" colspan=\"{}\">{}</td></tr>",
            table.columns.len(),
            escaped(&table.empty)
        );
    }
    page.push_str("</tbody></table>");
}

/// Text as text, in content and in attributes.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What no page may hold, and what turns text around.
            c if c.is_control() && !matches!(c, '\n' | '\t') => safe.push('\u{fffd}'),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}
