//! The steps of the hot path, and route tables of any size, as an install of that many sessions
//! would have them.

pub mod steps;

use portico_core::label::SessionId;
use portico_core::route::{Change, RouteTable};
use portico_core::session::{Name, Session, Timestamp};

/// Sessions with ids as Portico draws them, in a hundred workspaces, each on an address of its own.
pub fn sessions(count: u32) -> impl Iterator<Item = Session> {
    let name = |text: &str| -> Name { text.parse().expect("a name") };
    let (owner, tool) = (name("ada@example.com"), name("jupyter"));
    (0..count).map(move |number| {
        let workspace = name(&format!("workspace-{}", number % 100));
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        let upstream = format!("http://{address}:8888").parse().expect("an upstream");
        // Scattered, as random ids are, and all different.
        let id = SessionId::from_random(number.wrapping_mul(2_654_435_761));
        Session::new(id, workspace, owner.clone(), tool.clone(), upstream, Timestamp(0))
    })
}

pub fn table(count: u32) -> RouteTable {
    RouteTable::default().with(sessions(count).map(|session| Change::Set(Box::new(session))))
}
