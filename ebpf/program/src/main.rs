//! The kernel programs that count every TCP socket of a cgroup for the key that it is tagged with:
//! `sock_ops` hears of the life of sockets, `setsockopt` catches the private option by which user
//! space tags them. Both decide nothing: whatever fails is counted and traffic goes on.
//!
//! The kernel calls both under the lock of the socket, so what is kept of a socket has one writer:
//! callbacks come from TCP itself, which holds it, and `__cgroup_bpf_run_filter_setsockopt()`
//! (kernel/bpf/cgroup.c, Linux 5.3 and later) takes `lock_sock()` around the programs. Tallies have
//! several, because a callback may interrupt an option on the same processor; they are added to
//! atomically.
//!
//! Oldest kernel: 5.10, for callbacks about segments; user space asks for 5.11.

#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features)]

mod kernel;
mod socket;

use aya_ebpf::bindings::{
    BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PARSE_HDR_OPT_CB,
    BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB, BPF_TCP_CLOSE, BPF_TCP_CLOSE_WAIT,
    BPF_TCP_CLOSING, BPF_TCP_ESTABLISHED, BPF_TCP_FIN_WAIT1, BPF_TCP_FIN_WAIT2,
};
use aya_ebpf::macros::{cgroup_sockopt, sock_ops};
use aya_ebpf::programs::{SockOpsContext, SockoptContext};
use portico_ebpf::{Fault, LEVEL, LOOK, TAG, Tag, UNROUTED_ACCEPTED, UNROUTED_CONNECTED};

use kernel::{Callback, Interest, SocketOption};

/// The verdict of both programs: the kernel goes on.
const GO_ON: u32 = 1;

#[sock_ops]
pub fn sock_ops(context: SockOpsContext) -> u32 {
    if let Err(fault) = hear(&Callback::new(&context)) {
        kernel::count(fault);
    }
    GO_ON
}

#[cgroup_sockopt(setsockopt)]
pub fn setsockopt(context: SockoptContext) -> i32 {
    let option = SocketOption::new(&context);
    match obey(&option) {
        Ok(Claim::Ours) => option.claim(),
        Ok(Claim::NotOurs) => option.pass_on(),
        Err(fault) => {
            kernel::count(fault);
            option.pass_on();
        }
    }
    GO_ON as i32
}

/// Whose option it is.
enum Claim {
    Ours,
    /// Of our level, too: another process's programs may claim it, and otherwise the kernel refuses
    /// it.
    NotOurs,
}

#[inline(always)]
fn hear(callback: &Callback) -> Result<(), Fault> {
    match callback.what() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => established(callback, UNROUTED_CONNECTED),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => established(callback, UNROUTED_ACCEPTED),
        BPF_SOCK_OPS_STATE_CB => moved_on(callback),
        BPF_SOCK_OPS_PARSE_HDR_OPT_CB => came(callback),
        _ => Ok(()),
    }
}

#[inline(always)]
fn established(callback: &Callback, key: u64) -> Result<(), Fault> {
    let sock = callback.sock().ok_or(Fault::NoSocket)?;
    let tcp = sock.tcp().ok_or(Fault::NoSocket)?;
    let socket = sock.create_storage().ok_or(Fault::NoStorage)?;
    socket.begin(key, &tcp);
    callback.subscribe(Interest::Life)
}

/// The counters of bytes count each side's FIN as one byte; the transitions tell when.
///
/// `tcp_fin()` moves to CLOSE_WAIT and CLOSING after the FIN was counted as received, and
/// `tcp_rcv_state_process()` to FIN_WAIT2 after ours was counted as acknowledged
/// (net/ipv4/tcp_input.c, Linux 6.18).
#[inline(always)]
fn moved_on(callback: &Callback) -> Result<(), Fault> {
    let (old, new) = (callback.argument(0), callback.argument(1));
    match (old, new) {
        (_, BPF_TCP_CLOSE)
        | (BPF_TCP_ESTABLISHED, BPF_TCP_CLOSE_WAIT | BPF_TCP_FIN_WAIT1)
        | (BPF_TCP_FIN_WAIT1, BPF_TCP_CLOSING | BPF_TCP_FIN_WAIT2) => {}
        _ => return Ok(()),
    }
    let sock = callback.sock().ok_or(Fault::NoSocket)?;
    let Some(socket) = sock.storage() else { return not_ours() };
    match new {
        BPF_TCP_CLOSE => socket.close(old, &sock.tcp().ok_or(Fault::NoSocket)?),
        // From here on the peer's FIN closes the socket without a transition of its own.
        BPF_TCP_FIN_WAIT1 => callback.subscribe(Interest::Segments),
        BPF_TCP_FIN_WAIT2 => {
            socket.fin_acknowledged(&sock.tcp().ok_or(Fault::NoSocket)?);
            Ok(())
        }
        _ => {
            socket.fin_received();
            Ok(())
        }
    }
}

/// A segment that lies in the window, before TCP takes it in: after our FIN was sent.
#[inline(always)]
fn came(callback: &Callback) -> Result<(), Fault> {
    if callback.has_fin() {
        let sock = callback.sock().ok_or(Fault::NoSocket)?;
        let Some(socket) = sock.storage() else { return not_ours() };
        socket.fin_seen();
    }
    Ok(())
}

/// The kernel calls all programs of a group about what one of them has asked for, also about
/// sockets that were established before this one was attached: no fault.
#[inline(always)]
fn not_ours() -> Result<(), Fault> {
    Ok(())
}

#[inline(always)]
fn obey(option: &SocketOption) -> Result<Claim, Fault> {
    let name = option.name();
    if option.level() != LEVEL || name != TAG && name != LOOK {
        return Ok(Claim::NotOurs);
    }
    let sock = option.sock().ok_or(Fault::NoSocket)?;
    let socket = sock.storage();
    if name == LOOK {
        let (Some(socket), Some(tcp)) = (socket, sock.tcp()) else { return Ok(Claim::NotOurs) };
        socket.look(&tcp);
        return Ok(Claim::Ours);
    }
    // Of no size that we know: not written by this version of us.
    let Some(tag) = option.value::<Tag>() else { return Ok(Claim::NotOurs) };
    if tag.owner != kernel::owner() {
        if let Some(socket) = socket {
            socket.disown();
        }
        return Ok(Claim::NotOurs);
    }
    let (Some(socket), Some(tcp)) = (socket, sock.tcp()) else { return Err(Fault::Unknown) };
    socket.tag(&tag, &tcp);
    Ok(Claim::Ours)
}

/// Nothing here panics; the verifier would refuse a program that may not end.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
