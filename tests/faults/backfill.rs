//! The operator's command, after records were given up.

use std::process::Output;

use tokio::process::Command;

use super::world::World;

/// `operate backfill` with these arguments. Its program is the variable `OPERATE`.
pub async fn backfill(world: &World, arguments: &[&str]) {
    let program = std::env::var_os("OPERATE");
    let program = program.unwrap_or_else(|| {
        panic!("run it with `make faults`, which builds the operator's command")
    });
    let output = Command::new(program)
        .args(["backfill", "--orders-table", "Orders"])
        .args(arguments)
        .env_clear()
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ENDPOINT_URL_DYNAMODB", &world.database.endpoint)
        .env("FEED_TABLE", "OrderFeed")
        .env("PUBLIC_ATTRIBUTES", "eta")
        .output();
    let Output { status, stderr, .. } = output.await.unwrap();
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "the backfill failed: {stderr}");
}
