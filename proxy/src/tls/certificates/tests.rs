//! Certificates made by rcgen, in files of their own directory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use tempfile::TempDir;

use super::*;

fn write(dir: &Path, stem: &str, names: &[&str]) -> CertificateFiles {
    write_with(dir, stem, names, &KeyPair::generate().unwrap())
}

fn write_with(dir: &Path, stem: &str, names: &[&str], key: &KeyPair) -> CertificateFiles {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_after = rcgen::date_time_ymd(2040, 1, 1);
    let cert = params.self_signed(key).unwrap();
    let files = CertificateFiles {
        cert: dir.join(format!("{stem}.pem")),
        key: dir.join(format!("{stem}.key")),
    };
    fs::write(&files.cert, cert.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

impl Certificates {
    /// One certificate for these names, read from a directory that is gone afterwards.
    pub(crate) fn for_tests(names: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        Self::load(vec![write(dir.path(), "test", names)]).unwrap()
    }

    /// The first certificate's DER, which a client in a test trusts.
    pub(crate) fn default_der(&self) -> rustls::pki_types::CertificateDer<'static> {
        self.current.load().default.cert[0].clone()
    }

    fn chosen(&self, name: Option<&str>) -> Vec<u8> {
        let schemes = [SignatureScheme::ECDSA_NISTP256_SHA256];
        self.current.load().choose(name, &schemes).cert[0].to_vec()
    }
}

fn der(files: &CertificateFiles) -> Vec<u8> {
    load(files, &default_provider()).unwrap().key.cert[0].to_vec()
}

#[test]
fn the_name_asked_for_decides() {
    let dir = TempDir::new().unwrap();
    let default = write(dir.path(), "default", &["connect.example.com", "other.example.com"]);
    let wild = write(dir.path(), "wild", &["*.Connect.Example.com"]);
    let exact = write(dir.path(), "exact", &["a.connect.example.com"]);
    let all = vec![default.clone(), wild.clone(), exact.clone()];
    let certificates = Certificates::load(all).unwrap();
    for (name, expected) in [
        (None, &default),
        (Some("connect.example.com"), &default),
        (Some("other.example.com"), &default),
        (Some("a.connect.example.com"), &exact),
        (Some("b.connect.example.com"), &wild),
        (Some("c.b.connect.example.com"), &default),
        (Some("localhost"), &default),
        (Some("*.connect.example.com"), &wild),
    ] {
        assert!(certificates.chosen(name) == der(expected), "{name:?}");
    }
    let names: Vec<_> = certificates.expiries().into_keys().collect();
    assert_eq!(names, ["*.connect.example.com", "a.connect.example.com", "connect.example.com"]);
    assert!(certificates.expiries().values().all(|&expires| expires == 2_208_988_800));
}

#[test]
fn of_two_kinds_of_key_the_client_gets_one_that_it_can_verify() {
    let dir = TempDir::new().unwrap();
    let ecdsa = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    let ecdsa = write_with(dir.path(), "ecdsa", &["a.example.com"], &ecdsa);
    let rsa = write_with(dir.path(), "rsa", &["a.example.com"], &rsa);
    let certificates = Certificates::load(vec![ecdsa.clone(), rsa.clone()]).unwrap();
    let chosen = |schemes: &[SignatureScheme]| {
        certificates.current.load().choose(Some("a.example.com"), schemes).cert[0].to_vec()
    };
    let both = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256];
    assert!(chosen(&both) == der(&ecdsa));
    assert!(chosen(&both[..1]) == der(&rsa));
    assert_eq!(certificates.expiries().len(), 1, "one series for a name");
}

#[test]
fn mistakes_name_the_file() {
    let dir = TempDir::new().unwrap();
    let good = write(dir.path(), "good", &["a.example.com"]);
    let other = write(dir.path(), "other", &["b.example.com"]);
    let file = |name: &str, text: &str| {
        fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let damaged = file("damaged.pem", "-----BEGIN CERTIFICATE-----\nMII");
    let garbage =
        file("garbage.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let encrypted = file(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let bad_key = file("bad.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    for (cert, key, expected) in [
        (&dir.path().join("absent.pem"), &good.key, "cannot read"),
        (&good.cert, &dir.path().join("absent.key"), "cannot read"),
        (&damaged, &good.key, "damaged.pem is damaged PEM"),
        (&garbage, &good.key, "garbage.pem is no valid X.509"),
        (&good.key, &good.cert, "good.key holds no certificate"),
        (&good.cert, &encrypted, "encrypted.key holds no private key"),
        (&good.cert, &bad_key, "bad.key is of a kind"),
        (&good.cert, &other.key, "other.key does not belong to"),
    ] {
        let files = CertificateFiles { cert: cert.clone(), key: key.clone() };
        let text = Certificates::load(vec![files]).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    assert!(matches!(Certificates::load(Vec::new()), Err(TlsError::NoCertificateSet)));
}

#[test]
fn a_changed_file_is_read_again_and_a_bad_one_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let files = write(dir.path(), "a", &["a.example.com"]);
    let certificates = Certificates::load(vec![files.clone()]).unwrap();
    assert!(!certificates.reload_if_changed().unwrap());

    let before = der(&files);
    fs::write(&files.key, KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(matches!(certificates.reload_if_changed(), Err(TlsError::Mismatch { .. })));
    assert!(!certificates.reload_if_changed().unwrap(), "a failure is not repeated by itself");
    assert!(matches!(certificates.reload(), Err(TlsError::Mismatch { .. })));
    assert!(certificates.chosen(None) == before);

    write(dir.path(), "a", &["a.example.com"]);
    assert!(certificates.reload_if_changed().unwrap());
    assert!(certificates.chosen(None) == der(&files) && der(&files) != before);
    assert!(!certificates.reload_if_changed().unwrap());

    fs::remove_file(&files.cert).unwrap();
    assert!(matches!(certificates.reload_if_changed(), Err(TlsError::Read { .. })));
    assert_eq!(certificates.reloads(ReloadResult::Ok), 1);
    assert_eq!(certificates.reloads(ReloadResult::Failed), 3);
}

#[test]
fn a_turned_link_is_a_change() {
    let dir = TempDir::new().unwrap();
    for version in ["1", "2"] {
        fs::create_dir(dir.path().join(version)).unwrap();
        write(&dir.path().join(version), "a", &["a.example.com"]);
    }
    let current = dir.path().join("current");
    symlink(dir.path().join("1"), &current).unwrap();
    let files = CertificateFiles { cert: current.join("a.pem"), key: current.join("a.key") };
    let certificates = Certificates::load(vec![files.clone()]).unwrap();
    symlink(dir.path().join("2"), dir.path().join("next")).unwrap();
    fs::rename(dir.path().join("next"), &current).unwrap();
    assert!(certificates.reload_if_changed().unwrap());
    assert!(certificates.chosen(None) == der(&files));
}
