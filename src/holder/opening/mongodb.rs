//! MongoDB (<https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/>).

use std::io;

use tokio::io::AsyncWriteExt;

use super::{REFUSAL, Stream, Talk, bytes, invalid};

/// Operations: a message, and what clients greet an unknown server with.
const OP_MSG: u32 = 2013;
const OP_QUERY: u32 = 2004;
const OP_REPLY: u32 = 1;
/// Bytes of a message before its body.
const HEADER: usize = 16;
/// `CommandNotFound`.
const NOT_FOUND: i32 = 59;

/// Whether these are the first bytes of a client.
pub(super) fn is_start(first: &[u8]) -> bool {
    word(first, 12).is_some_and(|operation| operation == OP_MSG || operation == OP_QUERY)
}

pub(super) async fn play(talk: Talk<'_>, mut stream: Stream) -> io::Result<()> {
    loop {
        let header = bytes(&mut stream, HEADER).await?;
        let number = |at| word(&header, at).ok_or_else(invalid);
        let (length, id, operation) = (number(0)?, number(4)?, number(12)?);
        let body = bytes(&mut stream, (length as usize).checked_sub(HEADER).ok_or_else(invalid)?).await?;
        let query = operation == OP_QUERY;
        // A message: flags, the kind of its section. A query: flags, the collection, two numbers.
        let document = match operation {
            OP_MSG => body.get(5..),
            OP_QUERY => body.get(4..).and_then(|rest| rest.get(rest.iter().position(|b| *b == 0)? + 9..)),
            _ => return Err(invalid()),
        };
        let reply = answer(&command(document.unwrap_or_default()), &talk);
        let before: &[u8] = if query { &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0] } else { &[0; 5] };
        let operation = if query { OP_REPLY } else { OP_MSG };
        let length = u32::try_from(HEADER + before.len() + reply.len()).unwrap_or_default();
        let header: Vec<u8> = [length, 1, id, operation].iter().flat_map(|n| n.to_le_bytes()).collect();
        stream.write_all(&[&header, before, &reply].concat()).await?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The name of a command: its document's first field.
fn command(document: &[u8]) -> String {
    let name = document.get(5..).unwrap_or_default().split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

fn answer(command: &str, talk: &Talk<'_>) -> Vec<u8> {
    let mut reply = Document::default();
    match command.to_ascii_lowercase().as_str() {
        "hello" | "ismaster" => {
            for name in ["isWritablePrimary", "ismaster", "helloOk"] {
                reply.put(8, name, &[1]);
            }
            let numbers = [
                ("maxBsonObjectSize", 16 << 20),
                ("maxMessageSizeBytes", 48_000_000),
                ("maxWriteBatchSize", 100_000),
                ("logicalSessionTimeoutMinutes", 30),
                ("connectionId", 1),
                ("minWireVersion", 0),
                ("maxWireVersion", 21),
            ];
            numbers.iter().for_each(|(name, value)| reply.number(name, *value));
            reply.put(8, "readOnly", &[0]);
        }
        "ping" | "endsessions" => {}
        _ => {
            talk.refuse(command);
            reply.put(1, "ok", &0.0_f64.to_le_bytes());
            let text = format!("{REFUSAL}\0");
            let length = u32::try_from(text.len()).unwrap_or_default();
            reply.put(2, "errmsg", &[&length.to_le_bytes(), text.as_bytes()].concat());
            reply.number("code", NOT_FOUND);
            return reply.done();
        }
    }
    reply.put(1, "ok", &1.0_f64.to_le_bytes());
    reply.done()
}

/// A document under construction (<https://bsonspec.org/spec.html>).
#[derive(Default)]
struct Document(Vec<u8>);

impl Document {
    fn put(&mut self, kind: u8, name: &str, value: &[u8]) {
        self.0.push(kind);
        self.0.extend(name.as_bytes());
        self.0.push(0);
        self.0.extend(value);
    }

    fn number(&mut self, name: &str, value: i32) {
        self.put(16, name, &value.to_le_bytes());
    }

    fn done(self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() + 5).unwrap_or_default();
        [&length.to_le_bytes()[..], &self.0, &[0]].concat()
    }
}
