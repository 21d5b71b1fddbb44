//! One replica: when its quotas are used up, and when they are free again.

use super::*;

#[test]
fn a_fixed_window_begins_with_its_first_byte() {
    let policy = policy(&quota(1_000, "60s", "fixed", "deny"));
    let ledger = Ledger::new(policy);
    let accounts = ledger.open(&known("genomics"), at(0));
    assert_eq!(accounts.standing(at(0)), Standing::Open);
    accounts.charge(999);
    assert_eq!(accounts.standing(at(30_000)), Standing::Open, "nothing is used up");
    ledger.review(at(30_000));
    accounts.charge(1);
    assert_eq!(accounts.standing(at(40_000)), denied(50), "begun when the books were opened");
    assert_eq!(
        accounts.standing(at(89_999)),
        Standing::Denied { bucket: "ws".parse().unwrap(), retry_after: Duration::from_millis(1) }
    );
    assert_eq!(accounts.standing(at(90_000)), Standing::Open);
    accounts.charge(5_000);
    assert_eq!(accounts.standing(at(300_000)), denied(60), "the next begins with its first byte");
    let other = ledger.open(&known("imaging"), at(300_000));
    assert_eq!(other.standing(at(300_000)), Standing::Open);
}

#[test]
fn a_sliding_window_frees_what_has_left_it() {
    let ledger = Ledger::new(policy(&quota(1_000, "60s", "sliding", "deny")));
    let now = |seconds: u64| Timestamp(1_795_593_600_000 + seconds * 1_000);
    let accounts = ledger.open(&known("genomics"), now(0));
    for second in 0..10 {
        accounts.charge(100);
        let standing = accounts.standing(now(second));
        assert_eq!(standing == Standing::Open, second < 9, "{second}: {standing:?}");
        ledger.review(now(second));
    }
    assert_eq!(accounts.standing(now(9)), denied(52), "a sub-window more than its length");
    assert_eq!(accounts.standing(now(60)), denied(1));
    assert_eq!(accounts.standing(now(61)), Standing::Open);
    accounts.charge(100);
    assert_eq!(accounts.standing(now(61)), denied(1));
    assert_eq!(accounts.standing(now(62)), Standing::Open);
}

#[test]
fn the_sternest_quota_decides() {
    let quotas = [
        quota(100, "60s", "fixed", "warn"),
        quota(200, "60s", "fixed", "throttle"),
        quota(300, "60s", "fixed", "deny"),
        quota(400, "120s", "fixed", "deny"),
    ];
    let ledger = Ledger::new(policy(&quotas.join(",")));
    let accounts = ledger.open(&known("genomics"), at(0));
    let bucket = || "ws".parse().unwrap();
    let bytes_per_second = NonZeroU64::new(100).unwrap();
    let throttled = Standing::Throttled { bucket: bucket(), bytes_per_second };
    for (bytes, expected) in [
        (99, Standing::Open),
        (1, Standing::Warned { bucket: bucket() }),
        (100, throttled),
        (100, denied(60)),
        (100, denied(120)),
    ] {
        accounts.charge(bytes);
        assert_eq!(accounts.standing(at(0)), expected);
    }
    assert_eq!(accounts.standing(at(60_000)), denied(60), "only the longer one holds");
    assert!(accounts.standing(at(120_000)).is_open());
}

#[test]
fn those_who_share_a_pace_are_counted_over_all_workers() {
    let ledger = Ledger::new(policy(&quota(1, "60s", "fixed", "throttle")));
    let (one, other) = (ledger.open(&known("w"), at(0)), ledger.open(&known("w"), at(0)));
    let slowed = || one.iter().map(|account| account.slowed()).collect::<Vec<_>>();
    assert_eq!(slowed(), [0]);
    std::thread::scope(|scope| {
        for accounts in [&one, &other] {
            scope.spawn(move || accounts.iter().for_each(|account| account.slow_down()));
        }
    });
    assert_eq!(slowed(), [2]);
    // Another policy does not forget who is slowed down still.
    ledger.replace(policy(&quota(2, "60s", "fixed", "throttle")), at(0));
    other.iter().for_each(|account| account.speed_up());
    assert_eq!(slowed(), [1]);
}

/// Whoever asks before each piece moves, in any time of a window's length, no more than its quota
/// and one piece; and is not refused while far less is in it.
#[test]
fn no_window_lets_more_through_than_its_quota() {
    for seed in 1..=60 {
        let mut random = Random::new(seed);
        let kind = ["fixed", "sliding"][random.below(2) as usize];
        let (length, bytes) = (1 + random.below(300), 1 + random.below(10_000));
        let ledger = Ledger::new(policy(&quota(bytes, &format!("{length}s"), kind, "deny")));
        let accounts = ledger.open(&known("genomics"), at(0));
        let (length, mut now) = (length * 1_000, 0);
        let mut moved: Vec<(u64, u64)> = Vec::new();
        for _ in 0..800 {
            now += random.below(length / 50 + 2);
            let piece = 1 + random.below(bytes / 20 + 1);
            if accounts.standing(at(now)).is_open() {
                accounts.charge(piece);
                moved.push((now, piece));
            } else if kind == "sliding" {
                let from = now.saturating_sub((limits::QUOTA_SLOTS + 1) * length.div_ceil(60));
                let used = sum(&moved, from, now);
                assert!(used >= bytes, "seed {seed}: refused at {now} with {used} of {bytes}");
            }
            // As the task does at every interval; dates what was charged.
            ledger.review(at(now));
            let most = match kind {
                "fixed" => 2 * (bytes + bytes / 20 + 1),
                _ => bytes + bytes / 20 + 1,
            };
            let used = sum(&moved, (now + 1).saturating_sub(length), now);
            assert!(used <= most, "seed {seed}: {used} of {bytes} in a {kind} window at {now}");
        }
    }
}

fn sum(moved: &[(u64, u64)], from: u64, to: u64) -> u64 {
    moved.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, bytes)| bytes).sum()
}

/// A standing is never older than the bytes: asked at any time, it is what the books say.
#[test]
fn the_quick_answer_is_that_of_the_books() {
    for seed in 1..=8 {
        let mut random = Random::new(seed);
        let quotas = [
            quota(500, "10s", "sliding", "warn"),
            quota(900, "7s", "fixed", "throttle"),
            quota(1_500, "20s", "sliding", "deny"),
        ];
        let policy = policy(&quotas.join(","));
        let (quick, opened) = (Ledger::new(policy.clone()), Ledger::new(policy));
        let ours = quick.open(&known("w"), at(0));
        let theirs = opened.open(&known("w"), at(0));
        let mut now = 0;
        for _ in 0..500 {
            now += random.below(400);
            let bytes = random.below(60);
            ours.charge(bytes);
            theirs.charge(bytes);
            // Both date the bytes now; only one forms its answer anew.
            quick.review(at(now));
            opened.review(at(now));
            opened.usage(0, at(now));
            assert_eq!(ours.standing(at(now)), theirs.standing(at(now)), "seed {seed} at {now}");
            let later = at(now + random.below(300));
            let quickly = ours.standing(later);
            opened.usage(0, later);
            assert_eq!(quickly.is_open(), theirs.standing(later).is_open(), "seed {seed} at {now}");
        }
    }
}
