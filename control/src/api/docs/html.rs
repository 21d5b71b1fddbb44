//! The few pieces of HTML that the page is made of. Everything that comes in as text goes out
//! escaped.

pub fn text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            _ => escaped.push(character),
        }
    }
    escaped
}

pub fn code(inner: &str) -> String {
    format!("<code>{}</code>", text(inner))
}

/// Text in which back-ticks stand around code.
pub fn prose(source: &str) -> String {
    let parts = source.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 0 { text(part) } else { code(part) }).collect()
}

/// To another place on the page.
pub fn link(id: &str, words: &str) -> String {
    format!("<a href=\"#{}\">{}</a>", text(id), text(words))
}

/// Cells are HTML already.
pub fn row(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
    format!("<tr>{cells}</tr>")
}

pub fn table(columns: &[&str], rows: impl Iterator<Item = String>) -> String {
    let columns: String =
        columns.iter().map(|name| format!("<th scope=\"col\">{}</th>", text(name))).collect();
    let rows: String = rows.collect();
    format!(
        "<div class=\"wide\"><table><thead><tr>{columns}</tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(prose("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert_eq!(link("\"x", "<"), "<a href=\"#&quot;x\">&lt;</a>");
    }
}
