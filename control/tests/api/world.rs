//! A whole control plane on port 0 in a directory of its own, with its feed and table, and a small
//! blocking client that speaks HTTP/1.1 over a socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use portico_control::access::{AccessFollower, SharedAccess};
use portico_control::api::{self, ApiSettings};
use portico_control::events::Events;
use portico_control::feed::{self, FeedHandle, FeedSettings, Follower, Routes};
use portico_control::rules::SharedRules;
use portico_control::store::{self, Store};
use portico_control::token::{Keyring, Token};
use portico_core::access::Policy;
use portico_core::domain::Domains;
use portico_core::network::UpstreamNetworks;
use portico_core::quota::Ledger;
use portico_core::route::{Entry, RouteTable};
use portico_core::session::Routing;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::document;

pub const TOKEN: &str = "0123456789abcdef-test";

pub struct World {
    pub address: SocketAddr,
    pub table: Arc<ArcSwap<RouteTable>>,
    pub store: Arc<dyn Store>,
    pub feed: FeedHandle,
    pub metrics: prometheus::Registry,
    pub rules: SharedRules,
    pub access: SharedAccess,
    pub quotas: Arc<Ledger>,
    keyring: Keyring,
    runtime: Runtime,
    _directory: TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

pub struct Client {
    stream: BufReader<TcpStream>,
    token: Option<String>,
}

pub fn routes(table: &Arc<ArcSwap<RouteTable>>) -> Vec<Box<dyn Follower>> {
    vec![Box::new(Routes::new(table.clone(), AllowList::All))]
}

impl World {
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// With other settings than the usual ones.
    pub fn with(change: impl FnOnce(&mut ApiSettings)) -> Self {
        let directory = TempDir::new().unwrap();
        let runtime = Runtime::new().unwrap();
        let url = format!("embedded:{}", directory.path().join("store").display());
        let metrics = prometheus::Registry::new();
        let keyring = Keyring::new(Some(&Token::parse(TOKEN).unwrap()));
        let rules = SharedRules::new(AllowList::All, Catalogue::builtin());
        let (events, events_follower) = Events::new();
        let access = SharedAccess::default();
        let quotas = Arc::<Ledger>::default();
        let mut settings = ApiSettings {
            domains: Domains::new("https://connect.example.com", None, Some("example.com"))
                .unwrap(),
            default_routing: Routing::Both,
            default_policy: Policy::Private,
            public_sessions: false,
            login_lifetime: Duration::from_secs(12 * 60 * 60),
            access: access.clone(),
            upstream_networks: UpstreamNetworks {
                allowed: vec!["10.0.0.0/8".parse().unwrap()],
                ..UpstreamNetworks::default()
            },
            allowed_workspaces: AllowList::All,
            catalogue: Catalogue::builtin(),
            keyring: keyring.clone(),
            rules: rules.clone(),
            events,
            quotas: quotas.clone(),
            metrics: metrics.clone(),
        };
        change(&mut settings);
        let table = Arc::new(ArcSwap::from_pointee(RouteTable::default()));
        let (address, store, feed) = runtime.block_on(async {
            let store = store::open(&url).await.unwrap();
            let mut followers = routes(&table);
            followers.push(Box::new(keyring.follower()));
            followers.push(Box::new(rules.follower()));
            followers.push(Box::new(AccessFollower::new(access.clone())));
            followers.push(Box::new(events_follower));
            let feed =
                feed::start(store.clone(), followers, FeedSettings::default()).await.unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = api::router(settings, store.clone());
            let router = router.into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
            (address, store, feed)
        });
        Self {
            address,
            table,
            store,
            feed,
            metrics,
            rules,
            access,
            quotas,
            keyring,
            runtime,
            _directory: directory,
        }
    }

    pub fn client(&self) -> Client {
        self.client_with(Some(TOKEN))
    }

    pub fn client_with(&self, token: Option<&str>) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client { stream: BufReader::new(stream), token: token.map(str::to_owned) }
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Waits until a token is in force, or is not any more: the feed brings it.
    pub fn until_token(&self, secret: &str, in_force: bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let field = format!("Bearer {secret}");
        // Not by asking the API, which counts failures.
        while self.keyring.caller(field.as_bytes(), portico_core::session::Timestamp(0)).is_some()
            != in_force
        {
            assert!(Instant::now() < deadline, "in force: {}", !in_force);
            std::thread::yield_now();
        }
    }

    /// Waits until the table says of a label what `is` wants.
    pub fn until(&self, label: &str, is: impl Fn(Option<&Entry>) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is(self.table.load().lookup(label)) {
            assert!(Instant::now() < deadline, "{label}: {:?}", self.table.load().lookup(label));
            std::thread::yield_now();
        }
    }
}

impl Client {
    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, &[], None)
    }

    pub fn delete(&mut self, path: &str) -> Answer {
        self.send("DELETE", path, &[], None)
    }

    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("Content-Type", "application/json")], Some(body))
    }

    pub fn put(&mut self, path: &str, body: &str) -> Answer {
        self.send("PUT", path, &[("Content-Type", "application/json")], Some(body))
    }

    pub fn patch(&mut self, path: &str, body: &str) -> Answer {
        self.send("PATCH", path, &[("Content-Type", "application/json")], Some(body))
    }

    /// A token with these fields besides its name, and a client that has it.
    pub fn make_token(&mut self, world: &World, name: &str, fields: &str) -> Client {
        let answer = self.post("/v1/tokens", &format!(r#"{{"name":"{name}",{fields}}}"#));
        assert_eq!(answer.status, 201, "{answer:?}");
        let secret = answer.json()["token"].as_str().unwrap().to_owned();
        world.until_token(&secret, true);
        world.client_with(Some(&secret))
    }

    /// Creates a session from the few fields that matter to a test.
    pub fn create(&mut self, fields: &str) -> Answer {
        let comma = if fields.is_empty() { "" } else { "," };
        self.post(
            "/v1/sessions",
            &format!(
                r#"{{"workspace":"genomics","owner":"ada@example.com","tool":"jupyter",
                    "upstream":"http://10.0.0.7:8888"{comma}{fields}}}"#
            ),
        )
    }

    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: api\r\n");
        if let Some(token) = &self.token {
            head += &format!("Authorization: Bearer {token}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.send_raw(&format!("{head}\r\n{}", body.unwrap_or_default()));
        let answer = self.answer(method == "HEAD");
        document::check_answer(method, path, &answer);
        answer
    }

    /// Only the head of an answer that does not end, and the socket that the rest comes from.
    pub fn listen(
        mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (Answer, BufReader<TcpStream>) {
        let token = self.token.clone().unwrap_or_default();
        let mut head =
            format!("GET {path} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {token}\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.send_raw(&format!("{head}\r\n"));
        let answer = self.answer(false);
        document::check_answer("GET", path, &answer);
        (answer, self.stream)
    }

    pub fn send_raw(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    pub fn answer(&mut self, head_only: bool) -> Answer {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).unwrap();
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => break,
            }
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !head_only {
            let length = answer.header("content-length").unwrap_or("0").parse().unwrap();
            answer.body = vec![0; length];
            self.stream.read_exact(&mut answer.body).unwrap();
        }
        answer
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The kind of a problem and the fields that it names, after checking its form.
    pub fn problem(&self) -> (String, Vec<String>) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        assert!(json["title"].is_string() && json["detail"].is_string());
        let errors = json["errors"].as_array().cloned().unwrap_or_default();
        assert!(errors.iter().all(|error| error["message"].is_string()));
        let fields = errors.iter().map(|error| error["field"].as_str().unwrap().to_owned());
        let kind = json["type"].as_str().unwrap().strip_prefix("/problems/").unwrap();
        (kind.to_owned(), fields.collect())
    }

    #[track_caller]
    pub fn assert_problem(&self, status: u16, kind: &str, fields: &[&str]) {
        let (found, mut named) = self.problem();
        named.sort();
        let mut fields: Vec<_> = fields.to_vec();
        fields.sort_unstable();
        assert_eq!((self.status, found.as_str()), (status, kind));
        assert_eq!(named, fields, "{}", String::from_utf8_lossy(&self.body));
    }
}
