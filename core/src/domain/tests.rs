//! What a host names under children and siblings, what fits together, and what a URL may be.

use super::*;

fn label(text: &str) -> Site {
    Site::Session(LabelText::new(text.as_bytes()).unwrap())
}

#[test]
fn children_of_the_connect_host() {
    let d = Domains::new("https://connect.example.com", Some("https://example.com"), None).unwrap();
    assert_eq!(d.site("connect.example.com"), Site::Connect);
    assert_eq!(d.site("Connect.Example.Com."), Site::Connect);
    assert_eq!(d.site("A1b2.connect.example.com"), label("a1b2"));
    for other in [
        "example.com",
        "x.example.com",
        "a.b.connect.example.com",
        "",
        ".",
        ".connect.example.com",
        "aconnect.example.com",
    ] {
        assert_eq!(d.site(other), Site::Unknown, "{other}");
    }
}

#[test]
fn siblings_of_the_connect_host() {
    let d = Domains::new(
        "https://connect.studios.example.com",
        Some("https://platform.example.com"),
        Some("*.studios.example.com"),
    )
    .unwrap();
    assert_eq!(d.site("connect.studios.example.com"), Site::Connect);
    assert_eq!(d.site("abcd.studios.example.com"), label("abcd"));
    assert!(d.is_reserved(&Label::parse("connect").unwrap()));
    let (subdomain, path) = d.urls(&Label::parse("abcd").unwrap(), Routing::Both);
    assert_eq!(subdomain.unwrap(), "https://abcd.studios.example.com/");
    assert_eq!(path.unwrap(), "https://connect.studios.example.com/_studio/abcd/");
}

#[test]
fn the_names_of_connect_host_and_platform_are_no_sessions() {
    let d = Domains::new(
        "https://connect.example.com",
        Some("https://platform.example.com"),
        Some("example.com"),
    )
    .unwrap();
    for (label, reserved) in [("connect", true), ("platform", true), ("session", false)] {
        assert_eq!(d.is_reserved(&Label::parse(label).unwrap()), reserved, "{label}");
    }
}

#[test]
fn all_contradictions_are_found() {
    let origin = |url: &str| Some(Origin::parse(url).unwrap());
    let (connect, platform) = (origin("https://c.example.com"), origin("https://p.example.org"));
    let both = contradictions(connect.as_ref(), platform.as_ref(), Some("example.net"));
    assert!(matches!(
        both[..],
        [DomainError::SessionRoot { .. }, DomainError::DifferentRoot { .. }]
    ));
    // Without a connect host the session domain is compared with the Platform.
    assert_eq!(contradictions(None, platform.as_ref(), Some("example.net")).len(), 1);
    assert_eq!(contradictions(None, platform.as_ref(), Some("s.example.org")), []);
    assert_eq!(contradictions(connect.as_ref(), None, None), []);
}

#[test]
fn an_address_has_no_subdomains() {
    for (url, expected) in [
        ("http://127.0.0.1:8080", false),
        ("http://127.1", false),
        ("http://localhost:8080", true),
        ("https://connect.example.com", true),
    ] {
        let domains = Domains::new(url, None, None).unwrap();
        assert_eq!(domains.has_subdomains(), expected, "{url}");
    }
    assert!(matches!(Origin::parse("http://[::1]:8080"), Err(DomainError::Ipv6(_))));
}

#[test]
fn another_registrable_domain_is_refused_by_name() {
    let e = Domains::new("https://connect.example.org", Some("https://example.com"), None);
    let text = e.unwrap_err().to_string();
    assert!(text.contains("connect.example.org") && text.contains("example.com"), "{text}");
    // co.uk is a public suffix: two of its children are strangers.
    assert!(Domains::new("https://c.one.co.uk", Some("https://two.co.uk"), None).is_err());
    assert!(Domains::new("https://c.one.co.uk", Some("https://p.one.co.uk"), None).is_ok());
    assert!(Domains::new("http://connect.localhost:8080", Some("http://localhost"), None).is_ok());
    assert!(Domains::new("https://c.example.com", None, Some("example.org")).is_err());
}

#[test]
fn origins() {
    assert_eq!(
        Origin::parse("HTTPS://A.example.com:443/").unwrap().to_string(),
        "https://a.example.com"
    );
    assert_eq!(
        Origin::parse("http://localhost:8080").unwrap().to_string(),
        "http://localhost:8080"
    );
    let error = Origin::parse("https://user:hunter2@a").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
    for bad in
        ["connect.example.com", "ftp://x", "https://a/b", "https://u@a", "https://a:0", "https://"]
    {
        assert!(Origin::parse(bad).is_err(), "{bad}");
    }
}
