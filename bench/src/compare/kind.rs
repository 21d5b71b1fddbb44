//! Which proxies there are to compare, and where their programs are. It must not know how one is
//! configured.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// A proxy in one of its ways of running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    PorticoUring,
    PorticoEpoll,
    Haproxy,
    #[value(name = "haproxy-2.8")]
    Haproxy28,
    Nginx,
    Envoy,
    /// configurable-http-proxy, which JupyterHub brings.
    Chp,
    H2o,
    Traefik,
    Sozu,
    /// A small proxy of ours, made of that library.
    Pingora,
    /// No proxy: the backend itself. What a hop adds is told from it.
    #[value(skip)]
    Direct,
}

impl Kind {
    pub const ALL: [Kind; 11] = [
        Kind::PorticoUring,
        Kind::PorticoEpoll,
        Kind::Haproxy,
        Kind::Haproxy28,
        Kind::Nginx,
        Kind::Envoy,
        Kind::Chp,
        Kind::H2o,
        Kind::Traefik,
        Kind::Sozu,
        Kind::Pingora,
    ];
    /// Without those that are run on request.
    pub const DEFAULT: [Kind; 7] = [
        Kind::PorticoUring,
        Kind::PorticoEpoll,
        Kind::Haproxy,
        Kind::Haproxy28,
        Kind::Nginx,
        Kind::Envoy,
        Kind::Chp,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kind::PorticoUring => "portico-uring",
            Kind::PorticoEpoll => "portico-epoll",
            Kind::Haproxy => "haproxy",
            Kind::Haproxy28 => "haproxy-2.8",
            Kind::Nginx => "nginx",
            Kind::Envoy => "envoy",
            Kind::Chp => "chp",
            Kind::H2o => "h2o",
            Kind::Traefik => "traefik",
            Kind::Sozu => "sozu",
            Kind::Pingora => "pingora",
            Kind::Direct => "no proxy",
        }
    }

    pub fn is_ours(self) -> bool {
        matches!(self, Kind::PorticoUring | Kind::PorticoEpoll)
    }

    pub fn is_opponent(self) -> bool {
        !self.is_ours() && self != Kind::Direct
    }

    pub fn is_haproxy(self) -> bool {
        matches!(self, Kind::Haproxy | Kind::Haproxy28)
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    pub portico: PathBuf,
    pub haproxy: PathBuf,
    pub nginx: PathBuf,
    /// What `bench/tools/install.sh` installed.
    pub tools: PathBuf,
}

impl Programs {
    pub fn of(&self, kind: Kind) -> PathBuf {
        match kind {
            Kind::PorticoUring | Kind::PorticoEpoll => self.portico.clone(),
            Kind::Haproxy => self.haproxy.clone(),
            Kind::Nginx => self.nginx.clone(),
            Kind::Haproxy28 => self.tools.join("haproxy-2.8/haproxy-2.8"),
            Kind::Envoy => self.tools.join("envoy/envoy"),
            Kind::Chp => self.tools.join("configurable-http-proxy/node_modules/.bin").join(CHP),
            Kind::H2o => "h2o".into(),
            Kind::Traefik => self.tools.join("traefik/traefik"),
            Kind::Sozu => self.tools.join("sozu/bin/sozu"),
            Kind::Pingora => self.tools.join("pingora/bin/portico-pingora"),
            Kind::Direct => std::env::current_exe().unwrap_or_default(),
        }
    }

    pub fn node(&self) -> PathBuf {
        self.tools.join("node/prefix/bin/node")
    }

    /// All that is missing at once, before anything is measured.
    pub fn check(&self, kinds: &[Kind]) -> anyhow::Result<()> {
        let mut fixes = Vec::new();
        for kind in kinds {
            let program = self.of(*kind);
            if !is_there(&program) {
                fixes.push(format!(
                    "  {}: there is no {}; run `{}`",
                    kind.name(),
                    program.display(),
                    fix(*kind)
                ));
            }
        }
        if !fixes.is_empty() {
            bail!(
                "some proxies are not installed; install them, or leave them out with --only:\n{}",
                fixes.join("\n")
            );
        }
        Ok(())
    }
}

const CHP: &str = "configurable-http-proxy";

fn fix(kind: Kind) -> &'static str {
    match kind {
        Kind::PorticoUring | Kind::PorticoEpoll => "make build",
        Kind::H2o | Kind::Traefik | Kind::Sozu | Kind::Pingora => {
            "bench/tools/install.sh opponents-on-request"
        }
        _ => "bench/tools/install.sh opponents",
    }
}

/// A path, or a name that is looked for as the kernel's callers do; Debian keeps servers in
/// /usr/sbin, which not every user's PATH has.
fn is_there(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.exists();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_command_line_has_the_names_of_the_tables() {
        for kind in Kind::ALL {
            let value = kind.to_possible_value().unwrap();
            assert_eq!(value.get_name(), kind.name());
            assert_eq!(Kind::from_str(kind.name(), false), Ok(kind));
        }
        assert!(Kind::Direct.to_possible_value().is_none());
    }

    #[test]
    fn what_is_missing_is_told_with_its_fix() {
        let nowhere = PathBuf::from("/nowhere");
        let programs = Programs {
            portico: nowhere.join("portico"),
            haproxy: nowhere.join("haproxy"),
            nginx: "sh".into(),
            tools: nowhere,
        };
        let told = programs.check(&[Kind::PorticoUring, Kind::Nginx, Kind::Envoy]).unwrap_err();
        let told = told.to_string();
        assert!(told.contains("portico-uring: there is no /nowhere/portico; run `make build`"));
        assert!(told.contains("install.sh opponents`"), "{told}");
        assert!(!told.contains("nginx"), "{told}");
        assert!(programs.check(&[Kind::Nginx]).is_ok());
    }
}
