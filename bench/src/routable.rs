//! How soon a session that was created is routable, with many others there: from the API's answer
//! to the first 200, on one process with its embedded store and on two proxies that share a Redis
//! with a control. The real binary, the real Redis.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use crate::compare::site::exchange;
use crate::load::{head, kernel};
use crate::section;
use crate::world::api::api_request;
use crate::world::client::Client;
use crate::world::fleet::Member;
use crate::world::redis::Redis;
use crate::world::upstream::Upstream;
use crate::world::{Io, Options as WorldOptions, World};

pub struct Options {
    pub portico: PathBuf,
    /// Sessions that are there already.
    pub loaded: usize,
    pub creates: usize,
}

/// Where the first 200 is looked for, and where sessions are made.
struct Install {
    name: &'static str,
    control: SocketAddr,
    proxies: Vec<SocketAddr>,
}

/// Sorted.
struct Waits(Vec<Duration>);

/// Creations of one bulk request.
const BULK: usize = 500;

pub fn run(options: &Options) -> anyhow::Result<String> {
    let upstream = Upstream::echo();
    let mut report = format!(
        "From the API's answer to `POST /v1/sessions` to the first 200, with {} sessions there, {} \
         creations one after another. On several proxies: on the last of them.\n\n\
         | install | p50 | p99 | worst | load of all before |\n| --- | --- | --- | --- | --- |\n",
        options.loaded, options.creates
    );
    let started = |io| WorldOptions::new(&options.portico, io);
    {
        let world = World::start(started(Io::Uring));
        let proxies = vec![world.http];
        let install = Install { name: "serve, embedded store", control: world.control, proxies };
        report.push_str(&measure(options, &install, &upstream)?);
    }
    let redis = Redis::start();
    let control = Member::start("control", started(Io::Uring), &redis);
    let proxies = [Io::Uring, Io::Epoll].map(|io| Member::start("proxy", started(io), &redis));
    let install = Install {
        name: "control and two proxies, Redis",
        control: control.control.context("a control has an API")?,
        proxies: proxies.iter().filter_map(|proxy| proxy.http).collect(),
    };
    report.push_str(&measure(options, &install, &upstream)?);
    Ok(report)
}

fn measure(options: &Options, install: &Install, upstream: &Upstream) -> anyhow::Result<String> {
    let begun = Instant::now();
    load(install.control, options.loaded, &upstream.url())?;
    let loaded = begun.elapsed();
    let mut clients: Vec<Client> =
        install.proxies.iter().map(|address| Client::connect(*address)).collect();
    let mut api = Client::connect(install.control);
    let mut waits = Vec::with_capacity(options.creates);
    for number in 0..options.creates {
        let id = format!("new{number}");
        let body = session(&id, &upstream.url());
        let answer = api.exchange(api_request("POST", "/v1/sessions", Some(&body)));
        let answered = Instant::now();
        ensure!(answer.status == 201, "{}", answer.text());
        let host = format!("a{id}.connect.example.com");
        for client in &mut clients {
            while client.get(&host, "/").status != 200 {
                ensure!(answered.elapsed() < Duration::from_secs(10), "{id} is not routable");
            }
        }
        waits.push(answered.elapsed());
    }
    waits.sort_unstable();
    let waits = Waits(waits);
    let mut row = String::new();
    let _ = writeln!(
        row,
        "| {} | {:.2?} | {:.2?} | {:.2?} | {loaded:.1?} |",
        install.name,
        waits.quantile(0.5),
        waits.quantile(0.99),
        waits.quantile(1.0),
    );
    print!("{row}");
    Ok(row)
}

impl Waits {
    fn quantile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }
}

/// Makes so many sessions by the bulk API.
pub fn load(control: SocketAddr, count: usize, upstream: &str) -> anyhow::Result<()> {
    let ids: Vec<usize> = (0..count).collect();
    for chunk in ids.chunks(BULK) {
        ensure!(!kernel::interrupted(), "interrupted");
        let sessions: Vec<Value> =
            chunk.iter().map(|number| session(&format!("old{number}"), upstream)).collect();
        let body = json!({ "create": sessions });
        let request = api_request("POST", "/v1/bulk/sessions", Some(&body));
        let answer = exchange(control, request.as_bytes())?;
        let head = head::parse(&answer).map_err(anyhow::Error::msg)?.context("no answer")?;
        let text = String::from_utf8_lossy(&answer[head.head_bytes..]);
        ensure!(head.status == 200, "{}: {text}", head.status);
        let created = serde_json::from_str::<Value>(&text)?["created"].take();
        let created = created.as_array().context("nothing was created")?;
        ensure!(created.iter().all(|one| one["status"] == 201), "some were not created");
    }
    Ok(())
}

fn session(id: &str, upstream: &str) -> Value {
    json!({
        "id": id, "workspace": "bench", "owner": "ada", "tool": "jupyter", "upstream": upstream
    })
}

pub fn write(directory: &Path, report: &str, facts: &str) -> anyhow::Result<()> {
    section::replace(directory, "A new session becomes routable", &format!("{report}\n{facts}\n"))
}
