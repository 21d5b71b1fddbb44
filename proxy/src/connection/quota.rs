//! Whose quotas a request is counted by, as far as the policy in force wants to know, and what is
//! remembered of it for the next policy.

use std::net::IpAddr;

use httparse::Header;
use portico_core::http::client::{Client, Trust};
use portico_core::http::request::Request;
use portico_core::quota::{Accounts, Known, Ledger, client_address};
use portico_core::route::Route;
use portico_core::session::{Name, Timestamp};

use super::live::Live;
use crate::worker::Worker;

pub(crate) struct Quoted {
    pub(crate) accounts: Accounts,
    client: IpAddr,
    trust: Trust,
    /// Of the policy by which the accounts were opened.
    generation: u64,
}

impl Quoted {
    pub(super) fn open(
        worker: &Worker,
        client: &Client,
        request: &Request<'_, '_>,
        live: &Live,
        now: Timestamp,
    ) -> Option<Box<Self>> {
        let ledger = worker.shared.quotas.as_ref()?;
        let trusted = &worker.shared.trusted_networks;
        let mut quoted = Self {
            accounts: Accounts::default(),
            client: client_address(client.address.ip(), request.fields, trusted),
            trust: client.trust,
            // Before they are opened: a policy that comes in between is found at the next look.
            generation: ledger.generation(),
        };
        let known = quoted.known(request.fields, &live.route, live.user());
        quoted.accounts = ledger.open(&known, now);
        Some(Box::new(quoted))
    }

    pub(super) fn follow(
        &mut self,
        ledger: &Ledger,
        route: &Route,
        user: Option<&Name>,
        now: Timestamp,
    ) {
        let generation = ledger.generation();
        if generation != self.generation {
            self.generation = generation;
            let known = self.known(&[], route, user);
            self.accounts = ledger.reopen(&self.accounts, &known, now);
        }
    }

    fn known<'a>(
        &self,
        fields: &'a [Header<'a>],
        route: &'a Route,
        user: Option<&'a Name>,
    ) -> Known<'a> {
        Known {
            fields,
            client: self.client,
            is_trusted: self.trust == Trust::Proxy,
            workspace: route.workspace.name.as_str(),
            session: route.session(),
            user: user.map(Name::as_str),
        }
    }
}
