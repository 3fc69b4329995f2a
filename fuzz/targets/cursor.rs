//! If a text parses as a cursor, it is exactly the text that the cursor is written as.
#![no_main]

use libfuzzer_sys::fuzz_target;
use order_status_stream::cursor::Cursor;

fuzz_target!(|text: &str| {
    for orders in 1..=10 {
        if let Some(cursor) = Cursor::parse(text, orders) {
            assert_eq!(cursor.to_string(), text);
            assert_eq!(cursor.0.len(), orders);
        }
    }
});
