//! Waits until a service container serves.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// PostgreSQL's port: its server accepts connections before it is ready.
const POSTGRESQL_PORT: u16 = 5432;
/// Pause before the next attempt; services do not announce readiness.
const AGAIN: Duration = Duration::from_millis(25);

/// Returns when the service is ready; the time limit is the controller's.
pub(crate) async fn awake(address: Ipv4Addr, port: u16) {
    while !serves(address, port).await.unwrap_or(false) {
        tokio::time::sleep(AGAIN).await;
    }
}

async fn serves(address: Ipv4Addr, port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((address, port)).await?;
    if port != POSTGRESQL_PORT {
        return Ok(true);
    }
    // A start-up message. A server that is still recovering answers with error 57P03; a ready one asks for a password
    // or rejects the user.
    let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(body.len() + 4).unwrap_or_default();
    stream.write_all(&[&length.to_be_bytes()[..], body].concat()).await?;
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer[..read]);
    Ok(read > 0 && !text.contains("57P03"))
}
