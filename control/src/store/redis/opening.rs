//! What is done once, with the first connection: the server is judged, and the store that it holds
//! gets a name, or is found to have one.

use std::collections::HashMap;

use portico_core::record::Kind;
use redis::Pipeline;

use super::address::Topology;
use super::health::{Findings, Report};
use super::line::{Line, Which};
use super::server::Server;
use super::{FORM_NOW, Failure};

const PREPARE: &str = include_str!("prepare.lua");

pub async fn judge(line: &mut Line, topology: &Topology) -> Result<Report, Failure> {
    let said = Said::by(line).await?;
    said.findings(topology).judge()
}

/// What a server says of itself.
pub struct Said {
    address: String,
    info: String,
    config: HashMap<String, String>,
}

impl Said {
    pub async fn by(line: &mut Line) -> Result<Self, Failure> {
        let mut pipe = Pipeline::new();
        pipe.cmd("INFO");
        let (info,): (String,) = line.ask(&pipe).await?;
        let mut pipe = Pipeline::new();
        pipe.cmd("CONFIG").arg("GET").arg("save").arg("appendfsync");
        // Hosted ones do not answer that.
        let (config,): (HashMap<String, String>,) = line.ask(&pipe).await.unwrap_or_default();
        Ok(Self { address: line.address.clone(), info, config })
    }

    pub fn findings<'a>(&'a self, topology: &'a Topology) -> Findings<'a> {
        let setting = |name: &str| self.config.get(name).map(String::as_str);
        let (save, appendfsync) = (setting("save"), setting("appendfsync"));
        Findings { address: &self.address, topology, info: &self.info, save, appendfsync }
    }
}

/// Names the store if it is really new, or whichever it is, and remembers its name.
pub async fn name(line: &mut Line, server: &Server, which: Which) -> Result<(), Failure> {
    let documents = Kind::ALL.map(|kind| server.keys.documents(kind));
    let keys = server.keys.of_scripts().chain(documents);
    let keys: Vec<_> = keys.chain([server.keys.usage_writers()]).collect();
    let identity = super::super::new_identity().map_err(|_| Failure::Random)?;
    let mut pipe = Pipeline::new();
    pipe.cmd("EVAL").arg(PREPARE).arg(keys.len()).arg(keys).arg(identity).arg(FORM_NOW);
    pipe.arg(match which {
        Which::Opened => "new",
        Which::Any => "whatever",
    });
    let ((identity, form),): ((String, String),) = line.ask(&pipe).await?;
    if identity.is_empty() {
        return Err(Failure::Nameless);
    }
    if form != FORM_NOW {
        return Err(Failure::Form(form));
    }
    server.set_identity(&identity);
    line.named(identity, form);
    Ok(())
}
