//! An index over entries that were made up, held against a plain look at all of them.

mod made_up;

use domicile_types::{Entry, OutcomeStatus, Place, UnixMillis};

use self::made_up::{Book, SECRET, hour};
use super::columns::COLUMNS;
use super::facts::kebab;
use super::*;

const LOG: &str = "domicile.example/log";

fn all(index: &Index, query: &Query, limit: usize) -> Vec<EventRecord> {
    let (mut rows, mut cursor) = (Vec::new(), None);
    loop {
        let page = index.page(LOG, query, cursor.as_deref(), limit).unwrap();
        rows.extend(page.rows);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return rows,
        }
    }
}

/// The record of a read that ended.
pub(crate) fn example(folder: &std::path::Path) -> EventRecord {
    let mut book = Book::of(0);
    book.add_showcase();
    all(&book.index(folder, 100), &Query::new(Register::Decisions), 100).remove(0)
}

fn indices(rows: &[EventRecord]) -> Vec<u64> {
    rows.iter().map(|row| row.index).collect()
}

/// What a plain look at every entry finds.
fn plainly(book: &Book, query: &Query) -> Vec<u64> {
    let covers = |wanted: &Option<Place>, places: &[String]| {
        wanted.is_none_or(|wanted| places.iter().any(|place| Place::parse(place).unwrap().is_within(&wanted)))
    };
    let mut found: Vec<(u64, u64)> = book
        .records
        .iter()
        .zip(0..)
        .filter_map(|(record, index)| {
            let facts = facts::facts(record, [0; 32], book)?;
            let has = |wanted: &Option<String>, value: Option<String>| {
                wanted.as_ref().is_none_or(|w| Some(w) == value.as_ref())
            };
            let actor = facts.row.actor.map(|actor| book.value(actor));
            let key = actor.as_ref().map(|actor| actor.split(' ').next().unwrap().to_owned());
            let tenant = key.as_ref().map(|key| key.split('/').next().unwrap().to_owned());
            let basis: Vec<String> = facts
                .found_by
                .iter()
                .filter(|(dimension, _)| *dimension == layout::Dimension::Basis)
                .map(|(_, value)| value.clone())
                .collect();
            let fits = Register::of(&record.entry).contains(&query.register)
                && query.from.is_none_or(|from| record.time >= from)
                && query.to.is_none_or(|to| record.time < to)
                && has(&query.tenant.as_ref().map(ToString::to_string), tenant)
                && has(&query.bucket, facts.row.bucket.map(|bucket| book.value(bucket)))
                && has(&query.key, facts.row.key.map(|key| book.value(key)))
                && (has(&query.actor, actor) || has(&query.actor, key))
                && query.class.as_ref().is_none_or(|class| facts.common.classes.contains(&class.to_string()))
                && covers(&query.from_place, &facts.common.from_places)
                && covers(&query.to_place, &facts.common.to_places)
                && query.verdict.is_none_or(|verdict| facts.common.verdict == Some(verdict))
                && query.basis.as_ref().is_none_or(|wanted| basis.contains(wanted))
                && has(&query.operation, Some(facts.common.operation.clone()))
                && has(
                    &query.data.map(|data| data.to_string()),
                    facts.row.data.map(|d| domicile_types::DataId::from_bytes(d).to_string()),
                )
                && has(
                    &query.node.map(|node| node.to_string()),
                    facts.row.node.map(|n| domicile_types::NodeId::from_public_key(n).to_string()),
                );
            fits.then_some((record.time.0, index))
        })
        .collect();
    found.sort_unstable();
    if query.order == Order::Newest {
        found.reverse();
    }
    found.into_iter().map(|(_, index)| index).collect()
}

#[test]
fn every_filter_and_any_two_find_what_a_plain_look_at_all_entries_finds() {
    let folder = tempfile::tempdir().unwrap();
    let book = Book::of(600);
    let index = book.index(folder.path(), 97);
    let node = book.node().to_string();
    let data = book.data().to_string();
    let filters = [
        ("from", "2026-05-01T02:00:00Z"),
        ("to", "2026-05-01T07:30:00Z"),
        ("tenant", "tenant-a"),
        ("bucket", "genomes"),
        ("key", "scan-3.dcm"),
        ("class", "personal"),
        ("from-place", "CN"),
        ("to-place", "DE"),
        ("to-place", "CN-GD"),
        ("actor", "tenant-b/KEY2"),
        ("actor", "tenant-b/KEY2 user ann"),
        ("verdict", "deny"),
        ("basis", "cn-data-export/retrieval-abroad"),
        ("basis", "cac-security-assessment"),
        ("basis", "eu-gdpr"),
        ("operation", "get-object"),
        ("operation", "quarantined"),
        ("node", &node),
        ("data", &data),
        ("order", "newest"),
    ];
    let mut answered = 0;
    for register in Register::ALL {
        for one in filters {
            for other in filters {
                let is_pair_of_interest = register <= Register::Incidents && one.0 < other.0;
                if one != other && !is_pair_of_interest {
                    continue;
                }
                let pairs = if one == other { vec![one] } else { vec![one, other] };
                let query = Query::parse(register, pairs.clone()).unwrap();
                let found = indices(&all(&index, &query, 7));
                assert_eq!(found, plainly(&book, &query), "{register:?} {pairs:?}");
                answered += usize::from(!found.is_empty());
            }
        }
    }
    // The comparison is of something.
    assert!(answered > 150, "{answered}");
}

#[test]
fn entries_taken_in_by_any_steps_and_across_a_restart_make_the_same_index() {
    let book = Book::of(300);
    let query = Query::new(Register::Decisions);
    let whole = tempfile::tempdir().unwrap();
    let expected = all(&book.index(whole.path(), 1000), &query, 50);
    for step in [1, 13] {
        let folder = tempfile::tempdir().unwrap();
        let index = book.index_some(folder.path(), step, 0..150);
        assert_eq!(index.position().unwrap(), 150);
        drop(index);
        let index = Index::open(folder.path(), LOG, [9; 32]).unwrap();
        assert_eq!(index.position().unwrap(), 150);
        book.take_in(&index, step, 150..300);
        assert_eq!(all(&index, &query, 50), expected);
    }
}

#[test]
fn an_index_of_another_log_or_with_damage_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    drop(Book::of(50).index(folder.path(), 50));
    assert_eq!(Index::open(folder.path(), "another.example/log", SECRET).unwrap().position().unwrap(), 0);
    drop(Book::of(50).index(folder.path(), 50));
    std::fs::write(folder.path().join("CURRENT"), "MANIFEST-999999\n").unwrap();
    assert_eq!(Index::open(folder.path(), LOG, SECRET).unwrap().position().unwrap(), 0);
}

#[test]
fn a_value_is_found_under_all_its_commitments_until_one_is_erased() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = Book::of(200);
    let index = book.index(folder.path(), 50);
    let query = Query { bucket: Some("genomes".to_owned()), ..Query::new(Register::Decisions) };
    let before = all(&index, &query, 100);
    let pseudonyms: std::collections::BTreeSet<_> = before.iter().map(|row| row.bucket.clone().unwrap()).collect();
    assert_eq!(pseudonyms.len(), 1, "one value has one pseudonym: {pseudonyms:?}");
    let commitment = book.commitments("genomes")[0];
    assert!(book.commitments("genomes").len() > 1);
    book.erase(commitment);
    book.take_in(&index, 1, 200..book.records.len());
    let after = all(&index, &query, 100);
    assert_eq!(indices(&after), plainly(&book, &query));
    assert!(!after.is_empty() && after.len() < before.len());
    let erased = all(&index, &Query::new(Register::Decisions), 100);
    let erased = erased.iter().filter(|row| row.bucket.as_deref() == Some("erased")).count();
    assert_eq!(erased, before.len() - after.len());
    let deletions = all(&index, &Query::new(Register::Deletions), 100);
    assert_eq!(deletions.last().unwrap().subject, Some(commitment.to_string()));
}

#[test]
fn what_is_erased_leaves_no_hash_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = Book::of(100);
    let index = book.index(folder.path(), 50);
    let hash = index.hash(layout::Dimension::Actor, b"tenant-b/KEY2 user ann");
    let in_files = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path());
        let tables = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
        tables.filter(|path| std::fs::read(path).unwrap().windows(8).any(|window| window == hash)).count()
    };
    index.settle();
    assert!(in_files() > 0);
    for commitment in book.commitments("tenant-b/KEY2 user ann") {
        book.erase(commitment);
    }
    book.take_in(&index, 100, 100..book.records.len());
    index.settle();
    assert_eq!(in_files(), 0);
}

#[test]
fn an_operation_shows_how_far_it_came() {
    let folder = tempfile::tempdir().unwrap();
    let book = Book::of(400);
    let rows = all(&book.index(folder.path(), 100), &Query::new(Register::Decisions), 100);
    let mut seen = std::collections::BTreeSet::new();
    for row in &rows {
        let record = &book.records[usize::try_from(row.index).unwrap()];
        let outcome = book.records.iter().find_map(|record| match &record.entry {
            Entry::Outcome(outcome) if outcome.intent == row.index => Some((outcome, record.time)),
            _ => None,
        });
        let expected = match (&record.entry, outcome) {
            (Entry::Denied(_), _) => State::Attempt,
            (_, None) => State::Authorised,
            (_, Some((outcome, _))) => match outcome.status {
                OutcomeStatus::Completed => State::Completed,
                OutcomeStatus::Aborted => State::Aborted,
                OutcomeStatus::Failed => State::Failed,
                OutcomeStatus::AssumedWhole => State::AssumedWhole,
            },
        };
        assert_eq!(row.state, expected);
        assert_eq!(row.bytes_sent, outcome.map(|(outcome, _)| outcome.bytes));
        assert_eq!(row.ended, outcome.map(|(_, time)| time));
        seen.insert(kebab(&row.state));
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
}

#[test]
fn a_correction_shows_at_what_it_corrects() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = Book::of(60);
    let decisions = Query::new(Register::Decisions);
    let corrected = plainly(&book, &decisions)[0];
    book.correct(corrected);
    let index = book.index(folder.path(), 10);
    let rows = all(&index, &decisions, 100);
    assert_eq!(rows[0].corrected_by, [60]);
    assert!(rows[1..].iter().all(|row| row.corrected_by.is_empty()));
    assert_eq!(all(&index, &Query::new(Register::Corrections), 10)[0].subject, Some(corrected.to_string()));
}

#[test]
fn what_cannot_be_asked_is_refused_with_what_to_do() {
    let refused = |filters: &[(&str, &str)], hint: &str| {
        let error = Query::parse(Register::Exports, filters.iter().copied()).unwrap_err();
        assert!(
            matches!(error, RegisterError::BadQuery(_)) && error.to_string().contains(hint),
            "{filters:?}: {error}"
        );
    };
    refused(&[("colour", "red")], "there are from, to");
    refused(&[("from", "yesterday")], "write 2026-05-03");
    refused(&[("from", "2026-13-01")], "write 2026-05-03");
    refused(&[("from", "2026-05-04"), ("to", "2026-05-03")], "is not before");
    refused(&[("from", "2026-05-03"), ("to", "2026-05-03")], "is not before");
    refused(&[("from", "2026-05-03"), ("from", "2026-05-04")], "twice");
    refused(&[("to-place", "Atlantis")], "to-place");
    refused(&[("verdict", "maybe")], "allow nor deny");
    refused(&[("order", "random")], "oldest nor newest");
    refused(&[("bucket", "")], "empty");
    refused(&[("node", "n1")], "node");
}

#[test]
fn a_cursor_is_good_for_its_own_query_alone() {
    let folder = tempfile::tempdir().unwrap();
    let index = Book::of(100).index(folder.path(), 100);
    let query = Query::new(Register::Decisions);
    let next = index.page(LOG, &query, None, 3).unwrap().next.unwrap();
    let other = Query { order: Order::Newest, ..query.clone() };
    for (query, cursor) in [(&other, next.as_str()), (&query, "AAAA"), (&query, "not base64!"), (&query, "")] {
        let error = index.page(LOG, query, Some(cursor), 3).map(drop).unwrap_err();
        assert!(
            matches!(&error, RegisterError::BadQuery(why) if why.contains("leave it out") || why.contains("leave \
                 it out")),
            "{error}"
        );
    }
}

#[test]
fn columns_are_the_fields_of_json_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let index = Book::of(20).index(folder.path(), 20);
    let row = all(&index, &Query::new(Register::Decisions), 100).remove(0);
    let line = serde_json::to_string(&row).unwrap();
    let mut at = 0;
    for column in &COLUMNS {
        let key = format!("\"{}\":", column.name);
        at += line[at..].find(&key).unwrap_or_else(|| panic!("{key} is missing, or out of order"));
    }
    let fields = serde_json::to_value(&row).unwrap().as_object().unwrap().len();
    assert_eq!(fields, COLUMNS.len());
}

/// What programs read from these formats may not change by accident. To accept a change: run the test with
/// `DOMICILE_ACCEPT_GOLDEN=1` and look at what became different.
#[test]
fn formats_are_what_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut book = Book::of(0);
    book.add_showcase();
    let index = book.index(folder.path(), 100);
    let mut rows = Vec::new();
    for register in Register::ALL {
        rows.extend(all(&index, &Query::new(register), 100));
    }
    rows.sort_unstable_by_key(|row| row.index);
    rows.dedup_by_key(|row| row.index);
    for format in [Format::Jsonl, Format::Csv, Format::Ocsf, Format::Cef] {
        let mut text = Vec::new();
        let mut writer = Writer::begin(format, &mut text).unwrap();
        writer.write(&rows).unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(text).unwrap();
        let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("src/registers/tests/golden.{}", format.name()));
        if std::env::var_os("DOMICILE_ACCEPT_GOLDEN").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        for (line, expected) in text.lines().zip(expected.lines()) {
            assert_eq!(line, expected, "{}", format.name());
        }
        assert_eq!(text.len(), expected.len(), "{}", format.name());
    }
}

#[test]
fn a_period_is_from_its_beginning_on_and_before_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let book = Book::of(200);
    let index = book.index(folder.path(), 50);
    let query = Query::new(Register::Decisions).between(hour(2), hour(4));
    let rows = all(&index, &query, 100);
    assert!(rows.iter().all(|row| row.time >= hour(2) && row.time < hour(4)) && !rows.is_empty());
    let early = Query::new(Register::Decisions).between(UnixMillis(0), hour(0));
    assert!(all(&index, &early, 100).is_empty());
}

/// Whether a value fits the part of JSON Schema that the file in docs/ uses; else where it does not.
fn fits(schema: &serde_json::Value, value: &serde_json::Value, at: &str) -> Result<(), String> {
    let fault = |why: &str| Err(format!("{at}: {why}: {value}"));
    let known = [
        "$schema",
        "title",
        "type",
        "required",
        "properties",
        "additionalProperties",
        "items",
        "const",
        "enum",
        "minimum",
    ];
    for word in schema.as_object().unwrap().keys() {
        assert!(known.contains(&word.as_str()), "the check does not know {word}");
    }
    if schema.get("const").is_some_and(|wanted| wanted != value) {
        return fault("another constant");
    }
    if schema.get("enum").is_some_and(|wanted| !wanted.as_array().unwrap().contains(value)) {
        return fault("not one of those listed");
    }
    let is_typed = match schema.get("type").map(|kind| kind.as_str().unwrap()) {
        None => true,
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_u64(),
        Some(other) => panic!("the check does not know the type {other}"),
    };
    if !is_typed {
        return fault("of another type");
    }
    if schema.get("minimum").is_some_and(|least| value.as_u64() < least.as_u64()) {
        return fault("too small");
    }
    for name in schema.get("required").into_iter().flat_map(|names| names.as_array().unwrap()) {
        if value.get(name.as_str().unwrap()).is_none() {
            return fault(&format!("{name} is missing"));
        }
    }
    let properties = schema.get("properties").and_then(|properties| properties.as_object());
    for (name, inner) in value.as_object().into_iter().flatten() {
        match properties.and_then(|properties| properties.get(name)) {
            Some(schema) => fits(schema, inner, &format!("{at}.{name}"))?,
            None if schema.get("additionalProperties") == Some(&serde_json::Value::Bool(false)) => {
                return fault(&format!("{name} is unknown"));
            }
            None => {}
        }
    }
    for (n, inner) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(schema) = schema.get("items") {
            fits(schema, inner, &format!("{at}[{n}]"))?;
        }
    }
    Ok(())
}

#[test]
fn every_ocsf_event_fits_its_schema_and_one_that_does_not_is_told() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../../docs/ocsf-residency.schema.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let index = Book::of(300).index(folder.path(), 100);
    let mut checked = 0;
    for register in Register::ALL {
        for row in all(&index, &Query::new(register), 100) {
            fits(&schema, &formats::ocsf::event(&row), "event").unwrap();
            checked += 1;
        }
    }
    assert!(checked > 200);
    let mut event = formats::ocsf::event(&all(&index, &Query::new(Register::Exports), 1)[0]);
    event["class_uid"] = 6005.into();
    assert!(fits(&schema, &event, "event").unwrap_err().starts_with("event.class_uid"));
}

#[test]
fn parquet_has_every_row_and_column() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let folder = tempfile::tempdir().unwrap();
    let rows = all(&Book::of(200).index(folder.path(), 100), &Query::new(Register::Decisions), 100);
    let path = folder.path().join("rows.parquet");
    let mut writer = Writer::begin(Format::Parquet, std::fs::File::create(&path).unwrap()).unwrap();
    rows.chunks(30).for_each(|some| writer.write(some).unwrap());
    writer.finish().unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let metadata = reader.metadata().file_metadata();
    assert_eq!(metadata.num_rows(), i64::try_from(rows.len()).unwrap());
    let names: Vec<_> = metadata.schema_descr().columns().iter().map(|column| column.name().to_owned()).collect();
    assert_eq!(names, COLUMNS.map(|column| column.name.to_owned()));
    for (row, read) in rows.iter().zip(reader.get_row_iter(None).unwrap()) {
        let read = read.unwrap();
        let cell = |name: &str| read.get_column_iter().find(|(column, _)| *column == name).unwrap().1.clone();
        assert_eq!(cell("index"), Field::Long(i64::try_from(row.index).unwrap()));
        assert_eq!(cell("operation"), Field::Str(row.operation.clone()));
        assert_eq!(cell("export"), Field::Bool(row.export));
        assert_eq!(cell("recipient"), row.recipient.clone().map_or(Field::Null, Field::Str));
    }
}
