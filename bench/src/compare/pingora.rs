//! Pingora with one thread. It is a library: the proxy is `bench/pingora`, which does what Portico
//! does for a request and no more.

use std::path::Path;
use std::process::Command;

use super::kind::Kind;
use super::site::{OPPONENT_HOST, Site, Subject, version};
use crate::port::free_address;

pub fn start(program: &Path, site: &Site) -> anyhow::Result<Subject> {
    let (http, https) = (free_address(), free_address());
    let mut command = Command::new(program);
    command
        .args([OPPONENT_HOST, &http.to_string(), &https.to_string()])
        .arg(&site.certificate.cert)
        .arg(&site.certificate.key)
        .arg(site.upstream.to_string());
    site.opponent(Kind::Pingora, command, (http, https), version(program, "--version"))
}
