//! From collected values to `Settings`. Every key is looked at even after a mistake, so that the
//! reader hears of all of them in one start.

mod domains;

mod listeners;

mod access;

mod accounting;

mod control;

mod store;

mod files;

mod parse;

use std::net::SocketAddr;

use portico_core::session::Routing;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
use portico_proxy::{AccessLog, CertificateFiles, IoChoice, ListenerSettings};

use super::collect::{Collected, Entry, Origin};
use super::mistake::{Mistake, Mistakes, Wrong};
use super::value::Value;
use super::{LogFormat, LogSettings, Note, ProxySettings, Settings};

pub use parse::switch;

/// The settings with what is to be logged about them, or all mistakes.
pub fn check(collected: &mut Collected) -> Result<(Settings, Vec<Note>), Mistakes> {
    let settings = settings(collected);
    let mistakes = std::mem::take(&mut collected.mistakes);
    match settings {
        Some(settings) if mistakes.is_empty() => {
            Ok((settings, std::mem::take(&mut collected.notes)))
        }
        _ => Err(Mistakes(mistakes)),
    }
}

/// Where the management listener is (None: it is off), for who asks nothing else. Mistakes of other
/// keys are left to `check`, but what cannot be read may have said where.
pub fn management(c: &mut Collected) -> Result<Option<SocketAddr>, Mistakes> {
    let listen = c.read("management.listen", management_address);
    match listen {
        Some(listen) if c.is_whole => Ok(listen.flatten()),
        _ => Err(Mistakes(std::mem::take(&mut c.mistakes))),
    }
}

fn management_address(value: &Value) -> Result<Option<SocketAddr>, Wrong> {
    parse::address_or_off(value, LOOPBACK)
}

/// What can be known in spite of mistakes, for who looks at everything else as well.
#[derive(Debug)]
pub struct Looked {
    /// With the defaults of keys that have mistakes, where nothing else is to be had.
    pub settings: Option<Settings>,
    pub mistakes: Vec<Mistake>,
    pub notes: Vec<Note>,
}

/// As `check`, but goes on after mistakes.
pub fn look(c: &mut Collected) -> Looked {
    let first = settings(c);
    let mistakes = std::mem::take(&mut c.mistakes);
    let settings = first.or_else(|| {
        mistakes.iter().for_each(|mistake| c.reset(&mistake.name));
        // Those of this pass come of the defaults.
        let settings = settings(c);
        c.mistakes.clear();
        settings
    });
    let mut notes = std::mem::take(&mut c.notes);
    notes.dedup();
    Looked { settings, mistakes, notes }
}

/// None only when there are mistakes.
fn settings(c: &mut Collected) -> Option<Settings> {
    // Each is computed before the first `?` below, or its mistakes would wait for the next start.
    let routing = c.read("routing", |value| {
        let words = value.list().iter().map(String::as_str);
        Routing::from_words(words).map_err(|e| {
            Wrong::new(e.to_string(), "write [\"subdomain\", \"path\"], or one of them")
        })
    });
    let domains = domains::domains(c, routing.flatten());
    let allowed_workspaces = workspaces(c);
    let catalogue = catalogue(c);
    let upstream_networks = c.read("upstream_networks", parse::upstream_networks);
    let proxy = proxy(c);
    let certificates = certificates(c);
    let access = access::access(c, domains.as_ref());
    let control = control::control(c);
    let management = c.read("management.listen", management_address);
    listeners::apart(c);
    let store = store::store(c);
    let accounting = accounting::accounting(c);
    let log = log(c);
    let addresses_file = c.read("addresses_file", parse::file);
    Some(Settings {
        domains: domains?,
        routing: routing??,
        upstream_networks: upstream_networks?.unwrap_or_default(),
        proxy: proxy?,
        certificates: certificates?,
        access: access?,
        control: control?,
        management: management?.flatten(),
        store: store?,
        accounting: accounting?,
        allowed_workspaces: allowed_workspaces?,
        catalogue: catalogue?,
        log: log?,
        addresses_file: addresses_file?,
    })
}

const LOOPBACK: &str = "127.0.0.1";
const EVERYWHERE: &str = "0.0.0.0";

impl Collected {
    /// None for a mistake, which is kept; `Some(None)` for a key without a value.
    fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&Value) -> Result<T, Wrong>,
    ) -> Option<Option<T>> {
        let Entry { value, origin, .. } = self.entry(name);
        let parsed = value.as_ref().map(parse).transpose();
        match parsed {
            Ok(parsed) => Some(parsed),
            Err(wrong) => {
                let origin = origin.clone();
                self.mistake(name, Some(origin), wrong);
                None
            }
        }
    }

    fn origin(&self, name: &str) -> Option<Origin> {
        Some(self.entry(name).origin.clone())
    }
}

fn proxy(c: &mut Collected) -> Option<ProxySettings> {
    let plain = c.read("proxy.http", |value| parse::addresses(value, EVERYWHERE));
    let tls = c.read("proxy.https", |value| parse::addresses(value, EVERYWHERE));
    let io = c.read("proxy.io", |value| {
        value.text().parse::<IoChoice>().map_err(|_| parse::not_one_of(value, "auto, uring, epoll"))
    });
    let workers = c.read("proxy.workers", parse::workers);
    let trusted_networks = c.read("proxy.trusted_networks", parse::networks);
    let proxy_protocol = c.read("proxy.proxy_protocol", parse::proxy_protocol);
    let drain_timeout = c.read("proxy.drain_timeout", parse::drain_timeout);
    let access_log = c.read("proxy.access_log", |value| match value.text() {
        "off" | "" => Ok(AccessLog::Off),
        "json" => Ok(AccessLog::Json),
        "text" => Ok(AccessLog::Text),
        _ => Err(parse::not_one_of(value, "off, json, text")),
    });
    let (plain, tls, proxy_protocol) = (plain??, tls??, proxy_protocol??);
    if plain.is_empty() && tls.is_empty() {
        let wrong = "is off, and so is proxy.https: nobody could connect";
        let origin = c.origin("proxy.http");
        c.mistake("proxy.http", origin, Wrong::new(wrong, "give one of the two an address"));
    }
    if proxy_protocol.http && plain.is_empty() || proxy_protocol.https && tls.is_empty() {
        let origin = c.origin("proxy.proxy_protocol");
        let wrong = Wrong::new("names a listener that is off", "name only listeners that are on");
        c.mistake("proxy.proxy_protocol", origin, wrong);
    }
    let listener = |tls: bool, proxy_protocol: bool| {
        move |address: SocketAddr| ListenerSettings { address, tls, proxy_protocol }
    };
    let listeners = plain
        .into_iter()
        .map(listener(false, proxy_protocol.http))
        .chain(tls.into_iter().map(listener(true, proxy_protocol.https)))
        .collect();
    Some(ProxySettings {
        listeners,
        io: io??,
        workers: workers??,
        trusted_networks: trusted_networks??,
        drain_timeout: drain_timeout??,
        access_log: access_log??,
    })
}

fn certificates(c: &mut Collected) -> Option<Vec<CertificateFiles>> {
    let files = c.read("tls.certificates", files::certificates)?.unwrap_or_default();
    let has_listener = c.entry("proxy.https").value.as_ref().is_some_and(|v| !v.is_empty());
    match (has_listener, files.is_empty()) {
        // What is missing here may stand in a file that could not be read, below too.
        _ if !c.is_whole => {}
        (true, true) => {
            let fix = "write certificates = [{ cert = \"tls.crt\", key = \"tls.key\" }] below \
                       [tls], or turn proxy.https off";
            let wrong = Wrong::new("is missing, and proxy.https is on", fix);
            c.mistake("tls.certificates", None, wrong);
        }
        (false, false) => {
            let origin = c.origin("tls.certificates");
            let wrong =
                Wrong::new("is of no use while proxy.https is off", "give proxy.https an address");
            c.mistake("tls.certificates", origin, wrong);
        }
        (true, false) | (false, true) => {}
    }
    Some(files)
}

/// From the environment alone: names with a key of their own have no place in a table of settings.
fn catalogue(c: &mut Collected) -> Option<Catalogue> {
    let templates = std::mem::take(&mut c.templates);
    let pairs = templates.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    match Catalogue::builtin().apply_environment(pairs) {
        Ok(catalogue) => Some(catalogue),
        Err(mistakes) => {
            for (name, wrong) in mistakes {
                let fix = match templates.iter().any(|(set, _)| *set == name) {
                    true => "correct it, or unset it; deploy/SETTINGS.md says how it is written",
                    false => "set it, or unset the template's other names",
                };
                c.mistake(&name, None, Wrong::new(wrong, fix));
            }
            None
        }
    }
}

fn workspaces(c: &mut Collected) -> Option<AllowList> {
    let allowed = c.read("allowed_workspaces", parse::workspaces)?.unwrap_or_default();
    if matches!(&allowed, AllowList::Only(names) if names.is_empty()) {
        let origin = &c.entry("allowed_workspaces").origin;
        let note = format!(
            "allowed_workspaces (from {origin}) is empty: no session is reachable, unless the API \
             was given a list"
        );
        c.notes.push(Note::Warning(note));
    }
    Some(allowed)
}

fn log(c: &mut Collected) -> Option<LogSettings> {
    let filter = c.read("log.level", parse::log_filter);
    let format = c.read("log.format", |value| match value.text() {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(parse::not_one_of(value, "text, json")),
    });
    Some(LogSettings { filter: filter??, format: format?? })
}
