//! A replica: one running process of an install, as the others see it. Its document says what it is
//! and stands from its start to its end; its heartbeat says that it still lives.

mod heart;

pub mod present;

use portico_core::record::{RecordError, of_form};
use serde::{Deserialize, Serialize};

pub use heart::Heart;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    pub role: Role,
    pub version: String,
    pub host: String,
    pub started_at_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Control and data plane in one process.
    All,
    Proxy,
    Control,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    role: Role,
    version: String,
    host: String,
    started_at_ms: u64,
}

const FORM: u32 = 1;

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Proxy => "proxy",
            Self::Control => "control",
        }
    }

    pub fn has_control(self) -> bool {
        match self {
            Self::All | Self::Control => true,
            Self::Proxy => false,
        }
    }

    pub fn has_proxy(self) -> bool {
        match self {
            Self::All | Self::Proxy => true,
            Self::Control => false,
        }
    }
}

impl Replica {
    pub fn encode(&self) -> Vec<u8> {
        let Self { role, version, host, started_at_ms } = self.clone();
        let wire = Wire { v: FORM, role, version, host, started_at_ms };
        serde_json::to_vec(&wire).expect("strings and numbers always have a JSON form")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let Wire { role, version, host, started_at_ms, .. } = of_form(bytes, FORM)?;
        Ok(Self { role, version, host, started_at_ms })
    }
}
