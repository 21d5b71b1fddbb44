//! Several replicas and one store.

use super::*;

#[test]
fn replicas_learn_what_others_have_counted() {
    let policy = policy(&quota(1_000, "60s", "fixed", "deny"));
    let (mut one, mut two) = (Replica::new("one", &policy), Replica::new("two", &policy));
    let mut store = Model::default();
    let (ours, theirs) = (one.account(at(0)), two.account(at(0)));
    ours.charge(600);
    one.sync(&mut store, at(1_000));
    theirs.charge(399);
    assert!(theirs.standing(at(1_500)).is_open());
    two.sync(&mut store, at(2_000));
    assert!(theirs.standing(at(2_000)).is_open());
    theirs.charge(1);
    assert_eq!(theirs.standing(at(2_000)), denied(59), "the window of whoever was first");
    assert!(ours.standing(at(2_000)).is_open(), "not yet heard of");
    two.sync(&mut store, at(2_500));
    ours.charge(1);
    one.sync(&mut store, at(3_000));
    assert_eq!(ours.standing(at(3_000)), denied(58));
    assert!(ours.standing(at(61_000)).is_open() && theirs.standing(at(61_000)).is_open());
    assert!(one.ledger.take_deltas(at(61_000)).is_empty(), "there is nothing to say");
}

#[test]
fn a_new_account_asks_before_it_has_counted() {
    let policy = policy(&quota(1_000, "60s", "sliding", "deny"));
    let (mut one, mut two) = (Replica::new("one", &policy), Replica::new("two", &policy));
    let mut store = Model::default();
    one.account(at(0)).charge(1_000);
    one.sync(&mut store, at(0));
    let theirs = two.account(at(100));
    assert!(theirs.standing(at(100)).is_open());
    let batch = two.batch(at(100));
    assert!(batch.deltas.iter().all(|delta| delta.parts.is_empty()));
    two.ledger.apply(&store.charge(&batch), at(100));
    assert!(matches!(theirs.standing(at(100)), Standing::Denied { .. }));
}

/// The answer is lost, and the batch sent again: it counts once, and meanwhile all of it counts.
#[test]
fn a_batch_that_is_sent_again_counts_once() {
    for kind in ["fixed", "sliding"] {
        let policy = policy(&quota(1_000, "60s", kind, "deny"));
        let mut one = Replica::new("one", &policy);
        let mut store = Model::default();
        let ours = one.account(at(0));
        ours.charge(400);
        let batch = one.batch(at(1_000));
        store.charge(&batch);
        ours.charge(200);
        assert!(ours.standing(at(2_000)).is_open());
        let used = |replica: &Replica| replica.ledger.usage(0, at(3_000))[0].used;
        assert_eq!(used(&one), 600);
        one.ledger.apply(&store.charge(&batch), at(3_000));
        assert_eq!(used(&one), 600);
        one.sync(&mut store, at(3_000));
        assert_eq!(used(&one), 600, "{kind}");
        let total: u64 = store.windows.values().flatten().map(|part| part.bytes).sum();
        assert_eq!(total, 600);
    }
}

#[test]
fn without_a_store_each_counts_for_itself_and_forgets_in_time() {
    let quotas = [quota(1_000, "60s", "sliding", "deny"), quota(1 << 40, "24h", "sliding", "deny")];
    let mut one = Replica::new("one", &policy(&quotas.join(",")));
    let ours = one.account(at(0));
    let mut store = Model::default();
    let lost = one.batch(at(0));
    for second in 0..3_600 {
        let now = at(second * 1_000);
        if ours.standing(now).is_open() {
            ours.charge(100);
        }
        one.ledger.review(now);
    }
    let used = one.ledger.usage(0, at(3_600_000));
    assert_eq!((used[0].quota.bytes.get(), used[0].used), (1_000, 900), "one piece has left it");
    assert!((50_000..70_000).contains(&used[1].used), "{used:?}");
    let hour = used[1].used;
    one.ledger.apply(&store.charge(&lost), at(3_600_000));
    let batch = one.batch(at(3_600_000));
    let parts: usize = batch.deltas.iter().map(|delta| delta.parts.len()).sum();
    assert!(parts <= 2 * limits::QUOTA_PARTS_MAX + 2, "{parts}");
    one.ledger.apply(&store.charge(&batch), at(3_600_000));
    let used = one.ledger.usage(0, at(3_600_000));
    assert_eq!(used[1].used, hour, "nothing of the outage is lost");
}

#[test]
fn much_traffic_wants_to_be_told_early() {
    let ledger = Ledger::new(policy(&quota(6_400, "60s", "fixed", "deny")));
    let accounts = ledger.open(&known("w"), at(0));
    accounts.charge(99);
    accounts.standing(at(0));
    assert!(!ledger.wants_sync());
    accounts.charge(1);
    accounts.standing(at(0));
    assert!(ledger.wants_sync() && !ledger.wants_sync());
    ledger.take_deltas(at(0));
    accounts.charge(99);
    accounts.standing(at(0));
    assert!(!ledger.wants_sync(), "what is on its way is told");
    accounts.charge(6_400);
    accounts.standing(at(0));
    assert!(ledger.wants_sync(), "others should know that it is used up");
    ledger.take_deltas(at(0));
    accounts.charge(1_000);
    accounts.standing(at(0));
    assert!(!ledger.wants_sync(), "but not by how much");
}

/// When it began, and the answer that is waited for, with its time.
type Talk = (u64, Option<(u64, Vec<Total>)>);

/// The bound of the module's documentation: every replica asks before each piece, and talks to the
/// store at its interval, or early.
#[test]
fn replicas_overshoot_no_more_than_is_promised() {
    const REPLICAS: u64 = 4;
    const STEP: u64 = 10;
    for seed in 1..=20 {
        let mut random = Random::new(seed);
        let bytes = 10_000 + random.below(1 << 20);
        let piece = 1 + random.below(bytes / 300);
        let latency = STEP * random.below(20);
        let policy = policy(&quota(bytes, "1h", ["fixed", "sliding"][seed as usize % 2], "deny"));
        let mut store = Model::default();
        let mut replicas: Vec<_> =
            ["a", "b", "c", "d"].map(|name| Replica::new(name, &policy)).into();
        let accounts: Vec<_> = replicas.iter().map(|replica| replica.account(at(0))).collect();
        let mut talks: Vec<Talk> = (0..REPLICAS).map(|_| (random.below(1_000), None)).collect();
        let mut moved = 0;
        for step in 1..=3_000 {
            let now = step * STEP;
            for (at_replica, replica) in replicas.iter_mut().enumerate() {
                let (begun, answer) = &mut talks[at_replica];
                if let Some((_, totals)) = answer.take_if(|(there, _)| *there <= now) {
                    replica.ledger.apply(&totals, at(now));
                }
                let looks = now.is_multiple_of(limits::QUOTA_EARLY_CHECK.as_millis() as u64);
                let is_due = now >= *begun + limits::QUOTA_SYNC.as_millis() as u64;
                if answer.is_none() && (is_due || looks && replica.ledger.wants_sync()) {
                    let batch = replica.batch(at(now));
                    *answer = Some((now + latency, store.charge(&batch)));
                    *begun = now;
                }
                if accounts[at_replica].standing(at(now)).is_open() {
                    accounts[at_replica].charge(piece);
                    moved += piece;
                }
            }
        }
        let per_second = piece * 1_000 / STEP;
        let (interval, early) = (limits::QUOTA_SYNC, limits::QUOTA_EARLY_CHECK);
        let in_time = |time: u64| per_second * time / 1_000;
        let gathered = in_time(interval.as_millis() as u64)
            .min(bytes / limits::QUOTA_EARLY_PART + in_time(early.as_millis() as u64));
        let bound = REPLICAS * (gathered + 2 * in_time(latency + STEP) + piece);
        assert!(moved >= bytes.min(REPLICAS * piece * 3_000), "seed {seed}: {moved} of {bytes}");
        assert!(
            moved <= bytes + bound,
            "seed {seed}: {} beyond {bytes}, promised {bound}",
            moved - bytes
        );
    }
}

#[test]
fn what_is_given_up_is_counted_here_until_the_store_says_something_else() {
    for kind in ["fixed", "sliding"] {
        let policy = policy(&quota(1_000, "60s", kind, "deny"));
        let (mut one, mut store) = (Replica::new("one", &policy), Model::default());
        let accounts = one.account(at(0));
        accounts.charge(600);
        let lost = one.batch(at(0));
        one.ledger.give_up(&lost.deltas, at(0));
        assert_eq!(one.ledger.usage(1, at(0))[0].used, 600, "{kind}");
        accounts.charge(400);
        assert!(!accounts.standing(at(0)).is_open(), "{kind}");
        one.sync(&mut store, at(0));
        assert_eq!(one.ledger.usage(1, at(0))[0].used, 400, "{kind}: what the store knows");
    }
}
