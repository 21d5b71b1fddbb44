//! `portico session …`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Client;
use super::api::Call;
use super::failure::Outcome;
use super::output::note;
use super::table::{Columns, Table, cell};
use super::words::{Body, pair, seconds};

pub const EXAMPLES: &str = "Examples:
  portico session create --workspace genomics --owner ada --tool jupyter \\
      --upstream http://10.0.0.7:8888 --lifespan 8h
  portico session list --workspace genomics --state running
  portico session show 3e8370e7
  portico session change 3e8370e7 --upstream http://10.0.0.9:8888
  portico session extend 3e8370e7 4h
  portico session connections 3e8370e7
  portico session activity 3e8370e7
  portico session stop 3e8370e7 --reason 'by its owner'
  portico session list --label team=imaging --json | jq -r '.[].id'";

#[derive(Subcommand)]
pub enum Action {
    List(List),
    Show(One),
    Create(Box<Create>),
    Change(Box<Change>),
    Stop(Stop),
    /// Delete a session: its URLs are gone
    Delete(Target),
    Extend(Extend),
    /// List who is connected to a session
    Connections(One),
    /// Show when a session was last used, and what is open
    Activity(One),
}

/// List sessions
#[derive(Args)]
#[command(after_help = "Examples:
  portico session list --workspace genomics --owner ada
  portico session list --label team=imaging --label stage=test --limit 20")]
pub struct List {
    /// Only those of this workspace
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Only those of this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only those of this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only those in this state
    #[arg(long)]
    state: Option<String>,
    /// Only those with this label; with several, those that have all of them
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N", value_parser = super::words::count)]
    limit: Option<usize>,
}

/// Show all fields of a session, and its version
#[derive(Args)]
pub struct One {
    /// The session's id
    id: String,
}

/// Create a session and print its URLs
#[derive(Args)]
#[command(after_help = "Examples:
  portico session create --workspace genomics --owner ada --tool jupyter \\
      --upstream http://10.0.0.7:8888
  portico session create --workspace genomics --owner ada --tool vscode \\
      --upstream http://10.0.0.8:8080 --routing subdomain --label team=imaging --lifespan 8h
  portico session create … --access workspace
  portico session create … --idempotency-key \"$JOB_ID\"    # may be repeated safely")]
pub struct Create {
    /// The workspace that it belongs to
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// Whose it is
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// What runs in it: jupyter, vscode, rstudio, xpra, or another
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Its id [default: a random one]
    #[arg(long)]
    id: Option<String>,
    /// The name in its URLs [default: made from the id]
    #[arg(long, value_name = "LABEL")]
    dns_label: Option<String>,
    #[command(flatten)]
    fields: Fields,
    /// A key of your choice: the same request with the same key makes one session, not two
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

/// Change a session: only the fields that are given
#[derive(Args)]
#[command(after_help = "Examples:
  portico session change 3e8370e7 --upstream http://10.0.0.9:8888
  portico session change 3e8370e7 --state errored --reason 'out of memory'
  portico session change 3e8370e7 --clear reason --clear labels
  portico session change 3e8370e7 --access users --allow-user bob,eve
  portico session change 3e8370e7 --routing path --if-version 7")]
pub struct Change {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    fields: Fields,
    /// A field to be empty again, such as reason, image, labels or lifespan_seconds
    #[arg(long, value_name = "FIELD")]
    clear: Vec<String>,
}

/// Stop a session: its URLs stay and say so
#[derive(Args)]
pub struct Stop {
    #[command(flatten)]
    target: Target,
    /// Why, for its user to read
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Give a session a new lifespan that begins now
#[derive(Args)]
#[command(after_help = "Examples:
  portico session extend 3e8370e7 4h
  portico session extend 3e8370e7 0      # it no longer ends by itself")]
pub struct Extend {
    #[command(flatten)]
    target: Target,
    /// How long from now: 4h, 1h30m, 3600; 0 is without end
    #[arg(value_parser = seconds)]
    lifespan: u64,
}

/// What a session may be given when it is created, and later.
#[derive(Args)]
struct Fields {
    /// Where it listens, such as http://10.0.0.7:8888
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// building, buildFailed, starting, running, stopping, stopped, errored
    /// [when created: running]
    #[arg(long)]
    state: Option<String>,
    /// Why it is in this state, for its user to read
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Which URLs it has: subdomain, path, or both [when created: a setting]
    #[arg(long, value_name = "WORD,…", value_delimiter = ',')]
    routing: Vec<String>,
    /// The Host that its tool sees: preserve or upstream [when created: preserve]
    #[arg(long, value_name = "WORD")]
    host_header: Option<String>,
    /// Whether its tool sees paths without the prefix of path routing [when created: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    strip_prefix: Option<bool>,
    /// The image that it runs
    #[arg(long)]
    image: Option<String>,
    /// A label; all of those that are given replace all that are there
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    labels: Vec<(String, String)>,
    /// Whom it lets in: private, workspace, users or public [when created: a setting]
    #[arg(long, value_name = "POLICY")]
    access: Option<String>,
    /// Whom `--access users` lets in, several divided by commas; all of those that are given
    /// replace all that are there, and none empties the list
    #[arg(long = "allow-user", value_name = "NAME,…", num_args = 0..=1, value_delimiter = ',')]
    allowed_users: Option<Vec<String>>,
    /// After how long it ends by itself: 8h, 1h30m, 3600; 0 is never
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    lifespan: Option<u64>,
    /// After how long without data it is idle: 2h, 90m, at least 1m; 0 is never
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    idle_timeout: Option<u64>,
}

/// A session that is to change.
#[derive(Args)]
pub struct Target {
    #[command(flatten)]
    one: One,
    /// Only if it has this version still; `show` prints it
    #[arg(long, value_name = "N")]
    if_version: Option<u64>,
}

const PATH: &str = "/v1/sessions";
const COLUMNS: &Columns = &[
    ("ID", "/id"),
    ("STATE", "/state"),
    ("WORKSPACE", "/workspace"),
    ("OWNER", "/owner"),
    ("TOOL", "/tool"),
    ("CREATED", "/created_at"),
    ("EXPIRES", "/expires_at"),
    ("URL", "/urls/subdomain|/urls/path"),
];
const CONNECTIONS: &Columns = &[
    ("USER", "/user"),
    ("CONNECTIONS", "/connections"),
    ("REPLICA", "/replica"),
    ("SINCE", "/since"),
];
const ACTIVITY: &[&str] =
    &["session", "idle_seconds", "client_data_at", "session_data_at", "ping_at", "open"];
const ORDER: &[&str] = &[
    "id",
    "label",
    "workspace",
    "owner",
    "tool",
    "image",
    "labels",
    "upstream",
    "state",
    "reason",
    "routing",
    "host_header",
    "strip_prefix",
    "access",
    "allowed_users",
    "lifespan_seconds",
    "expires_at",
    "idle_timeout_seconds",
    "idle_since",
    "urls",
    "created_at",
    "changed_at",
];

pub async fn run(mut client: Client, action: Action) -> Outcome {
    match action {
        Action::List(list) => {
            let Client { api, out } = &mut client;
            out.list(api, || list.call(), list.limit, COLUMNS).await
        }
        Action::Show(One { id }) => {
            let session = client.api.send(Call::get(PATH, &[&id])).await?;
            client.out.fields(&session, ORDER)
        }
        Action::Create(create) => create.run(client).await,
        Action::Change(change) => {
            let Change { target, fields, clear } = *change;
            let body =
                clear.iter().fold(fields.body(), |body, field| body.with(field, Some(Value::Null)));
            client.change(target, &body.json()).await
        }
        Action::Stop(Stop { target, reason }) => {
            let body = Body::default().with("state", Some("stopped")).with("reason", reason);
            client.change(target, &body.json()).await
        }
        Action::Extend(Extend { target, lifespan }) => {
            client.change(target, &json!({ "lifespan_seconds": lifespan })).await
        }
        Action::Delete(Target { one: One { id }, if_version }) => {
            let call = Call::new(hyper::Method::DELETE, PATH, &[&id]);
            client.api.send(call.if_version(if_version)).await?;
            client.out.done(&format!("The session {id} is deleted."))
        }
        Action::Activity(One { id }) => {
            let activity = client.api.send(Call::get(PATH, &[&id, "activity"])).await?;
            client.out.fields(&activity, ACTIVITY)
        }
        Action::Connections(One { id }) => {
            // The element after the id.
            let list = client.api.send(Call::get(PATH, &[&id, "connections"])).await?;
            if list.json()?["complete"] == false {
                note("there may be more: a replica did not say all that it has");
            }
            client.out.items(&list, CONNECTIONS)
        }
    }
}

impl List {
    fn call(&self) -> Call {
        let named = [
            ("workspace", &self.workspace),
            ("owner", &self.owner),
            ("tool", &self.tool),
            ("state", &self.state),
        ];
        let mut call = Call::get(PATH, &[]);
        for (name, value) in named {
            if let Some(value) = value {
                call = call.query(name, value);
            }
        }
        if self.labels.is_empty() {
            return call;
        }
        let pairs: Vec<_> = self.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        call.query("labels", &pairs.join(","))
    }
}

impl Create {
    async fn run(self, mut client: Client) -> Outcome {
        let body = self
            .fields
            .body()
            .with("workspace", self.workspace)
            .with("owner", self.owner)
            .with("tool", self.tool)
            .with("id", self.id)
            .with("label", self.dns_label);
        let mut call = Call::new(hyper::Method::POST, PATH, &[]).json(&body.json());
        if let Some(key) = self.idempotency_key {
            call = call.header("idempotency-key", key);
        }
        let answer = client.api.send(call).await?;
        if answer.field("idempotent-replayed").is_some() {
            note("this key made the session before, it is not a second one");
        }
        client.out.answer(&answer, |session| {
            let urls = session["urls"].as_object();
            let urls = urls.into_iter().flatten().map(|(_, url)| format!("  {}\n", cell(url)));
            let (id, state) = (cell(&session["id"]), cell(&session["state"]));
            format!("The session {id} is {state}. Its URLs:\n{}", urls.collect::<String>())
        })
    }
}

impl Fields {
    fn body(self) -> Body {
        // Nobody's name is empty: `--allow-user ''` is as good as no name behind it.
        let allowed_users = self.allowed_users.map(|mut names| {
            names.retain(|name| !name.is_empty());
            names
        });
        Body::default()
            .with("upstream", self.upstream)
            .with("state", self.state)
            .with("reason", self.reason)
            .with_some("routing", self.routing)
            .with("host_header", self.host_header)
            .with("strip_prefix", self.strip_prefix)
            .with("image", self.image)
            .with_pairs("labels", self.labels)
            .with("access", self.access)
            .with("allowed_users", allowed_users)
            .with("lifespan_seconds", self.lifespan)
            .with("idle_timeout_seconds", self.idle_timeout)
    }
}

impl Client {
    async fn change(&mut self, target: Target, fields: &Value) -> Outcome {
        let call = Call::new(hyper::Method::PATCH, PATH, &[&target.one.id]).json(fields);
        let answer = self.api.send(call.if_version(target.if_version)).await?;
        self.out.answer(&answer, |session| {
            let mut table = Table::new(COLUMNS);
            table.push_item(COLUMNS, session);
            table.text()
        })
    }
}
