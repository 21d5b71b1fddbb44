//! The settings as an operator meets them: which source wins, what a mistake says, what is shown,
//! and that the documents made from the table are not stale.

mod access;
mod store;
mod workspaces;

use std::path::{Path, PathBuf};
use std::time::Duration;

use portico_bench::world::certificates::Authority;

use super::collect::Collected;
use super::sources::File;
use super::{ClientSource, Mistakes, Note, Settings, Sources, TokenSource, check, collect, show};

const HERE: &str = "PORTICO_CONNECT_URL=https://connect.example.com";
const HERE_BY_ADDRESS: &str = "PORTICO_CONNECT_URL=http://127.0.0.1:8080";

/// Environment as `NAME=value`.
fn sources(file: &str, environment: &[&str], flags: &[(&str, &str)]) -> Sources {
    let mut sources = Sources::default();
    for pair in environment {
        let (name, value) = pair.split_once('=').unwrap();
        sources.environment.push((name.to_owned(), value.to_owned()));
    }
    for (name, value) in flags {
        sources.set(name, *value);
    }
    if !file.is_empty() {
        sources.file = Some(File { path: "portico.toml".into(), text: file.to_owned() });
    }
    sources
}

fn settings(file: &str, environment: &[&str], flags: &[(&str, &str)]) -> (Settings, Vec<Note>) {
    let mut collected = collect(sources(file, environment, flags));
    check(&mut collected).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn mistakes(file: &str, environment: &[&str], flags: &[(&str, &str)]) -> Vec<String> {
    let mut collected = collect(sources(file, environment, flags));
    let Err(Mistakes(mistakes)) = check(&mut collected) else { panic!("there are no mistakes") };
    mistakes.iter().map(ToString::to_string).collect()
}

/// Certificate file and key file.
fn certificate(directory: &Path, name: &str) -> (String, String) {
    let paths = Authority::generate().certificate(directory, name, &["connect.example.com"]);
    (paths.cert.display().to_string(), paths.key.display().to_string())
}

#[test]
fn with_a_connect_url_all_else_has_a_default() {
    let (settings, notes) = settings("", &[HERE], &[]);
    assert_eq!(settings.domains.session_domain, "connect.example.com");
    assert_eq!(settings.proxy.listeners.len(), 1);
    assert_eq!(settings.proxy.listeners[0].address, "0.0.0.0:8080".parse().unwrap());
    assert!(settings.proxy.workers >= 1);
    assert_eq!(settings.proxy.drain_timeout, Duration::from_secs(30));
    assert_eq!(settings.control.listen, "127.0.0.1:7080".parse().unwrap());
    assert_eq!(settings.management, Some("127.0.0.1:9090".parse().unwrap()));
    assert!(matches!(settings.control.token, TokenSource::Kept));
    assert_eq!(notes, []);
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_todays_names() {
    let file =
        "[proxy]\nio = \"uring\"\nhttp = \"127.0.0.1:3\"\nworkers = 3\n[log]\nlevel = \"warn\"";
    let environment = [
        HERE,
        "PORTICO_PROXY__HTTP=127.0.0.1:2",
        "PORTICO_PROXY__WORKERS=2",
        "CONNECT_HTTP_PORT=4",
        "CONNECT_LOG_LEVEL=DEBUG",
        "CONNECT_MANAGEMENT_PORT=9100",
    ];
    let (settings, notes) = settings(file, &environment, &[("proxy.workers", "1")]);
    assert_eq!(settings.proxy.workers, 1);
    assert_eq!(settings.proxy.listeners[0].address.port(), 2);
    assert_eq!(settings.proxy.io.as_str(), "uring");
    assert_eq!(settings.log.filter, "warn");
    assert_eq!(settings.management, Some("0.0.0.0:9100".parse().unwrap()));
    let notes = format!("{notes:?}");
    assert!(notes.contains("management.listen is taken from CONNECT_MANAGEMENT_PORT"), "{notes}");
    assert!(notes.contains("CONNECT_LOG_LEVEL is not used: log.level"), "{notes}");
}

#[test]
fn todays_environment_starts_portico_and_what_it_cannot_do_yet_is_said() {
    let (settings, notes) = settings(
        "",
        &[
            "CONNECT_PROXY_URL=https://connect.example.com",
            "TOWER_SERVER_URL=https://platform.example.com",
            "PLATFORM_URL=",
            "TOWER_DATA_STUDIO_ENABLE_PATH_ROUTING=true",
            "CONNECT_HTTP_PORT=8081",
            "CONNECT_LOG_LEVEL=FATAL",
            "CONNECT_TRUSTED_PROXY_CIDRS=10.0.0.0/8 127.0.0.1",
            "CONNECT_REDIS_ADDRESS=redis:6379",
            "CONNECT_OIDC_CLIENT_REGISTRATION_TOKEN=hidden",
            "LOCAL_CACHE_TTL=2m",
        ],
        &[],
    );
    assert_eq!(settings.routing.words(), ["path"]);
    assert_eq!(settings.proxy.listeners[0].address, "0.0.0.0:8081".parse().unwrap());
    assert_eq!(settings.log.filter, "error");
    assert_eq!(settings.proxy.trusted_networks.len(), 2);
    let warnings: Vec<_> = notes.iter().filter(|note| matches!(note, Note::Warning(_))).collect();
    assert_eq!(warnings.len(), 0, "{notes:?}");
    let sign_in = settings.access.sign_in.as_ref().unwrap();
    assert!(matches!(&sign_in.client, ClientSource::Registers(token) if token.0 == "hidden"));
    assert!(!format!("{settings:?} {notes:?}").contains("hidden"));
}

#[test]
fn every_mistake_is_told_at_once_with_key_origin_and_fix() {
    let file = "conect_url = \"x\"\n[proxy]\nio = \"fast\"\ndrain_timeout = 30\nhttp = \"here\"";
    let environment =
        ["PORTICO_PROXY__WORKERS=many", "PORTICO_LOG__LEVL=info", "PORTICO_STORE__URL="];
    let flags = [("proxy.trusted_networks", "10.0.0.0/8,10.0.0.300"), ("store.url", "redis://r:x")];
    let found = mistakes(file, &environment, &flags);
    for expected in [
        "conect_url (from portico.toml:1): is not a setting\n    fix: did you mean connect_url?",
        "proxy.io (from portico.toml:3): `fast` is not one of auto, uring, epoll",
        "proxy.drain_timeout (from portico.toml:4): `30` is not a duration",
        "proxy.http (from portico.toml:5): `here` is not an address",
        "proxy.workers (from PORTICO_PROXY__WORKERS): `many` is not a number",
        "PORTICO_LOG__LEVL: is not a setting\n    fix: did you mean PORTICO_LOG__LEVEL?",
        "store.url (from PORTICO_STORE__URL): is empty",
        "proxy.trusted_networks (from --proxy-trusted-networks): `10.0.0.300` is not a network",
        "store.url (from --store-url): `redis://r:x` is not the URL of a Redis: `x` is no port",
        "connect_url: is missing",
    ] {
        assert!(found.iter().any(|m| m.starts_with(expected)), "{expected} is not in {found:#?}");
    }
    assert_eq!(found.len(), 10, "{found:#?}");
}

#[test]
fn settings_that_contradict_each_other_are_mistakes() {
    for (file, environment, expected) in [
        ("platform_url = \"https://example.org\"", HERE, "must share one registrable domain"),
        ("session_domain = \"example.org\"", HERE, "must share one registrable domain"),
        ("[proxy]\nhttp = \"off\"", HERE, "nobody could connect"),
        ("[proxy]\nhttps = \":443\"", HERE, "tls.certificates: is missing"),
        ("[proxy]\nhttp = [\":1\", \":1\"]", HERE, "there twice"),
        ("[tls]\ncertificates = [{ cert = \"/no/c\", key = \"/no/k\" }]", HERE, "/no/k"),
        ("[tls]\ncertificates = [{ cert = \"/no/c\" }]", HERE, "an item is not"),
        ("[control]\ntoken = \"short\"", HERE, "must have"),
        ("[control]\ntoken_file = \"/no/such/file\"", HERE, "/no/such/file"),
        ("upstream_networks = []", HERE, "would allow nothing"),
        ("[proxy]\ndrain_timeout = \"1year\"", HERE, "is more than"),
        ("[proxy]\nproxy_protocol = [\"https\"]", HERE, "is off"),
        ("[control]\nlisten = \"127.0.0.1:8080\"", HERE, "is taken by proxy.http (0.0.0.0:8080)"),
        ("[proxy]\nhttp = [\":80\", \"[::1]:81\", \"[::]:80\"]", HERE, "[::]:80 is taken"),
        ("routing = [\"port\"]", HERE, "is not one of"),
        ("[proxy]\nproxy_protocol = [\"ftp\"]", HERE, "`ftp`"),
        ("[proxy\n", HERE, "the file (from portico.toml:1): is not TOML"),
        ("[proxy\n", "PORTICO_LOG__LEVEL=info", "is not TOML"),
        ("[proxy\n", "PORTICO_PROXY__HTTPS=:443", "is not TOML"),
        ("", "CONNECT_PROXY_URL=connect.example.com", "is not a URL"),
        ("", "PORTICO_CONNECT_URL=http://127.0.0.1:8080", "use http://localhost instead"),
        ("", "PORTICO_CONNECT_URL=http://10.0.0.7", "or set routing = [\"path\"]"),
        ("", "PORTICO_CONNECT_URL=http://[::1]:8080", "use localhost"),
    ] {
        let found = mistakes(file, &[environment], &[]);
        assert_eq!(found.len(), 1, "{file}: {found:#?}");
        assert!(found[0].contains(expected), "{file}: {found:#?}");
    }
}

#[test]
fn every_domain_is_looked_at_whatever_is_wrong_with_the_others() {
    for (file, expected) in [
        (
            "connect_url = \"connect\"\nplatform_url = \"nowhere\"\nsession_domain = \"a b\"",
            ["connect_url (from", "platform_url (from", "session_domain (from"].as_slice(),
        ),
        (
            "connect_url = \"https://c.example.com\"\nplatform_url = \"https://p.example.org\"\n\
             session_domain = \"example.net\"",
            &["session domain example.net", "Platform's p.example.org"],
        ),
    ] {
        let found = mistakes(file, &[], &[]);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for words in expected {
            assert!(found.iter().any(|m| m.contains(words)), "{words}: {found:#?}");
        }
    }
    let by_path = [HERE_BY_ADDRESS, "PORTICO_ROUTING=path", "PORTICO_ACCESS__MODE=open"];
    assert!(!settings("", &by_path, &[]).0.domains.has_subdomains());
}

#[test]
fn files_are_read_when_the_settings_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (short, here) = (file("short", "hello"), directory.path().display().to_string());
    for path in [&short, &here] {
        let found = mistakes("", &[HERE], &[("control.token_file", path)]);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with("control.token_file (from --control-token-file)"),
            "{found:?}"
        );
        assert!(found[0].contains(path.as_str()) && !found[0].contains("hello"), "{found:#?}");
    }
    let long = file("long", "0123456789abcdef\n");
    let (settings, _) = settings("", &[HERE], &[("control.token_file", &long)]);
    assert!(matches!(settings.control.token, TokenSource::Given(token)
        if token.secret() == "0123456789abcdef"));

    let ((cert, key), (_, other)) =
        (certificate(directory.path(), "a"), certificate(directory.path(), "b"));
    let text = std::fs::read_to_string(&cert).unwrap();
    let torn = file("torn", text.rsplit_once("-----END").unwrap().0);
    for (pairs, expected) in [
        (format!("{key}:{cert}"), vec!["holds no certificate", "holds no private key"]),
        (format!("{cert}:{other}"), vec!["are no pair"]),
        (format!("{torn}:{key},{short}:{key}"), vec!["torn", "short holds no certificate"]),
    ] {
        let flags = [("proxy.https", ":0"), ("tls.certificates", pairs.as_str())];
        let found = mistakes("", &[HERE], &flags);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with("tls.certificates (from --tls-certificates)"), "{found:#?}");
        assert!(expected.iter().all(|words| found[0].contains(words)), "{found:#?}");
    }
}

#[test]
fn what_kubernetes_adds_for_a_service_of_our_name_is_no_mistake() {
    let links = [
        HERE,
        "PORTICO_SERVICE_HOST=10.0.0.1",
        "PORTICO_SERVICE_PORT_HTTP=80",
        "PORTICO_PORT=tcp://10.0.0.1:80",
        "PORTICO_DNS_PORT=udp://10.0.0.1:53",
        "PORTICO_PORT_80_TCP=tcp://10.0.0.1:80",
        "PORTICO_PORT_80_TCP_PROTO=tcp",
        "PORTICO_CONTROL_PORT_7080_TCP_ADDR=10.0.0.1",
    ];
    settings("", &links, &[]);
    for slip in [
        "PORTICO_HTTP_PORT=8080",
        "PORTICO_PORT=8080",
        "PORTICO_PROXY__PORT=tcp://10.0.0.1:80",
        "PORTICO_PROXY__SERVICE_PORT=80",
    ] {
        let found = mistakes("", &[HERE, slip], &[]);
        assert!(found.len() == 1 && found[0].contains("is not a setting"), "{slip}: {found:?}");
    }
}

#[test]
fn a_switch_of_todays_that_is_off_asks_for_nothing() {
    let notes = |value: &str| settings("", &[HERE, &format!("CONNECT_SSH_ENABLED={value}")], &[]).1;
    for off in ["false", "False", "0", "off", "no", ""] {
        assert_eq!(notes(off), [], "{off}");
    }
    assert!(matches!(&notes("true")[..], [Note::Warning(text)] if text.contains("no SSH")));
}

#[test]
fn lists_and_certificates_read_the_same_from_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = certificate(directory.path(), "a");
    let toml = format!(
        "[proxy]\nhttp = false\nhttps = [\"8443\", \"[::1]:0\"]\n\
         [tls]\ncertificates = [{{ cert = \"{cert}\", key = \"{key}\" }}]"
    );
    let environment = [
        HERE.to_owned(),
        "PORTICO_PROXY__HTTP=".to_owned(),
        "PORTICO_PROXY__HTTPS=8443, [::1]:0".to_owned(),
        format!("PORTICO_TLS__CERTIFICATES={cert}:{key}"),
    ];
    let environment: Vec<_> = environment.iter().map(String::as_str).collect();
    let (by_file, _) = settings(&toml, &[HERE], &[]);
    let (by_environment, _) = settings("", &environment, &[]);
    for settings in [by_file, by_environment] {
        let listeners = settings.proxy.listeners;
        let shown: Vec<_> = listeners.iter().map(|l| (l.address.to_string(), l.tls)).collect();
        assert_eq!(shown, [("0.0.0.0:8443".to_owned(), true), ("[::1]:0".to_owned(), true)]);
        assert_eq!(settings.certificates[0].key, PathBuf::from(&key));
    }
}

#[test]
fn a_secret_is_never_shown() {
    let token = "0123456789abcdef-hush-hush";
    let given = format!("PORTICO_CONTROL__TOKEN={token}");
    let mut collected = collect(sources("", &[HERE, &given], &[]));
    let (settings, notes) = check(&mut collected).unwrap();
    let shown = [
        show::in_force(&collected),
        show::in_force_json(&collected),
        format!("{settings:?} {notes:?}"),
    ];
    for text in shown {
        assert!(text.contains("***") && !text.contains("hush"), "{text}");
    }
    let bad = mistakes("", &[HERE, "PORTICO_CONTROL__TOKEN=hush hush"], &[]).concat();
    assert!(!bad.contains("hush"), "{bad}");
}

#[test]
fn a_password_in_a_url_is_never_shown() {
    for (name, url) in [
        ("store.url", "redis://user:hunter2@redis:port"),
        ("store.url", "redis:user:hunter2@redis"),
        ("store.url", "paper://user:hunter2@drawer"),
        ("store.url", "user:hunter2@redis"),
        ("connect_url", "https://user:hunter2@connect.example.com"),
        ("platform_url", "https://user:hunter2@example.com/path"),
        ("session_domain", "user:hunter2@example.com"),
    ] {
        let mut collected = collect(sources("", &[HERE], &[(name, url)]));
        let shown = format!(
            "{}\n{}\n{}",
            check(&mut collected).unwrap_err(),
            show::in_force(&collected),
            show::in_force_json(&collected),
        );
        assert!(shown.contains("***@"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let store = [("store.url", "embedded:/srv/portico@here")];
    assert!(show::in_force(&collect(sources("", &[HERE], &store))).contains("/srv/portico@here"));
}

#[test]
fn what_is_in_force_is_shown_with_its_origin_and_can_be_used_as_a_file() {
    let shown = |collected: &mut Collected| {
        check(collected).unwrap();
        show::in_force(collected)
    };
    let flags = [("proxy.io", "epoll"), ("proxy.drain_timeout", "1m")];
    let text = shown(&mut collect(sources("[log]\nlevel = \"debug\"", &[HERE], &flags)));
    for line in [
        "connect_url = \"https://connect.example.com\"  # from PORTICO_CONNECT_URL",
        "session_domain = \"connect.example.com\"  # from connect_url",
        "routing = [\"subdomain\", \"path\"]  # from default",
        "proxy.io = \"epoll\"  # from --proxy-io",
        "log.level = \"debug\"  # from portico.toml:2",
        "# platform_url is not set: not checked",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
    let values = |text: &str| -> Vec<_> {
        text.lines().map(|line| line.split("  # from").next().unwrap().to_owned()).collect()
    };
    let again = shown(&mut collect(sources(&text, &[], &[])));
    assert_eq!(values(&again), values(&text));
}

#[test]
fn the_example_starts_portico_and_each_of_its_lines_is_a_setting() {
    let example = show::example();
    let (settings, _) = settings(&example, &[], &[]);
    assert_eq!(settings.domains.connect.host, "connect.example.com");
    // A line of its own is `#key = …`; prose is `# …`.
    let every = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<_> = example.lines().map(every).collect();
    let collected = collect(sources(&text.join("\n"), &[], &[]));
    assert_eq!(collected.mistakes, []);
    assert!(collected.entries.iter().all(|entry| entry.value.is_some()));
}

/// `cargo run -- settings --markdown >deploy/SETTINGS.md`, and `--example` for the other.
#[test]
fn the_documents_made_from_the_table_are_not_stale() {
    for (name, made) in
        [("deploy/SETTINGS.md", show::markdown()), ("deploy/portico.example.toml", show::example())]
    {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == made, "{name} is stale: make it again with `portico settings`");
    }
}

#[test]
fn the_rights_in_the_readme_are_those_that_the_store_needs() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/README.md");
    let words = std::fs::read_to_string(path).unwrap();
    let words: Vec<_> = words.split_whitespace().collect();
    assert!(words.join(" ").contains(portico_control::store::redis::ACL_RULES));
}
