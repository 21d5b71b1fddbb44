//! Listening sockets, bound before anything else starts, so that an address in use is told at once
//! and port 0 becomes a known port. Each worker gets a socket of its own (SO_REUSEPORT): the kernel
//! spreads connections, and no two workers wake for one.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

use crate::settings::ListenerSettings;
use crate::start::StartError;

/// All listening sockets, per listener and worker.
pub struct Listeners {
    bound: Vec<Bound>,
}

struct Bound {
    settings: ListenerSettings,
    sockets: Vec<TcpListener>,
}

/// Connections that the kernel holds for us; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

impl Listeners {
    pub fn bind(listeners: &[ListenerSettings], workers: usize) -> Result<Self, StartError> {
        let bind = |settings: &ListenerSettings| {
            bind(settings, workers)
                .map_err(|source| StartError::Bind { address: settings.address, source })
        };
        Ok(Self { bound: listeners.iter().map(bind).collect::<Result<_, _>>()? })
    }

    /// In the order of the settings, with the ports that were chosen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.settings.address).collect()
    }

    /// The settings, with the ports that were chosen.
    pub(crate) fn bound(&self) -> Vec<ListenerSettings> {
        self.bound.iter().map(|bound| bound.settings.clone()).collect()
    }

    /// The sockets of each worker.
    pub(crate) fn per_worker(self, workers: usize) -> Vec<Vec<(ListenerSettings, TcpListener)>> {
        let mut shares: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for Bound { settings, sockets } in self.bound {
            for (share, socket) in shares.iter_mut().zip(sockets) {
                share.push((settings.clone(), socket));
            }
        }
        shares
    }
}

fn bind(settings: &ListenerSettings, workers: usize) -> std::io::Result<Bound> {
    // Without SO_REUSEPORT first: with it, a second Portico would share the port in silence.
    drop(listen(settings.address, false)?);
    let first = listen(settings.address, true)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(listen(address, true)?);
    }
    Ok(Bound { settings: ListenerSettings { address, ..settings.clone() }, sockets })
}

fn listen(address: SocketAddr, shared: bool) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.cloexec(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        // `[::]` answers IPv4 too, as operators expect of it.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
