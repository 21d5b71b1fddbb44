//! Documents of today's system, Portico's own, and wrong ones.

use std::num::NonZeroU64;
use std::time::Duration;

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    Policy::parse(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
}

fn of_quota(quota: &str) -> String {
    format!(
        r#"{{"buckets":[{{"name":"b","quotas":[{quota}],
            "extractors":[{{"protocol":"any","source":{{"type":"client_ip"}}}}]}}]}}"#
    )
}

fn of_source(source: &str) -> String {
    format!(
        r#"{{"buckets":[{{"name":"b","quotas":[{{"bytes":1,"window":"1h"}}],
            "extractors":[{{"protocol":"http","source":{source}}}]}}]}}"#
    )
}

#[test]
fn documents_of_today_are_read() {
    let (policy, notes) = Policy::parse(
        br#"{"buckets":[
            {"name":"ip","quotas":[{"bytes":"100GB","window":"24h","on_exceed":"deny"}],
             "extractors":[{"protocol":"any","source":{"type":"client_ip"}}]},
            {"name":"user_id","quotas":[{"bytes":1099511627776,"window":"720h","on_exceed":"deny"}],
             "extractors":[
                {"protocol":"http","source":{"type":"header","name":"X-Connect-Sub"}},
                {"protocol":"ssh","source":{"type":"permissions","field":"userId"}},
                {"protocol":"http","source":{"type":"jwt","token":"authorization","claim":"sub"}}]}
        ]}"#,
    )
    .unwrap();
    let [ip, user] = &policy.buckets[..] else { panic!("{policy:?}") };
    assert_eq!(ip.name.as_str(), "ip");
    let day = Span { kind: Kind::Fixed, length: Duration::from_secs(86_400) };
    let quota = |bytes, span| Quota {
        bytes: NonZeroU64::new(bytes).unwrap(),
        span,
        on_exceed: Action::Deny,
    };
    assert_eq!(ip.quotas, [quota(100 << 30, day)]);
    let month = Span { length: Duration::from_secs(720 * 3_600), ..day };
    assert_eq!(user.quotas, [quota(1 << 40, month)]);
    let sources: Vec<_> = user.extractors.iter().map(|e| (e.source.kind(), e.applies())).collect();
    assert_eq!(sources, [("user", true), ("permissions", false), ("jwt", true)]);
    let notes: Vec<_> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("the user whom the edge knows"));
    assert!(notes[1].starts_with("buckets[1].extractors[1] is for ssh"), "{notes:?}");
    assert!(notes[2].contains("trusted_networks"));
}

#[test]
fn ours_are_read() {
    let text = of_quota(
        r#"{"bytes":"1GB","window":"1h","kind":"sliding","on_exceed":"throttle",
            "bytes_per_second":"1MB"},{"bytes":5,"window":"1m","on_exceed":"warn"}"#,
    );
    let (policy, notes) = Policy::parse(text.as_bytes()).unwrap();
    assert!(notes.is_empty());
    let [throttled, warned] = policy.buckets[0].quotas[..] else { panic!() };
    assert_eq!(throttled.span.kind, Kind::Sliding);
    let bytes_per_second = NonZeroU64::new(1 << 20).unwrap();
    assert_eq!(throttled.on_exceed, Action::Throttle { bytes_per_second });
    assert_eq!((warned.span.kind, warned.on_exceed), (Kind::Fixed, Action::Warn));
    for kind in ["workspace", "session", "user"] {
        let text = of_source(&format!(r#"{{"type":"{kind}"}}"#));
        let (policy, notes) = Policy::parse(text.as_bytes()).unwrap();
        assert_eq!(policy.buckets[0].extractors[0].source.kind(), kind);
        assert!(notes.is_empty());
    }
    for (place, expected) in [
        ("cookie:token", TokenPlace::Cookie("token".into())),
        ("header:Authorization", TokenPlace::Field("Authorization".into())),
        ("auth", TokenPlace::Either("auth".into())),
    ] {
        let text =
            format!(r#"{{"type":"jwt","token":"{place}","claim":"sub","accept_unverified":true}}"#);
        let (policy, notes) = Policy::parse(of_source(&text).as_bytes()).unwrap();
        let Source::Jwt { token, unverified, .. } = &policy.buckets[0].extractors[0].source else {
            panic!()
        };
        assert_eq!((token, *unverified), (&expected, Unverified::OfAnybody));
        assert!(notes[0].text.contains("forge"));
    }
    assert!(Policy::parse(br#"{"buckets":[]}"#).unwrap().0.is_empty());
}

#[test]
fn all_mistakes_are_told_at_once_with_their_places() {
    let told = mistakes(
        r#"{"buckets":[
            {"name":"a b","quotas":[{"bytes":"1XB","window":"1d","on_exceed":"drop"}],
             "extractors":[{"protocol":"ftp","source":{"type":"header"}}]},
            {"name":"c","quotas":[{"bytes":0,"window":"1ms","kind":"odd","bytes_per_second":1}],
             "extractors":[{"source":{"type":"moon"}}], "qoutas":[]},
            7,
            {"name":"c","quotas":[],"extractors":{}}
        ], "version": 2}"#,
    );
    let places: Vec<_> =
        told.iter().map(|text| text.split(' ').next().unwrap().to_owned()).collect();
    for place in [
        "version",
        "buckets[0].name",
        "buckets[0].quotas[0].bytes",
        "buckets[0].quotas[0].window",
        "buckets[0].quotas[0].on_exceed",
        "buckets[0].extractors[0].protocol",
        "buckets[0].extractors[0].source.name",
        "buckets[1].qoutas",
        "buckets[1].quotas[0].bytes",
        "buckets[1].quotas[0].window",
        "buckets[1].quotas[0].kind",
        "buckets[1].quotas[0].bytes_per_second",
        "buckets[1].extractors[0].source.type",
        "buckets[2]",
        "buckets[3].name",
        "buckets[3].quotas",
        "buckets[3].extractors",
    ] {
        assert!(places.iter().any(|found| found == place), "{place} in {told:#?}");
    }
    assert_eq!(told.len(), 17, "{told:#?}");
    assert!(told.iter().all(|text| text.contains(": ")), "each has its fix: {told:#?}");
}

#[test]
fn what_is_no_policy_is_refused() {
    for text in ["", "[]", "{", "{}", r#"{"buckets":1}"#, "null"] {
        assert_eq!(mistakes(text).len(), 1, "{text}");
    }
    let many = vec![r#"{"name":"x"}"#; limits::QUOTA_BUCKETS_MAX + 1].join(",");
    assert!(mistakes(&format!(r#"{{"buckets":[{many}]}}"#))[0].contains("0 to 16"));
    let long = " ".repeat(limits::QUOTA_POLICY_BYTES_MAX + 1);
    assert!(mistakes(&long)[0].contains("bytes"));
    let other = of_source(r#"{"type":"client_ip","name":"X"}"#);
    assert!(mistakes(&other)[0].contains("means nothing to a client_ip"), "{:?}", mistakes(&other));
    let token = of_source(r#"{"type":"jwt","token":"header:a b","claim":"sub"}"#);
    assert!(mistakes(&token)[0].contains("header:Authorization"));
    let throttle = of_quota(r#"{"bytes":1,"window":"1h","on_exceed":"throttle"}"#);
    assert!(mistakes(&throttle)[0].starts_with("buckets[0].quotas[0].bytes_per_second is missing"));
}
