//! `portico bulk FILE`: many sessions created and deleted by one request, each with its own answer.

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::Client;
use super::api::Call;
use super::failure::{Failure, Outcome};
use super::table::{Columns, Table, cell};
use super::words::document;

pub const EXAMPLES: &str = "Examples:
  portico bulk sessions.json
  portico session list --workspace old --json | jq '{delete: map(.id)}' | portico bulk -

The file is {\"create\": [session, …], \"delete\": [id, …]}, a session as for POST /v1/sessions.
What is to be deleted goes first. Where some are refused the others are done all the same, and
the exit code is that of the first refusal.";

#[derive(Args)]
pub struct Flags {
    /// The request as JSON; - is standard input
    file: String,
}

const COLUMNS: &Columns = &[("DONE", ""), ("STATUS", ""), ("ID", ""), ("DETAIL", "")];

pub async fn run(mut client: Client, Flags { file }: Flags) -> Outcome {
    let body = document(&file)?;
    // Only to name what is to be deleted; whether it is a request at all is the API's to say.
    let asked = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let call = Call::new(Method::POST, "/v1/bulk/sessions", &[]).text(body);
    let answer = client.api.send(call).await?;
    client.out.answer(&answer, |answers| table(&asked, answers))?;
    match first_refusal(&answer.json()?) {
        None => Ok(()),
        Some(status) => Err(Failure::Partly(status)),
    }
}

fn table(asked: &Value, answers: &Value) -> String {
    let mut table = Table::new(COLUMNS);
    for (index, answer) in list(answers, "deleted").iter().enumerate() {
        push(&mut table, "delete", answer, &asked["delete"][index]);
    }
    for (index, answer) in list(answers, "created").iter().enumerate() {
        // An id may be the API's choice.
        let id = answer.pointer("/session/id").unwrap_or(&asked["create"][index]["id"]);
        push(&mut table, "create", answer, id);
    }
    table.text()
}

fn push(table: &mut Table, done: &str, answer: &Value, id: &Value) {
    let url = ["/session/urls/subdomain", "/session/urls/path"];
    let url = url.iter().find_map(|place| answer.pointer(place));
    let detail = answer.pointer("/problem/detail").or(url).unwrap_or(&Value::Null);
    table.push(vec![done.to_owned(), cell(&answer["status"]), cell(id), cell(detail)]);
}

/// In the order of the table.
fn first_refusal(answers: &Value) -> Option<u16> {
    let all = list(answers, "deleted").iter().chain(list(answers, "created"));
    let statuses = all.filter_map(|answer| u16::try_from(answer["status"].as_u64()?).ok());
    statuses.into_iter().find(|status| !(200..300).contains(status))
}

fn list<'a>(answers: &'a Value, name: &str) -> &'a [Value] {
    answers[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_answer_has_a_line_and_the_first_refusal_counts() {
        let asked = json!({ "create": [{ "id": "one" }, {}], "delete": ["old"] });
        let answers = json!({
            "created": [
                { "status": 409, "problem": { "detail": "the id is taken" } },
                { "status": 201, "session": { "id": "x", "urls": { "path": "http://x/" } } },
            ],
            "deleted": [{ "status": 204 }],
        });
        let wanted = "\
DONE    STATUS  ID   DETAIL
delete  204     old  -
create  409     one  the id is taken
create  201     x    http://x/
";
        assert_eq!(table(&asked, &answers), wanted);
        assert_eq!(first_refusal(&answers), Some(409));
    }
}
