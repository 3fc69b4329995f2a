//! What a stream costs as streams, changes and histories grow.

use super::Result;

pub(crate) async fn run(_file: &str) -> Result<()> {
    Ok(())
}
