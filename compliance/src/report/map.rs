//! Places as an SVG: marks on a graticule, or tiles in a grid. No border is drawn, so none is taken a stand on.

use std::fmt::Write;

use super::html::escaped;
use super::model::{Drawn, Mark, Places};
use super::text::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 290.0;
/// Tiles of a row of the grid.
const TILES: usize = 4;
const TILE_WIDTH: usize = 176;
const TILE_HEIGHT: usize = 52;

/// The drawing.
pub(super) fn svg(places: &Places) -> String {
    match places.drawn {
        Drawn::Map => map(places),
        Drawn::Grid => grid(places),
    }
}

fn map(places: &Places) -> String {
    let mut svg = head(WIDTH, HEIGHT, &places.description);
    for step in 1..12_u8 {
        let x = WIDTH * f64::from(step) / 12.0;
        line(&mut svg, (x, 0.0), (x, HEIGHT));
    }
    for latitude in [60.0, 30.0, 0.0, -30.0] {
        let y = HEIGHT * (85.0 - latitude) / 145.0;
        line(&mut svg, (0.0, y), (WIDTH, y));
    }
    let heaviest = places.marks.iter().map(|mark| mark.weight).max().unwrap_or(1).max(1);
    for mark in &places.marks {
        let (Some(x), Some(y)) = (mark.x, mark.y) else { continue };
        let (x, y) = (x * WIDTH, y * HEIGHT);
        let radius = radius(mark, heaviest);
        let _ = write!(
            svg,
            r##"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" fill="#1f4e79" fill-opacity="0.55" stroke="#1f4e79"/>"##
        );
        let beside = if x > WIDTH * 0.8 { (x - radius - 3.0, "end") } else { (x + radius + 3.0, "start") };
        let _ = write!(
            svg,
            r##"<text x="{:.1}" y="{:.1}" font-size="11" text-anchor="{}">{}</text>"##,
            beside.0,
            y + 4.0,
            beside.1,
            escaped(&mark.place.to_string())
        );
    }
    svg.push_str("</svg>");
    svg
}

/// Areas, not radii, are as the weights are.
fn radius(mark: &Mark, heaviest: u64) -> f64 {
    let part = mark.weight.saturating_mul(10_000) / heaviest;
    let part = f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / 10_000.0;
    4.0 + 12.0 * part.sqrt()
}

fn grid(places: &Places) -> String {
    let rows = places.marks.len().div_ceil(TILES).max(1);
    let size = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let mut svg = head(size(TILES * (TILE_WIDTH + 5)), size(rows * (TILE_HEIGHT + 5)), &places.description);
    for (at, mark) in places.marks.iter().enumerate() {
        let (x, y) = (at % TILES * (TILE_WIDTH + 5), at / TILES * (TILE_HEIGHT + 5));
        let _ = write!(
            svg,
            r##"<rect x="{x}" y="{y}" width="{TILE_WIDTH}" height="{TILE_HEIGHT}" fill="#eef3f8" stroke="#1f4e79"/>"##
        );
        let _ = write!(
            svg,
            r##"<text x="{}" y="{}" font-size="13">{}</text><text x="{}" y="{}" font-size="13">{}</text>"##,
            x + 8,
            y + 20,
            escaped(&mark.label),
            x + 8,
            y + 41,
            number(mark.weight)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn head(width: f64, height: f64, description: &str) -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{}">"#,
        escaped(description)
    )
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let _ = write!(
        svg,
        r##"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="#c9d3dd" stroke-width="0.6"/>"##,
        from.0, from.1, to.0, to.1
    );
}
