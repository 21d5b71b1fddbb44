//! What a proxy tells of a URL: its decision, and what became of the session lately, on both io
//! back ends.

use std::net::TcpListener;
use std::process::{Command, Output};

use portico_bench::world::client::{Client, Response};
use portico_bench::world::upstream::Upstream;
use portico_bench::world::{CONNECT_HOST, Io, Options, TOKEN, World, eventually};
use serde_json::{Value, json};

const BOTH: [Io; 2] = [Io::Uring, Io::Epoll];

fn options(io: Io) -> Options {
    Options::new(env!("CARGO_BIN_EXE_portico"), io)
}

/// What the management listener says.
fn asked(world: &World, parameters: &str) -> Response {
    let mut client = Client::connect(world.management);
    client.get(&world.management.to_string(), &format!("/explain?{parameters}"))
}

#[track_caller]
fn told(world: &World, parameters: &str) -> Value {
    let response = asked(world, parameters);
    assert_eq!(response.status, 200, "{parameters}: {}", response.text());
    response.json()
}

/// `portico explain` with these arguments, where nothing else says where things are.
fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portico"));
    command.arg("explain").args(arguments).current_dir("/").env_remove("PORTICO_API");
    command.envs(environment.iter().copied()).output().expect("it runs")
}

/// With both to ask.
#[track_caller]
fn explained(world: &World, arguments: &[&str]) -> String {
    let api = format!("http://{}", world.control);
    let management = world.management.to_string();
    let places = ["--api", &api, "--management", &management];
    let output = command(&[arguments, &places].concat(), &[("PORTICO_TOKEN", TOKEN)]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_it_would_do_is_told_of_both_routings_and_of_what_is_no_session() {
    for io in BOTH {
        let world = World::start(options(io));
        let upstream = Upstream::echo();
        let fields = json!({ "id": "one", "upstream": upstream.url(), "strip_prefix": true });
        let session = world.session_with(fields);
        let url = format!("http://{CONNECT_HOST}/_studio/aone/lab?token=secret");
        let found = told(&world, &format!("url={url}&method=POST"));
        for (pointer, expected) in [
            ("/rule", json!("path")),
            ("/label", json!("aone")),
            ("/session/id", json!("one")),
            ("/session/state", json!("running")),
            ("/access/gate", json!("open")),
            ("/access/decision", json!("open_gate")),
            ("/workspace/allowed", json!(true)),
            ("/sent/path", json!("/lab")),
            ("/upstream/url", json!(upstream.url())),
            ("/workers", json!({ "asked": 2, "answered": 2 })),
            ("/errors", json!([])),
            ("/answer/status", Value::Null),
            ("/answer/text", json!(format!("sent to {}", upstream.url()))),
            ("/listeners/0/address", json!(world.http)),
            ("/listeners/0/takes", json!("behind_balancer")),
        ] {
            assert_eq!(found.pointer(pointer), Some(&expected), "{pointer}: {found:#}");
        }
        assert!(!found.to_string().contains("secret"), "{found:#}");
        let direct = format!("url=http://{}:{}/", session.host, world.http.port());
        let direct = told(&world, &direct);
        assert_eq!(direct["listeners"][0]["takes"], "directly", "{direct:#}");
        assert_eq!(direct["rule"], "subdomain");

        let host = format!("http://{}/", session.host);
        let whole: Value = serde_json::from_str(&explained(&world, &[&host, "--json"])).expect("J");
        assert_eq!((&whole["session"], &whole["not_asked"]), (&json!("one"), &json!([])));
        assert_eq!(whole["answer"], format!("sent to {}", upstream.url()));
        assert_eq!(whole["data_plane"]["access"]["gate"], "open");
        let said = explained(&world, &[&host]);
        assert!(said.contains("gate               open; for nobody known: open gate"), "{said}");

        world.patch(&session, &json!({ "state": "stopped", "reason": "it was idle" }));
        for (url, status, reason) in [
            (host, 503, "stopped"),
            (format!("http://nobody.{CONNECT_HOST}/"), 404, "unknown_session"),
            (format!("http://{CONNECT_HOST}/lab"), 404, "unknown_session"),
            ("http://elsewhere.example.org/".to_owned(), 404, "foreign_host"),
        ] {
            let (place, path) = url["http://".len()..].split_once('/').expect("a path");
            eventually("a client is answered so", || {
                let found = world.client().get(place, &format!("/{path}")).status;
                (found == status).then_some(())
            });
            let found = told(&world, &format!("url={url}"));
            assert_eq!(found["answer"]["status"], status, "{url}: {found:#}");
            assert_eq!(found["answer"]["reason"], reason, "{url}: {found:#}");
        }
    }
}

#[test]
fn back_off_and_the_last_errors_are_told() {
    for io in BOTH {
        let world = World::start(options(io));
        let gone = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = gone.local_addr().expect("it is bound");
        drop(gone);
        let session = world.session_with(json!({ "upstream": format!("http://{address}") }));
        let url = format!("url=http://{}/", session.host);
        let mut client = world.client();
        let found = eventually("three refused connections and a back-off", || {
            assert_eq!(client.get(&session.host, "/?token=secret").status, 502);
            let found = told(&world, &url);
            let errors = found["errors"].as_array().cloned().unwrap_or_default();
            let refused = errors.iter().find(|error| error["connect"] == "refused")?;
            let backing_off = &found["upstream"]["addresses"][0]["workers_backing_off"];
            (refused["count"].as_u64()? >= 3 && *backing_off == 1).then_some(found)
        });
        let errors = found["errors"].as_array().expect("a list");
        for error in errors {
            assert_eq!(error["reason"], "upstream_unreachable", "{found:#}");
            assert_eq!((&error["status"], &error["address"]), (&json!(502), &json!(address)));
        }
        assert!(errors.iter().any(|error| error["connect"] == "backoff"), "{found:#}");
        let text = found.to_string();
        assert!(!text.contains("secret") && !text.contains("token"), "{found:#}");
        let said = explained(&world, &[&session.host]);
        assert!(said.contains("last error         502 upstream_unreachable (refused)"), "{said}");

        let cut = Upstream::scripted(|connection| {
            connection.request();
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
        });
        let cut = world.session(&cut);
        let mut broken = world.client();
        broken.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", cut.host));
        let error = eventually("an answer that was cut short", || {
            let errors = told(&world, &format!("url=http://{}/", cut.host))["errors"].take();
            errors.as_array()?.iter().find(|error| error["status"] == 200).cloned()
        });
        assert_eq!(error["reason"], "upstream_closed", "{error:#}");
    }
}

#[test]
fn a_closed_gate_decides_for_nobody_and_for_a_user() {
    for io in BOTH {
        // Behind a balancer that ends TLS.
        let closed = options(io).set("PORTICO_ACCESS__MODE", "closed");
        let closed = closed.set("PORTICO_CONNECT_URL", format!("https://{CONNECT_HOST}"));
        let world = World::start(closed);
        let upstream = Upstream::echo();
        let users = json!(["bob"]);
        let fields =
            json!({ "upstream": upstream.url(), "access": "users", "allowed_users": users });
        let session = world.session_with(fields);
        let host = format!("https://{}/", session.host);
        let path = format!("https://{CONNECT_HOST}{}", session.prefix);
        assert_eq!(world.client().get(&session.host, "/").status, 401);
        for (url, user, status, decision) in [
            (&host, "", json!(401), "sign_in"),
            (&path, "", json!(401), "sign_in"),
            (&host, "&user=ada", Value::Null, "allowed"),
            (&host, "&user=bob", Value::Null, "allowed"),
            (&path, "&user=bob", json!(403), "not_allowed"),
            (&host, "&user=eve", json!(403), "not_allowed"),
        ] {
            let found = told(&world, &format!("url={url}{user}"));
            assert_eq!(found["access"]["gate"], "closed", "{found:#}");
            assert_eq!(found["access"]["decision"], decision, "{url}{user}: {found:#}");
            assert_eq!(found["answer"]["status"], status, "{url}{user}: {found:#}");
        }
        let refused = told(&world, &format!("url={host}"));
        assert_eq!(refused["errors"][0]["reason"], "not_signed_in", "{refused:#}");
        let said = explained(&world, &[&host, "--user", "eve"]);
        assert!(said.contains("answer             403 not_allowed:"), "{said}");
    }
}

#[test]
fn a_denied_quota_is_told() {
    for io in BOTH {
        let files = tempfile::TempDir::new().expect("a temporary directory");
        let policy = files.path().join("policy.json");
        let buckets = json!({ "buckets": [{
            "name": "per-session",
            "quotas": [{ "bytes": 100, "window": "1h", "kind": "fixed", "on_exceed": "deny" }],
            "extractors": [{ "protocol": "any", "source": { "type": "session" } }],
        }]});
        std::fs::write(&policy, buckets.to_string()).expect("it is written");
        let policy = policy.display().to_string();
        let world = World::start(options(io).set("PORTICO_QUOTAS__POLICY", policy));
        let upstream = Upstream::echo();
        let session = world.session(&upstream);
        eventually("the quota is used up", || {
            let status = world.client().get(&session.host, &format!("/{}", "x".repeat(200))).status;
            (status == 429).then_some(())
        });
        let found = told(&world, &format!("url=http://{}/", session.host));
        assert_eq!(found["answer"]["reason"], "quota_exceeded", "{found:#}");
        let quota = &found["quotas"][0];
        assert_eq!((&quota["standing"], &quota["value"]), (&json!("denied"), &json!(session.id)));
        assert!(quota["usage"][0]["used_bytes"].as_u64() >= Some(100), "{found:#}");
        assert_eq!(found["errors"][0]["reason"], "quota_exceeded", "{found:#}");
        let said = explained(&world, &[&session.host]);
        assert!(said.contains("denied for"), "{said}");
    }
}

#[test]
fn who_may_ask_and_who_cannot_be_asked_is_said() {
    let world = World::start(options(Io::Epoll));
    let session = world.session(&Upstream::echo());
    let url = format!("http://{}/", session.host);
    let from_a_page = format!(
        "GET /explain?url={url} HTTP/1.1\r\nHost: {}\r\nOrigin: null\r\n\r\n",
        world.management
    );
    assert_eq!(Client::connect(world.management).exchange(from_a_page).status, 403);
    let by_name = Client::connect(world.management).get("evil.example.org", "/explain?url=x");
    assert_eq!(by_name.status, 403);
    for wrong in ["", "url=ftp://a/", "url=http://a/&method=A%20B", "url=a&user=a%20b", "url=a&x=y"]
    {
        assert_eq!(asked(&world, wrong).status, 400, "{wrong}");
    }

    let api = format!("http://{}", world.control);
    let management = world.management.to_string();
    let token = ("PORTICO_TOKEN", TOKEN);
    let no_url = command(&["ftp://a/", "--api", &api], &[token]);
    assert_eq!(no_url.status.code(), Some(64), "{no_url:?}");
    // Where the settings say, if the API is here too.
    let here = ("PORTICO_MANAGEMENT__LISTEN", management.as_str());
    let found = command(&[&url, "--api", &api, "--json"], &[token, here]);
    let found: Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!(found["not_asked"], json!([]), "{found:#}");
    for (arguments, environment, missing, known) in [
        (
            vec!["--api", &api, "--management", "127.0.0.1:1"],
            vec![token],
            "a proxy: 127.0",
            "state",
        ),
        (
            vec!["--api", &api],
            vec![token, ("PORTICO_MANAGEMENT__LISTEN", "off")],
            "is off",
            "state",
        ),
        (vec!["--api", "http://127.0.0.1:1"], vec![token, here], "the API: ", "data_plane"),
        (vec![], vec![here], "the API: ", "data_plane"),
    ] {
        let output = command(&[&[url.as_str(), "--json"], &arguments[..]].concat(), &environment);
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let reasons = found["not_asked"].to_string();
        assert!(reasons.contains(missing), "{arguments:?}: {found:#}");
        assert!(!found[known].is_null(), "{arguments:?}: {found:#}");
        assert!(found["answer"].as_str().is_some_and(|answer| answer.starts_with("sent to")));
    }
    let neither = command(&[&url, "--api", "http://127.0.0.1:1", "--management", "off"], &[token]);
    assert_eq!(neither.status.code(), Some(69), "{neither:?}");
}
