//! What measures Portico and what tests it as a whole: a world of real processes, a load tool, and
//! runs side by side with other proxies.

pub mod world;
pub mod backend;
pub mod section;
pub mod compare;
pub mod load;
pub mod record;
pub mod accounting;
pub mod routable;
pub mod process;
pub mod port;
