//! A user without a browser: cookies by host and path, redirects followed, and the platform's login
//! form filled in. For tests that need hundreds of them.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use portico_bench::world::client::Response;
use portico_bench::world::oidc::PLATFORM_HOST;

use crate::house::House;

type Cookies = BTreeMap<(String, String, String), String>;

pub struct Walker<'h> {
    house: &'h House,
    user: String,
    /// (host, path, name) → value.
    cookies: Cookies,
    /// How often the platform's form was filled in.
    pub asked: u32,
    /// What somebody else could use: cookies, tickets, codes and states.
    pub seen: Vec<String>,
}

const STEPS_MAX: usize = 20;

impl<'h> Walker<'h> {
    pub fn new(house: &'h House, user: &str) -> Self {
        Self::with_cookies(house, user, Cookies::new())
    }

    pub fn with_cookies(house: &'h House, user: &str, cookies: Cookies) -> Self {
        Self { house, user: user.to_owned(), cookies, asked: 0, seen: Vec::new() }
    }

    pub fn into_cookies(self) -> Cookies {
        self.cookies
    }

    pub fn cookie_of(&self, host: &str, name: &str) -> Option<&str> {
        let key = (host.to_owned(), "/".to_owned(), name.to_owned());
        self.cookies.get(&key).map(String::as_str)
    }

    /// The grant for a session's host.
    pub fn grant(&self, host: &str) -> Option<&str> {
        self.cookie_of(host, "__Host-portico-grant")
    }

    /// The number of the key that signed the grant for a session's host.
    pub fn key_of_grant(&self, host: &str) -> Option<u32> {
        let token = BASE64URL_NOPAD.decode(self.grant(host)?.as_bytes()).ok()?;
        Some(u32::from_be_bytes(token.get(2..6)?.try_into().ok()?))
    }

    pub fn has(&self, cookie: &str) -> bool {
        self.cookies.keys().any(|(_, _, name)| name == cookie)
    }

    pub fn drop(&mut self, cookie: &str) {
        self.cookies.retain(|(_, _, name), _| name != cookie);
    }

    pub fn forget(&mut self, host: &str) {
        self.cookies.retain(|(of, ..), _| of != host);
    }

    /// Goes there as a navigation, wherever it leads, and gives what is at the end.
    #[track_caller]
    pub fn open(&mut self, url: &str) -> Response {
        let mut url = url.to_owned();
        for _ in 0..STEPS_MAX {
            let response = self.step("GET", &url, "");
            let location = response.field("location");
            url = match (response.status, location) {
                (302 | 303, Some(location)) => resolved(&url, &location),
                (200, _) if url.contains("/interaction/") => {
                    self.asked += 1;
                    let form = format!("login={}", self.user);
                    let done = self.step("POST", &url, &form);
                    resolved(&url, &done.field("location").expect("the platform goes on"))
                }
                _ => return response,
            };
        }
        panic!("{} is sent round and round, at last to {url}", self.user);
    }

    /// One request, with the cookies that belong there.
    pub fn step(&mut self, method: &str, url: &str, form: &str) -> Response {
        self.request(method, url, form, "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n")
    }

    fn request(&mut self, method: &str, url: &str, form: &str, signs: &str) -> Response {
        let (host, target) = split(url);
        let fields = match form {
            "" => String::new(),
            form => format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                form.len()
            ),
        };
        let name = host.split(':').next().unwrap_or_default().to_owned();
        let cookie = self.cookie(&name, &target);
        let mut client = match name.as_str() {
            PLATFORM_HOST => self.house.platform(),
            name => self.house.client(name),
        };
        let response = client.exchange(format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\n{signs}{cookie}{fields}\r\n{form}"
        ));
        self.keep(&name, &response);
        let location = response.field("location").unwrap_or_default();
        let query = location.split_once('?').map_or("", |(_, query)| query);
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let secret = |name: &str| ["ticket", "code", "state", "nonce"].contains(&name);
        self.seen.extend(pairs.filter(|(name, _)| secret(name)).map(|(_, value)| value.to_owned()));
        response
    }

    /// As a page's script does.
    pub fn fetch(&mut self, url: &str) -> Response {
        self.request("GET", url, "", "Sec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n")
    }

    fn cookie(&self, host: &str, target: &str) -> String {
        let belongs = |(of, path, _): &&(String, String, String)| {
            of == host && target.starts_with(path.trim_end_matches('/'))
        };
        let pairs: Vec<_> = self.cookies.iter().filter(|(key, _)| belongs(key)).collect();
        let pairs: Vec<_> =
            pairs.iter().map(|((_, _, name), value)| format!("{name}={value}")).collect();
        match pairs.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", pairs.join("; ")),
        }
    }

    fn keep(&mut self, host: &str, response: &Response) {
        for set in response.values("set-cookie") {
            let mut parts = set.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            let attribute = |wanted: &str| {
                set.split(';').map(str::trim).find_map(|part| {
                    let (name, value) = part.split_once('=')?;
                    name.eq_ignore_ascii_case(wanted).then(|| value.to_owned())
                })
            };
            let path = attribute("path").unwrap_or_else(|| "/".to_owned());
            let key = (host.to_owned(), path, name.to_owned());
            let expired = attribute("max-age").is_some_and(|age| age == "0")
                || attribute("expires").is_some_and(|at| at.contains("1970"));
            if name.contains("portico") && !value.is_empty() {
                self.seen.push(value.to_owned());
            }
            if value.is_empty() || expired {
                self.cookies.remove(&key);
            } else {
                self.cookies.insert(key, value.to_owned());
            }
        }
    }
}

fn split(url: &str) -> (String, String) {
    let rest = url.strip_prefix("https://").expect("everything has TLS");
    let at = rest.find('/').unwrap_or(rest.len());
    let target = if rest[at..].is_empty() { "/" } else { &rest[at..] };
    (rest[..at].to_owned(), target.to_owned())
}

fn resolved(base: &str, location: &str) -> String {
    match location.starts_with('/') {
        true => format!("https://{}{location}", split(base).0),
        false => location.to_owned(),
    }
}
