//! The settings as they are read at a start. Each mistake is told with the id of its subject, which
//! is then not looked at any further; everything else is.

use std::collections::BTreeSet;

use super::line::Line;
use crate::settings::{self, Looked, Mistake, Note, Settings, Sources};

pub struct Read {
    pub lines: Vec<Line>,
    pub wrong: BTreeSet<&'static str>,
    pub settings: Option<Settings>,
    pub platform_url: Option<String>,
}

pub fn read(sources: Sources) -> Read {
    let mut collected = settings::collect(sources);
    let platform = collected.entry("platform_url").value.as_ref();
    let platform_url = platform.map(|value| value.text().to_owned());
    let Looked { settings, mistakes, notes } = settings::look(&mut collected);
    let mut wrong: BTreeSet<_> = mistakes.iter().map(|mistake| subject(&mistake.name)).collect();
    // The settings as a whole are looked at by everybody.
    wrong.remove("settings");
    let mut lines: Vec<_> = mistakes.iter().map(mistaken).collect();
    if mistakes.is_empty() {
        let count = collected.entries.iter().filter(|entry| !entry.is_default()).count();
        lines.push(Line::ok("settings", "settings", format!("all can be read, {count} are set")));
    }
    lines.extend(notes.iter().filter_map(noted));
    Read { lines, wrong, settings, platform_url }
}

fn mistaken(mistake: &Mistake) -> Line {
    let Mistake { name, origin, wrong, fix } = mistake;
    let what = match origin {
        Some(origin) => format!("{name} (from {origin})"),
        None => name.clone(),
    };
    Line::settings(subject(name), what, wrong, fix)
}

/// What is only worth knowing has its place in the log.
fn noted(note: &Note) -> Option<Line> {
    match note {
        Note::Information(_) => None,
        Note::Warning(text) => {
            let fix = "leave it if it is meant, else change that setting";
            Some(Line::warning("settings", "settings", text, fix))
        }
    }
}

/// Which check a key belongs to.
fn subject(key: &str) -> &'static str {
    match key {
        "connect_url" | "platform_url" | "session_domain" => "domains",
        "tls.certificates" => "certificates",
        "quotas.policy" => "quotas",
        "routing" => "routing",
        "proxy.io" => "io_uring",
        "accounting.source" => "ebpf",
        "proxy.http" | "proxy.https" | "control.listen" | "management.listen" => "ports",
        key if key.starts_with("store.") => "store",
        key if key.starts_with("access.") => "access",
        _ => "settings",
    }
}
