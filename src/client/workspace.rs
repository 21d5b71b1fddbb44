//! `portico workspace …`: the list of those that may have sessions, and the limits of each.

use anyhow::anyhow;
use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Map, Value, json};

use super::Client;
use super::api::{Answer, Call};
use super::failure::{Failure, Outcome, Problem};
use super::table::{self, Columns, Table, cell};
use super::words::bound;

pub const EXAMPLES: &str = "Examples:
  portico workspace list
  portico workspace allow genomics imaging      # these two more
  portico workspace allow --only genomics       # this one and no other
  portico workspace disallow imaging            # its URLs answer 403 from now on
  portico workspace limit genomics --sessions-max 50 --bytes-per-second-max 10000000
  portico workspace reset                       # back to the list of the settings";

#[derive(Subcommand)]
pub enum Action {
    /// List the workspaces that are allowed, and those that have limits
    List,
    Allow(Allow),
    Disallow(Disallow),
    /// Allow every workspace to have sessions
    AllowAll,
    /// Go back to the list of the settings (allowed_workspaces)
    Reset,
    /// Show whether a workspace is allowed, and its limits
    Show(One),
    Limit(Limit),
    /// Take all limits from a workspace
    Unlimit(One),
}

/// Allow workspaces to have sessions
#[derive(Args)]
pub struct Allow {
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Only these from now on
    #[arg(long)]
    only: bool,
}

/// Take workspaces from the list: they lose their URLs at once
#[derive(Args)]
pub struct Disallow {
    #[arg(required_unless_present = "all", value_name = "NAME")]
    names: Vec<String>,
    /// All of them: no workspace may have sessions
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

#[derive(Args)]
pub struct One {
    /// The workspace
    name: String,
}

/// Limit what a workspace may use: limits that are not given stay as they are
#[derive(Args)]
#[command(after_help = "Examples:
  portico workspace limit genomics --sessions-max 50
  portico workspace limit genomics --sessions-max none --requests-per-second-max 500")]
pub struct Limit {
    /// The workspace
    name: String,
    /// Sessions at a time; `none` for no limit
    #[arg(long, value_name = "N", value_parser = bound)]
    sessions_max: Option<Value>,
    /// Open connections at a time; `none` for no limit
    #[arg(long, value_name = "N", value_parser = bound)]
    connections_max: Option<Value>,
    /// Requests in a second; `none` for no limit
    #[arg(long, value_name = "N", value_parser = bound)]
    requests_per_second_max: Option<Value>,
    /// Bytes in a second, both ways together; `none` for no limit
    #[arg(long, value_name = "N", value_parser = bound)]
    bytes_per_second_max: Option<Value>,
}

const PATH: &str = "/v1/workspaces";
const COLUMNS: &Columns = &[
    ("WORKSPACE", "/workspace"),
    ("ALLOWED", "/allowed"),
    ("SESSIONS", "/sessions_max"),
    ("CONNECTIONS", "/connections_max"),
    ("REQUESTS/S", "/requests_per_second_max"),
    ("BYTES/S", "/bytes_per_second_max"),
];
const ORDER: &[&str] = &[
    "workspace",
    "allowed",
    "sessions_max",
    "connections_max",
    "requests_per_second_max",
    "bytes_per_second_max",
];
/// Others may change the same at the same time; they do not do so all day.
const TRIES_MAX: usize = 8;

pub async fn run(mut client: Client, action: Action) -> Outcome {
    match action {
        Action::List => {
            let list = client.api.send(Call::get(PATH, &[])).await?;
            client.out.answer(&list, overview)
        }
        Action::Allow(Allow { names, only: true }) => client.put_list(json!(names)).await,
        Action::Allow(Allow { names, only: false }) => {
            client.edit_list(|allowed| allow(allowed, &names)).await
        }
        Action::Disallow(Disallow { all: true, .. }) => client.put_list(json!([])).await,
        Action::Disallow(Disallow { names, all: false }) => {
            client.edit_list(|allowed| disallow(allowed, &names)).await
        }
        Action::AllowAll => client.put_list(Value::Null).await,
        Action::Reset => {
            client.api.send(Call::new(Method::DELETE, PATH, &[])).await?;
            client.out.done("The list of the settings is in force.")
        }
        Action::Show(One { name }) => {
            let workspace = client.api.send(Call::get(PATH, &[&name])).await?;
            client.out.fields(&workspace, ORDER)
        }
        Action::Limit(limit) => client.limit(&limit).await,
        Action::Unlimit(One { name }) => {
            client.api.send(Call::new(Method::DELETE, PATH, &[&name])).await?;
            client.out.done(&format!("The workspace {name} has no limits."))
        }
    }
}

/// The new list, or None when it is so already.
fn allow(allowed: &Value, names: &[String]) -> Outcome<Option<Value>> {
    let Some(before) = allowed.as_array() else { return Ok(None) };
    let new = names.iter().map(|name| json!(name)).filter(|name| !before.contains(name));
    let after: Vec<_> = before.iter().cloned().chain(new).collect();
    Ok((after.len() > before.len()).then(|| json!(after)))
}

fn disallow(allowed: &Value, names: &[String]) -> Outcome<Option<Value>> {
    let Some(before) = allowed.as_array() else {
        return Err(Failure::Usage(anyhow!(
            "all workspaces are allowed, so there is no list to take any from; say which ones \
             stay:\n  portico workspace allow --only NAME…"
        )));
    };
    let goes = |name: &Value| names.iter().any(|gone| name == gone);
    let after: Vec<_> = before.iter().filter(|name| !goes(name)).collect();
    Ok((after.len() < before.len()).then(|| json!(after)))
}

impl Client {
    async fn put_list(&mut self, allowed: Value) -> Outcome {
        let call = Call::new(Method::PUT, PATH, &[]).json(&json!({ "allowed": allowed }));
        let list = self.api.send(call).await?;
        self.out.answer(&list, overview)
    }

    /// Reads the list and writes what `edit` makes of it, unless somebody else wrote in between.
    async fn edit_list(&mut self, edit: impl Fn(&Value) -> Outcome<Option<Value>>) -> Outcome {
        let list = self
            .edit(&[], |list| {
                let after = edit(&list["allowed"])?;
                Ok(after.map(|allowed| json!({ "allowed": allowed })))
            })
            .await?;
        self.out.answer(&list, overview)
    }

    async fn limit(&mut self, limit: &Limit) -> Outcome {
        let given = [
            ("sessions_max", &limit.sessions_max),
            ("connections_max", &limit.connections_max),
            ("requests_per_second_max", &limit.requests_per_second_max),
            ("bytes_per_second_max", &limit.bytes_per_second_max),
        ];
        let workspace = self
            .edit(&[&limit.name], |workspace| {
                let value = |(field, given): (&str, &Option<Value>)| {
                    (field.to_owned(), given.clone().unwrap_or_else(|| workspace[field].clone()))
                };
                Ok(Some(Value::Object(given.map(value).into_iter().collect::<Map<_, _>>())))
            })
            .await?;
        self.out.fields(&workspace, ORDER)
    }

    async fn edit(
        &mut self,
        names: &[&str],
        edit: impl Fn(&Value) -> Outcome<Option<Value>>,
    ) -> Outcome<Answer> {
        for tries_left in (0..TRIES_MAX).rev() {
            let before = self.api.send(Call::get(PATH, names)).await?;
            let Some(body) = edit(&before.json()?)? else { return Ok(before) };
            let mut call = Call::new(Method::PUT, PATH, names).json(&body);
            if let Some(version) = before.version() {
                call = call.header("if-match", format!("\"{version}\""));
            }
            match self.api.send(call).await {
                Err(Failure::Refused(Problem { status: 409 | 412, .. })) if tries_left > 0 => {}
                answer => return answer,
            }
        }
        Err(Failure::Ours(anyhow!("others changed it each time")))
    }
}

/// Which are allowed in a sentence, then a line for each that has a name.
fn overview(list: &Value) -> String {
    let origin = match list["origin"].as_str() {
        Some("api") => "API".to_owned(),
        _ => cell(&list["origin"]),
    };
    let sentence = match list["allowed"].as_array().map(Vec::len) {
        None => "All workspaces are allowed".to_owned(),
        Some(0) => "No workspace is allowed".to_owned(),
        Some(1) => "One workspace is allowed".to_owned(),
        Some(count) => format!("{count} workspaces are allowed"),
    };
    let limited = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has_limits = |name: &Value| limited.iter().any(|item| item["workspace"] == *name);
    let allowed = list["allowed"].as_array().map(Vec::as_slice).unwrap_or_default();
    let others = allowed.iter().filter(|name| !has_limits(name));
    let others = others.map(|name| json!({ "workspace": name, "allowed": true }));
    let mut rows: Vec<Value> = limited.iter().cloned().chain(others).collect();
    rows.sort_by_key(|row| cell(&row["workspace"]));
    let mut table = Table::new(COLUMNS);
    rows.iter().for_each(|row| table.push_item(COLUMNS, row));
    let rows = if rows.is_empty() { String::new() } else { format!("\n{}", table.text()) };
    table::clean(&format!("{sentence} (by the {origin}).\n{rows}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_edited_only_where_there_is_something_to_edit() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let list = json!(["a", "b"]);
        assert_eq!(allow(&list, &names(&["b", "c"])).unwrap(), Some(json!(["a", "b", "c"])));
        assert_eq!(allow(&list, &names(&["b"])).unwrap(), None);
        assert_eq!(allow(&Value::Null, &names(&["b"])).unwrap(), None);
        assert_eq!(disallow(&list, &names(&["b", "c"])).unwrap(), Some(json!(["a"])));
        assert_eq!(disallow(&list, &names(&["c"])).unwrap(), None);
        assert!(disallow(&Value::Null, &names(&["c"])).is_err());
    }
}
