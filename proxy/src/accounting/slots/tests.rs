//! Slots over the life of sessions.

use portico_core::label::Label;
use portico_core::route::{Change, Entry, RouteTable};
use portico_core::session::Session;

use super::*;

fn route(id: &str) -> Route {
    static ONE: std::sync::OnceLock<Arc<Route>> = std::sync::OnceLock::new();
    let one = ONE.get_or_init(|| made("one"));
    Route { id: Some(SessionId::parse(id).unwrap()), ..(**one).clone() }
}

fn made(id: &str) -> Arc<Route> {
    let (id, name) = (SessionId::parse(id).unwrap(), |name: &str| name.parse().unwrap());
    let upstream = "http://127.0.0.1:1".parse().unwrap();
    let session = Session::new(id, name("w"), name("o"), name("t"), upstream, Timestamp(1));
    let label = Label::of(&session.id);
    let table = RouteTable::default().with([Change::Set(Box::new(session))]);
    match table.lookup(label.as_str()) {
        Some(Entry::Route(route)) => route.clone(),
        _ => panic!("no route"),
    }
}

fn slot(slots: &Slots, id: &str) -> Option<Arc<Slot>> {
    slots.of(&route(id), |_| Means::Ask)
}

#[test]
fn a_session_has_one_slot_until_nobody_holds_it() {
    let slots = Slots::new(2);
    let (one, again, other) = (slot(&slots, "a"), slot(&slots, "a"), slot(&slots, "b"));
    assert!(Arc::ptr_eq(one.as_ref().unwrap(), &again.unwrap()));
    assert!(slot(&slots, "c").is_none(), "there are two");
    assert_eq!((slots.len(), slots.refused()), (2, 1));
    assert!(slots.take_unused(|_| true).is_empty());
    drop((one, other));
    assert!(slots.take_unused(|_| false).is_empty(), "the kernel has something of them");
    assert_eq!(slots.take_unused(|_| true).len(), 2);
    assert_eq!(slot(&slots, "a").unwrap().number, 3, "a number is used once");
}

#[test]
fn a_million_sessions_go_through_a_few_slots() {
    let slots = Slots::new(100);
    let mut numbers = std::collections::HashSet::new();
    for hundred in 0..10_000 {
        let held: Vec<_> = (0..100)
            .map(|one| slot(&slots, &format!("{hundred}-{one}")).expect("there is room"))
            .collect();
        assert!(slot(&slots, "more").is_none());
        assert!(held.iter().all(|slot| numbers.insert(slot.number)));
        drop(held);
        assert_eq!(slots.take_unused(|_| true).len(), 100);
    }
    let table = slots.table();
    assert_eq!((numbers.len(), table.slots.len()), (1_000_000, 0));
    assert!(table.clocks.len() <= 100 && table.remembered.len() <= 100);
}

#[test]
fn what_was_done_with_a_session_is_remembered_over_its_slots() {
    let slots = Slots::new(2);
    let at = |ms| Some(Timestamp(ms));
    slot(&slots, "a").unwrap().note(Side::Client, Seen::DATA, Timestamp(5));
    assert_eq!(slots.take_unused(|_| true).len(), 1);
    let again = slot(&slots, "a").unwrap();
    again.note(Side::Upstream, Seen::PING, Timestamp(7));
    again.note(Side::Client, Seen::DATA, Timestamp(4));
    let activity = again.activity();
    assert_eq!((activity.client_data_at, activity.ping_at), (at(5), at(7)));
}
