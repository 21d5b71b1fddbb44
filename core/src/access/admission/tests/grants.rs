//! What a grant must be to be one.

use std::time::Duration;

use super::*;

#[test]
fn what_is_no_good_grant_opens_nothing() {
    let good = grant("ada");
    let elsewhere = Grant { session: "b2".into(), ..good.clone() };
    let before = Grant { session_created_at: Timestamp(6), ..good.clone() };
    let expired = Grant { expires_at: NOW, ..good.clone() };
    let future = Grant { issued_at: Timestamp(NOW.0 + 2 * MINUTE), ..good.clone() };
    let (token, foreign) = (good.token(&key(1)), good.token(&key(2)));
    let stranger = good.token(&Key::new(KeyId(1), [7; 32], Timestamp(0)));
    for (token, expected) in [
        (elsewhere.token(&key(1)), "other_session"),
        (before.token(&key(1)), "other_session"),
        (expired.token(&key(1)), "expired"),
        (future.token(&key(1)), "future"),
        (foreign, "unknown_key"),
        (stranger, "signature"),
        (token[1..].to_owned(), "malformed"),
        (format!("{token}A"), "malformed"),
        (String::new(), "malformed"),
        ("A".repeat(5_000), "malformed"),
    ] {
        let fields = format!("Cookie: __Host-portico-grant={token}\r\n");
        assert_eq!(get(&gate(), Policy::Private, &fields), format!("unauthorized: {expected}"));
    }
    // A token of another kind is never a grant.
    let (proof, reach) = (proof(), Reach::Sessions);
    let login = Login { user: name("ada"), proof, reach, until: good.until, workspaces: vec![] };
    let fields = format!("Cookie: __Host-portico-grant={}\r\n", login.token(&key(1)));
    assert_eq!(get(&gate(), Policy::Private, &fields), "unauthorized: malformed");
}

#[test]
fn no_mutation_of_a_grant_is_a_grant() {
    let token = grant("ada").token(&key(1));
    let bytes = data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    let table = table(Policy::Private);
    let Some(Entry::Route(route)) = table.lookup("a1") else { panic!() };
    let verify = |bytes: &[u8]| {
        let token = data_encoding::BASE64URL_NOPAD.encode(bytes);
        Grant::verify(token.as_bytes(), route, table.access(), &Proven::default(), NOW)
    };
    assert!(verify(&bytes).is_ok());
    for at in 0..bytes.len() {
        assert!(verify(&bytes[..at]).is_err(), "cut at {at}");
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(verify(&flipped).is_err(), "bit {bit} of byte {at}");
        }
    }
    for at in 0..token.len() {
        let mut text = token.clone().into_bytes();
        for byte in [b'A', b'_', b'=', b'+', 0x80] {
            text[at] = byte;
            let same = text == token.as_bytes();
            assert_eq!(
                Grant::verify(&text, route, table.access(), &Proven::default(), NOW).is_ok(),
                same,
                "{at}"
            );
        }
    }
}

#[test]
fn a_grant_is_renewed_in_its_second_half_and_never_beyond_its_end() {
    let at = |issued: u64, expires: u64, until: u64| {
        let time = |minutes| Timestamp(NOW.0 + minutes * MINUTE);
        let issued_at = Timestamp(NOW.0 - issued * MINUTE);
        let grant = Grant { issued_at, expires_at: time(expires), ..grant("ada") };
        get(&gate(), Policy::Private, &cookie(&Grant { until: time(until), ..grant }))
    };
    assert_eq!(at(1, 14, 600), "ada");
    assert_eq!(at(8, 7, 600), "ada renewed");
    assert_eq!(at(8, 7, 9), "ada renewed");
    assert_eq!(at(8, 7, 7), "ada");
    let field = Grant { issued_at: Timestamp(NOW.0 - 8 * MINUTE), ..grant("ada") };
    let fields = format!("X-Portico-Grant: {}\r\n", field.token(&key(1)));
    assert_eq!(get(&gate(), Policy::Private, &fields), "ada");
}

#[test]
fn a_recheck_is_wanted_when_half_of_the_platforms_word_is_over() {
    let grant = |issued: u64, until: u64| Grant {
        recheck: true,
        issued_at: Timestamp(NOW.0 - issued * MINUTE),
        until: Timestamp(NOW.0 + until * MINUTE),
        ..grant("ada")
    };
    assert!(grant(3, 2).wants_recheck(NOW) && !grant(2, 3).wants_recheck(NOW));
    assert!(!Grant { recheck: false, ..grant(3, 2) }.wants_recheck(NOW));
    let renewed = grant(3, 2).renewed(Duration::from_secs(60), NOW);
    assert_eq!(renewed, None, "it lasts longer already");
}
