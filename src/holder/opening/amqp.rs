//! AMQP 0-9-1, the protocol of RabbitMQ (<https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>).

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{REFUSAL, Stream, Talk, bytes, invalid};

/// The client's first bytes.
const START: &[u8] = b"AMQP\0\0\x09\x01";
/// A frame with a method, and the byte that ends every frame.
const METHOD: u8 = 1;
const END: u8 = 0xce;
/// Maximum length of a frame that is read.
const LONGEST_FRAME: u32 = 131_072;
/// The names of methods that clients use first.
const NAMES: [((u16, u16), &str); 6] = [
    ((40, 10), "exchange.declare"),
    ((50, 10), "queue.declare"),
    ((50, 20), "queue.bind"),
    ((60, 20), "basic.consume"),
    ((60, 40), "basic.publish"),
    ((60, 70), "basic.get"),
];
/// `not-implemented`.
const NOT_IMPLEMENTED: u16 = 540;

pub(super) async fn play(talk: Talk<'_>, mut stream: Stream) -> io::Result<()> {
    if bytes(&mut stream, START.len()).await? != START {
        talk.refuse("another version");
        // The server names the version that it speaks, and closes.
        return stream.write_all(START).await;
    }
    // Version 0-9, no properties, mechanisms, locales.
    let start = [&[0, 9, 0, 0, 0, 0][..], &long("PLAIN AMQPLAIN"), &long("en_US")].concat();
    stream.write_all(&method(0, (10, 10), &start)).await?;
    loop {
        let kind = stream.read_u8().await?;
        let channel = stream.read_u16().await?;
        let length = stream.read_u32().await?;
        if length > LONGEST_FRAME {
            return Err(invalid());
        }
        let body = bytes(&mut stream, length as usize + 1).await?;
        // Heartbeats, and the content of messages.
        if kind != METHOD || body.len() < 5 {
            continue;
        }
        let id = (u16::from_be_bytes([body[0], body[1]]), u16::from_be_bytes([body[2], body[3]]));
        let reply = match id {
            // start-ok; tune: channels, frame size, no heartbeats.
            (10, 11) => method(channel, (10, 30), &[7, 0xff, 0, 2, 0, 0, 0, 0]),
            // tune-ok, close-ok of the connection and of a channel.
            (10, 31 | 51) | (20, 41) => continue,
            (10, 40) => method(channel, (10, 41), &[0]),
            (20, 10) => method(channel, (20, 11), &long("")),
            (20, 40) => method(channel, (20, 41), &[]),
            // basic.qos and confirm.select.
            (60, 10) => method(channel, (60, 11), &[]),
            (85, 10) => method(channel, (85, 11), &[]),
            (10, 50) => return stream.write_all(&method(channel, (10, 51), &[])).await,
            (class, number) => {
                let known = NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| (*name).to_owned());
                talk.refuse(&known.unwrap_or_else(|| format!("method {class}.{number}")));
                let text = u8::try_from(REFUSAL.len()).unwrap_or_default();
                let code = NOT_IMPLEMENTED.to_be_bytes();
                let why = [&code[..], &[text], REFUSAL.as_bytes(), &class.to_be_bytes(), &number.to_be_bytes()];
                method(0, (10, 50), &why.concat())
            }
        };
        stream.write_all(&reply).await?;
    }
}

fn long(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap_or_default().to_be_bytes()[..], text.as_bytes()].concat()
}

fn method(channel: u16, (class, number): (u16, u16), arguments: &[u8]) -> Vec<u8> {
    let length = u32::try_from(arguments.len() + 4).unwrap_or_default();
    let [channel, class, number] = [channel, class, number].map(u16::to_be_bytes);
    [&[METHOD], &channel[..], &length.to_be_bytes(), &class, &number, arguments, &[END]].concat()
}
