//! What the settings decide on users and traffic, where it is less than an operator may think:
//! tools that the routing leaves out, quotas, and who can sign in.

use std::sync::Arc;

use portico_core::session::Routing;

use super::Plan;
use super::line::Line;

const ROUTING: &str = "routing";
const QUOTAS: &str = "quotas";
const ACCESS: &str = "access";

/// As a session of each template would be judged that asks for no routing of its own. With both it
/// gets those that its tool can.
pub async fn routing(plan: Arc<Plan>) -> Vec<Line> {
    let (routing, catalogue) = (plan.settings.routing, &plan.settings.catalogue);
    let refused = catalogue.templates().iter().filter_map(|template| {
        let refusal = catalogue.check(&template.tool, None, routing).err()?;
        Some((template.key.as_str(), refusal.to_string()))
    });
    let refused: Vec<_> = refused.collect();
    let keys: Vec<_> = refused.iter().map(|(key, _)| *key).collect();
    let keys = keys.join(", ");
    let detail = match routing {
        Routing::Subdomain => {
            "sessions are opened by subdomain, which all templates can".to_owned()
        }
        Routing::Both if keys.is_empty() => {
            "sessions are opened by subdomain and by path".to_owned()
        }
        Routing::Both => format!("sessions are opened both ways, {keys} by subdomain only"),
        Routing::Path if keys.is_empty() => {
            "sessions are opened by path, which all templates can".to_owned()
        }
        Routing::Path => {
            let told = |(key, refusal): (&str, String)| {
                let fix = format!(
                    "have a wildcard in DNS and certificate and set routing = [\"subdomain\"] or \
                     both, or offer no {key}"
                );
                let detail = format!("sessions are opened by path, and {refusal}");
                Line::warning(ROUTING, format!("template {key}"), detail, fix)
            };
            return refused.into_iter().map(told).collect();
        }
    };
    vec![Line::ok(ROUTING, "routing", detail)]
}

pub async fn quotas(plan: Arc<Plan>) -> Vec<Line> {
    let Some(file) = &plan.settings.accounting.policy else {
        return vec![Line::ok(QUOTAS, "quotas.policy", "no traffic policy is set")];
    };
    let what = file.path.as_ref().map_or("quotas.policy".to_owned(), |p| p.display().to_string());
    let noted = |note: &portico_core::quota::Note| {
        Line::warning(QUOTAS, what.clone(), note.to_string(), "see deploy/QUOTAS.md")
    };
    let mut lines: Vec<_> = file.notes.iter().map(noted).collect();
    if lines.is_empty() {
        let detail = format!("{} quotas can be read", file.policy.buckets.len());
        lines.push(Line::ok(QUOTAS, what, detail));
    }
    lines
}

pub async fn access(plan: Arc<Plan>) -> Vec<Line> {
    let access = &plan.settings.access;
    // That the gate is open has been told with the settings.
    if !access.gate.is_closed() {
        return Vec::new();
    }
    vec![match &access.sign_in {
        Some(_) => Line::ok(ACCESS, "access.mode", "closed; users sign in at the Platform"),
        None => {
            let detail = "closed, and nobody can sign in: sessions open by tickets only";
            let fix = "set platform_url and access.registration_token_file, or access.client_id";
            Line::warning(ACCESS, "access.mode", detail, fix)
        }
    }]
}
