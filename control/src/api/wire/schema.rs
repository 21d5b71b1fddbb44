//! The schemas of what `wire` reads and writes. A test sends every property to the parsers, and
//! the API's tests compare every answer with these.

use portico_core::access::Policy;
use portico_core::limits;
use serde_json::{Value, json};

use super::super::schema::{
    about, answered, count, flag, host_header, idle_timeout_seconds, image, label, labels,
    lifespan_seconds, name, names, nullable, page, reference, routing, sent, session_id,
    short_text, state, time, upstream,
};

const WORKSPACE: &str = "The workspace that it belongs to.";
const OWNER: &str = "The user whose it is.";
const TOOL: &str = "The tool; one of a template's, or any other.";
const REASON: &str = "Why it is in this state, for the user's page. At most 512 bytes of UTF-8.";
const STRIP_PREFIX: &str = "Under path routing: the tool sees `/…` and not `/_studio/<label>/…`.";

const ACCESS: &str = "Whom it lets in: its owner alone; also who the platform says to be of its \
                      workspace; also those of `allowed_users`; or everybody.";
const ACCESS_OF_NEW: &str = "Whom it lets in; the settings say without it. `public` only where \
                             the setting `access.public_sessions` is on.";
const USERS: &str = "Whom `users` lets in besides the owner. Kept while `access` is another one.";
const ALL_USERS: &str = "All of them: those that are not named are out at once.";

const _: () = assert!(limits::REASON_BYTES_MAX == 512, "REASON says so");

pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("NewSession", new_session()),
        ("SessionChange", session_change()),
        ("Session", session()),
        ("SessionPage", page("Sessions in the order of their ids.", "Session")),
    ]
}

fn reason() -> Value {
    short_text(REASON, "pulling the image")
}

fn policy() -> Value {
    let words: Vec<_> = Policy::WORDS.split(", ").collect();
    json!({ "type": "string", "description": ACCESS, "enum": words })
}

fn users() -> Value {
    let mut users = names(USERS, "bob@example.com");
    users["maxItems"] = json!(limits::ALLOWED_USERS_MAX);
    users
}

fn new_session() -> Value {
    let or_default = |mut schema: Value, default: Value| {
        schema["default"] = default;
        nullable(schema)
    };
    let properties = json!({
        "id": nullable(about(session_id(), "Eight hexadecimal digits are drawn without one.")),
        "label": nullable(label()),
        "workspace": name(WORKSPACE, "genomics"),
        "owner": name(OWNER, "ada@example.com"),
        "tool": name(TOOL, "jupyter"),
        "image": nullable(image()),
        "labels": nullable(labels()),
        "upstream": upstream(),
        "state": or_default(state(), json!("running")),
        "reason": nullable(reason()),
        "routing": nullable(about(routing(), "On which URLs; the settings say without it.")),
        "host_header": or_default(host_header(), json!("preserve")),
        "strip_prefix": or_default(flag(STRIP_PREFIX), json!(false)),
        "access": nullable(about(policy(), ACCESS_OF_NEW)),
        "allowed_users": nullable(users()),
        "lifespan_seconds": or_default(lifespan_seconds(), json!(0)),
        "idle_timeout_seconds": or_default(idle_timeout_seconds(), json!(0)),
    });
    sent("A session to be created.", properties, &["workspace", "owner", "tool", "upstream"])
}

fn session_change() -> Value {
    let properties = json!({
        "state": state(),
        "reason": nullable(reason()),
        "upstream": upstream(),
        "routing": routing(),
        "host_header": host_header(),
        "strip_prefix": flag(STRIP_PREFIX),
        "access": policy(),
        "allowed_users": nullable(about(users(), ALL_USERS)),
        "image": nullable(image()),
        "labels": nullable(about(labels(), "All of them: those that are not named are gone.")),
        "idle_timeout_seconds": nullable(idle_timeout_seconds()),
        "lifespan_seconds": nullable(about(
            lifespan_seconds(),
            "Seconds from this change on; 0 or null is never.",
        )),
    });
    sent("What is to change; `null` takes away (RFC 7396).", properties, &[])
}

fn session() -> Value {
    let url = |example: &str| json!({ "type": "string", "format": "uri", "examples": [example] });
    let urls = json!({
        "subdomain": url("https://a3e8370e7.connect.example.com/"),
        "path": url("https://connect.example.com/_studio/a3e8370e7/"),
    });
    let properties = json!({
        "id": session_id(),
        "version": count("Rises with each change; the entity tag for `If-Match`."),
        "label": label(),
        "workspace": name(WORKSPACE, "genomics"),
        "owner": name(OWNER, "ada@example.com"),
        "tool": name(TOOL, "jupyter"),
        "image": nullable(image()),
        "labels": labels(),
        "upstream": upstream(),
        "state": state(),
        "reason": nullable(reason()),
        "routing": routing(),
        "host_header": host_header(),
        "strip_prefix": flag(STRIP_PREFIX),
        "access": policy(),
        "allowed_users": users(),
        "lifespan_seconds": lifespan_seconds(),
        "expires_at": nullable(time("When it ends by itself.")),
        "idle_timeout_seconds": idle_timeout_seconds(),
        "idle_since": nullable(time("When it was found to be idle; null while it is in use.")),
        "urls": answered("Where a browser opens it.", urls, &["subdomain", "path"]),
        "created_at": time("When it was created."),
        "changed_at": time("When it was last changed."),
    });
    answered("One running tool.", properties, &[])
}

/// `{"create": […], "delete": […]}` and its answers.
pub fn bulk() -> Vec<(&'static str, Value)> {
    let items_max = limits::BULK_ITEMS_MAX;
    let creations = json!({
        "type": ["array", "null"],
        "description": "Sessions to be created. One that is refused does not hold up the others.",
        "maxItems": items_max,
        "items": reference("NewSession"),
    });
    let deletions = json!({
        "type": ["array", "null"],
        "description": "Ids of sessions to be deleted, before any is created.",
        "maxItems": items_max,
        "items": session_id(),
    });
    let outcomes = |description: &str| {
        let items = reference("BulkOutcome");
        json!({ "type": "array", "description": description, "items": items })
    };
    let status = json!({
        "type": "integer",
        "description": "What the request for this one alone would have answered.",
        "minimum": 200,
        "maximum": 599,
    });
    let outcome = json!({
        "status": status,
        "session": reference("Session"),
        "problem": reference("Problem"),
    });
    let bulk = sent("Many in one.", json!({ "create": creations, "delete": deletions }), &[]);
    let answer = json!({
        "created": outcomes("In the order of `create`."),
        "deleted": outcomes("In the order of `delete`."),
    });
    vec![
        ("Bulk", bulk),
        ("BulkOutcomes", answered("What became of each.", answer, &[])),
        (
            "BulkOutcome",
            answered("201 and the session, 204, or the problem.", outcome, &["session", "problem"]),
        ),
    ]
}
