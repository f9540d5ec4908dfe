//! Redis (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use super::{LONGEST_LINE, REFUSAL, Stream, Talk, invalid, line};

/// Maximum number of words of a command that are read. A word may be as long as a line.
const MOST_WORDS: usize = 64;
/// What a client asks of a server that it has just connected to.
const INFO: &str = "# Server\r\nredis_version:7.2.0\r\nredis_mode:standalone\r\n# Persistence\r\nloading:0\r\n\
                    # Replication\r\nrole:master\r\n";

/// Whether these are the first bytes of a client: an array, or an inline command.
pub(super) fn is_start(first: &[u8]) -> bool {
    let array = first.strip_prefix(b"*").is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit));
    array || [&b"PING\r"[..], b"AUTH ", b"QUIT\r", b"INFO\r"].iter().any(|word| first.starts_with(word))
}

pub(super) async fn play(talk: Talk<'_>, stream: Stream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let words = read(&mut stream).await?;
        let Some(command) = words.first().map(|word| word.to_ascii_uppercase()) else { continue };
        let argument = words.get(1).map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        let reply = match (command.as_str(), argument.as_str()) {
            ("PING", "") => "+PONG\r\n".to_owned(),
            ("PING" | "ECHO", _) => bulk(words.get(1).map_or("", String::as_str)),
            ("CLIENT", "ID") => ":1\r\n".to_owned(),
            ("AUTH" | "SELECT" | "CLIENT" | "READONLY" | "QUIT", _) => "+OK\r\n".to_owned(),
            ("HELLO", version) => hello(version == "3"),
            ("INFO", _) => bulk(INFO),
            ("COMMAND", _) => "*0\r\n".to_owned(),
            _ => {
                talk.refuse(&command);
                format!("-ERR {REFUSAL}\r\n")
            }
        };
        stream.get_mut().write_all(reply.as_bytes()).await?;
        if command == "QUIT" {
            return Ok(());
        }
    }
}

/// What the server is, as a map or, before version 3 of the protocol, as a list.
fn hello(is_map: bool) -> String {
    let fields = [("server", "redis"), ("version", "7.2.0"), ("mode", "standalone"), ("role", "master")];
    let mut reply = if is_map { "%7\r\n" } else { "*14\r\n" }.to_owned();
    fields.iter().for_each(|(name, value)| reply.push_str(&format!("{}{}", bulk(name), bulk(value))));
    let proto = if is_map { 3 } else { 2 };
    reply.push_str(&format!("{}:{proto}\r\n{}:1\r\n{}*0\r\n", bulk("proto"), bulk("id"), bulk("modules")));
    reply
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// The words of one command.
async fn read(stream: &mut BufReader<Stream>) -> io::Result<Vec<String>> {
    let first = line(stream).await?;
    let Some(count) = first.strip_prefix('*') else {
        return Ok(first.split_whitespace().map(ToOwned::to_owned).collect());
    };
    let count: usize = count.parse().ok().filter(|count| *count <= MOST_WORDS).ok_or_else(invalid)?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = line(stream).await?;
        let length: Option<usize> = length.strip_prefix('$').and_then(|n| n.parse().ok());
        let length = length.filter(|length| *length <= LONGEST_LINE).ok_or_else(invalid)?;
        let mut word = vec![0; length + 2];
        stream.read_exact(&mut word).await?;
        words.push(String::from_utf8_lossy(&word[..word.len() - 2]).into_owned());
    }
    Ok(words)
}
