//! The document and the page that describe the API: checked in, fresh, open, and without secrets.

use std::path::PathBuf;

use portico_control::api;

use crate::document::{document, operations};
use crate::world::{TOKEN, World};

#[test]
fn the_document_that_is_checked_in_is_fresh() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var_os("PORTICO_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, api::document()).unwrap();
    }
    let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        checked_in == api::document(),
        "control/openapi.json is stale. Write it anew and look at what changed:\n\
         PORTICO_WRITE_OPENAPI=1 cargo test -p portico-control --test api documents"
    );
}

#[test]
fn both_are_open_and_are_the_only_ones() {
    let world = World::start();
    let mut client = world.client_with(None);
    let answer = client.get("/v1/openapi.json");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.json(), *document());
    for token in [None, Some(TOKEN), Some("0123456789abcdef-wrong")] {
        assert_eq!(world.client_with(token).get("/v1/docs").status, 200, "{token:?}");
    }
    let answer = client.post("/v1/docs", "{}");
    answer.assert_problem(405, "method-not-allowed", &[]);
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    for (method, path, about) in operations() {
        let is_open = about["security"].as_array().unwrap().is_empty();
        let path = path.replace(['{', '}'], "");
        let answer = client.send(&method, &path, &[], None);
        if is_open {
            assert_eq!(answer.status, 200, "{method} {path}");
        } else {
            answer.assert_problem(401, "unauthorized", &[]);
        }
    }
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let world = World::start();
    let answer = world.client_with(None).get("/v1/docs");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'; style-src 'unsafe-inline'"), "{policy}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let page = String::from_utf8(answer.body.clone()).unwrap();
    for needed_elsewhere in ["<script", "src=", "url(", "@import", "<link", "<form", "<iframe"] {
        assert!(!page.contains(needed_elsewhere), "{needed_elsewhere}");
    }
    // Every link leads to somewhere on the page, or to the document.
    for target in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let is_here =
            target.strip_prefix('#').is_some_and(|id| page.contains(&format!("id=\"{id}\"")));
        assert!(is_here || target == "/v1/openapi.json", "{target}");
    }
    for (_, path, about) in operations() {
        assert!(page.contains(path) && page.contains(about["summary"].as_str().unwrap()));
    }
    assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
}

#[test]
fn neither_tells_anything_of_this_install() {
    for text in ["127.0.0.1", TOKEN, env!("CARGO_PKG_VERSION")] {
        assert!(!document()["info"].to_string().contains(text), "{text}");
    }
}

/// What a document must be for tools to take it, as far as a few lines can tell.
#[test]
fn the_document_is_whole() {
    assert_eq!(document()["openapi"], "3.1.0");
    let text = api::document();
    for target in text.split("\"$ref\": \"#/components/schemas/").skip(1) {
        let name = target.split('"').next().unwrap();
        assert!(document()["components"]["schemas"][name].is_object(), "{name}");
    }
    for (method, path, about) in operations() {
        for answer in about["responses"].as_object().unwrap().values() {
            let says = |answer: &serde_json::Value| answer["description"].is_string();
            let shared = answer["$ref"].as_str().and_then(|target| target.rsplit('/').next());
            let shared = shared.map(|name| &document()["components"]["responses"][name]);
            assert!(says(shared.unwrap_or(answer)), "{method} {path}");
        }
        let examples = about["requestBody"]["content"].as_object();
        for media in examples.into_iter().flat_map(|content| content.values()) {
            let schema = media["schema"]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            crate::document::check_value(schema, &media["example"]);
        }
    }
}

/// Nothing that was sent is ignored in silence.
#[test]
fn a_made_up_field_or_parameter_is_a_mistake_everywhere() {
    let world = World::start();
    let mut client = world.client();
    for (method, path, about) in operations() {
        let is_open = about["security"].as_array().unwrap().is_empty();
        let path = path.replace(['{', '}'], "");
        if !is_open {
            let answer = client.send(&method, &format!("{path}?made_up=1"), &[], None);
            assert_eq!(answer.problem().1, ["made_up"], "{method} {path}");
        }
        if about.get("requestBody").is_some() {
            let json = [("Content-Type", "application/json")];
            let answer = client.send(&method, &path, &json, Some(r#"{"made_up":1}"#));
            assert_eq!(answer.status, 400, "{method} {path}");
            assert!(answer.problem().1.contains(&"made_up".to_owned()), "{method} {path}");
        }
    }
}
