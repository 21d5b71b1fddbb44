//! The steps of the hot path, and route tables of any size, as an install of that many sessions
//! would have them.

pub mod steps;

use std::time::Duration;

use portico_core::access::{Grant, LoginId, LoginProof};
use portico_core::label::SessionId;
use portico_core::route::{Change, RouteTable};
use portico_core::session::{Name, Session, Timestamp};

/// When all of it happens.
pub const NOW: Timestamp = Timestamp(1_795_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

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

/// The owner's grant for a session, of so many minutes ago.
pub fn grant(session: &Session, minutes_ago: u64) -> Grant {
    Grant {
        user: session.owner.clone(),
        session: session.id.as_str().into(),
        session_created_at: session.created_at,
        login: LoginProof { id: LoginId([9; 16]), at: Timestamp(NOW.0 - 3_600_000) },
        member: false,
        recheck: false,
        issued_at: Timestamp(NOW.0 - minutes_ago * 60_000),
        expires_at: Timestamp(NOW.0 + (15 - minutes_ago) * 60_000),
        until: NOW.plus(HOUR),
    }
}
