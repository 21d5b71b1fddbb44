//! An install with its gate closed: a platform where users sign in, a Redis, one control and two
//! proxies. Browsers reach the connect host at the first proxy and sessions at the second, so that
//! everything that replicas have to share is shared in every test.

use std::net::SocketAddr;
use std::sync::Arc;

use portico_bench::world::browser::{Browser, Page};
use portico_bench::world::certificates::{Authority, TLS13};
use portico_bench::world::client::{Client, Response};
use portico_bench::world::fleet::Member;
use portico_bench::world::oidc::{OidcProvider, PLATFORM_HOST, Platform, REGISTRATION_TOKEN};
use portico_bench::world::redis::Redis;
use portico_bench::world::{CONNECT_HOST, Io, Options, eventually};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;

pub struct House {
    pub provider: OidcProvider,
    pub redis: Redis,
    pub control: Member,
    pub proxies: Vec<Member>,
    tls: Arc<ClientConfig>,
    _files: TempDir,
}

impl House {
    pub fn start() -> Self {
        Self::start_with(|options| options)
    }

    /// With more settings, of all members.
    pub fn start_with(more: impl Fn(Options) -> Options) -> Self {
        let authority = Authority::generate();
        let provider = OidcProvider::start(&Platform {
            mount: "/api",
            workspaces: json!({ "ada": ["genomics"], "bob": ["genomics"], "eve": [] }),
            tls: Some(&authority),
        });
        let files = TempDir::new().expect("a temporary directory");
        let wildcard = format!("*.{CONNECT_HOST}");
        let certificate =
            authority.certificate(files.path(), "connect", &[CONNECT_HOST, &wildcard]);
        let with_names = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/tools/with-names.sh");
        let options = Options::new(env!("CARGO_BIN_EXE_portico"), Io::Epoll)
            .tls(&[certificate])
            .launched_by(&[with_names, PLATFORM_HOST])
            .set("PORTICO_ACCESS__MODE", "closed")
            .set("PORTICO_PLATFORM_URL", provider.origin())
            .set("PORTICO_ACCESS__REGISTRATION_TOKEN", REGISTRATION_TOKEN)
            .set("PORTICO_ACCESS__CA_FILE", provider.ca_file().display().to_string());
        let options = more(options);
        let redis = Redis::start();
        let control = Member::start("control", options.clone(), &redis);
        let proxies = vec![
            Member::start("proxy", options.clone().set("PORTICO_PROXY__IO", "uring"), &redis),
            Member::start("proxy", options, &redis),
        ];
        let tls = authority.client(&[&TLS13]);
        let house = Self { provider, redis, control, proxies, tls, _files: files };
        house.provider.reach(&format!("{CONNECT_HOST}:443"), house.connect());
        house
    }

    /// Where the connect host is.
    pub fn connect(&self) -> SocketAddr {
        self.proxies[0].https.expect("a proxy with TLS")
    }

    /// Where sessions are.
    pub fn sessions(&self) -> SocketAddr {
        self.proxies[1].https.expect("a proxy with TLS")
    }

    pub fn browser(&self) -> Browser {
        let (connect, wildcard) = (format!("{CONNECT_HOST}:443"), format!("*.{CONNECT_HOST}:443"));
        Browser::start(&[
            (&self.provider.authority(), self.provider.address),
            (&connect, self.connect()),
            (&wildcard, self.sessions()),
        ])
    }

    /// A raw client of a host, at the replica where browsers reach it.
    pub fn client(&self, host: &str) -> Client {
        let address = if host == CONNECT_HOST { self.connect() } else { self.sessions() };
        Client::connect_tls(address, host, self.tls.clone())
    }

    /// A raw client of a host at one of the proxies.
    pub fn client_at(&self, replica: usize, host: &str) -> Client {
        let address = self.proxies[replica].https.expect("a proxy with TLS");
        Client::connect_tls(address, host, self.tls.clone())
    }

    /// A raw client of the platform.
    pub fn platform(&self) -> Client {
        Client::connect_tls(self.provider.address, PLATFORM_HOST, self.tls.clone())
    }

    /// By SIGKILL, one after the other.
    pub fn restart_proxies(&mut self) {
        let proxies = std::mem::take(&mut self.proxies);
        self.proxies = proxies.into_iter().map(Member::killed_and_restarted).collect();
        self.provider.reach(&format!("{CONNECT_HOST}:443"), self.connect());
    }

    #[track_caller]
    pub fn api(&self, method: &str, target: &str, body: Option<&Value>, expected: u16) -> Response {
        let response = self.control.api(method, target, body);
        assert_eq!(response.status, expected, "{} {}", response.first_line, response.text());
        response
    }

    /// A session of ada's, once both proxies know it.
    #[track_caller]
    pub fn session(&self, id: &str, upstream: &str, more: Value) {
        let mut body = json!({
            "id": id, "label": id, "workspace": "genomics", "owner": "ada", "tool": "jupyter",
            "upstream": upstream,
        });
        if let (Value::Object(all), Value::Object(given)) = (&mut body, more) {
            all.extend(given);
        }
        self.api("POST", "/v1/sessions", Some(&body), 201);
        for proxy in &self.proxies {
            let knows = |host: &str, target: &str| {
                let address = proxy.https.expect("a proxy with TLS");
                let mut client = Client::connect_tls(address, host, self.tls.clone());
                client.get(host, target).status != 404
            };
            let path = format!("/_studio/{id}/");
            let known = || (knows(&host(id), "/") || knows(CONNECT_HOST, &path)).then_some(());
            eventually("the session is known", known);
        }
    }

    pub fn change(&self, id: &str, fields: &Value) {
        self.api("PATCH", &format!("/v1/sessions/{id}"), Some(fields), 200);
    }

    /// A user who has just signed in on the way to this URL.
    pub fn signed_in(&self, browser: &Browser, user: &str, url: &str) -> Page {
        let page = browser.user(user);
        page.open(url);
        page.sign_in(user);
        page.wait_for_url(CONNECT_HOST);
        page
    }

    /// The sum of a metric over both proxies.
    pub fn metric(&self, name: &str, labels: &str) -> f64 {
        let of = |proxy: &Member| -> f64 {
            let text = Client::connect(proxy.management).get("management", "/metrics").text();
            let value = |line: &str| -> Option<f64> {
                let rest = line.strip_prefix(name)?;
                let (set, value) = rest.rsplit_once(' ')?;
                (set.is_empty() || set.contains(labels)).then(|| value.parse().ok())?
            };
            text.lines().filter_map(value).sum()
        };
        self.proxies.iter().map(of).sum()
    }
}

pub fn host(id: &str) -> String {
    format!("{id}.{CONNECT_HOST}")
}

pub fn url(id: &str) -> String {
    format!("https://{}", host(id))
}
