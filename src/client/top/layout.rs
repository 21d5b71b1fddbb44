//! A table as lines that fit a window: names are cut first, then columns left out, those that are
//! missed least before others.

use super::super::table::clean;

#[derive(Debug, Clone, Copy)]
pub struct Column {
    pub title: &'static str,
    pub kind: Kind,
    /// The highest goes first where there is no room; those with 0 stay.
    pub spare: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the left, and cut where it must be.
    Name,
    /// To the right, and never cut.
    Number,
}

const GAP: &str = "  ";
/// A name is not cut below this before columns are left out.
const NAME_WIDTH_MIN: usize = 12;

/// The titles and the rows, each as one line of at most `width` characters.
pub fn lines(columns: &[Column], rows: &[Vec<String>], width: usize) -> Vec<String> {
    let titles = columns.iter().map(|column| column.title.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(titles)
        .chain(rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()))
        .collect();
    let mut widths = vec![0; columns.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let shown = fit(columns, &mut widths, width);
    let line = |row: &Vec<String>| {
        let cells = shown.iter().map(|index| {
            let (cell, width) = (&row[*index], widths[*index]);
            match columns[*index].kind {
                Kind::Name => format!("{:<width$}", cut(cell, width)),
                Kind::Number => format!("{cell:>width$}"),
            }
        });
        let line = cells.collect::<Vec<_>>().join(GAP);
        cut(line.trim_end(), width)
    };
    rows.iter().map(line).collect()
}

/// Which columns are shown; their widths are made smaller.
fn fit(columns: &[Column], widths: &mut [usize], width: usize) -> Vec<usize> {
    let mut shown: Vec<_> = (0..columns.len()).collect();
    loop {
        let gaps = GAP.len() * shown.len().saturating_sub(1);
        let wanted = shown.iter().map(|index| widths[*index]).sum::<usize>() + gaps;
        if wanted <= width {
            return shown;
        }
        let is_long = |index: &&usize| {
            columns[**index].kind == Kind::Name && widths[**index] > NAME_WIDTH_MIN
        };
        if let Some(longest) = shown.iter().filter(is_long).max_by_key(|index| widths[**index]) {
            widths[*longest] -= 1;
            continue;
        }
        let spare = shown.iter().filter(|index| columns[**index].spare > 0);
        let Some(least) = spare.max_by_key(|index| columns[**index].spare).copied() else {
            return shown;
        };
        shown.retain(|index| *index != least);
    }
}

/// A terminal obeys nothing of it.
pub fn one_line(text: &str) -> String {
    clean(text).replace('\n', " ")
}

/// With a mark where something is missing.
pub fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain((width > 0).then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { title: "SESSION", kind: Kind::Name, spare: 0 },
        Column { title: "USER", kind: Kind::Name, spare: 1 },
        Column { title: "IN/S", kind: Kind::Number, spare: 0 },
        Column { title: "LOST", kind: Kind::Number, spare: 2 },
    ];

    fn table(width: usize) -> String {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["the-longest-of-all", "ada", "1.25MB", "0.01%"]),
            row(["b", "grace\n\u{1b}[2J", "7B", "-"]),
        ];
        lines(&COLUMNS, &rows, width).join("\n")
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let wanted = "\
SESSION             USER          IN/S   LOST
the-longest-of-all  ada         1.25MB  0.01%
b                   grace �[2J      7B      -";
        assert_eq!(table(1_000), wanted);
        assert_eq!(table(45), wanted);
    }

    #[test]
    fn names_are_cut_before_columns_go() {
        let wanted = "\
SESSION            USER          IN/S   LOST
the-longest-of-a…  ada         1.25MB  0.01%
b                  grace �[2J      7B      -";
        assert_eq!(table(44), wanted);
        let wanted = "\
SESSION       USER          IN/S
the-longest…  ada         1.25MB
b             grace �[2J      7B";
        assert_eq!(table(38), wanted);
        let wanted = "\
SESSION         IN/S
the-longest…  1.25MB
b                 7B";
        assert_eq!(table(20), wanted);
    }

    #[test]
    fn nothing_is_wider_than_the_window() {
        for width in 0..60 {
            assert!(table(width).lines().all(|line| line.chars().count() <= width), "{width}");
        }
        assert_eq!(lines(&COLUMNS, &[], 80), ["SESSION  USER  IN/S  LOST"]);
    }
}
