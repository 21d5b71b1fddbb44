//! Against the embedded store, with the time as a parameter.

use std::time::Duration;

use portico_core::activity::SessionActivity;
use portico_core::session::Session;
use portico_core::usage::Reading;
use tempfile::TempDir;

use super::*;
use crate::store::embedded::Embedded;
use crate::store::faulty::{Fault, Faulty};
use crate::store::{Bounds, Position, UsageBatch};

const MINUTE: u64 = 60_000;
const LAG: u64 = limits::ACTIVITY_LAG.as_millis() as u64;
/// When the session is created.
const BEGIN: u64 = 1_795_000_000_000;

struct World {
    store: Arc<Faulty>,
    follower: IdleFollower,
    checks: Checks,
    position: Position,
    batches: u64,
    _directory: TempDir,
}

fn id() -> SessionId {
    SessionId::parse("one").unwrap()
}

fn at(minutes: u64) -> Timestamp {
    Timestamp(BEGIN + LAG + minutes * MINUTE)
}

impl World {
    /// With a session that is idle after ten minutes.
    async fn new(on_idle: OnIdle) -> Self {
        let directory = TempDir::new().unwrap();
        let store = Embedded::open(directory.path().into(), Bounds::default()).await.unwrap();
        let store = Arc::new(Faulty::new(Arc::new(store)));
        let sessions = IdleSessions::default();
        let follower = sessions.follower();
        let begin = Timestamp(BEGIN);
        let checks = Checks::new(sessions, store.clone(), on_idle, begin);
        let (workspace, owner) = ("genomics".parse().unwrap(), "ada".parse().unwrap());
        let upstream = "http://10.0.0.7:8888".parse().unwrap();
        let tool = "jupyter".parse().unwrap();
        let session = Session::new(id(), workspace, owner, tool, upstream, begin);
        let session = Session { idle: Idle::starting(begin, 600).unwrap(), ..session };
        store.put(session, Expected::Absent).await.unwrap().unwrap();
        let position = Position(0);
        let (batches, _directory) = (0, directory);
        let mut world = Self { store, follower, checks, position, batches, _directory };
        world.follow().await;
        world
    }

    /// As the feed does.
    async fn follow(&mut self) {
        while self.position < self.store.snapshot().await.unwrap().position {
            let entries = self.store.changes(self.position).await.unwrap().unwrap();
            self.position = entries.last().unwrap().position;
            self.follower.follow(&entries);
        }
    }

    async fn check(&mut self, now: Timestamp) -> Session {
        self.checks.check(now).await;
        self.follow().await;
        self.session().await
    }

    async fn session(&self) -> Session {
        self.store.fetch(id()).await.unwrap().unwrap().session
    }

    async fn used(&mut self, at: Timestamp) {
        self.batches += 1;
        let activity = Activity { client_data_at: Some(at), ..Activity::default() };
        let activity = vec![SessionActivity { session: id(), activity }];
        let reading = Reading { activity, ..Reading::default() };
        let writer = "w1".parse().unwrap();
        let batch = UsageBatch { writer, number: self.batches, at, reading };
        self.store.add_usage(batch).await.unwrap();
    }
}

fn since(session: &Session) -> Option<Timestamp> {
    session.idle.unwrap().since
}

#[tokio::test]
async fn a_session_is_marked_when_it_is_idle_and_not_when_it_is_used_again() {
    let mut world = World::new(OnIdle::Tell).await;
    assert_eq!(since(&world.check(at(9)).await), None);
    world.used(Timestamp(BEGIN + 5 * MINUTE)).await;
    assert_eq!(since(&world.check(at(10)).await), None, "it was used meanwhile");
    assert_eq!(since(&world.check(at(14)).await), None);
    let idle = world.check(at(15)).await;
    assert_eq!((since(&idle), idle.state), (Some(at(15)), State::Running));
    let position = world.position;
    assert_eq!(world.check(at(16)).await, idle, "it is told once");
    assert_eq!(world.position, position);
    world.used(at(17)).await;
    let used = world.check(at(17)).await;
    assert_eq!((since(&used), used.changed_at), (None, at(17)));
    assert_eq!(since(&world.check(at(26)).await), None);
    assert_eq!(since(&world.check(at(28)).await), Some(at(28)));
}

#[tokio::test]
async fn a_session_is_stopped_once_where_that_is_wanted() {
    let mut world = World::new(OnIdle::Stop).await;
    let stopped = world.check(at(10)).await;
    assert_eq!((stopped.state, since(&stopped)), (State::Stopping, Some(at(10))));
    assert_eq!(stopped.reason.as_deref(), Some("nobody has used it for 10 minutes"));
    assert!(world.checks.sessions.watched().is_empty());
    assert_eq!(world.check(at(99)).await, stopped);
}

#[tokio::test]
async fn nobody_is_judged_by_a_store_that_is_or_was_away() {
    let mut world = World::new(OnIdle::Stop).await;
    world.store.fail(Fault::Refuse);
    for minutes in [10, 20] {
        assert_eq!(world.check(at(minutes)).await.state, State::Running);
    }
    world.store.fail(Fault::None);
    let back = at(20).plus(Duration::from_secs(1));
    // What was seen meanwhile comes a little later.
    assert_eq!(world.check(back).await.state, State::Running);
    world.used(at(19)).await;
    assert_eq!(world.check(at(21)).await.state, State::Running);
    assert_eq!(world.check(at(30)).await.state, State::Stopping);
}

#[tokio::test]
async fn nobody_is_judged_just_after_a_start() {
    let mut world = World::new(OnIdle::Stop).await;
    world.checks =
        Checks::new(world.checks.sessions.clone(), world.store.clone(), OnIdle::Stop, at(50));
    assert_eq!(world.check(at(50)).await.state, State::Running);
    assert_eq!(world.check(at(51)).await.state, State::Stopping);
}

#[tokio::test]
async fn another_timeout_counts_from_where_it_was_given() {
    let mut world = World::new(OnIdle::Tell).await;
    assert_eq!(since(&world.check(at(10)).await), Some(at(10)));
    let record = world.store.fetch(id()).await.unwrap().unwrap();
    let given = Session { idle: Idle::starting(at(11), 60).unwrap(), ..record.session };
    world.store.put(given, Expected::Version(record.version)).await.unwrap().unwrap();
    world.follow().await;
    assert_eq!(since(&world.check(at(11)).await), None);
    assert_eq!(since(&world.check(at(13)).await), Some(at(13)));
    world.store.delete(id(), None).await.unwrap().unwrap();
    world.follow().await;
    assert!(world.checks.sessions.watched().is_empty());
}

#[tokio::test]
async fn who_is_idle_is_seldom_asked_for_and_found_in_use_within_a_minute() {
    let mut world = World::new(OnIdle::Tell).await;
    world.check(at(10)).await;
    world.check(at(11)).await;
    let asked = world.store.asked();
    for seconds in [10, 20, 30, 40] {
        world.check(at(11).plus(Duration::from_secs(seconds))).await;
    }
    assert_eq!(world.store.asked(), asked);
    world.used(at(11)).await;
    assert_eq!(since(&world.check(at(12)).await), None);
}

#[tokio::test]
async fn one_that_cannot_be_judged_does_not_hold_up_others() {
    let mut world = World::new(OnIdle::Tell).await;
    let Session { workspace, owner, tool, upstream, idle, .. } = world.session().await;
    for name in ["a", "b", "c", "x", "y", "z"] {
        let id = SessionId::parse(name).unwrap();
        let (workspace, owner, tool) = (workspace.clone(), owner.clone(), tool.clone());
        let upstream = upstream.clone();
        let other = Session::new(id, workspace, owner, tool, upstream, Timestamp(BEGIN));
        let other = Session { idle, ..other };
        world.store.put(other, Expected::Absent).await.unwrap().unwrap();
    }
    world.follow().await;
    world.store.damage(SessionId::parse("b").unwrap());
    world.check(at(10)).await;
    let records = world.store.snapshot().await.unwrap().records;
    let idle = records.iter().filter(|record| since(&record.session).is_some()).count();
    assert_eq!((idle, records.len()), (6, 7));
    assert!(!world.checks.is_away);
}

#[tokio::test]
async fn of_two_that_check_at_the_same_time_one_marks() {
    let mut world = World::new(OnIdle::Tell).await;
    let sessions = world.checks.sessions.clone();
    let mut other = Checks::new(sessions, world.store.clone(), OnIdle::Tell, Timestamp(BEGIN));
    tokio::join!(world.checks.check(at(10)), other.check(at(10)));
    assert_eq!(world.store.snapshot().await.unwrap().position, Position(2));
    assert_eq!(since(&world.session().await), Some(at(10)));
}
