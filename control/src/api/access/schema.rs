//! The schemas of keys and revocations.

use serde_json::{Value, json};

use super::super::schema::{answered, count, list, name, nullable, sent, time};

pub fn all() -> Vec<(&'static str, Value)> {
    let user = || name("All that comes of this user's sign-ins.", "bob@example.com");
    let key = json!({
        "id": count("A later key has a larger one."),
        "signs_from": time("The newest key whose time has come signs."),
    });
    let revocation = json!({
        "user": user(),
        "login": login(),
        "before": time("What comes of sign-ins up to here is taken back."),
    });
    let new = json!({ "user": nullable(user()), "login": nullable(login()) });
    vec![
        ("Key", answered("A key that grants are signed with, without its secret.", key, &[])),
        ("Keys", list("All keys that verify.", "Key")),
        ("NewRevocation", sent("Whose grants to take back: one of the two.", new, &[])),
        ("Revocation", answered("What is taken back.", revocation, &["user", "login"])),
    ]
}

fn login() -> Value {
    json!({
        "type": "string",
        "description": "All that comes of this one sign-in.",
        "pattern": "^[0-9a-f]{32}$",
        "examples": ["5f0c2a863e8370e75f0c2a863e8370e7"],
    })
}
