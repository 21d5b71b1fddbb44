//! What changed in a session, in the words of the audit log. Values that may be long or secret are
//! left out: that they changed is enough.

use portico_core::session::Session;

use super::access;

pub fn difference(before: &Session, after: &Session) -> String {
    let mut changes = Vec::new();
    if before.state != after.state {
        changes.push(format!("state {} to {}", before.state.as_str(), after.state.as_str()));
    }
    if before.upstream != after.upstream {
        changes.push(format!("upstream {} to {}", before.upstream, after.upstream));
    }
    changes.extend(access::difference(&before.access, &after.access));
    for (name, changed) in [
        ("reason", before.reason != after.reason),
        ("routing", before.routing != after.routing),
        ("host_header", before.host_header != after.host_header),
        ("strip_prefix", before.prefix != after.prefix),
        ("image", before.image != after.image),
        ("labels", before.labels != after.labels),
        ("lifespan", before.lifespan != after.lifespan),
        ("idle_timeout", timeout(before) != timeout(after)),
    ] {
        if changed {
            changes.push(name.to_owned());
        }
    }
    changes.join(", ")
}

fn timeout(session: &Session) -> Option<u64> {
    session.idle.map(|idle| idle.timeout_seconds)
}
