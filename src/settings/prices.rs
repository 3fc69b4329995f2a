//! The settings of what the owner pays: `REQUEST_PRICE` and `DURATION_PRICE`.

use super::reader::Reader;
use crate::prices::Prices;

impl<V: Fn(&str) -> Option<String>> Reader<V> {
    pub(super) fn prices(&mut self) -> Prices {
        let list = Prices::default();
        Prices {
            request: self.price("REQUEST_PRICE", list.request),
            second: self.price("DURATION_PRICE", list.second),
        }
    }
}
