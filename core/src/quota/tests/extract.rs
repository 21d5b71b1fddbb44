//! Which values requests are counted by.

use super::*;
use crate::quota::policy::{Extractor, Protocol};

const CLIENT: &str = "192.0.2.7";

fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    Header { name, value: value.as_bytes() }
}

fn known<'a>(fields: &'a [Header<'a>]) -> Known<'a> {
    Known {
        fields,
        client: CLIENT.parse().unwrap(),
        is_trusted: false,
        workspace: "genomics",
        session: "one",
        user: Some("ada"),
    }
}

fn bucket(sources: impl IntoIterator<Item = Source>) -> Bucket {
    let extractor = |source| Extractor { protocol: Protocol::Any, source };
    let extractors = sources.into_iter().map(extractor).collect();
    Bucket { name: "b".parse().unwrap(), quotas: Vec::new(), extractors }
}

fn value(source: Source, known: &Known<'_>) -> Option<String> {
    bucket([source]).value(known).map(|value| value.text.into_owned())
}

fn field(name: &str) -> Source {
    Source::Header { name: name.into() }
}

fn jwt(token: TokenPlace, unverified: Unverified) -> Source {
    Source::Jwt { token, claim: "sub".into(), unverified }
}

fn token(payload: &str) -> String {
    format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(payload.as_bytes()))
}

#[test]
fn each_source_yields_its_value() {
    let fields = [header("X-Team", " blue "), header("X-Empty", "")];
    let known = known(&fields);
    for (source, expected) in [
        (Source::ClientIp, Some(CLIENT)),
        (Source::Workspace, Some("genomics")),
        (Source::Session, Some("one")),
        (Source::User, Some("ada")),
        (field("x-TEAM"), Some("blue")),
        (field("X-Empty"), None),
        (field("X-None"), None),
        (Source::Permissions { field: "userId".into() }, None),
    ] {
        assert_eq!(value(source.clone(), &known).as_deref(), expected, "{source:?}");
    }
    assert_eq!(value(Source::User, &Known { user: None, ..known }), None);
    let six = Known { client: "2001:db8:1:2:3:4:5:6".parse().unwrap(), ..known };
    assert_eq!(value(Source::ClientIp, &six).as_deref(), Some("2001:db8:1:2::/64"));
    let mapped = Known { client: "::ffff:192.0.2.7".parse().unwrap(), ..known };
    assert_eq!(value(Source::ClientIp, &mapped).as_deref(), Some(CLIENT));
}

#[test]
fn the_first_extractor_that_yields_something_decides() {
    let fields = [header("X-Team", "blue")];
    let known = known(&fields);
    let ssh = Extractor { protocol: Protocol::Ssh, source: Source::ClientIp };
    let mut first = bucket([field("X-None"), field("X-Team"), Source::ClientIp]);
    first.extractors.insert(0, ssh);
    let team = first.value(&known).unwrap();
    assert_eq!((team.text.as_ref(), team.is_private), ("blue", true));
    let policy = Policy { buckets: vec![bucket([field("X-None")]), first, bucket([Source::User])] };
    let values: Vec<_> =
        policy.extract(&known).map(|(at, value)| (at, value.text.into_owned())).collect();
    assert_eq!(values, [(1, "blue".to_owned()), (2, "ada".to_owned())]);
}

#[test]
fn long_odd_and_secret_values_are_hashed() {
    let long = "x".repeat(limits::QUOTA_VALUE_BYTES_MAX + 1);
    let fields = [
        header("Long", &long),
        Header { name: "Odd", value: b"\xff\xfe" },
        header("Control", "a\u{7f}b"),
        header("Authorization", "Bearer abc"),
    ];
    let known = known(&fields);
    for name in ["Long", "Odd", "Control", "Authorization"] {
        let text = value(field(name), &known).unwrap();
        assert!(text.starts_with("sha256:") && text.len() == 39, "{name}: {text}");
        assert_eq!(value(field(name), &known), Some(text), "the same each time");
    }
}

#[test]
fn an_unverified_claim_is_believed_only_of_the_trusted() {
    let token = token(r#"{"sub":"eve","n":7}"#);
    let bearer = format!("Bearer {token}");
    let cookies = format!("a=1; auth={token}");
    let fields = [header("Authorization", &bearer), header("Cookie", &cookies)];
    let stranger = known(&fields);
    let trusted = Known { is_trusted: true, ..stranger };
    let places = [
        TokenPlace::Field("authorization".into()),
        TokenPlace::Cookie("auth".into()),
        TokenPlace::Either("auth".into()),
        TokenPlace::Either("authorization".into()),
    ];
    for place in places {
        let ours = || jwt(place.clone(), Unverified::OfTrusted);
        assert_eq!(value(ours(), &stranger), None);
        assert_eq!(value(ours(), &trusted).as_deref(), Some("eve"), "{place:?}");
        let anybody = jwt(place.clone(), Unverified::OfAnybody);
        assert_eq!(value(anybody, &stranger).as_deref(), Some("eve"));
    }
    let number = Source::Jwt {
        token: TokenPlace::Field("authorization".into()),
        claim: "n".into(),
        unverified: Unverified::OfTrusted,
    };
    assert_eq!(value(number, &trusted).as_deref(), Some("7"));
}

#[test]
fn of_two_with_one_name_none_is_taken() {
    let (ada, eve) = (token(r#"{"sub":"ada"}"#), token(r#"{"sub":"eve"}"#));
    let cookies = format!("a={ada}; b={eve}; b={ada}");
    let fields = [
        header("X-Team", "blue"),
        header("x-team", "red"),
        header("X-Token", &ada),
        header("X-TOKEN", &eve),
        header("Cookie", &cookies),
        header("Cookie", "X-Token=x; c=1"),
        header("b", &ada),
    ];
    let known = known(&fields);
    let of = |place| value(jwt(place, Unverified::OfAnybody), &known);
    let (one, two) = ("a".into(), "b".into());
    assert_eq!(value(field("X-Team"), &known), None);
    assert_eq!(of(TokenPlace::Field("x-token".into())), None);
    assert_eq!(of(TokenPlace::Either("X-Token".into())), None, "nor is the cookie");
    assert_eq!(of(TokenPlace::Cookie(two)), None);
    assert_eq!(of(TokenPlace::Cookie(one)).as_deref(), Some("ada"));
    assert_eq!(of(TokenPlace::Either("b".into())).as_deref(), Some("ada"), "the field");
    let next = bucket([field("X-Team"), Source::User]);
    assert_eq!(next.value(&known).unwrap().text, "ada", "as where there is none");
}

#[test]
fn what_is_no_token_has_no_claims() {
    let deep = token(&"[".repeat(10_000));
    let long = token(&format!(r#"{{"sub":"{}"}}"#, "x".repeat(limits::QUOTA_TOKEN_BYTES_MAX)));
    let object = token(r#"{"sub":{}}"#);
    let none = token("{}");
    for text in ["", "Bearer ", "a.b", "a.b.c.d", "a.!.c", "..", &deep, &long, &object, &none] {
        assert_eq!(claimed(text.as_bytes(), "sub"), None, "{text:.40}");
    }
}

#[test]
fn a_client_behind_trusted_proxies_is_the_last_stranger() {
    let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap()];
    let seen = |peer: &str, values: &[&str]| {
        let fields: Vec<_> = values.iter().map(|value| header("X-Forwarded-For", value)).collect();
        client_address(peer.parse().unwrap(), &fields, &trusted).to_string()
    };
    assert_eq!(seen("198.51.100.1", &["192.0.2.1"]), "198.51.100.1", "a stranger's word");
    assert_eq!(seen("10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
    assert_eq!(seen("10.0.0.1", &["203.0.113.5, 192.0.2.1 ,10.0.0.2"]), "192.0.2.1");
    assert_eq!(seen("10.0.0.1", &["203.0.113.5", "192.0.2.1"]), "192.0.2.1");
    assert_eq!(seen("::ffff:10.0.0.1", &["::ffff:192.0.2.1"]), "192.0.2.1");
    assert_eq!(seen("10.0.0.1", &["192.0.2.1, unknown"]), "10.0.0.1");
    for (element, address) in [
        ("192.0.2.1:51234", "192.0.2.1"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        (" [2001:db8::7] ", "2001:db8::7"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
        ("192.0.2.1:51234,10.1.2.3:443", "192.0.2.1"),
    ] {
        assert_eq!(seen("10.0.0.1", &[element]), address);
    }
    for element in ["192.0.2.1:", "192.0.2.1:99999", "[192.0.2.1]", "[::1", "::1]", "[]", ":80"] {
        assert_eq!(seen("10.0.0.1", &[element]), "10.0.0.1", "{element}");
    }
    assert_eq!(seen("10.0.0.1", &[]), "10.0.0.1");
}
