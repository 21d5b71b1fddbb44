//! `portico explain URL`: what becomes of a URL. A proxy on this host is asked through its
//! management listener what it would do, and the API what it knows of the session. Either may be
//! away: what was not asked, and why, is said.

mod by_api;

mod by_proxy;

use std::fmt::Write;

use clap::Args;
use serde_json::{Value, json};

use super::api::Api;
use super::failure::{Failure, Outcome};
use super::output;
use super::place::{self, Place};
use super::table::clean;
use by_api::Asked;

pub const EXAMPLES: &str = "Examples:
  portico explain https://a3e8370e7.connect.example.com/lab
  portico explain https://connect.example.com/_studio/a3e8370e7/ --user bob
  portico explain https://a3e8370e7.connect.example.com/ --management 10.0.0.7:9090
  portico explain https://connect.example.com/_studio/a3e8370e7/ --json | jq .answer

Two are asked: the API for the session, and a proxy, through its management listener, for what it
would do: the listener, the gate and its decision, limits and quotas, the upstream's back-off, and
the last errors. Errors and back-off are of that proxy alone: ask each. Where the proxy cannot be
asked the answer is made from the API, with conditions; where the API cannot be asked, it is the
proxy's. What was not asked is said. --management off asks no proxy.";

#[derive(Args)]
pub struct Flags {
    /// As it stands in the browser
    #[arg(value_name = "URL")]
    url: String,
    /// Decide for this user as a sign-in would, instead of for nobody
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The method of the request
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// The management listener of the proxy to ask, or off [default: management.listen of the
    /// settings on this host, by PORTICO_CONFIG or the environment, if the API is on this host too]
    #[arg(long, value_name = "ADDRESS")]
    management: Option<String>,
}

pub async fn run(place: place::Flags, flags: Flags) -> Outcome {
    let json = place.json;
    let asked = Asked::of(&flags.url).map_err(Failure::Usage)?;
    let place = Place::of(&place);
    let elsewhere = place.as_ref().is_ok_and(|place| !is_here(&place.host));
    let by_api = match place {
        Ok(place) => by_api::told(&mut Api::new(place), &flags.url, &asked).await,
        Err(failure) => Err(failure),
    };
    let by_proxy = by_proxy::told(&flags, elsewhere).await;
    let told = match (by_api, by_proxy) {
        (Err(failure), Err(_)) => return Err(failure),
        (by_api, by_proxy) => put_together(&flags.url, by_api, by_proxy),
    };
    match json {
        true => output::write(format!("{told:#}\n").as_bytes()),
        false => output::write(text(&told).as_bytes()),
    }
}

/// Whether it is certain that this name or address is this host's.
fn is_here(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The proxy's answer is that of who has to do it, so it goes before what the API makes of it.
fn put_together(url: &str, by_api: Outcome<Value>, by_proxy: Result<Value, String>) -> Value {
    let mut not_asked = Vec::new();
    let mut told = by_api.unwrap_or_else(|failure| {
        not_asked.push(format!("the API: {}", failure.text().unwrap_or_default()));
        json!({ "url": url })
    });
    match by_proxy {
        Ok(data_plane) => {
            told["answer"] = data_plane["answer"]["text"].clone();
            // What was guessed without it.
            told["listener"] = Value::Null;
            told["data_plane"] = data_plane;
        }
        Err(why) => {
            not_asked.push(format!(
                "a proxy: {why}. Not known: the gate, the decision for a user, quotas and limits, \
                 the upstream's back-off, the last errors"
            ));
            told["data_plane"] = Value::Null;
        }
    }
    told["not_asked"] = json!(not_asked);
    told
}

fn text(told: &Value) -> String {
    let mut lines = Vec::new();
    let last = ["answer", "data_plane", "not_asked"];
    for (name, value) in told.as_object().into_iter().flatten() {
        if !last.contains(&name.as_str()) {
            lines.extend(shown(value).map(|value| (name.replace('_', " "), value)));
        }
    }
    // Of the API it would be there, if only with nothing in it.
    if told.get("session").is_none() {
        lines.extend(by_proxy::facts(&told["data_plane"]));
    }
    lines.extend(by_proxy::lines(&told["data_plane"]));
    lines.extend(shown(&told["answer"]).map(|answer| ("answer".to_owned(), answer)));
    for reason in told["not_asked"].as_array().into_iter().flatten() {
        lines.extend(shown(reason).map(|reason| ("not asked".to_owned(), reason)));
    }
    let mut text = String::new();
    for (name, value) in lines {
        let _ = writeln!(text, "{}", clean(&format!("{name:<18} {value}")));
    }
    text
}

/// None where there is nothing to say.
fn shown(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().filter_map(Value::as_str).collect();
            items.join(", ")
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_not_asked_is_said_and_a_proxy_has_the_last_word() {
        let api = || Ok(json!({ "url": "u", "answer": "of the API", "listener": "proxy.http" }));
        let proxy = || Ok(json!({ "answer": { "text": "of the proxy" } }));
        let away = || Err(Failure::Unreachable(anyhow::anyhow!("nobody there")));
        let both = put_together("u", api(), proxy());
        assert_eq!((&both["answer"], &both["not_asked"]), (&json!("of the proxy"), &json!([])));
        let one = put_together("u", api(), Err("it is off".to_owned()));
        assert_eq!((&one["answer"], &one["data_plane"]), (&json!("of the API"), &Value::Null));
        assert!(text(&one).contains("not asked          a proxy: it is off."), "{}", text(&one));
        let other = put_together("u", away(), proxy());
        assert_eq!(other["not_asked"], json!(["the API: nobody there"]));
        assert_eq!(other["answer"], "of the proxy");
        let alone = json!({ "data_plane": { "session": { "id": "one" } } });
        assert_eq!(text(&alone), "session            one\n");
    }

    #[test]
    fn this_host_is_known_by_its_loopback() {
        assert!(is_here("127.0.0.1") && is_here("localhost") && is_here("::1"));
        assert!(!is_here("portico.example.com") && !is_here("10.0.0.7"));
    }
}
