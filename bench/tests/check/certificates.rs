//! Certificates that are for other names, of no use to browsers, or over.

use std::path::Path;

use portico_bench::world::certificates::{Authority, CertificatePaths, date_time_ymd};
use tempfile::TempDir;

use super::{Broken, good};

const CONNECT: &str = "connect.localhost";
const WILDCARD: &str = "*.connect.localhost";

struct Shop {
    authority: Authority,
    files: TempDir,
}

impl Shop {
    fn open() -> Self {
        let files = TempDir::new().expect("a temporary directory");
        Self { authority: Authority::generate(), files }
    }

    fn path(&self) -> &Path {
        self.files.path()
    }

    fn certificate(&self, name: &str, names: &[&str]) -> CertificatePaths {
        self.authority.certificate(self.path(), name, names)
    }

    fn served(&self, all: &[&CertificatePaths]) -> Broken {
        let pair =
            |one: &&CertificatePaths| format!("{}:{}", one.cert.display(), one.key.display());
        let ca = self.path().join("ca.pem");
        std::fs::write(&ca, self.authority.pem()).expect("the file can be written");
        good()
            .set("PORTICO_CONNECT_URL", format!("https://{CONNECT}"))
            .set("PORTICO_PROXY__HTTPS", "127.0.0.1:0")
            .set("PORTICO_ACCESS__CA_FILE", ca.display().to_string())
            .set("PORTICO_TLS__CERTIFICATES", all.iter().map(pair).collect::<Vec<_>>().join(","))
    }
}

#[test]
fn one_or_two_that_are_for_both_names_are_fine() {
    let shop = Shop::open();
    let both = shop.certificate("both", &[CONNECT, WILDCARD]);
    let (one, other) = (shop.certificate("a", &[CONNECT]), shop.certificate("b", &[WILDCARD]));
    for all in [vec![&both], vec![&one, &other]] {
        let found = shop.served(&all).check();
        found.expect("certificates.names", "ok", CONNECT, "");
        found.expect("certificates.names", "ok", WILDCARD, "");
        found.expect("certificates.chain", "ok", "trusted", "");
        found.ok("certificates.expiry");
        assert_eq!(found.code, Some(0));
    }
}

#[test]
fn a_name_that_is_missing_is_told() {
    let shop = Shop::open();
    let connect = shop.certificate("connect", &[CONNECT]);
    let fix = "have one issued for *.connect.localhost";
    let found = shop.served(&[&connect]).expect("certificates.names", "failed", WILDCARD, fix);
    assert_eq!(found.code, Some(64));
    let path = shop.served(&[&connect]).set("PORTICO_ROUTING", "path").check();
    assert_eq!(path.code, Some(0), "by path it is enough");
    let wildcard = shop.certificate("wildcard", &[WILDCARD]);
    let fix = "a wildcard is not for the name above it";
    shop.served(&[&wildcard]).expect("certificates.names", "failed", CONNECT, fix);
    let other = shop.certificate("other", &["other.localhost"]);
    let check = shop.served(&[&other]);
    check.expect("certificates.names", "failed", "only for other.localhost", "have one issued");
}

#[test]
fn what_is_over_or_soon_over_is_told() {
    let shop = Shop::open();
    let names = &[CONNECT, WILDCARD];
    let until = |name: &str, (year, month, day): (i32, u8, u8)| {
        let end = date_time_ymd(year, month, day);
        shop.authority.certificate_with(shop.path(), name, names, |params| params.not_after = end)
    };
    let expired = until("expired", (2024, 2, 1));
    let fix = "renew it";
    shop.served(&[&expired]).expect("certificates.expiry", "failed", "2024-02-01", fix);
    let week = std::time::SystemTime::now() + std::time::Duration::from_secs(7 * 24 * 60 * 60);
    let soon = shop.authority.certificate_with(shop.path(), "soon", names, |params| {
        params.not_after = week.into();
    });
    let found = shop.served(&[&soon]).check();
    found.expect("certificates.expiry", "warning", "it expires in", fix);
    assert_eq!(found.code, Some(0));
    let begin = date_time_ymd(2090, 1, 1);
    let later = shop.authority.certificate_with(shop.path(), "later", names, |params| {
        params.not_before = begin;
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    shop.served(&[&later]).expect("certificates.expiry", "failed", "valid from 2090", "clock");
}

#[test]
fn a_chain_that_browsers_cannot_follow_is_told() {
    let shop = Shop::open();
    let names = [CONNECT, WILDCARD];
    let (own, other) = (shop.certificate("own", &names), shop.certificate("other", &names));
    let both = [&own.cert, &other.cert].map(|file| std::fs::read_to_string(file).expect("PEM"));
    std::fs::write(&own.cert, both.concat()).expect("the file can be written");
    let check = shop.served(&[&own]);
    check.expect(
        "certificates.chain",
        "failed",
        "did not sign",
        "the host's own certificate first",
    );
    let strange = Shop::open();
    let unknown = strange.certificate("unknown", &names);
    let check = shop.served(&[&unknown]);
    check.expect("certificates.chain", "warning", "does not trust", "intermediate certificates");
}

#[test]
fn a_key_of_another_and_files_that_are_not_there_are_told() {
    let shop = Shop::open();
    let names = [CONNECT, WILDCARD];
    let (one, other) = (shop.certificate("one", &names), shop.certificate("other", &names));
    let mixed = CertificatePaths { cert: one.cert.clone(), key: other.key };
    let found = shop.served(&[&mixed]).expect("certificates", "failed", "are no pair", "correct");
    found.ok("store");
    let gone = CertificatePaths { cert: shop.path().join("gone.crt"), key: one.key };
    shop.served(&[&gone]).expect("certificates", "failed", "gone.crt", "correct the paths");
}
