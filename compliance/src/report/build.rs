//! Puts a report together: facts with the entries behind them, tables, and fields for people.

use domicile_types::Place;
use serde_json::Value;

use super::kind::ReportKind;
use super::material::Material;
use super::model::{
    Block, Column, Drawn, Fact, Field, Footnote, Mark, Places, Report, Row, SCHEMA, Section, Table, Words,
};
use super::places;
use super::text::{Language, Text, number, time};

/// Ranges that a footnote shows on paper before it refers to the JSON form.
const RANGES_SHOWN_MAX: usize = 60;

/// A report in the making.
pub(crate) struct Builder<'a> {
    pub(crate) language: Language,
    pub(crate) material: &'a Material,
    kind: ReportKind,
    sections: Vec<Section>,
    footnotes: Vec<Footnote>,
}

/// A column to be.
pub(crate) struct Head(pub(crate) &'static str, pub(crate) Text, pub(crate) bool, pub(crate) u8);

impl<'a> Builder<'a> {
    pub(crate) fn new(kind: ReportKind, language: Language, material: &'a Material) -> Self {
        Self { language, material, kind, sections: Vec::new(), footnotes: Vec::new() }
    }

    pub(crate) const fn say(&self, text: Text) -> &'static str {
        self.language.say(text)
    }

    /// Begins a section.
    pub(crate) fn section(&mut self, key: &str, title: Text) {
        let title = self.say(title).to_owned();
        self.sections.push(Section { key: key.to_owned(), title, blocks: Vec::new() });
    }

    pub(crate) fn note(&mut self, text: Text) {
        let text = self.say(text).to_owned();
        self.push(Block::Note { text });
    }

    /// A fact, with the entries behind it.
    pub(crate) fn fact(&mut self, key: &str, label: Text, value: Value, shown: String, entries: Vec<u64>) {
        let footnote = Some(self.footnote(key, entries));
        let fact = Fact { key: key.to_owned(), label: self.say(label).to_owned(), value, shown, footnote };
        self.push_fact(fact);
    }

    /// A figure, with the entries behind it.
    pub(crate) fn figure(&mut self, key: &str, label: Text, value: u64, entries: Vec<u64>) {
        self.fact(key, label, value.into(), number(value), entries);
    }

    /// A fact that the log is not asked for: configuration, records of the fleet.
    pub(crate) fn plain(&mut self, key: &str, label: Text, value: Value, shown: String) {
        let fact = Fact { key: key.to_owned(), label: self.say(label).to_owned(), value, shown, footnote: None };
        self.push_fact(fact);
    }

    /// Something for a person to write.
    pub(crate) fn field(&mut self, key: &str, label: Text, hint: Text, lines: u8) {
        let (label, hint) = (self.say(label).to_owned(), self.say(hint).to_owned());
        let field = Field { key: key.to_owned(), label, hint, lines };
        match self.blocks().and_then(|blocks| blocks.last_mut()) {
            Some(Block::Fields { fields }) => fields.push(field),
            _ => self.push(Block::Fields { fields: vec![field] }),
        }
    }

    pub(crate) fn table(&mut self, key: &str, title: Text, heads: &[Head], rows: Vec<Row>) {
        let table = self.make_table(key, title, heads, rows);
        self.push(Block::Table(table));
    }

    fn make_table(&mut self, key: &str, title: Text, heads: &[Head], mut rows: Vec<Row>) -> Table {
        // A row that begins with its entry's index names what is behind it.
        if heads.first().is_none_or(|head| head.0 != "entry") {
            for row in rows.iter_mut().filter(|row| !row.entries.is_empty()) {
                row.footnote = Some(self.note_entries(key, row.entries.clone()));
            }
        }
        let column = |head: &Head| Column {
            key: head.0.to_owned(),
            label: self.say(head.1).to_owned(),
            figures: head.2,
            width: head.3,
        };
        Table {
            key: key.to_owned(),
            title: self.say(title).to_owned(),
            columns: heads.iter().map(column).collect(),
            rows,
            empty: self.say(Text("The log has none in the period.", "本期间日志中无此类记录。")).to_owned(),
        }
    }

    /// Where something lies. `weights` by place, `unit` is what they count.
    pub(crate) fn places(&mut self, key: &str, title: Text, unit: Text, weights: Vec<(Place, u64, Vec<u64>)>) {
        let drawn = match self.language {
            Language::En => Drawn::Map,
            Language::Zh => Drawn::Grid,
        };
        let mut weights = weights;
        weights.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
        let mark = |(place, weight, _): &(Place, u64, Vec<u64>)| {
            let at = places::middle(place).filter(|_| drawn == Drawn::Map);
            Mark {
                place: *place,
                label: places::name(place, self.language),
                weight: *weight,
                x: at.map(|(_, longitude)| rounded((longitude + 180.0) / 360.0)),
                y: at.map(|(latitude, _)| rounded((85.0 - latitude) / 145.0)),
            }
        };
        let marks: Vec<Mark> = weights.iter().map(mark).collect();
        let shown = marks.iter().map(|mark| format!("{}: {}", mark.label, number(mark.weight)));
        let description = format!("{}: {}", self.say(title), self.language.list(shown));
        let rows = weights.iter().map(|(place, weight, entries)| Row {
            cells: vec![places::name(place, self.language), number(*weight)],
            entries: ranges(entries.clone()),
            footnote: None,
        });
        let rows = rows.collect();
        let heads = [Head("place", Text("Country or region", "国家或地区"), false, 3), Head("weight", unit, true, 2)];
        let table = self.make_table(key, title, &heads, rows);
        self.push(Block::Places(Places { drawn, description, marks, table }));
    }

    /// The report.
    pub(crate) fn finish(self) -> Report {
        let Self { language, material, kind, sections, footnotes } = self;
        let (from, to) = material.period;
        Report {
            schema: SCHEMA.to_owned(),
            kind,
            language,
            title: kind.title(language).to_owned(),
            purpose: kind.purpose(language).to_owned(),
            from,
            to,
            made: material.made,
            log: material.log.clone(),
            cover: cover(language, material),
            notes: standing_notes(language).map(ToOwned::to_owned).to_vec(),
            sections,
            footnotes,
            words: words(language),
        }
    }

    fn footnote(&mut self, key: &str, entries: Vec<u64>) -> u32 {
        self.note_entries(key, ranges(entries))
    }

    fn note_entries(&mut self, key: &str, entries: Vec<(u64, u64)>) -> u32 {
        // Figures of the same entries share a number.
        if let Some(same) = self.footnotes.iter().find(|footnote| footnote.entries == entries) {
            return same.number;
        }
        let number_of = u32::try_from(self.footnotes.len()).unwrap_or(u32::MAX).saturating_add(1);
        let count = entries.iter().map(|(first, last)| last - first + 1).sum();
        let shown = shown_entries(self.language, &entries, count);
        self.footnotes.push(Footnote { number: number_of, key: key.to_owned(), count, entries, shown });
        number_of
    }

    fn blocks(&mut self) -> Option<&mut Vec<Block>> {
        self.sections.last_mut().map(|section| &mut section.blocks)
    }

    fn push(&mut self, block: Block) {
        if let Some(blocks) = self.blocks() {
            blocks.push(block);
        }
    }

    fn push_fact(&mut self, fact: Fact) {
        match self.blocks().and_then(|blocks| blocks.last_mut()) {
            Some(Block::Facts { facts }) => facts.push(fact),
            _ => self.push(Block::Facts { facts: vec![fact] }),
        }
    }
}

/// To four decimals: enough for a drawing, and the same text everywhere.
fn rounded(value: f64) -> f64 {
    (value.clamp(0.0, 1.0) * 10_000.0).round() / 10_000.0
}

/// Inclusive ranges of indices, ascending, none twice.
pub(crate) fn ranges(mut indices: Vec<u64>) -> Vec<(u64, u64)> {
    indices.sort_unstable();
    indices.dedup();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for index in indices {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    ranges
}

fn shown_entries(language: Language, entries: &[(u64, u64)], count: u64) -> String {
    if count == 0 {
        return language.say(Text("no entry of the period", "本期间无相应日志条目")).to_owned();
    }
    let one = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}\u{2013}{last}") }
    };
    let shown = language.list(entries.iter().take(RANGES_SHOWN_MAX).map(one));
    let cut = entries.len() > RANGES_SHOWN_MAX;
    let last = entries.last().map_or(0, |(_, last)| *last);
    match (language, cut) {
        (Language::En, false) => format!("{} entries: {shown}", number(count)),
        (Language::En, true) => {
            format!(
                "{} entries: {shown} and on to {last}; the JSON form of this report lists all of them",
                number(count)
            )
        }
        (Language::Zh, false) => format!("共{}条：{shown}", number(count)),
        (Language::Zh, true) => format!("共{}条：{shown}……至{last}；完整清单见本报告的JSON格式", number(count)),
    }
}

fn cover(language: Language, material: &Material) -> Vec<Fact> {
    let fact = |key: &str, label: Text, shown: String| Fact {
        key: key.to_owned(),
        label: language.say(label).to_owned(),
        value: Value::String(shown.clone()),
        shown,
        footnote: None,
    };
    let (from, to) = material.period;
    let until = language.say(Text("to", "至"));
    let mut cover = vec![
        fact(
            "period",
            Text("Period (end not included)", "期间（不含截止时刻）"),
            format!("{} {until} {}", time(from), time(to)),
        ),
        fact("made", Text("Made", "生成时间"), time(material.made)),
        fact(
            "scope",
            Text("Scope", "范围"),
            material
                .bucket
                .clone()
                .unwrap_or_else(|| language.say(Text("every bucket of this gateway", "本网关的全部存储桶")).to_owned()),
        ),
        fact("gateway", Text("Gateway", "网关"), material.log.gateway.to_string()),
        fact("gateway-place", Text("Place of the gateway", "网关所在地"), places::name(&material.log.place, language)),
        fact("log-key", Text("Public key of the audit log", "审计日志公钥"), material.log.key.clone()),
        fact("log-size", Text("Entries of the log at that time", "生成时日志条目数"), number(material.log.size)),
        fact("log-root", Text("Root hash over them (SHA-256)", "相应根哈希（SHA-256）"), material.log.root.clone()),
    ];
    if let Some((count, first, last)) = material.gathered.entries {
        let shown = match language {
            Language::En => format!("{} (index {first} to {last})", number(count)),
            Language::Zh => format!("{}条（索引{first}至{last}）", number(count)),
        };
        cover.push(fact("period-entries", Text("Entries of the period", "期间内日志条目"), shown));
    }
    cover
}

fn standing_notes(language: Language) -> [&'static str; 4] {
    [
        language.say(Text(
            "Facts are taken from the audit log. Each figure carries a number, under which the last pages name the entries that it is \
             computed from, so that whoever has the log can compute it again.",
            "事实取自审计日志。每个数字均附编号，文末列出其所依据的日志条目，持有日志者可据此复算。",
        )),
        language.say(Text(
            "Legal conclusions are not drawn here: they are fields for a person to complete and sign.",
            "本报告不作任何法律结论；法律结论由责任人员填写并签署。",
        )),
        language.say(Text(
            "Of the place of a node this report says that there is no contradicting evidence at the stated grade. It does not say that \
             the place is established.",
            "关于存储节点所在地，本报告仅表明在所述证据等级下未发现相反证据，并不表明所在地已获证实。",
        )),
        language.say(Text(
            "People, buckets and objects appear under commitments of the log unless they were opened for this report. The log holds \
             this file's SHA-256; the command domicile report verify compares them.",
            "除非为本报告专门披露，人员、存储桶及对象均以日志承诺值表示。本文件的SHA-256已记入日志，可用 domicile report verify 命令核验。",
        )),
    ]
}

fn words(language: Language) -> Words {
    let say = |text| language.say(text).to_owned();
    Words {
        page_of: say(Text("Page {n} of {m}", "第{n}页，共{m}页")),
        period: say(Text("Period", "期间")),
        contents: say(Text("Contents", "目录")),
        notes: say(Text("How to read this report", "阅读说明")),
        from_the_log: say(Text("From the log", "取自日志")),
        to_be_completed: say(Text("To be completed and signed by a person", "由责任人员填写并签署")),
        name: say(Text("Name", "姓名")),
        title: say(Text("Title", "职务")),
        signature: say(Text("Signature", "签字")),
        date: say(Text("Date", "日期")),
        footnotes: say(Text("Entries behind the figures", "数字所依据的日志条目")),
        footnotes_intro: say(Text(
            "Numbers in brackets refer to this list. Indices are those of the audit log named on the first page.",
            "方括号内编号对应下表；索引为首页所列审计日志中的条目索引。",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_become_ranges() {
        assert_eq!(ranges(vec![7, 3, 4, 5, 3, 9]), [(3, 5), (7, 7), (9, 9)]);
        assert_eq!(ranges(Vec::new()), []);
    }

    #[test]
    fn a_long_list_is_cut_on_paper_and_says_so() {
        let entries: Vec<(u64, u64)> = (0..100).map(|n| (n * 2, n * 2)).collect();
        let shown = shown_entries(Language::En, &entries, 100);
        assert!(shown.starts_with("100 entries: 0, 2, 4") && shown.contains("and on to 198; the JSON form"), "{shown}");
        assert!(!shown_entries(Language::Zh, &entries[..60], 60).contains("JSON"));
    }
}
