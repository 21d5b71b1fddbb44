//! The store and the API's TLS: which combinations start, which are mistakes, what today's names of
//! a Redis come to.

use portico_control::store::{RedisOptions, StoreSettings};

use super::*;
use crate::settings::{ControlTls, Store};

const REDIS: &str = "PORTICO_STORE__URL=redis://redis:6379/1";
const REDIS_TLS: &str = "PORTICO_STORE__URL=rediss://redis:6379/1";
const TODAY: &str = "CONNECT_REDIS_ADDRESS=redis:6379";

fn store(environment: &[&str]) -> (Store, String) {
    let environment: Vec<_> = [HERE].into_iter().chain(environment.iter().copied()).collect();
    let (settings, notes) = settings("", &environment, &[]);
    (settings.store, format!("{notes:?}"))
}

fn redis(environment: &[&str]) -> (RedisOptions, String) {
    let (Store { settings: StoreSettings::Redis(options), .. }, notes) = store(environment) else {
        panic!("{environment:?} is no Redis")
    };
    (options, notes)
}

#[test]
fn a_redis_has_what_an_embedded_store_has_not() {
    let (embedded, _) = store(&[]);
    assert!(matches!(embedded.settings, StoreSettings::Embedded(dir)
        if dir == Path::new("/var/lib/portico")));
    assert_eq!((embedded.cache, embedded.stale_max), (None, None));

    let (plain, _) = store(&[REDIS]);
    assert_eq!(plain.cache, Some("/var/lib/portico/routes.cache".into()));
    assert_eq!(plain.stale_max, None);
    let (options, notes) = redis(&[REDIS]);
    assert_eq!((options.prefix.as_str(), options.tls_insecure), ("portico", false));
    assert_eq!(notes, "[]");

    let (other, _) = store(&[REDIS, "PORTICO_STORE__CACHE=off", "PORTICO_STORE__STALE_MAX=1h"]);
    assert_eq!((other.cache, other.stale_max), (None, Some(Duration::from_secs(3600))));
    for url in [
        "redis://:a%40b@r/2",
        "rediss://r",
        "redis+sentinel://s1,s2/main",
        "rediss+sentinel://s1/main/3",
        "redis+cluster://a,b:7001",
        "rediss+cluster://a",
    ] {
        assert_eq!(redis(&[&format!("PORTICO_STORE__URL={url}")]).0.url, url);
    }
}

#[test]
fn a_redis_gets_its_login_from_settings_or_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, " se cret \n").unwrap();
    let by_file = format!("PORTICO_STORE__PASSWORD_FILE={}", file.display());
    let (options, _) = redis(&[REDIS, "PORTICO_STORE__USERNAME=ada", &by_file]);
    assert_eq!(options.username.as_deref(), Some("ada"));
    assert_eq!(options.password.as_deref(), Some(" se cret "));
    let (options, _) = redis(&[REDIS, "PORTICO_STORE__PASSWORD= x "]);
    assert_eq!(options.password.as_deref(), Some(" x "));

    std::fs::write(&file, "\nsecret").unwrap();
    let found = mistakes("", &[HERE, REDIS, &by_file], &[]).concat();
    assert!(found.contains("no password in") && !found.contains("secret"), "{found}");
}

#[test]
fn what_does_not_go_with_the_store_is_a_mistake_with_its_key() {
    for (store, setting, expected) in [
        ("", "USERNAME=ada", "store.username (from PORTICO_STORE__USERNAME): is for a Redis"),
        ("", "PASSWORD=x", "store.password (from"),
        ("", "PREFIX=other", "store.prefix (from"),
        ("", "TLS_INSECURE=true", "store.tls_insecure (from"),
        ("", "CACHE=/c", "store.cache (from"),
        ("", "STALE_MAX=1m", "store.stale_max (from"),
        (REDIS, "TLS_INSECURE=yes", "fix: remove it, or write rediss in store.url"),
        (REDIS, "USERNAME=ada", "has no password"),
        (REDIS, "PREFIX=a{b", "store.prefix (from PORTICO_STORE__PREFIX): `a{b` cannot be"),
        (REDIS, "STALE_MAX=0s", "is no time at all"),
        (REDIS, "STALE_MAX=soon", "`soon` is not a duration"),
        (REDIS, "PASSWORD_FILE=/no/such", "no password in `/no/such`"),
        (REDIS_TLS, "TLS_INSECURE=maybe", "`maybe` is neither true nor false"),
        (REDIS_TLS, "CA_FILE=/no/such", "store.ca_file (from PORTICO_STORE__CA_FILE): /no/such"),
    ] {
        let setting = format!("PORTICO_STORE__{setting}");
        let store = if store.is_empty() { "PORTICO_LOG__LEVEL=info" } else { store };
        let found = mistakes("", &[HERE, store, &setting], &[]);
        assert!(found.len() == 1 && found[0].contains(expected), "{setting}: {found:#?}");
    }
    let both = ["PORTICO_STORE__PASSWORD=x", "PORTICO_STORE__PASSWORD_FILE=/dev/null"];
    let found = mistakes("", &[HERE, REDIS, both[0], both[1]], &[]);
    assert!(found.iter().all(|m| m.starts_with("store.password")), "{found:#?}");
    // What asks for nothing is none, so that what --print-config shows can be used.
    for nothing in ["PREFIX=portico", "TLS_INSECURE=false", "CACHE=off", "STALE_MAX=off"] {
        store(&[&format!("PORTICO_STORE__{nothing}")]);
    }
}

#[test]
fn every_mistake_about_the_store_is_told_at_once() {
    let file = "[store]\nurl = \"redis://a,b\"\nprefix = \"a b\"\nstale_max = \"x\"\n\
                cert_file = \"/no/c\"\nca_file = \"/no/a\"\ntls_insecure = \"x\"\n\
                [control]\ntls_key = \"/no/k\"\nclient_ca = \"/no/b\"";
    let found = mistakes(file, &[HERE], &[]);
    for name in [
        "store.url",
        "store.prefix",
        "store.stale_max",
        "store.cert_file",
        "store.ca_file",
        "store.tls_insecure",
        "control.tls_key",
        "control.client_ca",
    ] {
        let start = format!("{name} (from portico.toml:");
        assert!(found.iter().any(|m| m.starts_with(&start)), "{name} is not in {found:#?}");
    }
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn certificates_are_read_and_fit_their_keys() {
    let directory = tempfile::tempdir().unwrap();
    let ((cert, key), (_, other)) =
        (certificate(directory.path(), "a"), certificate(directory.path(), "b"));
    for [cert_name, key_name, ca_name] in [
        ["control.tls_cert", "control.tls_key", "control.client_ca"],
        ["store.cert_file", "store.key_file", "store.ca_file"],
    ] {
        let of = |flags: &[(&str, &str)]| mistakes("", &[HERE, REDIS_TLS], flags);
        for (flags, start, expected) in [
            (vec![(cert_name, &cert)], cert_name, format!("without {key_name}")),
            (vec![(key_name, &key)], key_name, format!("without {cert_name}")),
            (vec![(cert_name, &cert), (key_name, &other)], cert_name, "are no pair".into()),
            (vec![(cert_name, &key), (key_name, &key)], cert_name, "no certificate".into()),
            (vec![(cert_name, &cert), (key_name, &cert)], key_name, "no private key".into()),
            (vec![(ca_name, &key)], ca_name, "holds no certificate".into()),
        ] {
            let flags: Vec<_> = flags.iter().map(|(name, path)| (*name, path.as_str())).collect();
            let found = of(&flags);
            assert_eq!(found.len(), 1, "{found:#?}");
            assert!(found[0].starts_with(start) && found[0].contains(&expected), "{found:#?}");
        }
    }
    let found = mistakes("", &[HERE], &[("control.client_ca", &cert)]);
    assert!(found.len() == 1 && found[0].contains("has no TLS"), "{found:#?}");

    let flags = [
        ("control.tls_cert", cert.as_str()),
        ("control.tls_key", &key),
        ("control.client_ca", &cert),
        ("store.cert_file", &cert),
        ("store.key_file", &key),
        ("store.ca_file", &cert),
        ("store.tls_insecure", "true"),
    ];
    let (settings, notes) = settings("", &[HERE, REDIS_TLS], &flags);
    let Some(ControlTls { certificate, client_ca }) = settings.control.tls else {
        panic!("no TLS")
    };
    assert_eq!((certificate.key, client_ca), (key.clone().into(), Some(cert.clone().into())));
    let StoreSettings::Redis(options) = settings.store.settings else { panic!("no Redis") };
    assert_eq!(options.cert_file, Some(cert.clone().into()));
    assert_eq!((options.key_file, options.ca_file), (Some(key.into()), Some(cert.into())));
    assert!(options.tls_insecure);
    assert!(matches!(&notes[..], [Note::Warning(text)] if text.contains("tls_insecure")));
}

#[test]
fn todays_names_of_a_redis_come_to_one_store() {
    let (options, notes) = redis(&[
        TODAY,
        "CONNECT_REDIS_DB=1",
        "CONNECT_REDIS_TLS_ENABLE=true",
        "CONNECT_REDIS_TLS_SKIP_VERIFY=True",
        "CONNECT_REDIS_USER=ada",
        "CONNECT_REDIS_PASSWORD=hidden",
        "CONNECT_REDIS_PREFIX=connect:session",
    ]);
    assert_eq!(options.url, "rediss://redis:6379/1");
    assert_eq!(options.username.as_deref(), Some("ada"));
    assert_eq!(options.password.as_deref(), Some("hidden"));
    assert_eq!((options.prefix.as_str(), options.tls_insecure), ("connect:session", true));
    for said in [
        "store.url is taken from CONNECT_REDIS_ADDRESS",
        "store.url has CONNECT_REDIS_DB in it",
        "store.password is taken from CONNECT_REDIS_PASSWORD",
    ] {
        assert!(notes.contains(said), "{notes}");
    }
    assert!(!notes.contains("hidden"));
    let (options, notes) =
        redis(&[TODAY, "CONNECT_REDIS_TLS_SKIP_VERIFY=true", "CONNECT_REDIS_TLS_CERT_FILE=/no"]);
    assert_eq!((options.url.as_str(), options.cert_file), ("redis://redis:6379/0", None));
    assert!(notes.contains("_CERT_FILE is not used: CONNECT_REDIS_TLS_ENABLE is off"), "{notes}");

    for (name, expected) in [
        ("CONNECT_REDIS_ADDRESS=redis://u:hidden@r", "is not host:port"),
        ("CONNECT_REDIS_ADDRESS=redis:x", "(from CONNECT_REDIS_ADDRESS, as a fall-back)"),
        ("CONNECT_REDIS_DB=one", "(from CONNECT_REDIS_DB, as a fall-back): `one` is not"),
        ("CONNECT_REDIS_TLS_ENABLE=perhaps", "CONNECT_REDIS_TLS_ENABLE"),
        ("CONNECT_REDIS_PREFIX={x}", "store.prefix (from CONNECT_REDIS_PREFIX"),
        ("LOCAL_CACHE_TTL=2", "store.stale_max (from LOCAL_CACHE_TTL"),
    ] {
        let found = mistakes("", &[HERE, name, TODAY], &[]);
        assert!(found.len() == 1 && found[0].contains(expected), "{name}: {found:#?}");
        assert!(!found[0].contains("hidden"), "{found:#?}");
    }
}

#[test]
fn only_the_address_of_a_redis_leaves_the_embedded_store() {
    let names = [
        "CONNECT_REDIS_DB=1",
        "CONNECT_REDIS_USER=ada",
        "CONNECT_REDIS_PASSWORD=hidden",
        "CONNECT_REDIS_PREFIX=connect:session",
        "CONNECT_REDIS_TLS_ENABLE=true",
        "CONNECT_REDIS_TLS_SKIP_VERIFY=true",
        "CONNECT_REDIS_TLS_CERT_FILE=/f",
        "CONNECT_REDIS_TLS_KEY_FILE=/f",
    ];
    for name in names {
        let (settings, notes) = settings("", &[HERE, name, "CONNECT_REDIS_ADDRESS="], &[]);
        assert!(matches!(settings.store.settings, StoreSettings::Embedded(_)), "{name}");
        let without = "without CONNECT_REDIS_ADDRESS";
        assert!(matches!(&notes[..], [Note::Warning(text)] if text.contains(without)), "{notes:?}");
        // Of another Redis than the one that is used, its login and its TLS least of all.
        let (options, notes) = redis(&["PORTICO_STORE__URL=rediss://other", TODAY, name]);
        assert_eq!((options.url.as_str(), options.prefix.as_str()), ("rediss://other", "portico"));
        assert!(options.password.is_none() && !options.tls_insecure, "{name}");
        assert!(notes.contains("is not used: store.url comes from PORTICO_STORE__URL"), "{notes}");
    }
    for name in ["CONNECT_REDIS_TLS_ENABLE", "CONNECT_REDIS_TLS_SKIP_VERIFY"] {
        for off in ["false", "False", "0", "off", "no", ""] {
            assert_eq!(settings("", &[HERE, &format!("{name}={off}")], &[]).1, []);
        }
    }
    let own = "PORTICO_STORE__PREFIX=own";
    let (options, notes) = redis(&[TODAY, "CONNECT_REDIS_PREFIX=connect:session", own]);
    assert_eq!(options.prefix, "own");
    assert!(notes.contains("CONNECT_REDIS_PREFIX is not used"), "{notes}");
}

#[test]
fn todays_cache_bounds_staleness_where_there_is_a_redis() {
    let (store_with, notes) = store(&[REDIS, "LOCAL_CACHE_TTL=1h30m"]);
    assert_eq!(store_with.stale_max, Some(Duration::from_secs(5400)));
    assert!(notes.contains("without it routes never grow stale"), "{notes}");
    let (embedded, notes) = store(&["LOCAL_CACHE_TTL=2m"]);
    assert_eq!(embedded.stale_max, None);
    assert!(notes.contains("LOCAL_CACHE_TTL is not used"), "{notes}");
}

#[test]
fn a_redis_in_force_is_shown_without_its_password_and_can_be_used_as_a_file() {
    let environment =
        [HERE, "PORTICO_STORE__URL=redis://ada:hunter2@redis/1", "PORTICO_STORE__PASSWORD=hunter3"];
    let mut collected = collect(sources("", &environment, &[]));
    let (settings, _) = check(&mut collected).unwrap();
    let shown = show::in_force(&collected);
    let all = format!("{shown}{}{settings:?}", show::in_force_json(&collected));
    assert!(!all.contains("hunter"), "{all}");
    for line in [
        "store.url = \"redis://***@redis/1\"  # from PORTICO_STORE__URL",
        "store.password = \"***\"  # from PORTICO_STORE__PASSWORD",
        "store.prefix = \"portico\"  # from default",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
    check(&mut collect(sources(&shown, &[], &[]))).unwrap();
}
