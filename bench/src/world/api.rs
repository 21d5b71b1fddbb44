//! The platform's side: sessions made through the real `/v1` API, and waited for until they are
//! routable.

use serde_json::{Value, json};

use super::client::{Client, Response};
use super::upstream::Upstream;
use super::{CONNECT_HOST, TOKEN, World, eventually};

/// A session as its user addresses it.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: String,
    pub label: String,
    /// `Host` under subdomain routing.
    pub host: String,
    /// `/_studio/<label>/` on the connect host.
    pub prefix: String,
    /// What the API answered.
    pub record: Value,
}

impl World {
    /// A running session on both routings.
    #[track_caller]
    pub fn session(&self, upstream: &Upstream) -> Session {
        self.session_with(json!({ "upstream": upstream.url() }))
    }

    /// A session with some fields of one's own; waits until it is in the workers' table.
    #[track_caller]
    pub fn session_with(&self, fields: Value) -> Session {
        let response = self.create(&fields);
        assert_eq!(response.status, 201, "{} {}", response.first_line, response.text());
        let session = Session::of(response.json());
        eventually("the session is routable", || self.is_routed(&session).then_some(()));
        session
    }

    /// `POST /v1/sessions` with the fields that every session needs, unless given.
    #[track_caller]
    pub fn create(&self, fields: &Value) -> Response {
        let mut body = json!({
            "workspace": "genomics", "owner": "ada", "tool": "jupyter",
            "upstream": "http://127.0.0.1:9"
        });
        if let (Value::Object(all), Value::Object(given)) = (&mut body, fields) {
            all.extend(given.clone());
        }
        self.api("POST", "/v1/sessions", Some(&body))
    }

    #[track_caller]
    pub fn patch(&self, session: &Session, fields: &Value) {
        let response = self.api("PATCH", &format!("/v1/sessions/{}", session.id), Some(fields));
        assert_eq!(response.status, 200, "{} {}", response.first_line, response.text());
    }

    #[track_caller]
    pub fn delete(&self, session: &Session) {
        let response = self.api("DELETE", &format!("/v1/sessions/{}", session.id), None);
        assert_eq!(response.status, 204, "{} {}", response.first_line, response.text());
    }

    #[track_caller]
    pub fn api(&self, method: &str, target: &str, body: Option<&Value>) -> Response {
        Client::connect(self.control).exchange(api_request(method, target, body))
    }

    /// Without a look at the upstream where path routing is on: the redirect to the slash is
    /// Portico's own answer.
    fn is_routed(&self, session: &Session) -> bool {
        let mut client = self.client();
        let words = session.record["routing"].as_array().cloned().unwrap_or_default();
        let response = if words.contains(&json!("path")) {
            client.get(CONNECT_HOST, session.prefix.trim_end_matches('/'))
        } else {
            client.get(&session.host, "/")
        };
        !matches!(response.status, 404 | 410)
    }
}

impl Session {
    fn of(record: Value) -> Self {
        let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
        let label = text("label");
        Self {
            id: text("id"),
            host: format!("{label}.{CONNECT_HOST}"),
            prefix: format!("/_studio/{label}/"),
            label,
            record,
        }
    }
}

/// A request to the API with its token, for connections that a test holds itself.
pub fn api_request(method: &str, target: &str, body: Option<&Value>) -> String {
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: control\r\nAuthorization: Bearer {TOKEN}\r\n");
    match body.map(Value::to_string) {
        None => format!("{head}\r\n"),
        Some(body) => format!(
            "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    }
}
