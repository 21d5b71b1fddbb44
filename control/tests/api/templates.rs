//! The catalogue, and which routing it lets a session have.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::World;

fn keys(list: &Value) -> Vec<(String, String)> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let items = list["items"].as_array().unwrap().iter();
    items.map(|item| (text(item, "key"), text(item, "origin"))).collect()
}

/// The rules come with the feed.
fn until_catalogue(world: &World, is: impl Fn(&portico_core::template::Catalogue) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is(&world.rules.now().catalogue) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn templates_are_put_shown_and_taken_back() {
    let world = World::start();
    let mut client = world.client();
    let builtin = client.get("/v1/templates").json();
    let of_settings = |key: &str| (key.to_owned(), "settings".to_owned());
    assert_eq!(keys(&builtin), ["jupyter", "rstudio", "vscode", "xpra"].map(of_settings));
    let put = client.put(
        "/v1/templates/marimo",
        r#"{"tool":"marimo","repository":"quay.io/x/marimo:0.9-0.12","icon":"marimo",
            "client_version_min":"0.8"}"#,
    );
    assert_eq!(
        (put.status, put.json()),
        (
            200,
            json!({
                "key": "marimo", "tool": "marimo", "repository": "quay.io/x/marimo:0.9-0.12",
                "icon": "marimo", "port": 8080, "status": "recommended", "path_routing": true,
                "client_version_min": "0.8", "path_refusal": null, "origin": "api",
            })
        )
    );
    assert_eq!(client.get("/v1/templates/marimo").json(), put.json());
    let own = client.get("/v1/templates/jupyter").json();
    client.put("/v1/templates/jupyter", r#"{"tool":"jupyter","repository":"a/b","port":9999}"#);
    let changed = client.get("/v1/templates/jupyter").json();
    assert_eq!((&changed["port"], &changed["origin"]), (&json!(9999), &json!("api")));
    assert_eq!(client.delete("/v1/templates/jupyter").status, 204);
    assert_eq!(client.get("/v1/templates/jupyter").json(), own);
    client.delete("/v1/templates/jupyter").assert_problem(404, "unknown-name", &[]);
    client.get("/v1/templates/none").assert_problem(404, "unknown-name", &[]);
}

#[test]
fn all_mistakes_of_a_template_are_told() {
    let world = World::start();
    let mut client = world.client();
    client
        .put(
            "/v1/templates/x",
            r#"{"tool":"a b","repository":"-","status":"best","port":0,"icon":"",
                "client_version_min":"1","path_refusal":"a\nb"}"#,
        )
        .assert_problem(
            422,
            "invalid-values",
            &["tool", "repository", "status", "port", "icon", "client_version_min", "path_refusal"],
        );
    client.put("/v1/templates/x", r#"{"key":"x","port":"80","path_routing":1}"#).assert_problem(
        400,
        "invalid-request",
        &["tool", "repository", "key", "port", "path_routing"],
    );
    // What would be of no use is not taken in silence.
    let with = |more: &str| format!(r#"{{"tool":"t","repository":"a/b",{more}}}"#);
    client
        .put("/v1/templates/x", &with(r#""path_routing":true,"path_refusal":"no""#))
        .assert_problem(422, "invalid-values", &["path_refusal"]);
    client
        .put("/v1/templates/x", &with(r#""path_routing":false,"client_version_min":"0.8""#))
        .assert_problem(422, "invalid-values", &["client_version_min"]);
}

#[test]
fn a_tool_that_cannot_have_path_routing_is_refused_with_its_reason() {
    let world = World::start();
    let mut client = world.client();
    let mut create = |fields: &str| {
        let body =
            format!(r#"{{"workspace":"w","owner":"o","upstream":"http://10.0.0.7",{fields}}}"#);
        client.post("/v1/sessions", &body)
    };
    let refused = create(r#""tool":"xpra","routing":["path"]"#);
    refused.assert_problem(422, "routing-refused", &[]);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("`xpra` cannot have routing \"path\": "), "{detail}");
    assert!(detail.contains("use routing [\"subdomain\"]"), "{detail}");
    assert_eq!(create(r#""tool":"xpra","routing":["subdomain"],"id":"x""#).status, 201);

    const IMAGE: &str = "public.cr.seqera.io/platform/data-studio-vscode";
    let of = |tag: &str, routing: &str| {
        format!(r#""tool":"vscode","image":"{IMAGE}:{tag}","routing":["{routing}"]"#)
    };
    let refused = create(&of("1.83.0-0.6.0", "path"));
    refused.assert_problem(422, "routing-refused", &[]);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("0.6.0") && detail.contains("or later"), "{detail}");
    assert_eq!(create(&of("1.83.0-0.6.0", "subdomain")).status, 201);
    assert_eq!(create(&of("1.101.2-0.12", "path")).status, 201);
    let change = client.patch("/v1/sessions/x", r#"{"routing":["path","subdomain"]}"#);
    change.assert_problem(422, "routing-refused", &[]);
}

/// What the catalogue says later is for what comes later.
#[test]
fn a_changed_catalogue_does_not_keep_a_session_from_being_ended() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one","routing":["path"]"#);
    let body = r#"{"tool":"jupyter","repository":"a/b","path_refusal":"not any more"}"#;
    assert_eq!(client.put("/v1/templates/jupyter", body).json()["path_routing"], false);
    until_catalogue(&world, |catalogue| {
        let tool = "jupyter".parse().unwrap();
        catalogue.check(&tool, None, portico_core::session::Routing::Path).is_err()
    });
    client.create(r#""routing":["path"]"#).assert_problem(422, "routing-refused", &[]);
    assert_eq!(client.patch("/v1/sessions/one", r#"{"state":"stopping"}"#).status, 200);
}
