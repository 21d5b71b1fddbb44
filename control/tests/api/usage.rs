//! What was used, summed up and told in pages.

use std::time::{Duration, SystemTime};

use portico_control::store::UsageBatch;
use portico_core::label::SessionId;
use portico_core::session::Timestamp;
use portico_core::usage::{Counted, Hour, Reading, Rtt, Usage, UsageKey};
use serde_json::{Value, json};

use crate::world::{Client, World};

/// Midnight of yesterday, which is within what is kept.
fn yesterday() -> Hour {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let Hour(hour) = Hour::of(Timestamp(since.as_millis() as u64));
    Hour(hour - hour % 24 - 24)
}

fn at(hours: u32) -> String {
    let time = Hour(yesterday().0 + hours).begins_at();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(time.0);
    humantime::format_rfc3339_millis(time).to_string()
}

/// `3 genomics ada one 5`: so many hours after yesterday's midnight, five bytes in.
fn row(words: &str) -> Usage {
    let words: Vec<_> = words.split(' ').collect();
    let [hours, workspace, user, session, bytes_in] = words[..] else { panic!("{words:?}") };
    let of = UsageKey {
        hour: Hour(yesterday().0 + hours.parse::<u32>().unwrap()),
        workspace: workspace.parse().unwrap(),
        user: user.parse().unwrap(),
        session: SessionId::parse(session).unwrap(),
    };
    let bytes_in = bytes_in.parse().unwrap();
    let counted = Counted { bytes_in, connections: 1, rtt: Rtt::of_sample(900), ..<_>::default() };
    Usage { of, counted }
}

fn world(rows: &[&str]) -> (World, Client) {
    let world = World::start();
    let reading =
        Reading { usage: rows.iter().map(|row| self::row(row)).collect(), ..<_>::default() };
    let (writer, at) = ("w1".parse().unwrap(), yesterday().begins_at());
    let batch = UsageBatch { writer, number: 1, at, reading };
    world.block_on(world.store.add_usage(batch)).unwrap();
    let client = world.client();
    (world, client)
}

const ROWS: &[&str] = &[
    "1 genomics ada one 1",
    "2 genomics ada one 2",
    "2 genomics bob two 4",
    "3 imaging ada three 8",
    "25 imaging ada three 16",
];

fn whole(query: &str) -> String {
    format!("/v1/usage?from={}&to={}{query}", at(0), at(48))
}

/// `3 genomics ada one 5` for each item; what is null is `-`.
fn told(answer: &Value) -> Vec<String> {
    let begin = humantime::parse_rfc3339(&at(0)).unwrap();
    let item = |item: &Value| {
        let time = humantime::parse_rfc3339(item["at"].as_str().unwrap()).unwrap();
        let hours = time.duration_since(begin).unwrap().as_secs() / 3_600;
        let name = |name: &str| item[name].as_str().unwrap_or("-").to_owned();
        let (workspace, user, session) = (name("workspace"), name("user"), name("session"));
        format!("{hours} {workspace} {user} {session} {}", item["bytes_in"])
    };
    answer["items"].as_array().unwrap().iter().map(item).collect()
}

#[test]
fn usage_is_summed_up_as_asked() {
    let (_world, mut client) = world(ROWS);
    for (query, items) in [
        ("", vec!["0 genomics - - 7", "0 imaging - - 24"]),
        ("&by=user", vec!["0 - ada - 27", "0 - bob - 4"]),
        ("&by=session&step=hour", ROWS.to_vec()),
        ("&step=day", vec!["0 genomics - - 7", "0 imaging - - 8", "24 imaging - - 16"]),
        ("&by=user&workspace=imaging", vec!["0 imaging ada - 24"]),
        ("&user=ada", vec!["0 genomics ada - 3", "0 imaging ada - 24"]),
        ("&session=two&by=user", vec!["0 - bob two 4"]),
        ("&session=none", vec![]),
    ] {
        let answer = client.get(&whole(query)).json();
        assert_eq!(told(&answer), items, "{query}");
        assert_eq!(answer["next_cursor"], Value::Null);
    }
}

#[test]
fn a_row_has_all_numbers_and_the_answer_says_of_which_hours() {
    let (_world, mut client) = world(&["1 genomics ada one 5"]);
    let (from, to) = (at(1).replace(":00:00", ":20:00"), at(2).replace(":00:00", ":10:00"));
    let answer = client.get(&format!("/v1/usage?from={from}&to={to}")).json();
    assert_eq!(
        answer,
        json!({
            "from": at(1), "to": at(3), "by": "workspace", "step": "total", "next_cursor": null,
            "items": [{
                "at": at(1), "workspace": "genomics", "user": null, "session": null,
                "connections": 1, "resets": 0, "requests": 0, "bytes_in": 5, "bytes_out": 0,
                "upstream_bytes_in": 0, "upstream_bytes_out": 0,
                "segments_in": 0, "segments_out": 0, "retransmits": 0,
                "rtt": { "minimum_us": 900, "p50_us": 1024, "p90_us": 1024, "p99_us": 1024,
                         "samples": 1, "buckets": [0, 0, 0, 0, 0, 0, 0, 0, 0, 1] },
            }],
        })
    );
    let answer = client.get(&format!("/v1/usage?from={}&to={}", at(1), at(2))).json();
    assert_eq!((&answer["from"], &answer["to"]), (&json!(at(1)), &json!(at(2))));
    let last_day = client.get("/v1/usage").json();
    let time = |name: &str| humantime::parse_rfc3339(last_day[name].as_str().unwrap()).unwrap();
    let (from, to) = (time("from"), time("to"));
    assert!(to >= SystemTime::now() && from <= SystemTime::now() - Duration::from_secs(86_400));
    assert!(to.duration_since(from).unwrap() <= Duration::from_secs(25 * 3_600));
}

#[test]
fn pages_follow_each_other_whatever_the_step() {
    let (_world, mut client) = world(ROWS);
    for step in ["hour", "day", "total"] {
        let query = whole(&format!("&by=session&step={step}"));
        let all = told(&client.get(&query).json());
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = client.get(&format!("{query}&limit=2{cursor}")).json();
            let items = told(&page);
            assert!(items.len() <= 2);
            pages.extend(items);
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(pages, all, "{step}");
    }
}

#[test]
fn a_table_is_had_as_csv() {
    let (_world, mut client) = world(ROWS);
    let query = whole("&by=session");
    let by_field = client.send("GET", &query, &[("Accept", "text/csv")], None);
    let by_name = client.get(&format!("{query}&format=csv"));
    assert_eq!(by_field.body, by_name.body);
    let media_type = by_name.header("content-type").unwrap();
    assert!(media_type.starts_with("text/csv"), "{media_type}");
    let text = String::from_utf8(by_name.body).unwrap();
    let lines: Vec<_> = text.split("\r\n").collect();
    assert_eq!(
        lines[0],
        "at,workspace,user,session,connections,resets,requests,bytes_in,bytes_out,\
         upstream_bytes_in,upstream_bytes_out,segments_in,segments_out,retransmits,\
         rtt_minimum_us,rtt_p50_us,rtt_p90_us,rtt_p99_us,rtt_samples"
    );
    let first = format!("{},genomics,ada,one,2,0,0,3,0,0,0,0,0,0,900,1024,1024,1024,2", at(0));
    assert_eq!((lines[1], lines.len(), lines[4]), (&*first, 5, ""));
    let json = client.send("GET", &format!("{query}&format=json"), &[("Accept", "text/csv")], None);
    assert_eq!(told(&json.json()).len(), 3);
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let (_world, mut client) = world(&[]);
    let query = "/v1/usage?by=owner&from=yesterday&to=2026-02-01T00:00:00&step=week&limit=0\
                 &session=_&workspace=a,b&cursor=x&format=xml&more=1";
    let fields =
        ["by", "from", "to", "step", "limit", "session", "workspace", "cursor", "format", "more"];
    client.get(query).assert_problem(400, "invalid-request", &fields);
    let backwards = format!("/v1/usage?from={}&to={}", at(1), at(1));
    client.get(&backwards).assert_problem(422, "invalid-values", &["from"]);
    let early = "/v1/usage?from=1969-01-01T00:00:00Z";
    client.get(early).assert_problem(422, "invalid-values", &["from"]);
    let csv = "/v1/usage?format=csv&limit=5&cursor=1,a,,";
    client.get(csv).assert_problem(422, "invalid-values", &["limit", "cursor"]);
    let ages = "/v1/usage?from=1970-01-01T00:00:00Z&to=9999-12-31T23:00:00Z&step=hour";
    assert_eq!(client.get(ages).json()["items"], json!([]));
}

#[test]
fn a_bounded_token_sees_what_it_reaches() {
    let (world, mut admin) = world(ROWS);
    let bounds = r#""scopes":["usage:read"],"workspaces":["imaging"]"#;
    let mut bounded = admin.make_token(&world, "bounded", bounds);
    let seen = told(&bounded.get(&whole("&by=user")).json());
    assert_eq!(seen, ["0 - ada - 24"]);
    let refused = bounded.get(&whole("&workspace=genomics"));
    refused.assert_problem(403, "workspace-out-of-bounds", &[]);
    let mut other = admin.make_token(&world, "other", r#""scopes":["sessions:write"]"#);
    other.get("/v1/usage").assert_problem(403, "missing-scope", &[]);
}
