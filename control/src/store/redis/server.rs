//! Finds the server that has Portico's keys, and connects to it. With Sentinel that is the primary
//! which they name; in a Cluster the node which has the one slot that all keys are in, so a plain
//! connection to it does, and a node that says `MOVED` is left like a primary that has stepped
//! down. What is asked on a connection is not known here, but for the greeting.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portico_core::limits;
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, TlsCertificates, Value,
};

use super::address::{Address, Topology, shown_host};
use super::line::{Greeting, Line, Which, read};
use super::{FORM_NOW, Failure, Keys, RedisOptions, Report, opening};

pub struct Server {
    pub address: Address,
    pub keys: Keys,
    certificates: Option<TlsCertificates>,
    tls_insecure: bool,
    /// Of the store that was opened, or that was adopted since; empty before the first connection.
    identity: Mutex<Arc<str>>,
    report: Mutex<Report>,
    /// Of the hosts, the one to ask first: not one that did not answer the last time.
    first: AtomicUsize,
    lines: AtomicU64,
}

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub struct Purpose {
    pub response_timeout: Duration,
    /// To be loaded.
    pub scripts: &'static [&'static str],
}

impl Purpose {
    pub const READ: Self = Self { response_timeout: limits::REDIS_RESPONSE_TIMEOUT, scripts: &[] };
}

/// A server to ask, and who asks.
struct Host<'a> {
    host: &'a str,
    port: u16,
    login: Option<(&'a str, Option<&'a str>)>,
    db: i64,
}

impl Server {
    pub fn new(options: &RedisOptions) -> Result<Self, Failure> {
        let address = options.address()?;
        let certificates = address.tls.then(|| options.certificates()).transpose()?;
        if certificates.is_some() {
            // The crate takes whatever provider the process has; that there is one already is fine.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Ok(Self {
            address,
            keys: Keys::new(&options.prefix)?,
            certificates,
            tls_insecure: options.tls_insecure,
            identity: Mutex::new(Arc::default()),
            report: Mutex::default(),
            first: AtomicUsize::new(0),
            lines: AtomicU64::new(0),
        })
    }

    pub fn identity(&self) -> Arc<str> {
        // Replaced whole, so what a panic left is as good as any.
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_identity(&self, identity: &str) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity.into();
    }

    pub fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether what was found is the store that was opened, in a form that this Portico knows.
    pub fn check(&self, identity: &str, form: &str) -> Result<(), Failure> {
        let known = self.identity();
        if identity != &*known {
            let found = if identity.is_empty() { "none" } else { identity };
            return Err(Failure::Replaced { known: known.to_string(), found: found.to_owned() });
        }
        if form == FORM_NOW { Ok(()) } else { Err(Failure::Form(form.to_owned())) }
    }

    /// A new connection to whoever has the keys now. With the first one the store is opened.
    pub async fn connect(&self, purpose: Purpose) -> Result<Line, Failure> {
        let mut line = self.find(purpose).await?;
        if self.identity().is_empty() {
            let report = opening::judge(&mut line, &self.address.topology).await?;
            *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
            opening::name(&mut line, self, Which::Opened).await?;
        }
        Ok(line)
    }

    /// One address after the other is asked who has the keys, until a connection to there is made.
    /// Opens nothing.
    pub async fn find(&self, purpose: Purpose) -> Result<Line, Failure> {
        let hosts = &self.address.hosts;
        let first = self.first.load(Ordering::Relaxed);
        let (mut failure, mut tried) = (None, Vec::new());
        for index in (first..first + hosts.len()).map(|index| index % hosts.len()) {
            let (host, port) = &hosts[index];
            // Whoever makes this call run out of time is not the first to be asked by the next.
            self.first.store((index + 1) % hosts.len(), Ordering::Relaxed);
            match self.ask_who(host, *port).await {
                Ok(Some(found)) if !tried.contains(&found) => {
                    match self.line(&found.0, found.1, purpose).await {
                        Ok(line) => {
                            self.first.store(index, Ordering::Relaxed);
                            return Ok(line);
                        }
                        Err(error) => failure = Some(error),
                    }
                    tried.push(found);
                }
                Ok(_) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let asked = self.address.hosts();
        Err(failure.unwrap_or_else(|| match &self.address.topology {
            Topology::Sentinel(name) => Failure::NoPrimary { asked, name: name.clone() },
            Topology::Single | Topology::Cluster => Failure::NoSlot { asked },
        }))
    }

    async fn ask_who(&self, host: &str, port: u16) -> Result<Option<(String, u16)>, Failure> {
        match &self.address.topology {
            Topology::Single => Ok(Some((host.to_owned(), port))),
            Topology::Cluster => self.ask_node(host, port).await,
            Topology::Sentinel(name) => {
                // Most Sentinels have no login of their own, and then refuse one.
                match self.ask_sentinel(host, port, name, None).await {
                    Err(Failure::Refused(error)) if error.code() == Some("NOAUTH") => {
                        self.ask_sentinel(host, port, name, self.login()).await
                    }
                    Err(Failure::Login { .. }) => {
                        self.ask_sentinel(host, port, name, self.login()).await
                    }
                    answer => answer,
                }
            }
        }
    }

    async fn ask_sentinel(
        &self,
        host: &str,
        port: u16,
        name: &str,
        login: Option<(&str, Option<&str>)>,
    ) -> Result<Option<(String, u16)>, Failure> {
        let mut pipe = Pipeline::new();
        pipe.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let at = Host { host, port, login, db: 0 };
        let mut connection = self.open(&at, limits::REDIS_RESPONSE_TIMEOUT).await?;
        let answer: Vec<Value> = read(&mut connection, &pipe).await?;
        let found = answer.into_iter().next().unwrap_or(Value::Nil);
        redis::from_redis_value(found).map_err(|_| Failure::Strange("a Sentinel"))
    }

    async fn ask_node(&self, host: &str, port: u16) -> Result<Option<(String, u16)>, Failure> {
        let at = Host { host, port, login: self.login(), db: 0 };
        let mut connection = self.open(&at, limits::REDIS_RESPONSE_TIMEOUT).await?;
        let mut pipe = Pipeline::new();
        pipe.cmd("CLUSTER").arg("KEYSLOT").arg(self.keys.identity());
        pipe.cmd("CLUSTER").arg("SLOTS");
        // First and last slot, then the nodes: the primary first, each an address and more.
        let (slot, ranges): (i64, Vec<Vec<Value>>) = read(&mut connection, &pipe).await?;
        let strange = || Failure::Strange("a node of a Cluster");
        for range in ranges {
            let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &range[..]
            else {
                return Err(strange());
            };
            if !(*first..=*last).contains(&slot) {
                continue;
            }
            let [name, Value::Int(port), ..] = &primary[..] else { return Err(strange()) };
            let name: Option<String> =
                redis::from_redis_value(name.clone()).map_err(|_| strange())?;
            let port = u16::try_from(*port).map_err(|_| strange())?;
            // A node that does not know its own address means the one that it was asked at.
            let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| host.to_owned());
            return Ok(Some((name, port)));
        }
        Ok(None)
    }

    fn login(&self) -> Option<(&str, Option<&str>)> {
        let password = self.address.password.as_deref()?;
        Some((password, self.address.username.as_deref()))
    }

    async fn line(&self, host: &str, port: u16, purpose: Purpose) -> Result<Line, Failure> {
        let at = Host { host, port, login: self.login(), db: self.address.db };
        let mut connection = self.open(&at, purpose.response_timeout).await?;
        let address = shown_host(host, port);
        let mut pipe = Pipeline::new();
        pipe.cmd("ROLE");
        pipe.cmd("INFO").arg("replication");
        pipe.cmd("MGET").arg(self.keys.identity()).arg(self.keys.form());
        for script in purpose.scripts {
            pipe.cmd("SCRIPT").arg("LOAD").arg(*script);
        }
        let answers: Vec<Value> = read(&mut connection, &pipe).await?;
        let greeting = Greeting::of(answers).ok_or(Failure::Strange("a Redis"))?;
        if !greeting.is_primary {
            return Err(match self.address.topology {
                Topology::Single => Failure::Replica { address },
                Topology::Sentinel(_) | Topology::Cluster => Failure::Failover { address },
            });
        }
        let id = self.lines.fetch_add(1, Ordering::Relaxed);
        Ok(Line::new(connection, address, greeting, id))
    }

    async fn open(
        &self,
        at: &Host<'_>,
        response_timeout: Duration,
    ) -> Result<MultiplexedConnection, Failure> {
        let address = shown_host(at.host, at.port);
        let failed = |source| Failure::connecting(&address, source);
        let host = at.host.to_owned();
        let place = match &self.certificates {
            None => ConnectionAddr::Tcp(host, at.port),
            Some(_) => ConnectionAddr::TcpTls {
                host,
                port: at.port,
                insecure: self.tls_insecure,
                tls_params: None,
            },
        };
        let mut settings = RedisConnectionInfo::default().set_db(at.db).set_skip_set_lib_name();
        if let Some((password, username)) = at.login {
            settings = settings.set_password(password);
            if let Some(username) = username {
                settings = settings.set_username(username);
            }
        }
        // A batch of writes must not wait for the acknowledgement of the one before.
        let tcp = TcpSettings::default().set_nodelay(true);
        let info = place.into_connection_info().map_err(failed)?;
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        let client = match &self.certificates {
            None => Client::open(info),
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits::REDIS_CONNECT_TIMEOUT))
            .set_response_timeout(Some(response_timeout));
        let client = client.map_err(Failure::Tls)?;
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(failed)
    }
}
