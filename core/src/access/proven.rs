//! Grants that were proven a moment ago. A browser brings the same one with each request, and to
//! compare it costs a fraction of reading it and computing its signature again. Only that is kept
//! which never changes: that one of these keys has signed it. Whether it holds now, and for this
//! session, is asked each time.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Weak};

use aws_lc_rs::constant_time;

use super::grant::Grant;
use super::keys::{Key, Keys};

/// Of one thread. Each grant has one place, and the last one that came there is kept.
#[derive(Default)]
pub struct Proven(RefCell<Vec<Option<Box<Place>>>>);

struct Place {
    token: Box<[u8]>,
    /// Those that it was proven by: with other keys, or fewer, it is proven again.
    keys: Weak<Vec<Key>>,
    grant: Arc<Grant>,
}

impl Proven {
    /// With so many places; without any, each grant is proven each time.
    pub fn new(places: usize) -> Self {
        Self(RefCell::new(std::iter::repeat_with(|| None).take(places).collect()))
    }

    pub(super) fn find(&self, token: &[u8], keys: &Keys) -> Option<Arc<Grant>> {
        let places = self.0.borrow();
        let place = places[index(token, places.len())?].as_deref()?;
        // In a time that tells nothing of how much of a guess was right.
        let same = constant_time::verify_slices_are_equal(&place.token, token).is_ok();
        (same && keys.are(&place.keys)).then(|| place.grant.clone())
    }

    pub(super) fn keep(&self, token: &[u8], keys: &Keys, grant: &Arc<Grant>) {
        let mut places = self.0.borrow_mut();
        if let Some(index) = index(token, places.len()) {
            let (token, keys) = (token.into(), keys.mark());
            places[index] = Some(Box::new(Place { token, keys, grant: grant.clone() }));
        }
    }
}

/// By the end of the token, which is of its signature: as good as chance.
fn index(token: &[u8], places: usize) -> Option<usize> {
    let end = u64::from_le_bytes(*token.last_chunk()?);
    let spread = end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    (spread as usize).checked_rem(places)
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proven({} places)", self.0.borrow().len())
    }
}
