//! The openings of common protocols, in place of servers that nobody plays: a client that only connects and logs in
//! goes on. The first command beyond that is refused, and reported: what the client does then says nothing about it.

mod amqp;
mod mongodb;
pub(super) mod mysql;
pub(super) mod postgres;
mod redis;
mod smtp;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader};

use super::authority::Signer;
use crate::model::observation::Spoken;

/// The answer to a command beyond the opening.
const REFUSAL: &str = "exitone plays only the opening of this protocol";

/// Maximum length of a command's name.
const LONGEST_NAME: usize = 24;

/// A byte stream in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection of the candidate, plain or inside TLS.
pub(super) type Stream = Box<dyn Duplex>;

/// One conversation.
pub(super) struct Talk<'a> {
    /// The name of the server, for certificates and greetings.
    pub(super) host: String,
    /// Signs certificates.
    pub(super) signer: Arc<Signer>,
    /// Whether it is inside TLS.
    pub(super) is_secure: bool,
    /// Called with the first command that has no answer.
    pub(super) refused: &'a (dyn Fn(String) + Send + Sync),
}

impl Talk<'_> {
    /// Reports a command by its name. What does not look like one is not shown: it may be a secret.
    fn refuse(&self, command: &str) {
        let is_name =
            command.len() <= LONGEST_NAME && command.chars().all(|c| c.is_ascii_alphanumeric() || " ._".contains(c));
        (self.refused)(if is_name { command } else { "a command" }.to_owned());
    }

    /// Accepts a TLS handshake. `None` if the client does not finish it: it may know another authority.
    pub(super) async fn secure(&mut self, stream: Stream) -> Option<Stream> {
        let secure = self.signer.accept(stream, &self.host).await.map(|stream| Box::new(stream) as Stream);
        match &secure {
            Some(_) => self.is_secure = true,
            None => self.refuse("a TLS handshake"),
        }
        secure
    }

    /// Plays the server of a protocol until the client is gone.
    pub(super) async fn play(self, protocol: Spoken, stream: Stream) -> io::Result<()> {
        match protocol {
            Spoken::Amqp => amqp::play(self, stream).await,
            Spoken::Mongodb => mongodb::play(self, stream).await,
            Spoken::Mysql => mysql::play(self, stream).await,
            Spoken::Postgresql => postgres::play(self, stream).await,
            Spoken::Redis => redis::play(self, stream).await,
            Spoken::Smtp => smtp::play(self, stream).await,
        }
    }
}

/// The protocol of a port on which the server speaks first.
#[must_use]
pub(super) fn spoken_first(port: u16) -> Option<Spoken> {
    match port {
        3306 => Some(Spoken::Mysql),
        25 | 465 | 587 | 2525 => Some(Spoken::Smtp),
        _ => None,
    }
}

/// Whether TLS begins at once on a port, whoever speaks first inside it (RFC 8314, 3.3).
#[must_use]
pub(super) fn is_secure_port(port: u16) -> bool {
    port == 465
}

/// The protocol of a client that speaks first, from its first bytes.
#[must_use]
pub(super) fn recognise(first: &[u8]) -> Option<Spoken> {
    if first.starts_with(b"AMQP") {
        Some(Spoken::Amqp)
    } else if postgres::is_start(first) {
        Some(Spoken::Postgresql)
    } else if mongodb::is_start(first) {
        Some(Spoken::Mongodb)
    } else if redis::is_start(first) {
        Some(Spoken::Redis)
    } else {
        None
    }
}

/// Reads exactly this many bytes.
async fn bytes(stream: &mut Stream, length: usize) -> io::Result<Vec<u8>> {
    if length > LONGEST {
        return Err(invalid());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Maximum length of a message that is read.
const LONGEST: usize = 1 << 20;

/// Maximum length of a line that is read; RFC 4954 allows 12,288.
const LONGEST_LINE: usize = 16 << 10;

/// Reads a line, without its end.
async fn line(stream: &mut BufReader<Stream>) -> io::Result<String> {
    let mut line = Vec::new();
    if stream.take(LONGEST_LINE as u64).read_until(b'\n', &mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// A message that is not of the protocol.
fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Statements without rows that need no database: transactions and settings. `None` for any other.
fn without_rows(sql: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 9] = [
        ("BEGIN", "BEGIN"),
        ("START", "BEGIN"),
        ("COMMIT", "COMMIT"),
        ("END", "COMMIT"),
        ("ROLLBACK", "ROLLBACK"),
        ("SET", "SET"),
        ("RESET", "RESET"),
        ("DISCARD", "DISCARD ALL"),
        ("USE", "USE"),
    ];
    let sql = sql.trim().trim_end_matches(';').trim_end();
    // Of several statements, a later one may need the database.
    if sql.contains(';') {
        return None;
    }
    let word = sql.split_whitespace().next().unwrap_or_default();
    KNOWN.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, tag)| *tag)
}

/// Whether a statement asks for a sign of life.
fn is_select_one(sql: &str) -> bool {
    let plain = sql.trim().trim_end_matches(';').trim();
    plain.split_whitespace().map(str::to_ascii_lowercase).eq(["select", "1"])
}
