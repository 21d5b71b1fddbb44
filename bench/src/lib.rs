//! Placeholder.

pub mod world;
pub mod backend;
pub mod compare;
pub mod load;
pub mod memory;
pub mod process;
