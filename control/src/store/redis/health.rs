//! What a Redis must be, and should be, to keep sessions: looked at once, when the store is opened.
//! It reads what `INFO` says; how to ask is its caller's business.

use super::Failure;
use super::address::Topology;

/// What works, but not as an operator would want it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub warnings: Vec<String>,
}

/// What was asked of a server.
pub struct Findings<'a> {
    pub address: &'a str,
    pub topology: &'a Topology,
    /// All of `INFO`.
    pub info: &'a str,
    /// `CONFIG GET save appendfsync`, where this user may ask that.
    pub save: Option<&'a str>,
    pub appendfsync: Option<&'a str>,
}

/// What a judgement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Mode,
    Version,
    Eviction,
    Persistence,
    Replicas,
}

/// A warning or none, or what makes it useless.
pub type Verdict = Result<Option<String>, Failure>;

impl Findings<'_> {
    pub fn judge(&self) -> Result<Report, Failure> {
        let mut report = Report::default();
        for (_, verdict) in self.each() {
            report.warnings.extend(verdict?);
        }
        Ok(report)
    }

    pub fn each(&self) -> [(Subject, Verdict); 5] {
        [
            (Subject::Mode, self.mode().map(|()| None)),
            (Subject::Version, self.version().map(|()| None)),
            (Subject::Eviction, self.eviction()),
            (Subject::Persistence, Ok(self.durability())),
            (Subject::Replicas, Ok(self.replicas())),
        ]
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let is_it = |line: &str| line.starts_with(name) && line[name.len()..].starts_with(':');
        self.info.lines().find(|line| is_it(line)).map(|line| line[name.len() + 1..].trim())
    }

    fn mode(&self) -> Result<(), Failure> {
        let other = |found, instead| {
            Err(Failure::OtherMode { address: self.address.to_owned(), found, instead })
        };
        match (self.field("redis_mode"), self.topology) {
            (Some("sentinel"), _) => other("a Sentinel", "redis+sentinel://host:port,…/primary"),
            (Some("cluster"), Topology::Single | Topology::Sentinel(_)) => {
                other("a node of a Cluster", "redis+cluster://host:port,…")
            }
            _ => Ok(()),
        }
    }

    fn version(&self) -> Result<(), Failure> {
        let found = self.field("redis_version").unwrap_or_default();
        let major = found.split('.').next().and_then(|major| major.parse::<u32>().ok());
        match major {
            Some(7..) => Ok(()),
            _ => Err(Failure::TooOld { address: self.address.to_owned(), found: found.to_owned() }),
        }
    }

    /// None of Portico's keys has a time to live but those of usage, so only the policies for all
    /// keys reach sessions, and those only where there is a bound on memory.
    fn eviction(&self) -> Result<Option<String>, Failure> {
        let policy = self.field("maxmemory_policy").unwrap_or_default();
        let is_bounded = self.field("maxmemory").is_some_and(|bytes| bytes != "0");
        if policy.starts_with("allkeys-") && is_bounded {
            return Err(Failure::Evicts(policy.to_owned()));
        }
        let is_fine = policy.is_empty() || policy == "noeviction";
        Ok((!is_fine).then(|| {
            format!(
                "Redis has maxmemory-policy {policy}: set noeviction, so that sessions are never \
                 evicted"
            )
        }))
    }

    fn durability(&self) -> Option<String> {
        if self.field("aof_enabled") != Some("0") {
            return self.synchronisation();
        }
        Some(
            match self.save {
                Some("") => {
                    "Redis keeps nothing on disk: after a restart of it all sessions are gone; \
                     set appendonly yes"
                }
                Some(_) | None => {
                    "Redis has no append-only file: a crash of it loses what was written since \
                     its last snapshot; set appendonly yes"
                }
            }
            .to_owned(),
        )
    }

    /// With `everysec` Redis holds back what it has acknowledged, for up to two seconds, while it
    /// synchronises: <https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/>,
    /// `flushAppendOnlyFile` in its `src/aof.c`. Where a replica confirms each write that is no
    /// matter.
    fn synchronisation(&self) -> Option<String> {
        let has_replica = self.field("connected_slaves").is_some_and(|count| count != "0");
        let sync = self.appendfsync.filter(|sync| *sync != "always" && !has_replica)?;
        Some(format!(
            "Redis has appendfsync {sync} and no replica: a crash of it loses the last two \
             seconds of what it acknowledged, or more; set appendfsync always, or add a replica"
        ))
    }

    fn replicas(&self) -> Option<String> {
        let name = match self.topology {
            Topology::Single => return None,
            Topology::Sentinel(_) => "Redis with Sentinel",
            Topology::Cluster => "the Redis Cluster",
        };
        if self.field("connected_slaves") == Some("0") {
            return Some(format!(
                "{name} has no replica connected: when the primary fails, nothing takes its place"
            ));
        }
        // Shown only where min-replicas-to-write is set.
        self.field("min_slaves_good_slaves").is_none().then(|| {
            format!(
                "{name} has min-replicas-to-write 0: a primary that is cut off from its replicas \
                 goes on taking writes, which are lost when it comes back; set \
                 min-replicas-to-write 1"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\
        maxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:1\r\n";

    fn judge(topology: &Topology, from: &str, to: &str) -> Result<Vec<String>, Failure> {
        assert!(GOOD.contains(from));
        let info = GOOD.replace(from, to);
        let (save, appendfsync) = (Some(""), Some("everysec"));
        let findings = Findings { address: "r:1", topology, info: &info, save, appendfsync };
        findings.judge().map(|report| report.warnings)
    }

    #[test]
    fn what_cannot_work_is_refused_with_the_fix() {
        let single = &Topology::Single;
        assert_eq!(judge(single, "", "").unwrap(), [""; 0]);
        for (from, to, fix) in [
            ("7.0.15", "6.2.1", "7.0 or newer"),
            ("redis_version", "x", "7.0 or newer"),
            ("standalone", "cluster", "redis+cluster://"),
            ("standalone", "sentinel", "redis+sentinel://"),
            ("0\r\nmaxmemory_policy:noeviction", "9\r\nmaxmemory_policy:allkeys-lru", "noeviction"),
        ] {
            let text = judge(single, from, to).unwrap_err().to_string();
            assert!(text.contains(fix), "{text}");
        }
    }

    #[test]
    fn what_should_be_better_is_a_warning() {
        let sentinel = &Topology::Sentinel("main".into());
        for (topology, from, to, warning) in [
            (&Topology::Single, "noeviction", "allkeys-lru", "set noeviction"),
            (&Topology::Single, "noeviction", "volatile-ttl", "set noeviction"),
            (&Topology::Single, "aof_enabled:1", "aof_enabled:0", "keeps nothing on disk"),
            (&Topology::Single, "slaves:1", "slaves:0", "appendfsync always"),
            (sentinel, "", "", "min-replicas-to-write 1"),
        ] {
            let warnings = judge(topology, from, to).unwrap();
            assert!(warnings.len() == 1 && warnings[0].contains(warning), "{warnings:?}");
        }
        let warnings = judge(sentinel, "slaves:1", "slaves:0").unwrap();
        assert!(warnings.len() == 2 && warnings[1].contains("no replica connected"));
    }
}
