//! From the data plane's meter to the store, by way of who writes each count once.

use std::pin::Pin;
use std::sync::Arc;

use portico_control::metering::{MeterCounters, Metering, Source};
use portico_control::store::Store;
use portico_core::session::{Name, Timestamp};
use portico_core::usage::Reading;
use portico_proxy::{Accounting, Meter};

use crate::failure::{Failure, Outcome};
use crate::settings::AccountingSettings;

/// The data plane's meter, as who writes its counts down sees it.
struct Metered(Meter);

impl Source for Metered {
    fn read(
        &mut self,
        clock: fn() -> Timestamp,
    ) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>> {
        Box::pin(self.0.read(clock))
    }
}

pub fn accounting(settings: &AccountingSettings) -> Outcome<Arc<Accounting>> {
    Accounting::start(settings.source, settings.session_metrics).map_err(Failure::machine)
}

pub fn start(
    settings: &AccountingSettings,
    meter: Meter,
    store: Arc<dyn Store>,
    replica: Name,
    registry: &prometheus::Registry,
) -> Metering {
    let counters = MeterCounters::register(registry);
    Metering::start(store, replica, settings.interval, counters, Metered(meter))
}
