//! Where a replica really listens, which settings with port 0 leave open, and the file that tells
//! it to whoever started the process.

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use portico_proxy::{ListenerSettings, Listeners};
use tokio::net::TcpListener;

use crate::failure::{Failure, Outcome};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    pub http: Vec<SocketAddr>,
    pub https: Vec<SocketAddr>,
    /// None where there is no API.
    pub control: Option<SocketAddr>,
    pub management: Option<SocketAddr>,
}

/// Removed when the replica ends, so that nobody reads the addresses of a process that is gone.
pub struct AddressesFile(PathBuf);

impl Addresses {
    /// `settings` and `listeners` are in the same order.
    pub fn of(
        settings: &[ListenerSettings],
        listeners: Option<&Listeners>,
        control: Option<&TcpListener>,
        management: Option<&TcpListener>,
    ) -> Outcome<Self> {
        let local = |listener: &TcpListener| listener.local_addr().map_err(Failure::machine);
        let bound = listeners.map(Listeners::addresses).unwrap_or_default();
        let of_kind = |tls: bool| {
            let all = settings.iter().zip(&bound);
            all.filter(|(listener, _)| listener.tls == tls).map(|(_, address)| *address).collect()
        };
        Ok(Self {
            http: of_kind(false),
            https: of_kind(true),
            control: control.map(local).transpose()?,
            management: management.map(local).transpose()?,
        })
    }

    pub fn all(&self) -> Vec<SocketAddr> {
        let traffic = self.http.iter().chain(&self.https);
        traffic.chain(&self.control).chain(&self.management).copied().collect()
    }

    /// Whoever waits for the file finds all of it or none: it is written beside and renamed.
    pub fn write(&self, path: PathBuf) -> Outcome<AddressesFile> {
        let json = serde_json::json!({
            "http": self.http,
            "https": self.https,
            "control": self.control,
            "management": self.management,
        });
        let directory = match path.parent() {
            Some(directory) if !directory.as_os_str().is_empty() => directory,
            _ => Path::new("."),
        };
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            writeln!(file, "{json}")?;
            file.persist(&path)?;
            anyhow::Ok(())
        };
        write()
            .with_context(|| format!("cannot write {} (addresses_file)", path.display()))
            .map_err(Failure::settings)?;
        Ok(AddressesFile(path))
    }
}

impl AddressesFile {
    /// What a killed process left behind.
    pub fn remove_old(path: &Path) -> Outcome {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::settings(error)
                .while_doing(format!("cannot replace {} (addresses_file)", path.display()))),
            _ => Ok(()),
        }
    }
}

impl Drop for AddressesFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), %error, "the addresses file stays");
        }
    }
}
