//! The API listener: its address, its token, its TLS.

use super::{LOOPBACK, files, parse};
use crate::settings::collect::Collected;
use crate::settings::mistake::Wrong;
use crate::settings::{ControlSettings, ControlTls, TokenSource};

pub fn control(c: &mut Collected) -> Option<ControlSettings> {
    let listen = c.read("control.listen", |value| parse::address(value, LOOPBACK));
    let token = token(c);
    let tls = tls(c);
    Some(ControlSettings { listen: listen??, token: token?, tls: tls? })
}

fn token(c: &mut Collected) -> Option<TokenSource> {
    let token = c.read("control.token", parse::token);
    let file = c.read("control.token_file", files::token);
    match (token?, file?) {
        (Some(_), Some(_)) => {
            let origin = c.origin("control.token");
            let wrong = Wrong::new("is set beside control.token_file", "keep one of the two");
            c.mistake("control.token", origin, wrong);
            None
        }
        (Some(token), None) | (None, Some(token)) => Some(TokenSource::Given(token)),
        (None, None) => Some(TokenSource::Kept),
    }
}

fn tls(c: &mut Collected) -> Option<Option<ControlTls>> {
    let files = files::pair(c, ["control.tls_cert", "control.tls_key"]);
    let client_ca = c.read("control.client_ca", files::authorities);
    match (files?, client_ca?) {
        (None, None) => Some(None),
        (None, Some(_)) => {
            if c.is_whole {
                let wrong = "asks for certificates, and the API listener has no TLS";
                let fix = "set control.tls_cert and control.tls_key, or remove it";
                let origin = c.origin("control.client_ca");
                c.mistake("control.client_ca", origin, Wrong::new(wrong, fix));
            }
            None
        }
        (Some(certificate), client_ca) => Some(Some(ControlTls { certificate, client_ca })),
    }
}
