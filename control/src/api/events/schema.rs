//! The schemas of events: one for each kind of data, and which events have it.

use serde_json::{Value, json};

use super::super::schema::{answered, count, name, position, reference, time};
use super::super::workspaces::schema::{allowed, bounds};

/// The schema of the data, what happened, and the names of the events.
pub const EVENTS: [(&str, &str, &[&str]); 9] = [
    (
        "SessionEvent",
        "A session was created, changed (found to be idle, too) or deleted. After a deletion it is \
         shown as it was.",
        &["session.created", "session.changed", "session.idle", "session.deleted"],
    ),
    ("WorkspacesEvent", "The allow-list was changed.", &["workspaces.changed"]),
    ("NothingEvent", "The allow-list is that of the settings again.", &["workspaces.reset"]),
    ("WorkspaceEvent", "The limits of a workspace were changed.", &["workspace.changed"]),
    ("WorkspaceGoneEvent", "The limits of a workspace were deleted.", &["workspace.deleted"]),
    ("TemplateEvent", "A template was put or deleted.", &["template.changed", "template.deleted"]),
    ("ReplicaEvent", "A replica has started.", &["replica.started"]),
    ("ReplicaGoneEvent", "A replica has ended.", &["replica.ended"]),
    ("ResetEvent", "Events were missed: read what you need anew.", &["reset"]),
];

pub fn all() -> Vec<(&'static str, Value)> {
    let told = |schema: &str| {
        let about = EVENTS.iter().find(|(name, ..)| *name == schema);
        let about = about.map_or("", |(_, about, _)| about);
        move |mut properties: Value| {
            properties["at"] = time("When it happened.");
            answered(about, properties, &[])
        }
    };
    let workspace = || name("The workspace.", "genomics");
    let replica = || name("The replica.", "3f0c2a86");
    let mut limits = bounds();
    limits.insert("workspace".to_owned(), workspace());
    let session = json!({
        "session": reference("Session"),
        "version": count("Its version; the number in its `ETag`."),
    });
    let list = allowed("The only ones with routes, of those that the listener hears of.");
    let role = json!({ "type": "string", "enum": ["all", "proxy", "control"] });
    vec![
        ("Event", event()),
        ("SessionEvent", told("SessionEvent")(session)),
        ("WorkspacesEvent", told("WorkspacesEvent")(json!({ "allowed": list }))),
        ("NothingEvent", told("NothingEvent")(json!({}))),
        ("WorkspaceEvent", told("WorkspaceEvent")(Value::Object(limits))),
        ("WorkspaceGoneEvent", told("WorkspaceGoneEvent")(json!({ "workspace": workspace() }))),
        (
            "TemplateEvent",
            told("TemplateEvent")(json!({ "template": name("The key.", "jupyter") })),
        ),
        ("ReplicaEvent", told("ReplicaEvent")(json!({ "replica": replica(), "role": role }))),
        ("ReplicaGoneEvent", told("ReplicaGoneEvent")(json!({ "replica": replica() }))),
        ("ResetEvent", reset()),
    ]
}

fn event() -> Value {
    let of_kind = |(schema, about, names): (&str, &str, &[&str])| {
        json!({
            "description": about,
            "properties": { "event": { "enum": names }, "data": reference(schema) },
        })
    };
    let properties = json!({
        "id": position(),
        "event": { "type": "string" },
        "data": { "type": "object" },
    });
    let mut event = answered("One server-sent event; `data` is JSON.", properties, &[]);
    event["oneOf"] = EVENTS.map(of_kind).into_iter().collect();
    event
}

fn reset() -> Value {
    let about = EVENTS.iter().find(|(name, ..)| *name == "ResetEvent");
    let properties = json!({ "reason": { "type": "string" } });
    answered(about.map_or("", |(_, about, _)| about), properties, &[])
}
