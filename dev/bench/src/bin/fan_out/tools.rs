//! Ports, limits and quantiles.
#![allow(clippy::print_stderr, reason = "a command")]

use std::error::Error;
use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::Result;

pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

pub(crate) fn fail(error: &dyn Error) -> ExitCode {
    say(&format!("{error}"));
    ExitCode::FAILURE
}

pub(crate) async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

/// Waits until a server accepts connections.
pub(crate) async fn until_connected(port: u16) -> Result<()> {
    let connected = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(10), connected)
        .await
        .map_err(|_| "a server does not accept connections".into())
}

/// How many files a process may open.
pub(crate) fn open_files() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    Ok(soft
        .and_then(|soft| soft.parse().ok())
        .unwrap_or(usize::MAX))
}

/// The value below which this part of the values is.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last as f64 * part).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        for (part, expected) in [(0.0, 0.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert!((quantile(&values, part) - expected).abs() < 1e-9, "{part}");
        }
        assert!(quantile(&[], 0.5).abs() < 1e-9);
    }
}
