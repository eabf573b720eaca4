//! Tables for people: columns as wide as they must be, two spaces between.

/// Prints `rows` under `head`. A row shorter than the head leaves its last cells empty.
pub(super) fn print(head: &[&str], rows: &[Vec<String>]) {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column)).map(|cell| cell.chars().count());
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(column, title)| cells(column).max().unwrap_or(0).max(title.chars().count()))
        .collect();
    let line = |row: &mut dyn Iterator<Item = &str>| {
        let padded = row.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    println!("{}", line(&mut head.iter().copied()));
    for row in rows {
        println!("{}", line(&mut row.iter().map(String::as_str)));
    }
}

/// Prints a value as JSON.
pub(super) fn json<T: serde::Serialize>(value: &T) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
