//! A session that attacks: what it gets to see, what its pages can do in the browser of a user who
//! looks at it, and what its owner can do with a raw socket. Each test is one attack that is held.

use std::time::Duration;

use portico_bench::world::browser::{Browser, Page};
use portico_bench::world::client::Response;
use portico_bench::world::upstream::{Request, Upstream};
use portico_bench::world::{CONNECT_HOST, eventually};
use serde_json::json;

use crate::house::{House, host, url};

mod cookies;
mod cross_origin;
mod floods;
mod frames;
mod identity;
mod redirects;
mod tickets;

/// A tool that answers with one page, or an empty script, and these fields; it remembers what it
/// got.
fn tool(fields: &'static str, page: &'static str) -> Upstream {
    Upstream::scripted(move |connection| {
        while let Some(request) = connection.request() {
            if request.field("upgrade").is_some() {
                return connection.upgrade_and_echo();
            }
            let (kind, page) = match request.target.ends_with(".js") {
                true => ("text/javascript", ""),
                false => ("text/html", page),
            };
            let length = page.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{fields}\
                 Content-Length: {length}\r\n\r\n{page}"
            ));
        }
    })
}

/// What eve's session is reached by, and what ada's; ada may look at eve's by its host.
struct Neighbours {
    house: House,
    eve: Upstream,
    ada: Upstream,
}

impl Neighbours {
    fn start() -> Self {
        Self::with(House::start(), tool("", "<title>eve</title>this is eve's"))
    }

    fn with(house: House, eve: Upstream) -> Self {
        let ada = tool("", "<title>ada</title>this is ada's");
        house.session("ada", &ada.url(), json!({}));
        let shared = json!({ "owner": "eve", "access": "users", "allowed_users": ["ada"] });
        house.session("eve", &eve.url(), shared);
        Self { house, eve, ada }
    }

    /// Ada, with both her sessions open and then at eve's page.
    fn ada_at_eves(&self, browser: &Browser) -> Page {
        let page = self.house.signed_in(browser, "ada", &url("ada"));
        page.wait_for_text("this is ada's");
        page.open(&by_path("ada"));
        page.wait_for_text("this is ada's");
        page.open(&url("eve"));
        page.wait_for_text("this is eve's");
        page
    }
}

fn by_path(id: &str) -> String {
    format!("https://{CONNECT_HOST}/_studio/{id}/")
}

/// The value of a user's cookie for this domain.
#[track_caller]
fn cookie(page: &Page, name: &str, domain: &str) -> String {
    let all = page.cookies();
    let found = all.iter().find(|c| c["name"] == name && c["domain"] == domain);
    let value = found.and_then(|cookie| cookie["value"].as_str());
    value.unwrap_or_else(|| panic!("no cookie {name} of {domain} in {all:?}")).to_owned()
}

/// Whether a tool got something that is Portico's.
fn tells_a_secret(request: &Request) -> bool {
    let ours = |(name, value): &(String, String)| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        let cookie = name == "cookie" && value.to_ascii_lowercase().contains("portico");
        cookie || name.starts_with("x-portico")
    };
    request.fields.iter().any(ours)
}

/// The answer to a GET with more fields, each with its line end, on a connection of its own.
fn get(house: &House, host: &str, target: &str, fields: &str) -> Response {
    send(house, host, &format!("GET {target}"), fields)
}

fn send(house: &House, host: &str, line: &str, fields: &str) -> Response {
    let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    house.client(host).exchange(request)
}

/// Until something that a page has started without waiting for it is surely over.
fn settle() {
    std::thread::sleep(Duration::from_millis(700));
}
