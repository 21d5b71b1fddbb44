//! Where a Redis is, as its URL says. What is found at the address is not this file's business.

use portico_core::limits;

use super::Failure;

const FORMS: &str = "write redis://[user:password@]host[:port][/db], \
    redis+sentinel://[user:password@]host:port,…/primary[/db] or \
    redis+cluster://[user:password@]host:port,…, with rediss instead of redis for TLS";

/// Not `Debug`: it holds a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub topology: Topology,
    pub tls: bool,
    pub hosts: Vec<(String, u16)>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub db: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    Single,
    /// The name by which the Sentinels know the primary.
    Sentinel(String),
    Cluster,
}

impl Address {
    /// Whether a URL is meant for this store.
    pub fn is_redis(url: &str) -> bool {
        url.starts_with("redis:")
            || url.starts_with("rediss:")
            || url.starts_with("redis+")
            || url.starts_with("rediss+")
    }

    pub fn parse(url: &str) -> Result<Self, Failure> {
        parse(url).map_err(|reason| Failure::Address { url: shown(url), reason })
    }

    /// For messages.
    pub fn hosts(&self) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|(host, port)| shown_host(host, *port)).collect();
        hosts.join(", ")
    }
}

pub fn shown_host(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The URL without what stands before the last `@`, which may be a secret.
pub fn shown(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            format!("{}://***{}", &url[..scheme], &url[at..])
        }
        // No URL, but a secret may be in it all the same.
        (_, Some(at)) => format!("***{}", &url[at..]),
        _ => url.to_owned(),
    }
}

fn parse(url: &str) -> Result<Address, String> {
    let (scheme, rest) = url.split_once("://").ok_or(FORMS)?;
    let (tls, form) = match scheme.split_once('+').unwrap_or((scheme, "")) {
        ("redis", form) => (false, form),
        ("rediss", form) => (true, form),
        _ => return Err(FORMS.into()),
    };
    let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(l, r)| (Some(l), r));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut path = path.split('/');
    let topology = match form {
        "" => Topology::Single,
        "cluster" => Topology::Cluster,
        "sentinel" => match path.next() {
            Some(name) if !name.is_empty() => Topology::Sentinel(decoded(name)?),
            _ => return Err("the name of the primary is missing: …/primary".into()),
        },
        _ => return Err(FORMS.into()),
    };
    let db = match path.next() {
        None | Some("") => 0,
        Some(db) => db.parse().ok().filter(|db| *db >= 0).ok_or("the database is no number")?,
    };
    if path.next().is_some() || rest.contains(['?', '#']) {
        return Err(FORMS.into());
    }
    if topology == Topology::Cluster && db != 0 {
        return Err("a Cluster has database 0 only".into());
    }
    let default_port = if form == "sentinel" { 26379 } else { 6379 };
    let hosts: Vec<_> =
        hosts.split(',').map(|text| host(text, default_port)).collect::<Result<_, _>>()?;
    match topology {
        Topology::Single if hosts.len() > 1 => {
            return Err("more than one host needs redis+sentinel or redis+cluster".into());
        }
        _ if hosts.len() > limits::REDIS_ADDRESSES_MAX => {
            return Err(format!("more than {} hosts", limits::REDIS_ADDRESSES_MAX));
        }
        _ => {}
    }
    let (username, password) = match login.map(|l| l.split_once(':').unwrap_or((l, ""))) {
        Some((username, password)) => (decoded(username)?, decoded(password)?),
        None => Default::default(),
    };
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Address { topology, tls, hosts, username: some(username), password: some(password), db })
}

fn host(text: &str, default_port: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => v6.split_once(']').ok_or("an IPv6 address is not closed by `]`")?,
        None => match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        },
    };
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().map_err(|_| format!("`{port}` is no port"))?,
        None if port.is_empty() => default_port,
        None => return Err(format!("`{port}` is no port")),
    };
    if host.is_empty() { Err("a host is missing".into()) } else { Ok((host.to_owned(), port)) }
}

/// Percent-decoding (RFC 3986 §2.1), as a password with an `@` or a `/` needs it.
fn decoded(text: &str) -> Result<String, String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let hex = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(hex.ok_or("a `%` is not followed by two hexadecimal digits")?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).map_err(|_| "the login is not UTF-8".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn every_form_of_url_is_read() {
        let plain = address("redis://10.0.0.7");
        assert_eq!(plain.hosts, [("10.0.0.7".to_owned(), 6379)]);
        assert!(plain.topology == Topology::Single && !plain.tls && plain.db == 0);
        assert_eq!((plain.username, plain.password), (None, None));

        let full = address("rediss://ada:p%40s%3As@redis.example.com:7000/3");
        assert_eq!(full.hosts(), "redis.example.com:7000");
        assert!(full.tls && full.db == 3);
        assert_eq!(
            (full.username.as_deref(), full.password.as_deref()),
            (Some("ada"), Some("p@s:s"))
        );
        assert_eq!(address("redis://:secret@r/").password.as_deref(), Some("secret"));

        let sentinel = address("redis+sentinel://:secret@s1,s2:5000,[fd00::7]/main/2");
        assert_eq!(sentinel.topology, Topology::Sentinel("main".into()));
        assert_eq!(sentinel.hosts(), "s1:26379, s2:5000, [fd00::7]:26379");
        assert_eq!(sentinel.db, 2);

        let cluster = address("rediss+cluster://c1,c2:7001");
        assert!(cluster.tls && cluster.topology == Topology::Cluster);
        assert_eq!(cluster.hosts(), "c1:6379, c2:7001");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, reason) in [
            ("redis:///", "host is missing"),
            ("redis://u:secret@a,b", "redis+sentinel or redis+cluster"),
            ("redis://u:secret@a/x", "database"),
            ("redis://u:secret@a/-1", "database"),
            ("redis://u:secret@a:x", "`x` is no port"),
            ("redis+sentinel://u:secret@a", "name of the primary"),
            ("redis+cluster://u:secret@a/1", "database 0"),
            ("redis+other://u:secret@a", "redis+cluster"),
            ("redis://u:sec%ret@a", "hexadecimal"),
            ("redis://u:secret@a?x=1", "redis+cluster"),
        ] {
            let error = Address::parse(url).map(drop).unwrap_err();
            assert!(error.is_settings());
            let text = error.to_string();
            assert!(text.contains(reason) && !text.contains("sec"), "{url}: {text}");
        }
    }
}
