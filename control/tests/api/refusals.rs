//! What the API refuses, and that it says so in one form, all mistakes at once.

use portico_core::limits;

use crate::world::{TOKEN, World};

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[test]
fn nothing_answers_without_the_token() {
    let world = World::start();
    for path in ["/v1/sessions", "/v1/sessions/x", "/v1/other", "/"] {
        let answer = world.client_with(None).get(path);
        answer.assert_problem(401, "unauthorized", &[]);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"portico\""));
        let answer = world.client_with(Some("0123456789abcdef-tesT")).get(path);
        answer.assert_problem(401, "wrong-token", &[]);
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
}

#[test]
fn the_token_is_asked_for_before_the_body_is_read() {
    let world = World::start();
    let mut client = world.client_with(None);
    client.send_raw(
        "POST /v1/sessions HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n{",
    );
    client.answer(false).assert_problem(401, "unauthorized", &[]);
}

#[test]
fn all_mistakes_of_a_body_are_told_at_once() {
    let world = World::start();
    let mut client = world.client();
    client.post("/v1/sessions", "{}").assert_problem(
        400,
        "invalid-request",
        &["workspace", "owner", "tool", "upstream"],
    );
    client
        .create(
            r#""id":"-x","label":"a.b","state":"asleep","routing":[],"host_header":"other",
               "reason":"a\nb","strip_prefix":"yes","colour":"red","access":{},"state":"running""#,
        )
        .assert_problem(
            400,
            "invalid-request",
            &[
                "id",
                "label",
                "state",
                "state",
                "routing",
                "host_header",
                "reason",
                "strip_prefix",
                "colour",
                "access",
            ],
        );
    // Only values: 422.
    client.create(r#""id":"a_b","state":"asleep""#).assert_problem(
        422,
        "invalid-values",
        &["id", "state"],
    );
    client.create(r#""workspace":null"#).assert_problem(400, "invalid-request", &["workspace"]);
    client.create(r#""routing":["path",1]"#).assert_problem(400, "invalid-request", &["routing"]);
    let long = format!(r#""reason":"{}""#, "x".repeat(limits::REASON_BYTES_MAX + 1));
    client.create(&long).assert_problem(422, "invalid-values", &["reason"]);
}

#[test]
fn an_upstream_must_be_an_address_that_is_allowed() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    for upstream in [
        "http://169.254.169.254",
        "http://[::ffff:169.254.169.254]:80",
        "http://192.168.0.1:80",
        "https://10.0.0.7",
        "10.0.0.7:80",
        "http://10.0.0.7/path",
        "http://0x7f.1",
    ] {
        let body = format!(r#"{{"workspace":"w","owner":"o","tool":"t","upstream":"{upstream}"}}"#);
        let answer = client.post("/v1/sessions", &body);
        answer.assert_problem(422, "invalid-values", &["upstream"]);
        let answer = client.patch("/v1/sessions/one", &format!(r#"{{"upstream":"{upstream}"}}"#));
        answer.assert_problem(422, "invalid-values", &["upstream"]);
    }
    // A name is looked up when connecting.
    let named = client.patch("/v1/sessions/one", r#"{"upstream":"http://jupyter-0.svc:8888"}"#);
    assert_eq!(named.status, 200);
}

#[test]
fn ids_and_labels_are_unique_and_not_the_connect_hosts() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    client.create(r#""id":"ONE""#).assert_problem(409, "id-taken", &[]);
    client.create(r#""id":"two","label":"aone""#).assert_problem(409, "label-taken", &[]);
    client.create(r#""label":"aone""#).assert_problem(409, "label-taken", &[]);
    client.create(r#""label":"connect""#).assert_problem(422, "invalid-values", &["label"]);
    assert_eq!(client.get("/v1/sessions").json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_patch_cannot_change_what_is_fixed_or_unknown() {
    let world = World::start();
    let mut client = world.client();
    client.create(r#""id":"one""#);
    client
        .patch("/v1/sessions/one", r#"{"id":"x","label":"x","owner":"x","state":"asleep"}"#)
        .assert_problem(422, "invalid-values", &["id", "label", "owner", "state"]);
    client.patch("/v1/sessions/one", r#"{"state":null,"created_at":"x"}"#).assert_problem(
        400,
        "invalid-request",
        &["state", "created_at"],
    );
    assert_eq!(client.get("/v1/sessions/one").header("etag"), Some("\"1\""));
}

#[test]
fn bodies_are_json_objects_of_bounded_size() {
    let world = World::start();
    let mut client = world.client();
    for body in ["", "{", "[]", "null", "\"x\"", "{\"id\":1}x", "{\"id\":\"\u{fffd}"] {
        client.post("/v1/sessions", body).assert_problem(400, "malformed-body", &[]);
    }
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let headers = [("Content-Type", media_type)];
        let answer = client.send("POST", "/v1/sessions", &headers, Some("{}"));
        answer.assert_problem(415, "wrong-media-type", &[]);
    }
    let answer = client.send("POST", "/v1/sessions", &[], Some("{}"));
    answer.assert_problem(415, "wrong-media-type", &[]);
    let large = " ".repeat(limits::API_BODY_BYTES_MAX + 1);
    let answer = world.client().send("POST", "/v1/sessions", &[JSON], Some(&large));
    answer.assert_problem(413, "large-body", &[]);
    let mut chunked = world.client();
    chunked.send_raw(&format!(
        "POST /v1/sessions HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{large}\r\n",
        large.len()
    ));
    chunked.answer(false).assert_problem(413, "large-body", &[]);
}

#[test]
fn unknown_paths_methods_and_parameters() {
    let world = World::start();
    let mut client = world.client();
    for path in ["/", "/v1", "/v1/", "/v1/sessions/", "/v1/sessions/a/b", "/v2/sessions"] {
        client.get(path).assert_problem(404, "unknown-path", &[]);
    }
    for id in ["none", "%2e%2e", "a_b", "%ff"] {
        let answer = client.get(&format!("/v1/sessions/{id}"));
        answer.assert_problem(404, "unknown-session", &[]);
    }
    let answer = client.send("PUT", "/v1/sessions", &[JSON], Some("{}"));
    answer.assert_problem(405, "method-not-allowed", &[]);
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));
    let answer = client.send("POST", "/v1/sessions/x", &[JSON], Some("{}"));
    answer.assert_problem(405, "method-not-allowed", &[]);
    assert_eq!(answer.header("allow"), Some("GET,HEAD,PATCH,DELETE"));
    client.get("/v1/sessions?limit=0&state=asleep&cursor=_&sort=id").assert_problem(
        400,
        "invalid-request",
        &["limit", "state", "cursor", "sort"],
    );
    for limit in ["0", "-1", "1001", "ten", ""] {
        let answer = client.get(&format!("/v1/sessions?limit={limit}"));
        answer.assert_problem(422, "invalid-values", &["limit"]);
    }
    let answer = client.get("/v1/sessions?state=running&state=stopped");
    answer.assert_problem(400, "invalid-request", &["state"]);
}

#[test]
fn requests_are_counted_by_method_route_and_status() {
    let world = World::start();
    let mut client = world.client();
    client.create("");
    client.get("/v1/sessions/none");
    client.get("/v1/elsewhere");
    client.send("BREW", "/v1/sessions", &[], None);
    world.client_with(None).get("/v1/sessions");
    let text = prometheus::TextEncoder::new().encode_to_string(&world.metrics.gather()).unwrap();
    for (method, route, status) in [
        ("POST", "/v1/sessions", 201),
        ("GET", "/v1/sessions/{id}", 404),
        ("GET", "none", 404),
        ("other", "/v1/sessions", 405),
        ("GET", "/v1/sessions", 401),
    ] {
        let line = format!(
            "portico_api_requests_total{{method=\"{method}\",route=\"{route}\",\
             status=\"{status}\"}} 1"
        );
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}
