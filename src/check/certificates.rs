//! The certificates for clients: that they are for the names that clients ask for, that browsers
//! can build a chain of them, and that they last. What keeps them from being served at all, a
//! foreign key among that, has been told with the settings.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portico_core::domain::Scheme;
use portico_proxy::CertificateReport;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use super::Plan;
use super::line::Line;

const NAMES: &str = "certificates.names";
const CHAIN: &str = "certificates.chain";
const EXPIRY: &str = "certificates.expiry";

/// Renewal by ACME begins a month before the end: with less than this it has failed for a while.
const DAYS_LEFT_MIN: i64 = 14;
const DAY: i64 = 24 * 60 * 60;

pub async fn check(plan: Arc<Plan>) -> Vec<Line> {
    let domains = &plan.settings.domains;
    if plan.settings.certificates.is_empty() {
        return match domains.connect.scheme {
            Scheme::Https => {
                let detail = "TLS ends before Portico, so its certificate is not looked at here";
                vec![Line::ok(NAMES, domains.connect.host.clone(), detail)]
            }
            Scheme::Http => Vec::new(),
        };
    }
    let mut reports = Vec::new();
    let mut lines = Vec::new();
    for files in &plan.settings.certificates {
        let file = files.cert.display().to_string();
        match CertificateReport::of(files) {
            Ok(report) => reports.push((file, report)),
            Err(error) => {
                let detail = format!("{:#}", anyhow::Error::from(error));
                lines.push(Line::settings("certificates", file, detail, "correct the files"));
            }
        }
    }
    lines.extend(wanted(&plan).iter().map(|name| named(name, &reports)));
    let (now, roots) = (SystemTime::now(), roots(&plan));
    for (file, report) in &reports {
        lines.push(chained(file, report, roots.as_ref(), now));
        lines.push(lasting(file, report, now));
    }
    lines
}

/// A name that clients ask for, and how it is told.
struct Wanted {
    host: String,
    told: String,
}

fn wanted(plan: &Plan) -> Vec<Wanted> {
    let domains = &plan.settings.domains;
    let host = domains.connect.host.clone();
    let mut wanted = vec![Wanted { told: host.clone(), host }];
    if plan.settings.routing.has_subdomain() && domains.has_subdomains() {
        let domain = &domains.session_domain;
        wanted.push(Wanted { host: format!("a.{domain}"), told: format!("*.{domain}") });
    }
    wanted
}

fn named(Wanted { host, told }: &Wanted, reports: &[(String, CertificateReport)]) -> Line {
    let mut covering = reports.iter().filter(|(_, report)| report.covers(host));
    if let Some((file, _)) = covering.next() {
        return Line::ok(NAMES, told.clone(), format!("{file} is for it"));
    }
    let names: Vec<_> = reports.iter().flat_map(|(_, report)| report.names.clone()).collect();
    let detail = format!("no certificate is for it, only for {}", names.join(", "));
    let fix = match told.starts_with("*.") {
        true => format!(
            "have one issued for {told} (one that also names the connect host will do, or a second \
             one in tls.certificates), or set routing = [\"path\"]"
        ),
        false => format!(
            "have one issued for {told}, too: a wildcard is not for the name above it; a second \
             one in tls.certificates will do"
        ),
    };
    Line::settings(NAMES, told.clone(), detail, fix)
}

/// Whom this machine trusts, and `access.ca_file`; None where that is nobody.
fn roots(plan: &Plan) -> Option<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = &plan.settings.access.ca_file {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        let own = CertificateDer::pem_file_iter(path).into_iter().flatten().flatten();
        roots.add_parsable_certificates(own);
    }
    (!roots.is_empty()).then(|| Arc::new(roots))
}

fn chained(
    file: &str,
    report: &CertificateReport,
    roots: Option<&Arc<RootCertStore>>,
    now: SystemTime,
) -> Line {
    if let Some(subject) = &report.out_of_order {
        let detail = format!("`{subject}` did not sign the certificate before it");
        let fix =
            "put the host's own certificate first, then who signed it, and so on, and no other";
        return Line::settings(CHAIN, file, detail, fix);
    }
    if report.is_self_signed {
        let fix = "have it signed by an authority that your users' browsers trust";
        return Line::warning(CHAIN, file, "it is signed by itself: browsers warn of it", fix);
    }
    let in_order = format!("{} certificates in order", report.chain.len());
    let Some(roots) = roots else {
        let detail = format!("{in_order}; this machine trusts nobody, so no more is known");
        return Line::ok(CHAIN, file, detail);
    };
    match verified(report, roots.clone(), now) {
        Ok(()) => Line::ok(CHAIN, file, format!("{in_order}, trusted by this machine")),
        // The second where another authority has the same name.
        Err(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => {
            let fix = "add the intermediate certificates of its authority behind it; with an \
                       authority of your own nothing is wrong where browsers trust that";
            let detail = format!("{in_order}, but this machine does not trust who signed the last");
            Line::warning(CHAIN, file, detail, fix)
        }
        // Names and times are told by themselves.
        Err(_) => Line::ok(CHAIN, file, in_order),
    }
}

fn verified(
    report: &CertificateReport,
    roots: Arc<RootCertStore>,
    now: SystemTime,
) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable = |_| rustls::Error::General("the trusted certificates are of no use".to_owned());
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots, provider).build().map_err(unusable)?;
    let name = report.names.first().map(|name| name.replace("*.", "a."));
    let name = ServerName::try_from(name.unwrap_or_default())
        .map_err(|_| rustls::Error::General("it has no name".to_owned()))?;
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    let (own, others) = report.chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
    verifier.verify_server_cert(own, others, &name, &[], now).map(drop)
}

fn lasting(file: &str, report: &CertificateReport, now: SystemTime) -> Line {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let (begin, end) = report.valid;
    let fix = "renew it; changed files are read within seconds";
    let days = (end - now) / DAY;
    if end <= now {
        let detail = format!("it expired on {}", date(end));
        return Line::settings(EXPIRY, file, detail, fix);
    }
    if begin > now {
        let fix = "set this machine's clock, or wait";
        return Line::settings(EXPIRY, file, format!("it is valid from {} on", date(begin)), fix);
    }
    match days < DAYS_LEFT_MIN {
        true => Line::warning(EXPIRY, file, format!("it expires in {days} days"), fix),
        false => Line::ok(EXPIRY, file, format!("{days} days are left, until {}", date(end))),
    }
}

fn date(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}
