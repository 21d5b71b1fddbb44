//! A real Redis with what an operator leaves as it comes, and a scripted one that is too old.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use portico_bench::world::redis::Redis;

use super::{Broken, good};

fn with(url: &str) -> Broken {
    good().set("PORTICO_STORE__URL", url).set("PORTICO_STORE__CACHE", "off")
}

/// Asks a Redis by its own client.
#[track_caller]
fn ask(redis: &Redis, words: &[&str]) {
    let port = redis.address.port().to_string();
    let output = Command::new("redis-cli").args(["-p", &port]).args(words).output();
    let output = output.expect("redis-cli is beside redis-server");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!said.contains("ERR"), "{words:?}: {said}");
}

#[test]
fn a_redis_as_it_should_be_is_fine_and_stays_empty() {
    let redis = Redis::start();
    let found = with(&redis.url()).check();
    for id in ["", ".version", ".eviction", ".persistence", ".rights", ".separate", ".latency"] {
        found.ok(&format!("redis{id}"));
    }
    found.ok("clock.redis");
    assert_eq!(found.code, Some(0));
    let port = redis.address.port().to_string();
    let size = Command::new("redis-cli").args(["-p", &port, "dbsize"]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&size.stdout).trim(), "0", "a check changes nothing");
}

#[test]
fn a_redis_that_is_away_is_told() {
    let found = with("redis://127.0.0.1:1").check();
    found.expect("redis", "failed", "cannot be reached", "store.url");
    assert_eq!(found.code, Some(69));
}

#[test]
fn what_is_lost_or_evicted_is_told() {
    let forgetful = Redis::start_with(&["--appendonly", "no"]);
    let check = with(&forgetful.url());
    check.expect("redis.persistence", "warning", "keeps nothing on disk", "set appendonly yes");
    let lazy = Redis::start_with(&["--appendfsync", "everysec"]);
    let check = with(&lazy.url());
    check.expect("redis.persistence", "warning", "appendfsync everysec", "set appendfsync always");
    let evicts = Redis::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let fix = "set maxmemory-policy noeviction";
    let found = with(&evicts.url()).expect("redis.eviction", "failed", "allkeys-lru", fix);
    assert_eq!(found.code, Some(69));
    let volatile = Redis::start_with(&["--maxmemory-policy", "volatile-ttl"]);
    let check = with(&volatile.url());
    check.expect("redis.eviction", "warning", "volatile-ttl", "set noeviction");
}

#[test]
fn one_that_others_use_is_told() {
    let redis = Redis::start();
    let fix = "give Portico a Redis of its own";
    ask(&redis, &["set", "tower:job:1", "x"]);
    with(&redis.url()).expect("redis.separate", "warning", "tower:job:1", fix);
    let other = format!("{}/1", redis.url());
    with(&other).expect("redis.separate", "warning", "database 0 (1 keys)", fix);
}

#[test]
fn logins_and_rights_are_told() {
    let redis = Redis::start_with(&["--requirepass", "right"]);
    let url = |login: &str| format!("redis://{login}@{}", redis.address);
    with(&url(":wrong")).expect("redis", "failed", "refuses the login", "store.password");
    with(&redis.url()).expect("redis", "failed", "", "store.");
    let rules = portico_rules();
    let user = |name: &str, keys: &str, without: &str| {
        let rules = rules.split_whitespace().filter(|rule| *rule != without);
        let login = ["-a", "right", "--no-auth-warning", "acl", "setuser", name, "on", ">secret"];
        let words: Vec<_> =
            login.into_iter().chain([keys, "resetchannels", "-@all"]).chain(rules).collect();
        ask(&redis, &words);
        with(&url(&format!("{name}:secret")))
    };
    user("whole", "~{portico}:*", "").check().ok("redis.rights");
    let found = user("part", "~{portico}:*", "+hset").check();
    found.expect("redis.rights", "failed", "hset", "ACL SETUSER");
    assert_eq!(found.code, Some(64));
    let keys = user("keyless", "~other:*", "");
    keys.expect("redis", "failed", "does not let this user", "ACL SETUSER");
}

/// As an operator copies them: deploy/README.md is compared with them elsewhere.
fn portico_rules() -> String {
    let text = include_str!("../../../deploy/README.md");
    let from = text.find("+@connection").expect("the rules are in the text");
    let end = text[from..].find("\n\n").expect("the rules end");
    text[from..from + end].to_owned()
}

#[test]
fn a_replica_is_no_primary() {
    let primary = Redis::start();
    let port = primary.address.port().to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]);
    with(&replica.url()).expect("redis", "failed", "is a replica", "the primary's address");
}

/// Of version 6, as far as it is asked.
fn old() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut writer = stream.try_clone().expect("a socket can be cloned");
                let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
                while let Some(words) = command(&mut lines) {
                    if writer.write_all(answer(&words).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// An array of bulk strings.
fn command(lines: &mut impl Iterator<Item = String>) -> Option<Vec<String>> {
    let count: usize = lines.next()?.strip_prefix('*')?.parse().ok()?;
    let word = |lines: &mut dyn Iterator<Item = String>| {
        lines.next()?;
        lines.next()
    };
    (0..count).map(|_| word(lines)).collect()
}

fn answer(words: &[String]) -> String {
    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    match words[0].to_ascii_uppercase().as_str() {
        "ROLE" => format!("*3\r\n{}:0\r\n*0\r\n", bulk("master")),
        "INFO" => bulk("redis_version:6.2.14\r\nmaster_replid:0123\r\nredis_mode:standalone"),
        "MGET" => "*2\r\n$-1\r\n$-1\r\n".to_owned(),
        "TIME" => format!("*2\r\n{}{}", bulk("1"), bulk("0")),
        "PING" => "+PONG\r\n".to_owned(),
        "CLIENT" | "SELECT" => "+OK\r\n".to_owned(),
        _ => "-ERR unknown command\r\n".to_owned(),
    }
}

#[test]
fn one_that_is_too_old_or_whose_clock_is_wrong_is_told() {
    let found = with(&format!("redis://{}", old())).check();
    found.expect("redis.version", "failed", "is version 6.2.14", "version 7");
    found.expect("clock.redis", "warning", "behind this machine's", "NTP");
    assert_eq!(found.code, Some(69));
}
