//! `portico template …`: the catalogue of tools and what each can do.

use clap::{Args, Subcommand};
use hyper::Method;

use super::Client;
use super::api::Call;
use super::failure::Outcome;
use super::table::Columns;
use super::words::{Body, document};

pub const EXAMPLES: &str = "Examples:
  portico template list
  portico template show vscode
  portico template put notes --tool notes --repository registry.example.com/notes --port 9000
  portico template put notes --file notes.json
  portico template delete notes";

#[derive(Subcommand)]
pub enum Action {
    /// List the templates
    List,
    Show(One),
    Put(Box<Put>),
    Delete(Delete),
}

/// Show all fields of a template
#[derive(Args)]
pub struct One {
    /// The template's key
    key: String,
}

/// Take away what was put: a built-in template is as it was then
#[derive(Args)]
pub struct Delete {
    /// The template's key
    key: String,
}

/// Put a template, new or in place of the one with this key
#[derive(Args)]
#[command(after_help = "Examples:
  portico template put notes --tool notes --repository registry.example.com/notes --port 9000
  portico template put xpra --tool xpra --repository example/xpra --path-routing false \\
      --path-refusal 'its client knows no prefix'
  portico template put notes --file - < notes.json")]
pub struct Put {
    /// The template's key
    key: String,
    /// All fields as JSON, from a file, or from standard input when it is -
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tool", "repository", "status", "icon",
        "port", "path_routing", "client_version_min", "path_refusal"])]
    file: Option<String>,
    /// The tool that it is
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Where its images are, without a tag
    #[arg(long, value_name = "IMAGE")]
    repository: Option<String>,
    /// recommended, deprecated, experimental or unsupported [default: recommended]
    #[arg(long, value_name = "WORD")]
    status: Option<String>,
    /// The name of its icon
    #[arg(long, value_name = "NAME")]
    icon: Option<String>,
    /// The port that it listens on [default: 8080]
    #[arg(long, value_name = "PORT")]
    port: Option<u64>,
    /// Whether it works below a path [default: true, or false with --path-refusal]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    path_routing: Option<bool>,
    /// The version of the connect client that path routing needs
    #[arg(long, value_name = "VERSION")]
    client_version_min: Option<String>,
    /// Why it does not work below a path
    #[arg(long, value_name = "TEXT")]
    path_refusal: Option<String>,
}

const PATH: &str = "/v1/templates";
const COLUMNS: &Columns = &[
    ("KEY", "/key"),
    ("TOOL", "/tool"),
    ("STATUS", "/status"),
    ("PORT", "/port"),
    ("PATHS", "/path_routing"),
    ("CLIENT", "/client_version_min"),
    ("ORIGIN", "/origin"),
    ("REPOSITORY", "/repository"),
];
const ORDER: &[&str] = &[
    "key",
    "tool",
    "status",
    "repository",
    "icon",
    "port",
    "path_routing",
    "client_version_min",
    "path_refusal",
    "origin",
];

pub async fn run(mut client: Client, action: Action) -> Outcome {
    match action {
        Action::List => client.out.whole_list(&mut client.api, PATH, COLUMNS).await,
        Action::Show(One { key }) => {
            let template = client.api.send(Call::get(PATH, &[&key])).await?;
            client.out.fields(&template, ORDER)
        }
        Action::Put(put) => {
            let call = Call::new(Method::PUT, PATH, &[&put.key]);
            let call = match &put.file {
                Some(file) => call.text(document(file)?),
                None => call.json(&put.body().json()),
            };
            let template = client.api.send(call).await?;
            client.out.fields(&template, ORDER)
        }
        Action::Delete(Delete { key }) => {
            client.api.send(Call::new(Method::DELETE, PATH, &[&key])).await?;
            client.out.done(&format!("What was put as the template {key} is gone."))
        }
    }
}

impl Put {
    fn body(self) -> Body {
        Body::default()
            .with("tool", self.tool)
            .with("repository", self.repository)
            .with("status", self.status)
            .with("icon", self.icon)
            .with("port", self.port)
            .with("path_routing", self.path_routing)
            .with("client_version_min", self.client_version_min)
            .with("path_refusal", self.path_refusal)
    }
}
