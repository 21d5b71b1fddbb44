//! The main figures of one case as bars, in SVG written by hand: small enough to be committed.

use std::fmt::Write;

use super::case::Case;
use super::kind::Kind;
use super::summary::Row;

const LABEL_WIDTH: f64 = 110.0;
const BARS_WIDTH: f64 = 420.0;
const BAR_HEIGHT: f64 = 18.0;
const STEP: f64 = 26.0;
const TOP: f64 = 34.0;

/// Bars of the medians, a line from the lowest to the highest repetition, ours in colour.
pub fn bars(case: Case, rows: &[Row]) -> Option<String> {
    let rows: Vec<&Row> =
        rows.iter().filter(|row| row.case == case && row.kind != Kind::Direct).collect();
    let highest = rows.iter().map(|row| row.main.highest).fold(0.0, f64::max);
    if highest <= 0.0 {
        return None;
    }
    let (width, height) = (LABEL_WIDTH + BARS_WIDTH + 70.0, TOP + STEP * rows.len() as f64 + 8.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{}: {}</text>\n",
        escaped(case.title()),
        escaped(&case.unit().figure()),
    );
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + STEP * index as f64;
        let x = |figure: f64| LABEL_WIDTH + BARS_WIDTH * figure.max(0.0) / highest;
        let middle = y + BAR_HEIGHT / 2.0;
        let colour = if row.kind.is_ours() { "#2563eb" } else { "#9ca3af" };
        let _ = write!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\n\
             <rect x=\"{LABEL_WIDTH:.0}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"{BAR_HEIGHT:.0}\" \
             fill=\"{colour}\"/>\n\
             <path d=\"M{:.1} {middle:.0}H{:.1}\" stroke=\"#111\"/>\n\
             <text x=\"{:.1}\" y=\"{:.0}\">{:.1}</text>\n",
            LABEL_WIDTH - 8.0,
            middle + 4.0,
            row.kind.name(),
            x(row.main.median) - LABEL_WIDTH,
            x(row.main.lowest),
            x(row.main.highest),
            x(row.main.highest) + 6.0,
            middle + 4.0,
            row.main.median,
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::summary::{rows, tests::sample};
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_plot_and_the_backend_has_none() {
        let samples = [
            sample(Kind::PorticoUring, Case::Paced, 10.0),
            sample(Kind::Nginx, Case::Paced, 40.0),
            sample(Kind::Direct, Case::Paced, 100.0),
        ];
        let svg = bars(Case::Paced, &rows(&[Case::Paced], &samples)).unwrap();
        assert!(svg.contains("width=\"105.0\"") && svg.contains("width=\"420.0\""), "{svg}");
        assert!(!svg.contains("no proxy"));
        assert_eq!(svg.matches("<text").count(), 5);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert_eq!(bars(Case::Get64, &[]), None);
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
    }
}
