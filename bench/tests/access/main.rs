//! Who may open which session: the real binary with its gate closed, a real OpenID provider as the
//! platform, a real Redis, users in a real browser, and attackers at raw sockets.

mod house;
mod walker;
mod sign_in;
mod evil;
mod durable;
mod tickets;
mod revocation;
mod under_way;
mod logout;
mod webhook;
mod grants;
