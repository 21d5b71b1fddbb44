//! From collected values to `Settings`. Every key is looked at even after a mistake, so that the
//! reader hears of all of them in one start.

mod domains;

mod listeners;

mod files;

mod parse;

use std::net::SocketAddr;

use portico_core::session::Routing;
use portico_core::template::Catalogue;
use portico_core::workspace::AllowList;
use portico_proxy::{AccessLog, CertificateFiles, IoChoice, ListenerSettings};

use super::collect::{Collected, Entry, Origin};
use super::mistake::{Mistakes, Wrong};
use super::value::Value;
use super::{
    ControlSettings, LogFormat, LogSettings, Note, ProxySettings, Settings, Store, TokenSource,
};

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
    not_yet_supported(c);
    let upstream_networks = c.read("upstream_networks", parse::upstream_networks);
    let proxy = proxy(c);
    let certificates = certificates(c);
    let control = control(c);
    let management = c.read("management.listen", |value| parse::address_or_off(value, LOOPBACK));
    listeners::apart(c);
    let store = c.read("store.url", parse::store);
    let log = log(c);
    let addresses_file = c.read("addresses_file", parse::file);
    Some(Settings {
        domains: domains?,
        routing: routing??,
        upstream_networks: upstream_networks?.unwrap_or_default(),
        proxy: proxy?,
        certificates: certificates?,
        control: control?,
        management: management?.flatten(),
        store: Store { settings: store??, cache: None, stale_max: None },
        allowed_workspaces: AllowList::All,
        catalogue: Catalogue::builtin(),
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

/// A restriction that is read but not kept would let people in who were to stay out.
fn not_yet_supported(c: &mut Collected) {
    if c.entry("allowed_workspaces").value.is_some() {
        let origin = c.origin("allowed_workspaces");
        let wrong = "is not yet supported: this version would serve every workspace all the same";
        let fix = "remove it; restrict at the Platform for now";
        c.mistake("allowed_workspaces", origin, Wrong::new(wrong, fix));
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

fn control(c: &mut Collected) -> Option<ControlSettings> {
    let listen = c.read("control.listen", |value| parse::address(value, LOOPBACK));
    let token = c.read("control.token", parse::token);
    let file = c.read("control.token_file", files::token);
    let token = match (token?, file?) {
        (Some(_), Some(_)) => {
            let origin = c.origin("control.token");
            let wrong = Wrong::new("is set beside control.token_file", "keep one of the two");
            c.mistake("control.token", origin, wrong);
            return None;
        }
        (Some(token), None) | (None, Some(token)) => TokenSource::Given(token),
        (None, None) => TokenSource::Kept,
    };
    Some(ControlSettings { listen: listen??, token, tls: None })
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
