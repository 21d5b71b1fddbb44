//! The schemas of the allow-list and of the limits of workspaces.

use portico_core::limits;
use serde_json::{Map, Value, json};

use super::super::schema::{answered, flag, name, names, reference, sent, word_of_list};

const LIMITS: [(&str, &str); 4] = [
    ("sessions_max", "Sessions that exist, in whatever state."),
    ("connections_max", "Requests under way and open WebSockets, together."),
    ("requests_per_second_max", "Requests in a second."),
    ("bytes_per_second_max", "Bytes in a second, both directions together."),
];

pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("AllowedWorkspaces", allowed_workspaces()),
        ("Workspaces", workspaces()),
        ("WorkspaceLimits", sent("What is not given is unlimited.", Value::Object(bounds()), &[])),
        ("Workspace", workspace()),
    ]
}

/// `null`, or the only ones.
pub fn allowed(description: &str) -> Value {
    let mut names = names(description, "genomics");
    names["type"] = json!(["array", "null"]);
    names
}

pub fn bounds() -> Map<String, Value> {
    let bound = |(name, description): (&str, &str)| {
        let schema = json!({
            "type": ["integer", "null"],
            "format": "int64",
            "description": format!("{description} Null is unlimited."),
            "minimum": 1,
            "maximum": limits::WORKSPACE_LIMIT_MAX,
        });
        (name.to_owned(), schema)
    };
    LIMITS.into_iter().map(bound).collect()
}

fn allowed_workspaces() -> Value {
    let mut list = allowed("The only workspaces that have routes; an empty list is none.");
    list["description"] = json!(
        "`null`: all workspaces have routes. A list: only those. An empty list: none. Blank names \
         are left out, as from the setting."
    );
    list["maxItems"] = json!(limits::ALLOWED_WORKSPACES_MAX);
    list["items"] = word_of_list();
    list["examples"] = json!([["genomics", "imaging"]]);
    sent("Which workspaces have routes.", json!({ "allowed": list }), &["allowed"])
}

fn workspaces() -> Value {
    let allowed = allowed("The only ones that have routes, of those that the token reaches.");
    let properties = json!({
        "allowed": allowed,
        "origin": {
            "type": "string",
            "description": "Where the list comes from.",
            "enum": ["settings", "api"],
        },
        "items": {
            "type": "array",
            "description": "Workspaces that have limits of their own.",
            "items": reference("Workspace"),
        },
    });
    answered("The allow-list, and every workspace that has limits.", properties, &[])
}

fn workspace() -> Value {
    let mut properties = bounds();
    let name = name("A tenant of the platform.", "genomics");
    properties.insert("workspace".to_owned(), name);
    properties.insert("allowed".to_owned(), flag("Whether its sessions have routes."));
    answered("One workspace and its limits.", Value::Object(properties), &[])
}
