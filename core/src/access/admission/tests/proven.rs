//! What is remembered of a grant is no reason to let it in: each reason not to is found again.

use super::*;

fn verify(
    token: &str,
    table: &RouteTable,
    proven: &Proven,
    now: Timestamp,
) -> Result<Arc<Grant>, Invalid> {
    let Some(Entry::Route(route)) = table.lookup("a1") else { panic!("a route") };
    Grant::verify(token.as_bytes(), route, table.access(), proven, now)
}

#[test]
fn a_proven_grant_is_known_again_and_only_itself() {
    let (table, proven) = (table(Policy::Private), Proven::new(1));
    let token = grant("ada").token(&key(1));
    let first = verify(&token, &table, &proven, NOW).unwrap();
    let again = verify(&token, &table, &proven, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &again), "it was not proven twice");
    // All have the one place, and so this grant before them.
    for at in 0..token.len() {
        let mut other = token.clone().into_bytes();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        let other = String::from_utf8(other).unwrap();
        assert!(verify(&other, &table, &proven, NOW).is_err(), "at {at}");
        assert!(verify(&token[..at], &table, &proven, NOW).is_err(), "cut at {at}");
    }
    let kept = verify(&token, &table, &proven, NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &kept), "what is no grant displaces none");
    let bob = grant("bob").token(&key(1));
    assert_eq!(verify(&bob, &table, &proven, NOW).unwrap().user, name("bob"));
    let anew = verify(&token, &table, &proven, NOW).unwrap();
    assert!(!Arc::ptr_eq(&first, &anew) && first == anew, "it was displaced, and proven again");
}

#[test]
fn what_ends_a_grant_ends_a_proven_one() {
    let (before, proven) = (table(Policy::Private), Proven::new(64));
    let good = grant("ada");
    let token = good.token(&key(1));
    let refused = |table: &RouteTable, now| verify(&token, table, &proven, now).unwrap_err();
    assert!(verify(&token, &before, &proven, NOW).is_ok());
    assert_eq!(refused(&before, good.expires_at), Invalid::Expired);
    assert_eq!(refused(&revoked(&before, Revoked::User(name("ada"))), NOW), Invalid::Revoked);
    assert_eq!(refused(&revoked(&before, Revoked::Login(proof().id)), NOW), Invalid::Revoked);
    assert_eq!(refused(&before.with([Change::ForgetKey(KeyId(1))]), NOW), Invalid::Key);
    let stranger = Key::new(KeyId(1), [7; 32], Timestamp(0));
    assert_eq!(refused(&before.with([Change::Key(Box::new(stranger))]), NOW), Invalid::Signature);
    let younger = Session { created_at: Timestamp(8), ..session(Policy::Private) };
    let younger = before.with([Change::Set(Box::new(younger))]);
    assert_eq!(refused(&younger, NOW), Invalid::OtherSession);
    assert!(verify(&token, &before, &proven, NOW).is_ok(), "and it was good all the time");
}

#[test]
fn a_change_of_routes_leaves_what_is_proven() {
    let (before, proven) = (table(Policy::Private), Proven::new(64));
    let token = grant("ada").token(&key(1));
    let first = verify(&token, &before, &proven, NOW).unwrap();
    let after = before.with([Change::Set(Box::new(session(Policy::Workspace)))]);
    assert!(Arc::ptr_eq(&first, &verify(&token, &after, &proven, NOW).unwrap()));
    let newer = after.with([Change::Key(Box::new(key(2)))]);
    assert!(!Arc::ptr_eq(&first, &verify(&token, &newer, &proven, NOW).unwrap()));
}
