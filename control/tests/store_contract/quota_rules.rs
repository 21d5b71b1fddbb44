//! The rules of what a store counts of traffic quotas. All times are those of the batches.

use std::time::Duration;

use portico_core::limits;
use portico_core::quota::{Batch, Delta, Kind, Ledger, Part, Policy, Span, Total, WindowKey};
use portico_core::session::Timestamp;

use crate::rules::Shared;

const START: u64 = 1_795_593_600_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp(START + seconds * 1_000)
}

fn part(seconds: u64, bytes: u64) -> Part {
    Part { at: at(seconds), bytes }
}

fn window(kind: Kind, seconds: u64, value: &str) -> WindowKey {
    let span = Span { kind, length: Duration::from_secs(seconds) };
    WindowKey { bucket: "user".parse().unwrap(), value: value.into(), span }
}

fn batch(writer: &str, number: u64, now: u64, deltas: &[(&WindowKey, &[Part])]) -> Batch {
    let delta =
        |(of, parts): &(&WindowKey, &[Part])| Delta { of: (*of).clone(), parts: parts.to_vec() };
    let deltas = deltas.iter().map(delta).collect();
    Batch { writer: writer.parse().unwrap(), number, at: at(now), deltas }
}

/// The parts of the one window that a batch is about.
async fn charge(store: &Shared, batch: Batch) -> Vec<Part> {
    let expected = batch.deltas[0].of.clone();
    let mut totals = store.charge_quotas(batch).await.unwrap();
    let Total { of, mut parts } = totals.remove(0);
    assert!(totals.is_empty() && of == expected);
    parts.sort_by_key(|part| part.at);
    parts
}

pub async fn a_fixed_window_begins_with_its_first_byte_and_anew_after_its_end(store: Shared) {
    let ada = window(Kind::Fixed, 60, "ada");
    assert_eq!(charge(&store, batch("w1", 1, 0, &[(&ada, &[])])).await, [], "asking begins none");
    assert_eq!(charge(&store, batch("w1", 2, 5, &[(&ada, &[part(5, 10)])])).await, [part(5, 10)]);
    assert_eq!(charge(&store, batch("w2", 1, 6, &[(&ada, &[part(6, 1)])])).await, [part(5, 11)]);
    // Clocks differ: what was before the beginning is counted in what there is.
    assert_eq!(charge(&store, batch("w2", 2, 6, &[(&ada, &[part(3, 1)])])).await, [part(5, 12)]);
    assert_eq!(charge(&store, batch("w2", 3, 64, &[(&ada, &[])])).await, [part(5, 12)]);
    assert_eq!(charge(&store, batch("w2", 4, 65, &[(&ada, &[])])).await, [], "it is over");
    let next = batch("w1", 3, 70, &[(&ada, &[part(70, 7)])]);
    assert_eq!(charge(&store, next).await, [part(70, 7)]);
}

pub async fn a_sliding_window_is_kept_by_its_sub_windows(store: Shared) {
    let ada = window(Kind::Sliding, 60, "ada");
    let both = [part(0, 10), part(1, 20)];
    assert_eq!(charge(&store, batch("w1", 1, 1, &[(&ada, &both)])).await, both);
    let more = batch("w2", 1, 2, &[(&ada, &[part(1, 2), part(2, 3)])]);
    assert_eq!(charge(&store, more).await, [part(0, 10), part(1, 22), part(2, 3)]);
    let ask = |number, now| batch("w2", number, now, &[(&ada, &[])]);
    assert_eq!(charge(&store, ask(2, 60)).await.len(), 3);
    assert_eq!(charge(&store, ask(3, 61)).await, [part(1, 22), part(2, 3)]);
    assert_eq!(charge(&store, ask(4, 200)).await, []);
}

pub async fn a_batch_of_quotas_counts_once(store: Shared) {
    let fixed = window(Kind::Fixed, 3_600, "ada");
    let sliding = window(Kind::Sliding, 3_600, "ada");
    let parts = [part(0, 10)];
    let twice = batch("w1", 7, 0, &[(&fixed, &parts), (&sliding, &parts)]);
    let first = store.charge_quotas(twice.clone()).await.unwrap();
    assert_eq!(first.iter().map(|total| total.parts[0].bytes).collect::<Vec<_>>(), [10, 10]);
    assert_eq!(store.charge_quotas(twice).await.unwrap(), first);
    let older = batch("w1", 6, 0, &[(&fixed, &parts)]);
    assert_eq!(charge(&store, older).await, [part(0, 10)]);
    let other = batch("w2", 7, 0, &[(&fixed, &parts)]);
    assert_eq!(charge(&store, other).await, [part(0, 20)], "numbers are each writer's own");
}

pub async fn windows_are_told_apart_by_all_that_they_are(store: Shared) {
    let odd = |bucket: &str, value: &str| WindowKey {
        bucket: bucket.parse().unwrap(),
        ..window(Kind::Fixed, 60, value)
    };
    let mut keys = vec![
        window(Kind::Fixed, 60, ""),
        window(Kind::Sliding, 60, ""),
        window(Kind::Fixed, 120, ""),
        odd("a:b", "c"),
        odd("a", "b:c"),
        odd("a", "b,c"),
        odd("{a}", "☹ {x} %00"),
    ];
    let others = limits::QUOTA_DELTAS_MAX - keys.len();
    keys.extend((0..others).map(|i| window(Kind::Fixed, 60, &format!("u{i}"))));
    for number in 1..=2 {
        let parts: Vec<_> = (1..=keys.len() as u64).map(|bytes| [part(0, bytes)]).collect();
        let deltas: Vec<_> = keys.iter().zip(&parts).map(|(key, part)| (key, &part[..])).collect();
        let totals = store.charge_quotas(batch("w1", number, 0, &deltas)).await.unwrap();
        assert_eq!(totals.len(), limits::QUOTA_DELTAS_MAX);
        for (bytes, (total, key)) in (1..).zip(totals.iter().zip(&keys)) {
            assert_eq!((&total.of, &total.parts[..]), (key, &[part(0, number * bytes)][..]));
        }
    }
}

pub async fn great_numbers_stay_exact(store: Shared) {
    for kind in [Kind::Fixed, Kind::Sliding] {
        let ada = window(kind, 60, "ada");
        let most = [part(0, limits::QUOTA_BYTES_MAX)];
        for number in 1..=3 {
            let writer = if kind == Kind::Fixed { "w1" } else { "w2" };
            let parts = charge(&store, batch(writer, number, 0, &[(&ada, &most)])).await;
            assert_eq!(parts, [part(0, number * limits::QUOTA_BYTES_MAX)]);
        }
    }
}

pub async fn quotas_are_in_no_log(store: Shared) {
    let before = store.snapshot().await.unwrap().position;
    let ada = window(Kind::Fixed, 60, "ada");
    charge(&store, batch("w1", 1, 0, &[(&ada, &[part(0, 1)])])).await;
    assert_eq!(store.snapshot().await.unwrap().position, before);
}

/// Two replicas that share a quota, through this store.
pub async fn ledgers_agree_through_the_store(store: Shared) {
    let policy = br#"{"buckets":[{"name":"ws","quotas":[
        {"bytes":1000,"window":"1h"},{"bytes":500,"window":"1m","kind":"sliding"}],
        "extractors":[{"source":{"type":"workspace"}}]}]}"#;
    let (policy, _) = Policy::parse(policy).unwrap();
    let known = portico_core::quota::Known {
        fields: &[],
        client: [192, 0, 2, 1].into(),
        is_trusted: false,
        workspace: "genomics",
        session: "one",
        user: None,
    };
    let ledgers = [Ledger::new(policy.clone()), Ledger::new(policy)];
    let accounts = ledgers.each_ref().map(|ledger| ledger.open(&known, at(0)));
    for second in 0..10 {
        for (i, ledger) in ledgers.iter().enumerate() {
            accounts[i].charge(20);
            let deltas = ledger.take_deltas(at(second));
            let writer = format!("w{i}").parse().unwrap();
            let batch = Batch { writer, number: second + 1, at: at(second), deltas };
            let totals = store.charge_quotas(batch).await.unwrap();
            ledger.apply(&totals, at(second));
        }
    }
    // The one that was last knows all; the other all but the last piece.
    let used = |ledger: &Ledger, now| -> Vec<u64> {
        let mut usage = ledger.usage(0, at(now));
        usage.retain(|usage| !usage.value.is_empty() && usage.value != "other");
        usage.sort_by_key(|usage| usage.quota.bytes);
        usage.iter().map(|usage| usage.used).collect()
    };
    assert_eq!(used(&ledgers[1], 10), [400, 400]);
    assert_eq!(used(&ledgers[0], 10), [380, 380]);
    assert_eq!(used(&ledgers[1], 3_599), [0, 400]);
    assert_eq!(used(&ledgers[1], 3_600), [0, 0]);
}

/// Ten more bytes, and how many there are then.
pub async fn counted_again(store: &Shared, number: u64) -> u64 {
    let ada = window(Kind::Fixed, 60, "ada");
    charge(store, batch("w1", number, 0, &[(&ada, &[part(0, 10)])])).await[0].bytes
}
