//! Bounds of signed tokens: how long they are and hold, and how many are remembered.

use std::time::Duration;

/// A signed token, in a cookie (browsers keep 4,096 bytes of one with its name) or a URL.
pub const ACCESS_TOKEN_BYTES_MAX: usize = 3_800;
/// Workspaces that a sign-in carries in its cookie, their names together within the bound above.
pub const LOGIN_WORKSPACES_MAX: usize = 64;
pub const LOGIN_WORKSPACES_BYTES_MAX: usize = 2_400;
/// Clocks of replicas may differ by so much; beyond it a token is of the future.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(60);
/// A grant that is not used for so long is over. Renewed with every use, so that only who is away
/// notices, and who signs in again at the platform without being asked.
pub const GRANT_LIFETIME_DEFAULT: Duration = Duration::from_secs(15 * 60);
/// Grants that a worker remembers as proven, each with some 500 bytes: 2 MiB where so many browsers
/// come and go. One that is displaced is proven again, which costs a microsecond.
pub const PROVEN_GRANTS_PER_WORKER: usize = 4_096;
