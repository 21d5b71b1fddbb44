//! Payload is counted to the byte, whichever way a connection ends.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;

use super::world::{HERE, Pair, THERE, World, deafen, receive, receive_end, send, until};
use crate::io;

/// Both ends were counted, each what the other sent, and how often they were cut.
#[track_caller]
fn assert_counted(world: &World, to_here: u64, to_there: u64, resets: (u64, u64)) {
    let (here, there) = (world.closed(HERE), world.closed(THERE));
    assert_eq!((here.bytes_in, here.bytes_out), (to_here, to_there), "here {here:?}");
    assert_eq!((there.bytes_in, there.bytes_out), (to_there, to_here), "there {there:?}");
    assert_eq!((here.opened, here.moved), (1, 0));
    assert_eq!((here.reset, there.reset), resets);
    world.assert_no_faults();
}

fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
}

#[test]
fn payload_is_exact_when_the_accepted_end_closes_first() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(1000, 200_000);
    drop(pair.here);
    receive_end(&mut pair.there);
    drop(pair.there);
    assert_counted(&world, 1000, 200_000, (0, 0));
}

#[test]
fn payload_is_exact_when_the_connected_end_closes_first() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(1, 2);
    drop(pair.there);
    receive_end(&mut pair.here);
    drop(pair.here);
    assert_counted(&world, 1, 2, (0, 0));
}

#[test]
fn payload_is_exact_when_nothing_was_sent() {
    let world = World::new();
    let Pair { here, there } = world.pair();
    drop(here);
    drop(there);
    assert_counted(&world, 0, 0, (0, 0));
}

#[test]
fn payload_is_exact_after_a_shutdown_that_waits_for_the_other_side() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(10, 20);
    pair.here.shutdown(Shutdown::Write).expect("open");
    receive_end(&mut pair.there);
    pair.there.shutdown(Shutdown::Write).expect("open");
    receive_end(&mut pair.here);
    drop(pair);
    assert_counted(&world, 10, 20, (0, 0));
}

#[test]
fn payload_is_exact_when_bytes_come_after_our_end() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(10, 20);
    pair.here.shutdown(Shutdown::Write).expect("open");
    receive_end(&mut pair.there);
    send(&mut pair.there, 5000);
    receive(&mut pair.here, 5000);
    drop(pair.there);
    receive_end(&mut pair.here);
    drop(pair.here);
    assert_counted(&world, 5010, 20, (0, 0));
}

#[test]
fn payload_is_exact_when_both_ends_close_at_once() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(30, 40);
    // Neither hears the other's FIN before it has sent its own.
    let hear = [deafen(&pair.here), deafen(&pair.there)];
    pair.here.shutdown(Shutdown::Write).expect("open");
    pair.there.shutdown(Shutdown::Write).expect("open");
    hear.into_iter().for_each(|hear| hear());
    assert_counted(&world, 30, 40, (0, 0));
}

#[test]
fn payload_is_exact_when_a_lingering_close_resets() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(30, 40);
    reset(pair.here);
    assert_counted(&world, 30, 40, (1, 1));
    drop(pair.there);
}

#[test]
fn payload_is_exact_when_the_other_side_resets() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(30, 40);
    reset(pair.there);
    assert_counted(&world, 30, 40, (1, 1));
    drop(pair.here);
}

#[test]
fn payload_is_exact_when_a_socket_is_disconnected() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(30, 40);
    io::disconnect(pair.here.as_fd()).expect("a reset");
    assert_counted(&world, 30, 40, (1, 1));
    // A tag that comes late is taken, and changes nothing.
    world.tag(&pair.here, THERE, 30, 40);
    assert_counted(&world, 30, 40, (1, 1));
}

#[test]
fn a_socket_that_was_disconnected_is_counted_anew() {
    let world = World::new();
    let mut first = world.pair();
    first.exchange(30, 40);
    let second = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    io::disconnect(first.there.as_fd()).expect("a reset");
    assert_counted(&world, 30, 40, (1, 1));
    let address = second.local_addr().expect("bound").into();
    SockRef::from(&first.there).connect(&address).expect("connects");
    send(&mut first.there, 3);
    drop(first.there);
    let unrouted = until(|| world.read(1), |tally| tally.closed == 1);
    assert_eq!((unrouted.bytes_in, unrouted.bytes_out), (0, 3));
}

#[test]
fn payload_is_exact_when_what_came_is_not_read() {
    let world = World::new();
    let mut pair = world.pair();
    send(&mut pair.here, 500);
    receive(&mut pair.there, 500);
    send(&mut pair.there, 1000);
    // Closing over unread bytes is a reset, and the kernel has received them.
    drop(pair.here);
    assert_counted(&world, 1000, 500, (1, 1));
}

#[test]
fn what_was_never_acknowledged_was_not_sent() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(10, 20);
    let hear = deafen(&pair.there);
    send(&mut pair.here, 5);
    // The FIN is behind the five bytes, and neither arrives.
    pair.here.shutdown(Shutdown::Write).expect("open");
    io::disconnect(pair.here.as_fd()).expect("a reset");
    let here = world.closed(HERE);
    assert_eq!((here.bytes_in, here.bytes_out), (10, 20));
    hear();
}

#[test]
fn a_reset_instead_of_the_last_acknowledgement_is_no_byte() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(10, 20);
    pair.there.shutdown(Shutdown::Write).expect("open");
    receive_end(&mut pair.here);
    let _hear = deafen(&pair.there);
    send(&mut pair.here, 5);
    pair.here.shutdown(Shutdown::Write).expect("open");
    io::disconnect(pair.there.as_fd()).expect("a reset");
    let (here, there) = (world.closed(HERE), world.closed(THERE));
    assert_eq!((here.bytes_in, here.bytes_out), (10, 20), "{here:?}");
    assert_eq!((there.bytes_in, there.bytes_out), (20, 10), "{there:?}");
}

#[test]
fn a_peer_that_is_cut_in_its_half_of_a_shutdown_is_counted() {
    let world = World::new();
    let mut pair = world.pair();
    pair.exchange(10, 20);
    pair.there.shutdown(Shutdown::Write).expect("open");
    receive_end(&mut pair.here);
    reset(pair.here);
    assert_counted(&world, 10, 20, (1, 0));
}

#[test]
fn payload_is_exact_when_we_leave_before_the_end_of_what_comes_after_ours() {
    for is_reset in [false, true] {
        let world = World::new();
        let mut pair = world.pair();
        pair.exchange(10, 20);
        pair.here.shutdown(Shutdown::Write).expect("open");
        receive_end(&mut pair.there);
        send(&mut pair.there, 5000);
        receive(&mut pair.here, 5000);
        // From FIN_WAIT2 it closes here at once; no FIN has come.
        if is_reset {
            reset(pair.here)
        } else {
            drop(pair.here)
        }
        let here = world.closed(HERE);
        assert_eq!((here.bytes_in, here.bytes_out), (5010, 20), "{here:?}");
        drop(pair.there);
        let there = world.closed(THERE);
        // A reset acknowledges nothing, and the acknowledgement may have been yet to come.
        let sent = if is_reset { there.bytes_out } else { 5010 };
        assert_eq!((there.bytes_in, there.bytes_out), (20, sent), "{there:?}");
        world.assert_no_faults();
    }
}
