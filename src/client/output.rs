//! What the operator sees: tables, or the API's JSON as it is, on standard output; remarks on
//! standard error. A reader that leaves early, as `head` does, is the end of the work and no error.

use std::io::{ErrorKind, Write};

use serde_json::Value;

use super::api::{Answer, Api, Call, Item};
use super::failure::{Failure, Outcome};
use super::table::{self, Columns, Table};

#[derive(Clone, Copy)]
pub struct Output {
    pub json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// One thing, with these fields first.
    pub fn fields(self, answer: &Answer, order: &[&str]) -> Outcome {
        self.answer(answer, |json| {
            let mut table = table::fields(json, order);
            if let Some(version) = answer.version() {
                table.push(vec!["version".to_owned(), version]);
            }
            table.text()
        })
    }

    /// The body as it came, or the text that people get instead.
    pub fn answer(self, answer: &Answer, text: impl FnOnce(&Value) -> String) -> Outcome {
        if !self.json {
            return write(text(&answer.json()?).as_bytes());
        }
        write(&answer.body)?;
        if answer.body.ends_with(b"\n") { Ok(()) } else { write(b"\n") }
    }

    /// For what has no answer of its own: a sentence for people, and nothing for programs.
    pub fn done(self, sentence: &str) -> Outcome {
        if self.json { Ok(()) } else { write(format!("{}\n", table::clean(sentence)).as_bytes()) }
    }

    /// All pages as one table or one array.
    pub async fn list(
        self,
        api: &mut Api,
        list: impl Fn() -> Call,
        items_max: Option<usize>,
        columns: &Columns,
    ) -> Outcome {
        if self.json {
            let mut array = Array::default();
            api.pages(list, None, items_max, |page| array.write(&page.items)).await?;
            return array.end();
        }
        let mut table = Table::new(columns);
        api.pages(list, None, items_max, |page| fill(&mut table, columns, &page.items)).await?;
        write(table.text().as_bytes())
    }

    /// A list that has no pages.
    pub async fn whole_list(self, api: &mut Api, path: &str, columns: &Columns) -> Outcome {
        self.items(&api.send(Call::get(path, &[])).await?, columns)
    }

    /// A list that is there already.
    pub fn items(self, list: &Answer, columns: &Columns) -> Outcome {
        let items = list.page()?.items;
        if self.json {
            let mut array = Array::default();
            array.write(&items)?;
            return array.end();
        }
        let mut table = Table::new(columns);
        fill(&mut table, columns, &items)?;
        write(table.text().as_bytes())
    }
}

fn fill(table: &mut Table, columns: &Columns, items: &[Item]) -> Outcome {
    for item in items {
        let item = serde_json::from_str(item.get()).map_err(Failure::ours)?;
        table.push_item(columns, &item);
    }
    Ok(())
}

/// One JSON array of items that come a page at a time, each on a line of its own.
#[derive(Default)]
struct Array {
    begun: bool,
}

impl Array {
    fn write(&mut self, items: &[Item]) -> Outcome {
        let mut text = String::new();
        for item in items {
            text.push_str(if self.begun { ",\n" } else { "[\n" });
            text.push_str(item.get());
            self.begun = true;
        }
        write(text.as_bytes())
    }

    fn end(self) -> Outcome {
        write(if self.begun { b"\n]\n" } else { b"[]\n" })
    }
}

/// To standard output, at once.
pub fn write(bytes: &[u8]) -> Outcome {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(error) => Err(Failure::Ours(anyhow::Error::from(error).context("cannot print"))),
    }
}

/// To standard error; nothing is left to tell anybody when that is gone.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "portico: {text}");
}
