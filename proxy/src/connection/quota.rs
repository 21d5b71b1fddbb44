//! Whose quotas a request is counted by, as far as the policy in force wants to know.

use portico_core::http::client::{Client, Trust};
use portico_core::http::request::Request;
use portico_core::quota::{Accounts, Known, client_address};
use portico_core::route::Route;
use portico_core::session::{Name, Timestamp};

use crate::worker::Worker;

pub(super) fn accounts(
    worker: &Worker,
    client: &Client,
    request: &Request<'_, '_>,
    route: &Route,
    user: Option<&Name>,
    now: Timestamp,
) -> Accounts {
    let ledger = &worker.shared.quotas;
    if ledger.is_idle() {
        return Accounts::default();
    }
    let trusted = &worker.shared.trusted_networks;
    let known = Known {
        fields: request.fields,
        client: client_address(client.address.ip(), request.fields, trusted),
        is_trusted: client.trust == Trust::Proxy,
        workspace: route.workspace.name.as_str(),
        session: route.session(),
        user: user.map(Name::as_str),
    };
    ledger.open(&known, now)
}
