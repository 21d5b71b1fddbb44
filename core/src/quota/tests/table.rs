//! How many accounts there are, and what becomes of them with another policy.

use super::*;

const ROOM: usize = 16;

fn opened(ledger: &Ledger, value: usize, now: Timestamp) -> Accounts {
    ledger.open(&known(&format!("w{value}")), now)
}

#[test]
fn nothing_is_counted_without_a_policy() {
    let ledger = Ledger::default();
    assert!(ledger.is_idle() && ledger.open(&known("w"), at(0)).is_empty());
    assert!(ledger.take_deltas(at(0)).is_empty() && ledger.review(at(0)) == Review::default());
    assert!(Accounts::default().standing(at(0)).is_open());
}

#[test]
fn whoever_finds_no_room_is_counted_with_the_others() {
    let policy = policy(&quota(100, "60s", "fixed", "deny"));
    let ledger = Ledger::with_room(policy, ROOM);
    let held: Vec<_> = (0..ROOM).map(|value| opened(&ledger, value, at(0))).collect();
    let (one, two) = (opened(&ledger, 100, at(0)), opened(&ledger, 200, at(0)));
    assert_eq!(ledger.accounts(), ROOM);
    one.charge(100);
    assert_eq!(two.standing(at(0)), denied(60), "they share an account");
    assert!(held[0].standing(at(0)).is_open());
    assert_eq!(ledger.usage(100, at(0))[0].value, "other");
    let of_others = |delta: &Delta| delta.of.value.is_empty();
    assert!(ledger.take_deltas(at(0)).iter().any(of_others));
    assert_eq!(ledger.sweep(), 0, "all are in use");
}

/// By a field that anybody can make up, and by workspace.
fn two_buckets() -> Policy {
    let mut policy = policy(&quota(100, "60s", "fixed", "deny"));
    let mut forgeable = policy.buckets[0].clone();
    forgeable.name = "team".parse().unwrap();
    forgeable.extractors[0].source = Source::Header { name: "X-Team".into() };
    policy.buckets.push(forgeable);
    policy
}

fn of_team(ledger: &Ledger, team: &str, workspace: &str, now: Timestamp) -> Accounts {
    let fields = [httparse::Header { name: "X-Team", value: team.as_bytes() }];
    ledger.open(&Known { fields: &fields, ..known(workspace) }, now)
}

#[test]
fn made_up_values_of_one_bucket_take_no_room_of_another() {
    let ledger = Ledger::with_room(two_buckets(), ROOM);
    let flood: Vec<_> =
        (0..ROOM).map(|value| of_team(&ledger, &format!("t{value}"), "w0", at(0))).collect();
    assert_eq!(ledger.accounts(), 1 + ROOM / 2, "each bucket has its part");
    let accounts = opened(&ledger, 100, at(0));
    assert_eq!(&*accounts.iter().next().unwrap().value, "w100");
    // And with another policy, each again its part, which is all where there is one bucket.
    ledger.replace(policy(&quota(100, "60s", "fixed", "deny")), at(0));
    let held: Vec<_> = (0..2 * ROOM).map(|value| opened(&ledger, value, at(0))).collect();
    assert_eq!(ledger.accounts(), ROOM);
    drop((flood, held));
}

#[test]
fn a_full_bucket_is_swept_though_others_are_empty() {
    let mut one = Replica::new("one", &two_buckets());
    one.ledger = Ledger::with_room(two_buckets(), ROOM);
    let mut store = Model::default();
    drop(of_team(&one.ledger, "blue", "w0", at(0)));
    for value in 0..ROOM / 2 {
        of_team(&one.ledger, &format!("t{value}"), "w0", at(0));
    }
    one.sync(&mut store, at(0));
    assert_eq!(one.ledger.sweep(), ROOM / 8, "down to 3/4 of its part");
}

#[test]
fn what_is_behind_is_gathered_once_for_many_batches() {
    let policy = policy(&quota(1 << 20, "60s", "fixed", "deny"));
    let mut one = Replica::new("one", &policy);
    let mut store = Model::default();
    let many = limits::QUOTA_DELTAS_MAX * 2 + 10;
    (0..many).for_each(|value| opened(&one.ledger, value, at(0)).charge(1));
    let mut behind = one.ledger.behind();
    let mut sizes = Vec::new();
    loop {
        let deltas = behind.take(at(0));
        if deltas.is_empty() {
            break;
        }
        sizes.push(deltas.len());
        one.number += 1;
        let batch = Batch { writer: "one".parse().unwrap(), number: one.number, at: at(0), deltas };
        one.ledger.apply(&store.charge(&batch), at(0));
        // What is charged meanwhile waits for its turn.
        opened(&one.ledger, 7, at(0)).charge(1);
    }
    let full = limits::QUOTA_DELTAS_MAX;
    // The overflow account asks too.
    assert_eq!(sizes, [full, full, 11]);
}

#[test]
fn accounts_without_traffic_make_room_oldest_first_and_come_back() {
    let policy = policy(&quota(100, "60s", "fixed", "deny"));
    let mut one = Replica::new("one", &policy);
    one.ledger = Ledger::with_room(policy, ROOM);
    let mut store = Model::default();
    for value in 0..ROOM {
        opened(&one.ledger, value, at(value as u64)).charge(60);
        one.ledger.review(at(value as u64));
    }
    assert_eq!(one.ledger.sweep(), 0, "the store does not know of them");
    one.sync(&mut store, at(100));
    let denied = opened(&one.ledger, 1, at(0));
    denied.charge(40);
    one.sync(&mut store, at(100));
    drop(denied);
    let held = opened(&one.ledger, 2, at(100));
    assert_eq!(one.ledger.sweep(), ROOM / 4);
    assert_eq!(one.ledger.accounts(), ROOM / 4 * 3);
    let left: Vec<_> = one.ledger.usage(0, at(100)).into_iter().map(|usage| usage.value).collect();
    for gone in ["w0", "w3", "w4", "w5"] {
        assert!(!left.iter().any(|value| value == gone), "{gone} in {left:?}");
    }
    let back = opened(&one.ledger, 0, at(200));
    one.sync(&mut store, at(200));
    back.charge(40);
    assert!(!back.standing(at(200)).is_open(), "the store knew of the first 60");
    assert!(held.standing(at(200)).is_open());
}

#[test]
fn the_most_urgent_are_told_first_and_all_in_turns() {
    let policy = policy(&quota(1 << 20, "60s", "fixed", "deny"));
    let mut one = Replica::new("one", &policy);
    let mut store = Model::default();
    let many = limits::QUOTA_DELTAS_MAX * 2 + 10;
    for value in 0..many {
        opened(&one.ledger, value, at(0)).charge(1_024 * value as u64 + 1);
    }
    let batch = one.batch(at(0));
    assert_eq!(batch.deltas.len(), limits::QUOTA_DELTAS_MAX);
    let greatest = format!("w{}", many - 1);
    assert_eq!(&*batch.deltas[0].of.value, greatest);
    one.ledger.apply(&store.charge(&batch), at(0));
    one.sync(&mut store, at(0));
    one.sync(&mut store, at(0));
    assert!(one.ledger.take_deltas(at(0)).is_empty());
    assert_eq!(store.windows.values().flatten().count(), many);
}

#[test]
fn another_policy_keeps_what_was_counted() {
    let day = |bytes, action| policy(&quota(bytes, "24h", "fixed", action));
    let ledger = Ledger::new(day(1_000, "deny"));
    let before = ledger.generation();
    let accounts = ledger.open(&known("w"), at(0));
    accounts.charge(600);
    assert!(accounts.standing(at(0)).is_open());
    ledger.replace(day(500, "deny"), at(1_000));
    assert!(matches!(accounts.standing(at(1_000)), Standing::Denied { .. }), "the same account");
    ledger.replace(day(500, "warn"), at(2_000));
    assert!(matches!(accounts.standing(at(2_000)), Standing::Warned { .. }));
    ledger.replace(day(2_000, "deny"), at(3_000));
    assert!(accounts.standing(at(3_000)).is_open());
    assert_eq!(ledger.usage(0, at(3_000))[0].used, 600);
    // Told apart by something else: it begins anew, and who was counted before is let alone.
    let mut other = day(10, "deny");
    other.buckets[0].extractors[0].source = Source::Session;
    ledger.replace(other, at(4_000));
    accounts.charge(1 << 30);
    assert!(accounts.standing(at(4_000)).is_open());
    assert_eq!((ledger.accounts(), ledger.usage(0, at(4_000))[0].used), (0, 0));
    ledger.replace(Policy::default(), at(5_000));
    assert!(ledger.is_idle() && ledger.generation() == before + 5);
}

#[test]
fn another_policy_reaches_who_is_connected() {
    let bucket = |name: &str, sources: Vec<Source>| {
        let mut bucket = policy(&quota(100, "60s", "fixed", "deny")).buckets.remove(0);
        bucket.name = name.parse().unwrap();
        let extractor = |source| Extractor { protocol: Protocol::Any, source };
        bucket.extractors = sources.into_iter().map(extractor).collect();
        bucket
    };
    let team = || Source::Header { name: "X-Team".into() };
    let ledger = Ledger::default();
    let reopened = |before: &Accounts, buckets: Vec<Bucket>| {
        ledger.replace(Policy { buckets }, at(0));
        let after = ledger.reopen(before, &Known { user: Some("ada"), ..known("w") }, at(0));
        let named = after.iter().map(|account| format!("{}:{}", account.bucket, account.value));
        (named.collect::<Vec<_>>(), after)
    };
    // What needs no field is opened anew, also without a policy before.
    let anew = vec![
        bucket("ip", vec![Source::ClientIp]),
        bucket("user", vec![Source::User, team()]),
        bucket("team", vec![team(), Source::Workspace]),
    ];
    let (named, accounts) = reopened(&Accounts::default(), anew.clone());
    assert_eq!(named, ["ip:192.0.2.7", "user:ada"]);
    accounts.charge(100);
    assert!(
        ledger.open(&Known { user: Some("ada"), ..known("x") }, at(0)).standing(at(0))
            != Standing::Open
    );
    // What needs one keeps the account.
    let before = of_team(&ledger, "blue", "w", at(0));
    let reordered = vec![anew[2].clone(), bucket("ws", vec![Source::Workspace])];
    let (named, after) = reopened(&before, reordered);
    assert_eq!(named, ["team:blue", "ws:w"]);
    let of = |accounts: &Accounts| {
        accounts.iter().find(|account| account.bucket.as_str() == "team").unwrap().clone()
    };
    assert!(std::sync::Arc::ptr_eq(&of(&before), &of(&after)));
    // Told apart by something else under the same name: the value goes on, private as it was.
    let (named, after) = reopened(&before, vec![bucket("team", vec![team(), Source::User])]);
    assert_eq!(named, ["team:blue"]);
    assert!(!std::sync::Arc::ptr_eq(&of(&before), &of(&after)) && of(&after).is_private);
    assert_eq!(ledger.accounts(), 1);
    // And what is gone, or does not apply, is left.
    assert!(reopened(&before, vec![bucket("other", vec![team()])]).0.is_empty());
    assert!(reopened(&before, Vec::new()).0.is_empty());
}

#[test]
fn who_found_no_room_stays_with_the_others_under_another_policy() {
    let mut policy = two_buckets();
    policy.buckets.remove(0);
    let ledger = Ledger::with_room(policy.clone(), 1);
    let first = of_team(&ledger, "blue", "w", at(0));
    let second = of_team(&ledger, "red", "w", at(0));
    ledger.replace(policy, at(0));
    let reopened = ledger.reopen(&second, &known("w"), at(0));
    assert_eq!(reopened.iter().next().unwrap().name(), "other");
    drop(first);
}

#[test]
fn what_happens_is_told_once() {
    let ledger = Ledger::new(policy(&quota(100, "60s", "fixed", "deny")));
    let accounts = ledger.open(&known("w"), at(0));
    let key = || ("ws".parse().unwrap(), "deny");
    accounts.charge(99);
    let quiet = ledger.review(at(0));
    assert_eq!((quiet.events.len(), quiet.breached[&key()]), (0, 0));
    accounts.charge(1);
    let review = ledger.review(at(1_000));
    let event = &review.events[0];
    assert_eq!((event.what, event.value.as_str(), event.used), (What::Exceeded, "w", 100));
    assert_eq!((event.clears_at, review.breached[&key()]), (at(60_000), 1));
    let again = ledger.review(at(2_000));
    assert_eq!((again.events.len(), again.breached[&key()]), (0, 1));
    let cleared = ledger.review(at(60_000));
    assert_eq!((cleared.events[0].what, cleared.breached[&key()]), (What::Cleared, 0));
    assert!(ledger.review(at(61_000)).events.is_empty());
}

#[test]
fn the_fullest_are_listed_first() {
    let ledger = Ledger::new(policy(&quota(100, "60s", "fixed", "deny")));
    for (value, bytes) in [(1, 79), (2, 80), (3, 150), (4, 99)] {
        opened(&ledger, value, at(0)).charge(bytes);
    }
    let usage = ledger.usage(80, at(0));
    let told: Vec<_> = usage.iter().map(|usage| (usage.value.as_str(), usage.used)).collect();
    assert_eq!(told, [("w3", 150), ("w4", 99), ("w2", 80)]);
    assert_eq!((usage[0].clears_at, usage[1].clears_at), (Some(at(60_000)), None));
    assert_eq!(usage[1].ends_at, Some(at(60_000)));
}

#[test]
fn a_private_value_is_not_shown_as_it_is() {
    let mut policy = policy(&quota(1, "60s", "fixed", "deny"));
    policy.buckets[0].extractors[0].source = Source::Header { name: "X-Team".into() };
    let ledger = Ledger::new(policy);
    let fields = [httparse::Header { name: "X-Team", value: b"blue" }];
    ledger.open(&Known { fields: &fields, ..known("w") }, at(0)).charge(1);
    assert!(ledger.review(at(0)).events[0].value.starts_with("sha256:"));
    let usage = ledger.usage(0, at(0));
    let shown = &usage.iter().find(|usage| usage.used > 0).unwrap().value;
    // printf %s blue | sha256sum | cut -c1-32
    assert_eq!(shown, "sha256:16477688c0e00699c6cfa4497a3612d7");
}
