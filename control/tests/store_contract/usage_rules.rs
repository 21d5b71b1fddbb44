//! The rules of what was counted of sessions, and of what is known of their activity.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use portico_control::store::{Added, Position, UsageBatch, UsageQuery};
use portico_core::activity::{Activity, Open, SessionActivity};
use portico_core::limits;
use portico_core::session::{Name, Timestamp};
use portico_core::usage::{Counted, Hour, Reading, Rtt, Usage, UsageKey};

use crate::rules::{Shared, create, id, session};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The hours of a store in Redis end by its own clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp(since.as_millis() as u64)
}

pub fn this_hour() -> Hour {
    Hour::of(now())
}

fn row_of(hour: Hour, workspace: &str, user: &str, session: &str, bytes_in: u64) -> Usage {
    let of = UsageKey { hour, workspace: name(workspace), user: name(user), session: id(session) };
    Usage { of, counted: Counted { bytes_in, ..Counted::default() } }
}

pub fn row(bytes_in: u64) -> Usage {
    row_of(this_hour(), "genomics", "ada", "one", bytes_in)
}

pub fn batch(writer: &str, number: u64, usage: Vec<Usage>) -> UsageBatch {
    let reading = Reading { usage, activity: Vec::new() };
    UsageBatch { writer: name(writer), number, at: now(), reading }
}

fn activity_batch(number: u64, at: Timestamp, of: &[(&str, Activity)]) -> UsageBatch {
    let activity = of
        .iter()
        .map(|(session, activity)| SessionActivity { session: id(session), activity: *activity });
    let reading = Reading { usage: Vec::new(), activity: activity.collect() };
    UsageBatch { writer: name("w1"), number, at, reading }
}

pub async fn add(store: &Shared, batch: UsageBatch) -> Added {
    store.add_usage(batch).await.unwrap()
}

pub async fn all(store: &Shared) -> Vec<Usage> {
    let Hour(hour) = this_hour();
    let query = UsageQuery::hours(Hour(hour - 1), Hour(hour + 2));
    store.usage(query).await.unwrap()
}

pub async fn usage_adds_up_over_batches_and_writers(store: Shared) {
    let numbers = [1, 2, 3, (1 << 53) + 1, 5, 6, 7, 8, 9, 10];
    let one = Counted::of_numbers(numbers, Rtt::of_sample(900));
    let other = Counted::of_numbers(numbers, Rtt::of_sample(50));
    let of = row(0).of;
    for (writer, number, counted) in [("w1", 7, one), ("w2", 3, other), ("w1", 9, one)] {
        let usage = vec![Usage { of: of.clone(), counted }];
        assert_eq!(add(&store, batch(writer, number, usage)).await, Added::Now);
    }
    let mut sum = one;
    sum += other;
    sum += one;
    assert_eq!(sum.bytes_in, 3 * ((1 << 53) + 1), "exact beyond what a double holds");
    assert_eq!(all(&store).await, [Usage { of, counted: sum }]);
    assert_eq!(sum.rtt.minimum_us, 50);
}

pub async fn a_batch_is_added_once(store: Shared) {
    let first = batch("w1", 5, vec![row(10)]);
    assert_eq!(add(&store, first.clone()).await, Added::Now);
    assert_eq!(add(&store, first).await, Added::Before);
    assert_eq!(add(&store, batch("w1", 4, vec![row(10)])).await, Added::Before);
    assert_eq!(add(&store, batch("w2", 4, vec![row(1)])).await, Added::Now);
    assert_eq!(add(&store, batch("w1", 10, vec![row(100)])).await, Added::Now);
    assert_eq!(add(&store, batch("w1", 9, vec![row(100)])).await, Added::Before);
    assert_eq!(all(&store).await, [row(111)]);
    assert_eq!(store.snapshot().await.unwrap().position, Position(0), "it is in no log");
}

pub async fn writers_at_the_same_time_lose_nothing(store: Shared) {
    let write = |writer: usize| {
        let store = Arc::clone(&store);
        async move {
            for number in 1..=20 {
                let rows = vec![row(1), row_of(this_hour(), "genomics", "bob", "two", 2)];
                let batch = batch(&format!("w{writer}"), number, rows);
                assert_eq!(add(&store, batch.clone()).await, Added::Now);
                assert_eq!(add(&store, batch).await, Added::Before);
            }
        }
    };
    let tasks: Vec<_> = (0..5).map(|writer| tokio::spawn(write(writer))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let sums: Vec<_> = all(&store).await.iter().map(|row| row.counted.bytes_in).collect();
    assert_eq!(sums, [100, 200]);
}

pub async fn usage_is_asked_for_by_hour_workspace_user_and_session(store: Shared) {
    let Hour(last) = this_hour();
    let mut rows: Vec<_> = (0..30)
        .map(|number| {
            let hour = Hour(last - 26 + number / 10 * 13);
            let (user, session) = (format!("u{}", number % 5), format!("s{number:02}"));
            let workspace = if number % 2 == 0 { "genomics" } else { "imaging" };
            row_of(hour, workspace, &user, &session, u64::from(number) + 1)
        })
        .collect();
    add(&store, batch("w1", 1, rows.clone())).await;
    rows.sort_by(|one, other| one.of.cmp(&other.of));
    let step = limits::USAGE_HOURS_PER_READ_MAX;
    let found = async |query: UsageQuery| {
        let mut found = Vec::new();
        for from in (query.from.0..query.until.0).step_by(step as usize) {
            let until = Hour(query.until.0.min(from + step));
            let query = UsageQuery { from: Hour(from), until, ..query.clone() };
            found.extend(store.usage(query).await.unwrap());
        }
        found
    };
    let wanted = |is: &dyn Fn(&UsageKey) -> bool| -> Vec<_> {
        rows.iter().filter(|row| is(&row.of)).cloned().collect()
    };
    let whole = UsageQuery::hours(Hour(last - 26), Hour(last + 1));
    let first = store.usage(whole.clone()).await.unwrap();
    assert_eq!(first, wanted(&|of| of.hour.0 < last - 26 + step), "a bounded step");
    assert_eq!(found(whole).await, rows);
    let late = UsageQuery::hours(Hour(last - 13), Hour(last + 1));
    assert_eq!(found(late.clone()).await, wanted(&|of| of.hour.0 >= last - 13));
    assert_eq!(found(UsageQuery::hours(Hour(last), Hour(last))).await, []);
    let of_workspace = UsageQuery { workspace: Some(name("imaging")), ..late.clone() };
    assert_eq!(
        found(of_workspace.clone()).await,
        wanted(&|of| of.hour.0 >= last - 13 && of.workspace == name("imaging"))
    );
    let of_user = UsageQuery { user: Some(name("u3")), ..of_workspace };
    assert_eq!(
        found(of_user).await,
        wanted(&|of| of.hour.0 >= last - 13
            && of.workspace == name("imaging")
            && of.user == name("u3"))
    );
    let of_session = UsageQuery { session: Some(id("s21")), ..late };
    assert_eq!(found(of_session).await, wanted(&|of| of.session == id("s21")));
}

pub async fn old_usage_is_forgotten(store: Shared) {
    let Hour(last) = this_hour();
    let kept = limits::USAGE_RETENTION.as_secs() as u32 / 3600;
    let rows: Vec<_> = [last - kept - 30, last - kept - 2, last - kept + 2]
        .into_iter()
        .map(|hour| row_of(Hour(hour), "genomics", "ada", "one", 1))
        .collect();
    add(&store, batch("w1", 1, rows.clone())).await;
    let mut found = Vec::new();
    for from in last - kept - 32..last - kept + 4 {
        let query = UsageQuery::hours(Hour(from), Hour(from + 1));
        found.extend(store.usage(query).await.unwrap());
    }
    assert_eq!(found, rows[2..]);
}

pub async fn the_last_word_of_each_writer_on_a_session_stands(store: Shared) {
    let open = |websockets| Open { websockets, ..Open::default() };
    let at = now();
    let busy = Activity { client_data_at: Some(at), open: open(2), ..Activity::default() };
    let less = Activity { ping_at: Some(Timestamp(9)), open: open(1), ..busy };
    add(&store, activity_batch(1, at, &[("one", busy), ("two", busy)])).await;
    add(&store, activity_batch(1, at, &[("one", Activity::default())])).await;
    let other = UsageBatch { writer: name("w0"), ..activity_batch(1, at, &[("one", less)]) };
    add(&store, other).await;
    let of = async |session| store.activity(id(session)).await.unwrap();
    assert_eq!(of("one").await, [(name("w0"), less), (name("w1"), busy)]);
    add(&store, activity_batch(2, at, &[("one", less)])).await;
    assert_eq!(of("one").await, [(name("w0"), less), (name("w1"), less)]);
    assert_eq!(of("two").await, [(name("w1"), busy)]);
    assert_eq!(of("three").await, []);
}

pub async fn old_activity_and_old_writers_are_forgotten(store: Shared) {
    let early = Timestamp(1_000);
    let later = early.plus(limits::USAGE_RETENTION + Duration::from_millis(1));
    let quiet = Activity::default();
    add(&store, activity_batch(7, early, &[("one", quiet), ("two", quiet)])).await;
    let other = activity_batch(1, later, &[("two", quiet)]);
    add(&store, UsageBatch { writer: name("w2"), ..other }).await;
    assert_eq!(store.activity(id("one")).await.unwrap(), []);
    assert_eq!(store.activity(id("two")).await.unwrap().len(), 2);
    assert_eq!(add(&store, activity_batch(3, later, &[])).await, Added::Now);
    assert_eq!(add(&store, activity_batch(3, later, &[])).await, Added::Before);
}

pub async fn those_who_spoke_last_of_a_session_are_kept(store: Shared) {
    for writer in 0..limits::ACTIVITY_WRITERS_MAX + 3 {
        let batch = activity_batch(1, now(), &[("one", Activity::default())]);
        add(&store, UsageBatch { writer: name(&format!("w{writer:03}")), ..batch }).await;
    }
    let kept = store.activity(id("one")).await.unwrap();
    assert_eq!((kept.len(), kept[0].0.as_str()), (limits::ACTIVITY_WRITERS_MAX, "w003"));
}

pub async fn usage_and_writes_stand_in_each_others_way_nowhere(store: Shared) {
    create(&store, session("one")).await;
    let rows: Vec<_> = (0..limits::USAGE_ROWS_PER_BATCH_MAX)
        .map(|number| row_of(this_hour(), "genomics", "ada", &format!("s{number:03}"), 1))
        .collect();
    let (added, created) =
        tokio::join!(add(&store, batch("w1", 1, rows.clone())), create(&store, session("two")),);
    assert_eq!((added, created.version.0), (Added::Now, 2));
    assert_eq!(all(&store).await, rows);
}
