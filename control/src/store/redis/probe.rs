//! A look at a Redis before Portico uses it: the judgement of `health` in its parts, and what
//! opening does not look at. It changes nothing there, and names no store.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::{Pipeline, Value};

use super::health::{Subject, Verdict};
use super::line::{Line, in_time};
use super::opening::Said;
use super::server::{Purpose, Server};
use super::{Failure, RedisOptions};

#[derive(Debug)]
pub struct Probe {
    pub address: String,
    pub version: String,
    pub judged: Vec<(Subject, Verdict)>,
    /// Commands that Portico uses and this user may not.
    pub forbidden: BTreeSet<&'static str>,
    pub foreign: Foreign,
    /// Of one command and its answer, as a rule.
    pub latency: Duration,
    /// How far the server's clock is ahead of ours, less the way of the answer.
    pub clock_ahead_ms: i64,
}

/// What is there that is not ours.
#[derive(Debug, Default)]
pub struct Foreign {
    /// Names of some keys of other programs in our database.
    pub keys: Vec<String>,
    /// Other databases that hold something.
    pub databases: Vec<String>,
    /// This user may not list keys, so `keys` is not known.
    pub is_unknown: bool,
}

/// Each of the commands that `ACL_RULES` allows, in a form that does nothing: a key that is not
/// there, or an argument that is refused after the right to use the command was looked at.
const HARMLESS: &[&str] = &[
    "PING",
    "WAIT 0 0",
    "TIME",
    "MGET KEY",
    "MSET KEY 1 KEY",
    "GET KEY",
    "SET KEY 1 XX",
    "EXISTS KEY",
    "EVAL return 0",
    "EVALSHA 0000000000000000000000000000000000000000 0",
    "HGET KEY f",
    "HMGET KEY f",
    "HGETALL KEY",
    "HSET KEY f 1 g",
    "HDEL KEY f",
    "HEXISTS KEY f",
    "HLEN KEY",
    "HINCRBY KEY f none",
    "ZADD KEY none m",
    "ZREM KEY m",
    "ZRANGE KEY 0 0",
    "ZRANGEBYSCORE KEY 0 0",
    "ZREMRANGEBYSCORE KEY 0 0",
    "ZCARD KEY",
    "ZLEXCOUNT KEY - +",
    "ZPOPMIN KEY",
    "XADD KEY NOMKSTREAM * f 1",
    "XRANGE KEY - +",
    "XREAD STREAMS KEY 0",
    "GETRANGE KEY 0 0",
    "BITFIELD KEY GET u1 0",
    "EXPIREAT KEY 1",
    "PEXPIRE KEY 1",
];

/// Rounds of an answer's time; the middle one is told.
const ROUNDS: usize = 9;
/// Keys are listed in so many steps of so many: the first foreign one is enough.
const SCANS_MAX: usize = 20;
const SCAN_KEYS: usize = 500;
/// Names that are told.
const NAMES_MAX: usize = 3;

/// All of it takes no longer than a call of the store may.
pub async fn probe(options: &RedisOptions) -> Result<Probe, Failure> {
    let server = Server::new(options)?;
    in_time(async {
        let mut line = server.find(Purpose::READ).await?;
        let said = Said::by(&mut line).await?;
        let findings = said.findings(&server.address.topology);
        let version = findings.field("redis_version").unwrap_or_default().to_owned();
        let judged = findings.each().into();
        let databases = databases(findings.info, server.address.db);
        let prefix = options.prefix.as_str();
        let forbidden = forbidden(&mut line, prefix).await?;
        let (keys, is_unknown) = match foreign_keys(&mut line, prefix).await {
            Ok(keys) => (keys, false),
            Err(_) => (Vec::new(), true),
        };
        let clock_ahead_ms = clock(&mut line).await?;
        Ok(Probe {
            version,
            judged,
            forbidden,
            foreign: Foreign { keys, databases, is_unknown },
            latency: latency(&mut line).await?,
            clock_ahead_ms,
            address: line.address,
        })
    })
    .await
}

async fn forbidden(line: &mut Line, prefix: &str) -> Result<BTreeSet<&'static str>, Failure> {
    let key = format!("{{{prefix}}}:check");
    let mut pipe = Pipeline::new();
    for command in HARMLESS {
        let mut words = command.split(' ');
        let name = words.next().unwrap_or_default();
        match name {
            // Its script has blanks.
            "EVAL" => pipe.cmd(name).arg("return 0").arg(0),
            _ => words.fold(pipe.cmd(name), |pipe, word| match word {
                "KEY" => pipe.arg(&key),
                word => pipe.arg(word),
            }),
        };
    }
    let answers = line.ask_each(&pipe).await?;
    let refused =
        |answer: &Value| matches!(answer, Value::ServerError(error) if error.code() == "NOPERM");
    let named = HARMLESS.iter().zip(&answers).filter(|(_, answer)| refused(answer));
    Ok(named.filter_map(|(command, _)| command.split(' ').next()).collect())
}

/// `db0:keys=5,expires=0,avg_ttl=0` in `INFO`, a line for each that holds something.
fn databases(info: &str, own: i64) -> Vec<String> {
    let of = |line: &str| {
        let (name, rest) = line.strip_prefix("db")?.split_once(":keys=")?;
        let keys = rest.split(',').next()?;
        (name.parse::<i64>().ok()? != own).then(|| format!("database {name} ({keys} keys)"))
    };
    info.lines().filter_map(of).collect()
}

/// Needs `SCAN`, which Portico itself does not.
async fn foreign_keys(line: &mut Line, prefix: &str) -> Result<Vec<String>, Failure> {
    let (own, mut cursor) = (format!("{{{prefix}}}:"), "0".to_owned());
    let mut found = Vec::new();
    for _ in 0..SCANS_MAX {
        let mut pipe = Pipeline::new();
        pipe.cmd("SCAN").arg(&cursor).arg("COUNT").arg(SCAN_KEYS);
        let ((next, keys),): ((String, Vec<Vec<u8>>),) = line.ask(&pipe).await?;
        let names = keys.iter().map(|key| String::from_utf8_lossy(key).into_owned());
        found.extend(names.filter(|name| !name.starts_with(&own)));
        found.truncate(NAMES_MAX);
        cursor = next;
        if cursor == "0" || found.len() == NAMES_MAX {
            break;
        }
    }
    Ok(found)
}

async fn latency(line: &mut Line) -> Result<Duration, Failure> {
    let mut pipe = Pipeline::new();
    pipe.cmd("PING");
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        line.ask::<Value>(&pipe).await?;
        rounds.push(begun.elapsed());
    }
    rounds.sort();
    Ok(rounds[ROUNDS / 2])
}

async fn clock(line: &mut Line) -> Result<i64, Failure> {
    let mut pipe = Pipeline::new();
    pipe.cmd("TIME");
    let begun = SystemTime::now();
    let ((seconds, micros),): ((i64, i64),) = line.ask(&pipe).await?;
    let way = begun.elapsed().unwrap_or_default() / 2;
    let ours = (begun + way).duration_since(UNIX_EPOCH).unwrap_or_default();
    let ours = i64::try_from(ours.as_millis()).unwrap_or(i64::MAX);
    Ok(seconds * 1_000 + micros / 1_000 - ours)
}

#[cfg(test)]
mod tests {
    use super::super::ACL_RULES;
    use super::*;

    #[test]
    fn every_command_of_the_rules_is_tried() {
        let tried: BTreeSet<_> =
            HARMLESS.iter().map(|text| text.split(' ').next().unwrap().to_lowercase()).collect();
        // Tried with the greeting, needed for a warning only, or of a Cluster.
        let elsewhere = ["@connection", "info", "role", "script|load", "config|get"];
        for rule in ACL_RULES.split_whitespace().map(|rule| rule.trim_start_matches('+')) {
            let known = elsewhere.contains(&rule) || rule.starts_with("cluster|");
            assert!(known || tried.contains(rule), "{rule}");
        }
    }

    #[test]
    fn other_databases_are_found_in_what_info_says() {
        let info = "# Keyspace\r\ndb0:keys=5,expires=0,avg_ttl=0\r\ndb3:keys=2,expires=1\r\n";
        assert_eq!(databases(info, 0), ["database 3 (2 keys)"]);
        assert_eq!(databases(info, 3), ["database 0 (5 keys)"]);
    }
}
