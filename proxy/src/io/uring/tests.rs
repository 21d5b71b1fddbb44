//! Real sockets on a real ring, where a peer sends what makes a receive change its kind: messages,
//! parts of large bodies, more than anybody asks for.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::super::driver::Kind;
use super::super::{Driver, EventLoop, Peek, RecvState, Socket};
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);
/// More than what the kernel and all buffers of a connection hold.
const LARGE: usize = 32 * 1024 * 1024;

/// Runs `test` with a socket on a ring and its peer.
fn on_a_ring(test: impl AsyncFnOnce(Driver, Socket, TcpStream)) {
    let main = async |driver: Driver| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let socket = Socket::connect(&driver, address).expect("a socket");
        socket.connected().await.expect("the listener accepts");
        let (peer, _) = listener.accept().expect("a connection");
        peer.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        peer.set_nodelay(true).expect("an option can be set");
        test(driver, socket, peer).await;
    };
    EventLoop::uring().expect("this machine allows io_uring").run(main);
}

/// No part of it is like another.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

async fn receive(socket: &Socket, length: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < length {
        let chunk = socket.recv().await.expect("the peer sends");
        assert!(!chunk.is_empty(), "it ended after {} of {length}", received.len());
        received.extend_from_slice(&chunk);
    }
    received
}

/// Messages until one receive is for all that follow.
async fn converse(socket: &Socket, peer: &mut TcpStream) {
    for number in 0..2 * STEADY {
        peer.write_all(&[number; 100]).expect("it can be sent");
        assert_eq!(receive(socket, 100).await, [number; 100]);
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[test]
fn messages_and_large_bodies_come_whole_in_turn() {
    on_a_ring(async |driver, socket, mut peer| {
        for _ in 0..3 {
            converse(&socket, &mut peer).await;
            let mut sender = peer.try_clone().expect("a descriptor");
            let sending = thread::spawn(move || sender.write_all(&pattern(LARGE)));
            // It has begun to arrive before anybody asks.
            pass(Duration::from_millis(20)).await;
            assert!(receive(&socket, LARGE).await == pattern(LARGE));
            sending.join().expect("no panic").expect("all was sent");
        }
        assert_eq!(driver.take_exhausted(), 0);
    });
}

#[test]
fn large_bodies_are_sent_whole_to_who_reads_late() {
    on_a_ring(async |_, socket, mut peer| {
        let reading = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            let mut received = vec![0; LARGE];
            peer.read_exact(&mut received).map(|()| received)
        });
        for piece in pattern(LARGE).chunks(100_001) {
            socket.send(piece.to_vec()).await.0.expect("the peer reads");
        }
        let received = reading.join().expect("no panic").expect("all came");
        assert!(received == pattern(LARGE));
    });
}

/// The kernel hands over what arrives until it is told to stop; the rest stays in its own queue.
#[test]
fn who_does_not_ask_is_sent_no_more_than_a_bound() {
    on_a_ring(async |driver, socket, mut peer| {
        converse(&socket, &mut peer).await;
        let (read, all) = (receive(&socket, 1), LARGE);
        peer.write_all(b"x").expect("it can be sent");
        read.await;
        let mut sender = peer.try_clone().expect("a descriptor");
        // Small pieces: each would take a buffer of its own.
        let sending = thread::spawn(move || {
            pattern(LARGE).chunks(1000).try_for_each(|piece| sender.write_all(piece))
        });
        pass(Duration::from_millis(300)).await;
        assert!(!sending.is_finished(), "{all} bytes were taken from who asked for none");
        assert_eq!(driver.take_exhausted(), 0, "it holds all buffers");
        assert!(receive(&socket, all).await == pattern(all));
        sending.join().expect("no panic").expect("all was sent");
    });
}

/// What the kernel was given goes round through memory and caches.
#[test]
fn the_kernel_gets_as_many_buffers_as_are_held_at_once() {
    on_a_ring(async |driver, socket, mut peer| {
        let used = || match &driver.0 {
            Kind::Uring(ring) => ring.buffers().used(),
            Kind::Epoll => unreachable!("it is on a ring"),
        };
        for _ in 0..100 {
            converse(&socket, &mut peer).await;
        }
        assert_eq!(used(), buffers::FIRST);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut others = Vec::new();
        for _ in 0..2 * buffers::FIRST {
            let socket = Socket::connect(&driver, address).expect("a socket");
            socket.connected().await.expect("the listener accepts");
            let (mut peer, _) = listener.accept().expect("a connection");
            peer.write_all(b"x").expect("it can be sent");
            others.push((socket, peer));
        }
        let mut held = Vec::new();
        // All ask before the kernel is asked.
        let mut receives: Vec<_> = others.iter().map(|(socket, _)| socket.recv()).collect();
        poll_fn(|context| {
            receives.retain_mut(|receive| match Pin::new(receive).poll(context) {
                Poll::Ready(chunk) => {
                    held.push(chunk.expect("the peer has sent"));
                    false
                }
                Poll::Pending => true,
            });
            if receives.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        assert!(held.iter().all(|chunk| **chunk == *b"x"));
        assert!(used() >= 2 * buffers::FIRST, "{} are used", used());
        assert_eq!(driver.take_exhausted(), 0);
    });
}

#[test]
fn a_receive_that_is_given_up_loses_nothing() {
    on_a_ring(async |_, socket, mut peer| {
        converse(&socket, &mut peer).await;
        for number in 0..20 {
            let mut given_up = RecvState::default();
            poll_fn(|context| {
                assert!(socket.poll_recv(&mut given_up, context).is_pending());
                Poll::Ready(())
            })
            .await;
            drop(given_up);
            peer.write_all(&[number; 10]).expect("it can be sent");
            pass(Duration::from_millis(1)).await;
            assert_eq!(receive(&socket, 10).await, [number; 10]);
        }
    });
}

/// A large body that never ends must not keep others from their turn.
#[test]
fn a_large_body_begins_at_once_so_many_times() {
    let begun = Habit::Messages(STEADY).after(BULK_BYTES);
    assert_eq!(begun, Habit::Bulk(AT_ONCE));
    assert_eq!(Habit::Bulk(0).after(BULK_BYTES), Habit::Bulk(0));
    assert_eq!(Habit::Bulk(0).after(BULK_BYTES - 1), Habit::Messages(0));
}

/// A receive that has brought all that it may is no end of the connection.
#[test]
fn a_receive_begins_again_at_its_bound() {
    on_a_ring(async |_, socket, mut peer| {
        for number in 0..2 * ARRIVING_BYTES / 1000 {
            let message = [number as u8; 1000];
            peer.write_all(&message).expect("it can be sent");
            assert_eq!(receive(&socket, 1000).await, message);
            assert_eq!(socket.peek(), Peek::Nothing, "after {number}");
        }
    });
}

#[test]
fn what_came_unasked_is_seen() {
    on_a_ring(async |_, socket, mut peer| {
        converse(&socket, &mut peer).await;
        // Someone has to have asked.
        peer.write_all(b"ab").expect("it can be sent");
        receive(&socket, 1).await;
        assert_eq!(socket.peek(), Peek::Nothing);
        peer.write_all(b"more").expect("it can be sent");
        pass(Duration::from_millis(20)).await;
        assert_eq!(socket.peek(), Peek::Bytes);
        assert_eq!(receive(&socket, 4).await, b"more");
        peer.shutdown(Shutdown::Write).expect("it can end");
        pass(Duration::from_millis(20)).await;
        assert_eq!(socket.peek(), Peek::End);
        for _ in 0..3 {
            assert!(socket.recv().await.expect("an orderly end").is_empty());
        }
    });
}

#[test]
fn a_socket_that_is_dropped_ends_its_connection() {
    on_a_ring(async |_, socket, mut peer| {
        converse(&socket, &mut peer).await;
        drop(socket);
        let ended = thread::spawn(move || peer.read(&mut [0]));
        while !ended.is_finished() {
            pass(Duration::from_millis(1)).await;
        }
        assert_eq!(ended.join().expect("no panic").expect("an orderly end"), 0);
    });
}

#[test]
fn a_shutdown_ends_the_receive_that_goes_on() {
    on_a_ring(async |_, socket, mut peer| {
        converse(&socket, &mut peer).await;
        let other = socket.clone();
        crate::io::spawn(async move {
            pass(Duration::from_millis(5)).await;
            other.shutdown(Shutdown::Both);
        });
        assert!(socket.recv().await.expect("an orderly end").is_empty());
    });
}
