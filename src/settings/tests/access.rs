//! Settings of access that contradict themselves are told, and never leave a gate open.

use super::*;
use crate::settings::Issuer;
use portico_core::access::Mode;

const HTTPS: &str = "PORTICO_CONNECT_URL=https://connect.example.com";

#[test]
fn the_gate_is_closed_unless_somebody_opens_it_and_that_is_said() {
    let (closed, notes) = settings("", &[HTTPS], &[]);
    assert_eq!((closed.access.gate.mode, closed.access.gate.sign_in), (Mode::Closed, false));
    assert_eq!(notes, []);
    let (open, notes) = settings("", &[HTTPS, "PORTICO_ACCESS__MODE=open"], &[]);
    assert_eq!(open.access.gate.mode, Mode::Open);
    assert!(matches!(&notes[..], [Note::Warning(text)] if text.contains("every session")));
    let sharing = [HTTPS, "PORTICO_ACCESS__PATH_SHARING=true"];
    let (_, notes) = settings("", &sharing, &[]);
    assert!(matches!(&notes[..], [Note::Warning(text)] if text.contains("one origin")));
}

#[test]
fn where_users_sign_in_follows_from_the_platform_or_is_said() {
    let platform = "PORTICO_PLATFORM_URL=https://platform.example.com";
    let token = "PORTICO_ACCESS__REGISTRATION_TOKEN=initial";
    let (found, _) = settings("", &[HTTPS, platform, token], &[]);
    let sign_in = found.access.sign_in.as_ref().unwrap();
    let Issuer::OfPlatform(url) = &sign_in.issuer else { panic!("{sign_in:?}") };
    assert_eq!(url, "https://platform.example.com");
    assert!(matches!(sign_in.client, ClientSource::Registers(_)));
    assert_eq!(found.access.gate.origins.frame_ancestors(), "'self' https://platform.example.com");
    let fixed = [
        HTTPS,
        "PORTICO_ACCESS__ISSUER=https://id.example.com/realms/one",
        "PORTICO_ACCESS__CLIENT_ID=portico",
        "PORTICO_ACCESS__CLIENT_SECRET=hush",
    ];
    let (found, _) = settings("", &fixed, &[]);
    let sign_in = found.access.sign_in.as_ref().unwrap();
    assert!(matches!(&sign_in.client, ClientSource::Fixed { id, .. } if id == "portico"));
    assert!(!format!("{found:?}").contains("hush"));
}

#[test]
fn what_contradicts_itself_is_a_mistake() {
    for (more, expected) in [
        (&["PORTICO_ACCESS__MODE=shut"][..], "`shut` is not one of closed, open"),
        (&["PORTICO_ACCESS__DEFAULT_POLICY=public"], "which sessions may not be"),
        (&["PORTICO_ACCESS__REGISTRATION_TOKEN=t"], "nowhere to sign in"),
        (&["PORTICO_ACCESS__CLIENT_ID=portico"], "has no secret"),
        (&["PORTICO_ACCESS__CLIENT_SECRET=s"], "belongs to no client"),
        (&["PORTICO_ACCESS__IDENTITY_HEADERS=Cookie"], "has a meaning of its own"),
        (&["PORTICO_ACCESS__IDENTITY_HEADERS=a b:"], "is not the name of a header"),
        (&["PORTICO_ACCESS__ALLOWED_ORIGINS=app.example.com"], "is not a URL"),
        (&["PORTICO_ACCESS__GRANT_LIFETIME=1s"], "is not between 1m and 1day"),
        (
            &["PORTICO_ACCESS__LOGIN_LIFETIME=30d", "PORTICO_ACCESS__KEY_LIFETIME=1h"],
            "too many keys",
        ),
        (&["PORTICO_ACCESS__SCOPES=profile"], "lacks openid"),
        (&["PORTICO_ACCESS__WEBHOOK_URL=ftp://x"], "is not an http or https URL"),
        (&["PORTICO_CONNECT_URL=http://connect.example.com"], "browsers keep no grants"),
    ] {
        let environment: Vec<_> = [HTTPS].iter().chain(more).copied().collect();
        let environment = if more[0].contains("CONNECT_URL") { more.to_vec() } else { environment };
        let found = mistakes("", &environment, &[]);
        assert_eq!(found.len(), 1, "{more:?}: {found:#?}");
        assert!(found[0].contains(expected), "{more:?}: {found:#?}");
    }
}
