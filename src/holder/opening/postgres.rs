//! PostgreSQL (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{REFUSAL, Stream, Talk, bytes, invalid, is_select_one, without_rows};

/// Requests for TLS and GSSAPI, and the major version of the protocol.
pub(in crate::holder) const SSL_REQUEST: u32 = 80_877_103;
pub(in crate::holder) const GSS_REQUEST: u32 = 80_877_104;
const MAJOR: u32 = 3;
/// Maximum length of a start-up packet (MAX_STARTUP_PACKET_LENGTH).
pub(in crate::holder) const LONGEST_START: u32 = 10_000;
/// What a server reports about itself.
const PARAMETERS: [(&str, &str); 8] = [
    ("server_version", "16.0"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
];
/// `int4` in pg_type.
const INT4: u32 = 23;

/// Whether these are the first bytes of a client.
pub(super) fn is_start(first: &[u8]) -> bool {
    let word = |at: usize| first.get(at..at + 4).and_then(|b| Some(u32::from_be_bytes(b.try_into().ok()?)));
    // After the version comes the name of a parameter.
    let is_named = first.get(8).is_none_or(u8::is_ascii_lowercase);
    let is_start = |code: u32| code == SSL_REQUEST || code == GSS_REQUEST || (code >> 16 == MAJOR && is_named);
    word(4).is_some_and(is_start) && word(0).is_some_and(|length| (8..=LONGEST_START).contains(&length))
}

/// The state of a session.
#[derive(Default)]
struct Session {
    /// Whether a transaction is open.
    in_transaction: bool,
    /// Whether one of its statements failed.
    failed: bool,
    /// The statement of the extended protocol.
    prepared: String,
    /// After an error, messages are ignored until the client synchronises.
    skips: bool,
}

pub(super) async fn play(mut talk: Talk<'_>, mut stream: Stream) -> io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        if !(8..=LONGEST_START).contains(&length) {
            return Err(invalid());
        }
        let body = bytes(&mut stream, length as usize - 4).await?;
        match u32::from_be_bytes([body[0], body[1], body[2], body[3]]) {
            SSL_REQUEST if !talk.is_secure => {
                stream.write_all(b"S").await?;
                let Some(secure) = talk.secure(stream).await else { return Ok(()) };
                stream = secure;
            }
            SSL_REQUEST | GSS_REQUEST => stream.write_all(b"N").await?,
            code if code >> 16 == MAJOR => break,
            // A client that cancels a query of another connection.
            _ => return Ok(()),
        }
    }
    let mut ready = message(b'R', &0_u32.to_be_bytes());
    for (name, value) in PARAMETERS {
        ready.extend(message(b'S', format!("{name}\0{value}\0").as_bytes()));
    }
    ready.extend(message(b'K', &[0, 0, 0, 1, 0, 0, 0, 1]));
    ready.extend(message(b'Z', b"I"));
    stream.write_all(&ready).await?;
    let mut session = Session::default();
    loop {
        let kind = stream.read_u8().await?;
        let length = stream.read_u32().await?;
        let body = bytes(&mut stream, (length as usize).checked_sub(4).ok_or_else(invalid)?).await?;
        if kind == b'X' {
            return Ok(());
        }
        let reply = session.reply(kind, &body, &talk);
        stream.write_all(&reply).await?;
    }
}

impl Session {
    fn reply(&mut self, kind: u8, body: &[u8], talk: &Talk<'_>) -> Vec<u8> {
        match kind {
            b'Q' => {
                let mut reply = self.run(&text(body), talk);
                reply.extend(self.ready());
                reply
            }
            b'S' => {
                self.skips = false;
                self.ready()
            }
            _ if self.skips => Vec::new(),
            b'P' => {
                let mut words = body.split(|b| *b == 0).skip(1);
                self.prepared = words.next().map(text).unwrap_or_default();
                if without_rows(&self.prepared).is_some() || self.prepared.trim().is_empty() {
                    return message(b'1', &[]);
                }
                self.skips = true;
                self.refuse(talk)
            }
            b'B' => message(b'2', &[]),
            // Of a statement: no parameters either.
            b'D' if body.first() == Some(&b'S') => [message(b't', &[0, 0]), message(b'n', &[])].concat(),
            b'D' => message(b'n', &[]),
            b'E' => {
                let prepared = std::mem::take(&mut self.prepared);
                self.run(&prepared, talk)
            }
            b'C' => message(b'3', &[]),
            _ => Vec::new(),
        }
    }

    /// Runs a statement.
    fn run(&mut self, sql: &str, talk: &Talk<'_>) -> Vec<u8> {
        if sql.trim().trim_end_matches(';').trim().is_empty() {
            return message(b'I', &[]);
        }
        if let Some(tag) = without_rows(sql) {
            match tag {
                "BEGIN" => self.in_transaction = true,
                "COMMIT" | "ROLLBACK" => (self.in_transaction, self.failed) = (false, false),
                _ => {}
            }
            return message(b'C', format!("{tag}\0").as_bytes());
        }
        if is_select_one(sql) {
            let mut field = [1_u16.to_be_bytes().as_slice(), b"?column?\0", &[0; 6]].concat();
            field.extend(INT4.to_be_bytes());
            field.extend([0, 4, 0xff, 0xff, 0xff, 0xff, 0, 0]);
            let row = [0, 1, 0, 0, 0, 1, b'1'];
            return [message(b'T', &field), message(b'D', &row), message(b'C', b"SELECT 1\0")].concat();
        }
        self.refuse(talk)
    }

    fn refuse(&mut self, talk: &Talk<'_>) -> Vec<u8> {
        talk.refuse("a query");
        self.failed = self.in_transaction;
        // Class 0A: feature not supported (appendix A).
        message(b'E', format!("SERROR\0VERROR\0C0A000\0M{REFUSAL}\0\0").as_bytes())
    }

    fn ready(&self) -> Vec<u8> {
        let state = match (self.failed, self.in_transaction) {
            (true, _) => b"E",
            (false, true) => b"T",
            (false, false) => b"I",
        };
        message(b'Z', state)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    [&[kind], &length.to_be_bytes()[..], body].concat()
}
