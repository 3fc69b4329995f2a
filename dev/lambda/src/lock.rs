//! Locks that ignore poison.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// No code panics while it holds one of these locks. If it did, a test has failed already.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
