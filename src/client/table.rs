//! JSON as text for people: a table of a list, and the fields of one thing. Plain text; what the
//! API sends cannot move the cursor of a terminal.

use serde_json::Value;

/// The title of a column, and where its values are (RFC 6901; the first of several that is there,
/// divided by `|`).
pub type Columns = [(&'static str, &'static str)];

const GAP: &str = "  ";

pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(columns: &Columns) -> Self {
        Self { rows: vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect()] }
    }

    /// Without titles.
    pub fn bare() -> Self {
        Self { rows: Vec::new() }
    }

    pub fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn push_item(&mut self, columns: &Columns, item: &Value) {
        self.push(columns.iter().map(|(_, places)| cell(at(item, places))).collect());
    }

    /// Every column as wide as its widest cell, and nothing behind the last one.
    pub fn text(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join(GAP);
            line.trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }
}

fn at<'a>(item: &'a Value, places: &str) -> &'a Value {
    places.split('|').find_map(|place| item.pointer(place)).unwrap_or(&Value::Null)
}

/// The members of an object, one a line: those of `order` first, then what else there is.
pub fn fields(object: &Value, order: &[&str]) -> Table {
    let mut table = Table::bare();
    let members = object.as_object();
    let known = order.iter().filter_map(|name| Some((*name, members?.get(*name)?)));
    let others = members.into_iter().flatten().map(|(name, value)| (name.as_str(), value));
    for (name, value) in known.chain(others.filter(|(name, _)| !order.contains(name))) {
        match value.as_object().filter(|inner| !inner.is_empty()) {
            None => table.push(vec![clean(name), cell(value)]),
            Some(inner) => {
                for (part, value) in inner {
                    table.push(vec![format!("{}.{}", clean(name), clean(part)), cell(value)]);
                }
            }
        }
    }
    table
}

/// On one line; `-` is null, and nothing.
pub fn cell(value: &Value) -> String {
    let list = |parts: Vec<String>| match parts.is_empty() {
        true => "-".to_owned(),
        false => parts.join(","),
    };
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => clean(text).replace('\n', "\u{fffd}"),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) => list(items.iter().map(cell).collect()),
        Value::Object(members) => list(
            members
                .iter()
                .map(|(name, value)| format!("{}={}", clean(name), cell(value)))
                .collect(),
        ),
    }
}

/// Without control characters, which a terminal would obey; line ends are ours where they are.
pub fn clean(text: &str) -> String {
    let harmless = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars().map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let columns = [("ID", "/id"), ("OWNER", "/owner"), ("URL", "/urls/subdomain|/urls/path")];
        let mut table = Table::new(&columns);
        let items = [
            json!({ "id": "a", "owner": "grace.hopper", "urls": { "path": "http://x/_studio/" } }),
            json!({ "id": "long-id", "owner": "münchen", "urls": { "subdomain": "http://s.x/" } }),
            json!({ "id": "b", "owner": null, "urls": {} }),
        ];
        items.iter().for_each(|item| table.push_item(&columns, item));
        let wanted = "\
ID       OWNER         URL
a        grace.hopper  http://x/_studio/
long-id  münchen       http://s.x/
b        -             -
";
        assert_eq!(table.text(), wanted);
    }

    #[test]
    fn one_thing_has_a_line_for_each_field() {
        let object = json!({
            "id": "a", "new": true, "labels": { "team": "x", "stage": "y" }, "urls": {},
            "routing": ["subdomain", "path"], "reason": null, "expires_at": "",
        });
        let wanted = "\
id            a
routing       subdomain,path
labels.stage  y
labels.team   x
expires_at    -
new           yes
reason        -
urls          -
";
        assert_eq!(fields(&object, &["id", "routing", "labels", "none"]).text(), wanted);
    }

    #[test]
    fn a_terminal_obeys_nothing_that_the_api_sends() {
        assert_eq!(cell(&json!("a\u{1b}[31mb\u{9b}\n")), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
        assert_eq!(cell(&json!({ "a\r": ["b", 1, false] })), "a\u{fffd}=b,1,no");
    }
}
