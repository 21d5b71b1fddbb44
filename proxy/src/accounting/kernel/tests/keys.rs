//! For whom a socket is counted, and what happens at the edges of that.

use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use portico_ebpf::{FAULTS_LEN, Fault, Tally, UNROUTED_ACCEPTED, UNROUTED_CONNECTED};
use socket2::SockRef;

use super::super::Kernel;
use super::world::{Group, HERE, Pair, THERE, World, attached, deafen, receive, send, until};
use crate::io;

const NEXT: u64 = 12;

#[test]
fn a_socket_that_is_never_tagged_is_counted_as_unrouted_when_it_closes() {
    let world = World::new();
    let mut pair = Pair::new();
    pair.exchange(300, 400);
    io::look(pair.here.as_fd()).expect("it is known");
    assert_eq!(world.read(UNROUTED_ACCEPTED), Default::default(), "not before it closes");
    drop(pair);
    let accepted = world.closed(UNROUTED_ACCEPTED);
    let connected = world.closed(UNROUTED_CONNECTED);
    assert_eq!((accepted.opened, accepted.bytes_in, accepted.bytes_out), (1, 300, 400));
    assert_eq!((connected.opened, connected.bytes_in, connected.bytes_out), (1, 400, 300));
    world.assert_no_faults();
}

#[test]
fn the_first_tag_is_given_all_since_the_connection_began() {
    let world = World::new();
    world.kernel.add(HERE).expect("room");
    let mut pair = Pair::new();
    pair.exchange(300, 400);
    world.tag(&pair.here, HERE, 300, 400);
    drop(pair);
    let tally = world.closed(HERE);
    assert_eq!((tally.opened, tally.bytes_in, tally.bytes_out), (1, 300, 400));
    assert!(tally.segments_in > 0 && tally.segments_out > 0, "{tally:?}");
    assert_eq!(world.read(UNROUTED_ACCEPTED), Default::default());
    world.assert_no_faults();
}

#[test]
fn a_later_tag_divides_at_its_boundary() {
    let world = World::new();
    let mut pair = world.pair();
    world.kernel.add(NEXT).expect("room");
    pair.exchange(100, 50);
    // These have arrived before the boundary is told, and belong behind it.
    send(&mut pair.there, 70);
    until(|| pair.here.peek(&mut [0; 80]).expect("open"), |&bytes| bytes == 70);
    world.tag(&pair.here, NEXT, 100, 50);
    let old = world.read(HERE);
    assert_eq!((old.bytes_in, old.bytes_out, old.moved, old.closed), (100, 50, 1, 0));
    receive(&mut pair.here, 70);
    pair.exchange(1, 2);
    drop(pair);
    let new = world.closed(NEXT);
    assert_eq!((new.bytes_in, new.bytes_out, new.opened, new.moved), (71, 2, 1, 0));
    let old = world.read(HERE);
    assert_eq!((old.bytes_in, old.bytes_out, old.closed), (100, 50, 0));
    world.assert_no_faults();
}

#[test]
fn bytes_that_were_counted_too_early_are_given_back() {
    let world = World::new();
    let mut pair = world.pair();
    world.kernel.add(NEXT).expect("room");
    pair.exchange(100, 50);
    send(&mut pair.there, 70);
    until(|| pair.here.peek(&mut [0; 80]).expect("open"), |&bytes| bytes == 70);
    io::look(pair.here.as_fd()).expect("it is known");
    assert_eq!(world.read(HERE).bytes_in, 170);
    world.tag(&pair.here, NEXT, 100, 50);
    io::look(pair.here.as_fd()).expect("it is known");
    assert_eq!((world.read(HERE).bytes_in, world.read(NEXT).bytes_in), (100, 70));
}

#[test]
fn what_was_sent_before_the_boundary_and_acknowledged_after_it_is_counted_once() {
    let world = World::new();
    let mut pair = world.pair();
    world.kernel.add(NEXT).expect("room");
    let hear = deafen(&pair.there);
    send(&mut pair.here, 50);
    world.tag(&pair.here, NEXT, 0, 50);
    assert_eq!(world.read(HERE).bytes_out, 50);
    send(&mut pair.here, 30);
    hear();
    receive(&mut pair.there, 80);
    drop(pair);
    assert_eq!((world.read(HERE).bytes_out, world.closed(NEXT).bytes_out), (50, 30));
    world.assert_no_faults();
}

#[test]
fn the_same_tag_again_changes_nothing() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(10, 20);
    world.tag(&pair.here, HERE, 5, 5);
    drop(pair);
    let tally = world.closed(HERE);
    assert_eq!((tally.opened, tally.moved, tally.bytes_in, tally.bytes_out), (1, 0, 10, 20));
}

#[test]
fn a_boundary_beyond_what_came_is_a_fault() {
    let world = World::new();
    let mut pair = world.pair();
    world.kernel.add(NEXT).expect("room");
    pair.exchange(10, 20);
    world.tag(&pair.here, NEXT, 11, 20);
    assert_eq!((world.read(HERE).bytes_in, world.fault(Fault::Beyond)), (10, 1));
}

#[test]
fn a_socket_that_closes_after_its_key_was_removed_is_a_fault() {
    let world = World::new();
    let pair = world.pair();
    world.kernel.remove(HERE).expect("it is there");
    assert!(world.kernel.read(HERE).is_err());
    world.assert_no_faults();
    drop(pair);
    world.closed(THERE);
    until(|| world.fault(Fault::Late), |&late| late >= 1);
}

#[test]
fn a_look_counts_what_was_received_until_now() {
    let world = World::new();
    let mut pair = world.pair();
    let bytes = 1_000_000;
    let Pair { here, there } = &mut pair;
    std::thread::scope(|scope| {
        scope.spawn(|| send(there, bytes));
        receive(here, bytes);
    });
    assert_eq!(world.read(HERE).bytes_in, 0, "nobody has looked");
    io::look(pair.here.as_fd()).expect("it is known");
    assert_eq!(world.read(HERE).bytes_in, bytes as u64);
}

#[test]
fn a_look_counts_what_was_acknowledged_until_now() {
    let world = World::new();
    let mut pair = world.pair();
    let bytes = 1_000_000;
    let Pair { here, there } = &mut pair;
    std::thread::scope(|scope| {
        scope.spawn(|| send(there, bytes));
        receive(here, bytes);
    });
    assert_eq!(world.read(THERE).bytes_out, 0, "nobody has looked");
    let looked = || {
        io::look(pair.there.as_fd()).expect("it is known");
        world.read(THERE)
    };
    until(looked, |tally| tally.bytes_out == bytes as u64);
    assert_eq!(samples(&world.read(HERE)), 0, "only of what is looked at");
}

#[test]
fn looks_sample_round_trips_ten_times_a_second_at_most() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(1, 1);
    assert_eq!(samples(&world.read(HERE)), 0, "nobody has looked");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(350) {
        pair.exchange(1, 1);
        io::look(pair.here.as_fd()).expect("it is known");
    }
    let took = begun.elapsed();
    let tally = world.read(HERE);
    let most = took.as_millis() / 100 + 1;
    let samples = samples(&tally);
    assert!((2..=most).contains(&u128::from(samples)), "{samples} in {took:?}");
    assert!((1..=tally.rtt_smoothed_us.max(1_000_000)).contains(&tally.rtt_min_us), "{tally:?}");
}

#[test]
fn the_end_samples_the_round_trip_of_whom_nobody_has_looked_at() {
    for looks in [false, true] {
        let world = World::new();
        let mut pair = world.pair();
        pair.exchange(1, 1);
        if looks {
            io::look(pair.here.as_fd()).expect("it is known");
        }
        drop(pair);
        assert_eq!(samples(&world.closed(HERE)), 1);
    }
}

fn samples(tally: &Tally) -> u32 {
    tally.rtt_histogram.iter().sum()
}

#[test]
fn an_option_that_is_longer_than_a_page_is_passed_on_as_it_is() {
    let chosen = |is_counted: bool| {
        let group = Group::enter();
        let _kernel = is_counted.then(|| attached(&group, 8));
        let pair = Pair::new();
        let socket = SockRef::from(&pair.here);
        // The kernel takes a name to its zero, however much follows.
        let of_two_pages = |name: &[u8]| {
            let mut bytes = vec![0; 8192];
            bytes[..name.len()].copy_from_slice(name);
            let error = socket.set_tcp_congestion(&bytes).err();
            (error.and_then(|error| error.raw_os_error()), socket.tcp_congestion().expect("one"))
        };
        [of_two_pages(b"reno"), of_two_pages(b"cubic"), of_two_pages(b"none such")]
    };
    let [reno, cubic, unknown] = chosen(true);
    assert_eq!([reno.clone(), cubic.clone(), unknown.clone()], chosen(false));
    assert!(reno.0.is_none() && reno.1.starts_with(b"reno"), "{reno:?}");
    assert_eq!((unknown.0, unknown.1), (Some(libc::ENOENT), cubic.1));
}

#[test]
fn what_is_sent_again_is_counted() {
    let world = World::new();
    let mut pair = world.pair();
    let hear = deafen(&pair.there);
    send(&mut pair.here, 10);
    std::thread::sleep(Duration::from_millis(300));
    hear();
    receive(&mut pair.there, 10);
    io::look(pair.here.as_fd()).expect("it is known");
    let tally = world.read(HERE);
    assert!(tally.retransmits >= 1, "{tally:?}");
    until(
        || {
            io::look(pair.here.as_fd()).expect("known");
            world.read(HERE)
        },
        |t| t.bytes_out == 10,
    );
}

#[test]
fn two_processes_in_a_group_count_their_own() {
    let world = World::new();
    let other = attached(&world.group, 8);
    other.add(NEXT).expect("room");
    let mut ours = world.pair();
    let mut theirs = Pair::new();
    io::tag(theirs.here.as_fd(), &other.tag(NEXT, 0, 0)).expect("one of them takes it");
    ours.exchange(10, 20);
    theirs.exchange(30, 40);
    drop((ours, theirs));
    let tally = until(|| other.read(NEXT).expect("added"), |tally| tally.closed == 1);
    assert_eq!((tally.bytes_in, tally.bytes_out), (30, 40));
    assert_eq!((world.closed(HERE).bytes_in, world.closed(THERE).bytes_in), (10, 20));
    let unrouted = |kernel: &Kernel| {
        [UNROUTED_ACCEPTED, UNROUTED_CONNECTED].map(|key| kernel.read(key).expect("there").opened)
    };
    // `theirs.there` was tagged by nobody; both have seen it.
    until(|| unrouted(&world.kernel), |counts| *counts == [0, 1]);
    until(|| unrouted(&other), |counts| *counts == [0, 1]);
    world.assert_no_faults();
}

#[test]
fn no_more_keys_are_added_than_there_is_room_for() {
    let group = Group::enter();
    let kernel = attached(&group, 3);
    kernel.add(HERE).expect("room for one beside the unrouted");
    assert!(kernel.add(THERE).is_err());
    kernel.remove(HERE).expect("it is there");
    kernel.add(THERE).expect("room again");
    assert!(kernel.add(THERE).is_err(), "a key is used once");
}

#[test]
fn a_socket_that_was_there_before_is_refused() {
    let group = Group::enter();
    let mut pair = Pair::new();
    let kernel = attached(&group, 8);
    kernel.add(HERE).expect("room");
    let refused = |pair: &Pair| {
        let error = io::tag(pair.here.as_fd(), &kernel.tag(HERE, 0, 0)).expect_err("not counted");
        error.raw_os_error() == Some(libc::ENOPROTOOPT)
    };
    assert!(refused(&pair));
    assert_eq!(kernel.faults().expect("faults")[Fault::Unknown as usize], 1);
    pair.exchange(1, 1);
    assert!(refused(&pair));
}

#[test]
fn callbacks_that_another_has_asked_for_are_no_fault() {
    let group = Group::enter();
    let other = attached(&group, 8);
    // By one end each, then by both at once: what is called about differs.
    let pairs: [Pair; 3] = std::array::from_fn(|_| Pair::new());
    let kernel = attached(&group, 8);
    let [here, there, cut] = pairs;
    drop(here.here);
    drop(here.there);
    there.there.shutdown(Shutdown::Write).expect("open");
    drop(there);
    SockRef::from(&cut.here).set_linger(Some(Duration::ZERO)).expect("an option");
    drop(cut);
    let closed = |key| other.read(key).expect("there").closed;
    until(|| [closed(UNROUTED_ACCEPTED), closed(UNROUTED_CONNECTED)], |&ends| ends == [3, 3]);
    assert_eq!(kernel.faults().expect("faults"), [0; FAULTS_LEN]);
    assert_eq!(kernel.read(UNROUTED_ACCEPTED).expect("there"), Tally::default());
}

#[test]
fn dropping_it_detaches_the_programs() {
    let world = World::new();
    let pair = world.pair();
    let tag = world.kernel.tag(HERE, 0, 0);
    let World { kernel, group } = world;
    io::tag(pair.here.as_fd(), &tag).expect("attached");
    drop(kernel);
    let error = io::tag(pair.here.as_fd(), &tag).expect_err("detached");
    assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT));
    drop(group);
}
