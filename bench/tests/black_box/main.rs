//! The real `portico serve` from outside, on both io back ends: what a browser, a tool, the
//! platform and an operator see of it. Nothing here knows how it is made.

/// Each function takes the io back end; each becomes two tests, `uring::NAME` and `epoll::NAME`.
macro_rules! on_both_io {
    ($($name:ident),+ $(,)?) => {
        mod uring {
            $(#[test]
            fn $name() {
                super::$name(portico_bench::world::Io::Uring);
            })+
        }

        mod epoll {
            $(#[test]
            fn $name() {
                super::$name(portico_bench::world::Io::Epoll);
            })+
        }
    };
}

mod framing;
mod refused;
mod bodies;
mod cut;
mod leaving;
mod upstreams;
mod connects;
mod headers;
mod paths;
mod pages;
mod websocket;
mod tls;
mod proxy_protocol;
mod networks;
mod siblings;
mod routes;
mod fleet;
mod durable;
mod control;
mod workspaces;
mod api;
mod observability;
mod log;
mod back_ends;
mod drain;
mod settings;
mod demo;
mod client;
mod slow;

use portico_bench::world::{Io, Options, World};

fn options(io: Io) -> Options {
    Options::new(env!("CARGO_BIN_EXE_portico"), io)
}

fn world(io: Io) -> World {
    World::start(options(io))
}
