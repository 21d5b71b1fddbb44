//! The schemas of templates.

use portico_core::template::Status;
use serde_json::{Value, json};

use super::super::schema::{about, answered, flag, image, list, name, nullable, sent, short_text};

pub fn all() -> Vec<(&'static str, Value)> {
    let mut shown = properties();
    shown["key"] = name("Names the template.", "jupyter");
    shown["icon"] = nullable(shown["icon"].take());
    shown["client_version_min"] = nullable(shown["client_version_min"].take());
    shown["path_refusal"] = nullable(shown["path_refusal"].take());
    shown["origin"] = json!({
        "type": "string",
        "description": "Whether it was put here, or is built in or of the settings.",
        "enum": ["settings", "api"],
    });
    let mut given = properties();
    for (field, default) in [
        ("status", json!("recommended")),
        ("port", json!(super::DEFAULT_PORT)),
        ("path_routing", Value::Null),
        ("icon", Value::Null),
        ("client_version_min", Value::Null),
        ("path_refusal", Value::Null),
    ] {
        given[field] = nullable(given[field].take());
        if !default.is_null() {
            given[field]["default"] = default;
        }
    }
    vec![
        ("NewTemplate", sent("A template to be put.", given, &["tool", "repository"])),
        ("Template", answered("An environment image of a tool.", shown, &[])),
        ("Templates", list("The whole catalogue.", "Template")),
    ]
}

fn properties() -> Value {
    let mut refusal = short_text(
        "Why it cannot have path routing, for whoever asks for it.",
        "Xpra's pages are at the root of their host",
    );
    refusal["minLength"] = json!(1);
    json!({
        "tool": name("The tool of the sessions that it is for.", "jupyter"),
        "repository": about(image(), "Its image, with a tag or without."),
        "status": { "type": "string", "enum": Status::WORDS.split(", ").collect::<Vec<_>>() },
        "icon": name("The name of a picture.", "jupyter"),
        "port": {
            "type": "integer",
            "description": "Where the tool listens in its container.",
            "minimum": 1,
            "maximum": u16::MAX,
        },
        "path_routing": flag("Whether it works on URLs of the form `/_studio/<label>/`. True \
                              unless there is a `path_refusal`."),
        "client_version_min": {
            "type": "string",
            "description": "The first connect client with which it does. Not with `path_routing` \
                            false.",
            "pattern": r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(\.(0|[1-9][0-9]{0,8}))?$",
            "examples": ["0.12"],
        },
        "path_refusal": refusal,
    })
}
