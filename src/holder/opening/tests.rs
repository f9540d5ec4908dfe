use std::sync::Mutex;

use tokio::io::AsyncWriteExt;

use super::*;
use crate::holder::authority::new_authority;

/// Sends each message and reads what comes back before the next one. Returns the replies and the commands refused.
async fn converse(protocol: Spoken, messages: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let refused = Mutex::new(Vec::new());
    let note = |command: String| refused.lock().expect("a lock").push(command);
    let signer = new_authority().and_then(|pair| Signer::new(&pair.key)).expect("a signer");
    let talk = Talk { host: "db.internal".to_owned(), signer: Arc::new(signer), is_secure: false, refused: &note };
    let client = async {
        let mut replies = Vec::new();
        if matches!(protocol, Spoken::Mysql | Spoken::Smtp) {
            replies.push(read(&mut client).await);
        }
        for message in messages {
            client.write_all(message).await.expect("written");
            replies.push(read(&mut client).await);
        }
        drop(client);
        replies
    };
    let (_, replies) = tokio::join!(talk.play(protocol, Box::new(server)), client);
    let refused = refused.lock().expect("a lock").clone();
    (replies, refused)
}

async fn read(client: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut piece = vec![0; 1 << 12];
    let length = client.read(&mut piece).await.expect("read");
    piece.truncate(length);
    piece
}

fn contains(reply: &[u8], part: &[u8]) -> bool {
    reply.windows(part.len()).any(|window| window == part)
}

#[test]
fn recognises_clients_by_their_first_bytes() {
    let query = [58, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xd4, 7, 0, 0];
    for (first, protocol) in [
        (&b"AMQP\0\0\x09\x01"[..], Some(Spoken::Amqp)),
        (&[0, 0, 0, 8, 4, 210, 22, 47], Some(Spoken::Postgresql)),
        (&[0, 0, 0, 60, 0, 3, 0, 0, b'u', b's', b'e', b'r'], Some(Spoken::Postgresql)),
        (&query, Some(Spoken::Mongodb)),
        (b"*1\r\n$4\r\nPING\r\n", Some(Spoken::Redis)),
        (b"PING\r\n", Some(Spoken::Redis)),
        // Kafka's Metadata and ApiVersions, and a text protocol.
        (&[0, 0, 0, 30, 0, 3, 0, 0, 0, 0, 0, 1, 0, 7, b'a', b'd'], None),
        (&[0, 0, 0, 35, 0, 18, 0, 3, 0, 0, 0, 0, 0, 7, b'a', b'd'], None),
        (b"CONNECT {}\r\n", None),
        (b"", None),
    ] {
        assert_eq!(recognise(first), protocol, "{first:?}");
    }
}

#[tokio::test]
async fn postgresql_logs_in_and_refuses_the_first_query() {
    let message = |kind: u8, body: &[u8]| {
        let length = u32::try_from(body.len() + 4).expect("small");
        [&[kind], &length.to_be_bytes()[..], body].concat()
    };
    let start = [&[0, 0, 0, 18][..], &[0, 3, 0, 0], b"user\0app\0\0"].concat();
    let messages =
        [start, message(b'Q', b"BEGIN\0"), message(b'Q', b"SELECT 1;\0"), message(b'Q', b"SET a TO b; SELECT 2\0")];
    let (replies, refused) = converse(Spoken::Postgresql, &messages).await;
    assert!(replies[0].starts_with(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]), "{:?}", replies[0]);
    assert!(replies[0].ends_with(&[b'Z', 0, 0, 0, 5, b'I']), "{:?}", replies[0]);
    assert!(replies[1].starts_with(b"C") && replies[1].ends_with(b"T"), "{:?}", replies[1]);
    assert!(replies[2].starts_with(b"T") && contains(&replies[2], b"SELECT 1\0"), "{:?}", replies[2]);
    assert!(replies[3].starts_with(b"E") && replies[3].ends_with(b"E"), "a failed transaction: {:?}", replies[3]);
    assert_eq!(refused, ["a query"]);
    // The extended protocol: a statement without rows, then one that is refused until the client synchronises.
    let start = [&[0, 0, 0, 18][..], &[0, 3, 0, 0], b"user\0app\0\0"].concat();
    let prepared = |sql: &[u8]| {
        let parse = [b"\0", sql, b"\0\0\0"].concat();
        let bind = message(b'B', &[0; 8]);
        let run = message(b'E', &[0; 5]);
        [message(b'P', &parse), bind, message(b'D', b"P\0"), run, message(b'S', b"")].concat()
    };
    let (replies, refused) = converse(Spoken::Postgresql, &[start, prepared(b"BEGIN"), prepared(b"SELECT $1")]).await;
    assert!(replies[1].starts_with(b"1") && replies.len() == 3, "{replies:?}");
    assert_eq!(refused, ["a query"]);
}

#[tokio::test]
async fn mysql_speaks_first_and_accepts_any_password() {
    let packet = |number: u8, body: &[u8]| [&[u8::try_from(body.len()).expect("small"), 0, 0, number], body].concat();
    let login = |plugin: &[u8]| [&[0x0d, 0xa2, 0x08, 0][..], &[0; 28], b"app\0\x14", &[7; 20], plugin].concat();
    let old = login(b"mysql_native_password\0");
    let messages = [packet(1, &old), packet(0, b"\x03SET NAMES utf8mb4"), packet(0, b"\x03SELECT VERSION()")];
    let (replies, refused) = converse(Spoken::Mysql, &messages).await;
    assert_eq!(replies[0][..5], [u8::try_from(replies[0].len() - 4).expect("small"), 0, 0, 0, 10]);
    assert!(contains(&replies[0], b"caching_sha2_password\0"));
    assert_eq!(replies[1][3..5], [2, 0], "OK");
    assert_eq!(replies[2][3..5], [1, 0], "OK");
    assert_eq!(replies[3][3..5], [1, 0xff], "an error");
    assert_eq!(refused, ["a query"]);
    // The newer way, and one that the server does not know.
    let (replies, _) = converse(Spoken::Mysql, &[packet(1, &login(b"caching_sha2_password\0"))]).await;
    assert_eq!(replies[1][3..6], [2, 1, 3], "no more is needed");
    let (replies, _) =
        converse(Spoken::Mysql, &[packet(1, &login(b"mysql_clear_password\0")), packet(3, &[7; 20])]).await;
    assert!(replies[1][3..].starts_with(b"\x02\xfemysql_native_password\0"), "another way: {:?}", replies[1]);
    assert_eq!(replies[2][3..5], [4, 0], "OK");
}

#[tokio::test]
async fn redis_answers_what_clients_ask_on_connecting() {
    let messages = [
        b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n".to_vec(),
        b"*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\nsecret\r\n".to_vec(),
        b"*1\r\n$4\r\nPING\r\n".to_vec(),
        b"*2\r\n$3\r\nGET\r\n$6\r\nsecret\r\n".to_vec(),
    ];
    let (replies, refused) = converse(Spoken::Redis, &messages).await;
    assert!(replies[0].starts_with(b"%7\r\n$6\r\nserver"), "{:?}", replies[0]);
    assert_eq!([&replies[1], &replies[2]], [&b"+OK\r\n".to_vec(), &b"+PONG\r\n".to_vec()]);
    assert!(replies[3].starts_with(b"-ERR exitone"), "{:?}", replies[3]);
    assert_eq!(refused, ["GET"], "the key is no part of it");
}

#[tokio::test]
async fn mongodb_answers_hello_in_both_forms() {
    let message = |operation: u32, body: &[u8]| {
        let length = u32::try_from(body.len() + 16).expect("small");
        let header: Vec<u8> = [length, 9, 0, operation].iter().flat_map(|n| n.to_le_bytes()).collect();
        [&header, body].concat()
    };
    let document = |name: &[u8]| {
        let fields = [&[16], name, &[0, 1, 0, 0, 0, 0]].concat();
        [&u32::try_from(fields.len() + 4).expect("small").to_le_bytes()[..], &fields].concat()
    };
    let query = [&[0; 4][..], b"admin.$cmd\0", &[0; 4], &[0xff; 4], &document(b"ismaster")].concat();
    let of = |name: &[u8]| message(2013, &[&[0; 5][..], &document(name)].concat());
    let messages = [message(2004, &query), of(b"hello"), of(b"ping"), of(b"listDatabases")];
    let (replies, refused) = converse(Spoken::Mongodb, &messages).await;
    for (reply, operation) in replies.iter().zip([1, 2013, 2013, 2013]) {
        assert_eq!(reply[..4], u32::try_from(reply.len()).expect("small").to_le_bytes());
        assert_eq!((reply[8], &reply[12..16]), (9, &u32::to_le_bytes(operation)[..]));
    }
    assert!(contains(&replies[0], b"maxWireVersion") && contains(&replies[1], b"isWritablePrimary"));
    assert!(contains(&replies[3], b"errmsg"));
    assert_eq!(refused, ["listDatabases"]);
}

#[tokio::test]
async fn amqp_opens_a_channel() {
    let method = |channel: u8, class: u8, number: u8, arguments: &[u8]| {
        let length = u8::try_from(arguments.len() + 4).expect("small");
        [&[1, 0, channel, 0, 0, 0, length, 0, class, 0, number], arguments, &[0xce]].concat()
    };
    let messages = [
        b"AMQP\0\0\x09\x01".to_vec(),
        method(0, 10, 11, &[0; 12]),
        [method(0, 10, 31, &[0; 8]), method(0, 10, 40, b"\x01/\0\0")].concat(),
        method(1, 20, 10, &[0]),
        method(1, 50, 10, b"\0\0\x05queue\0\0\0\0\0"),
    ];
    let (replies, refused) = converse(Spoken::Amqp, &messages).await;
    let ids: Vec<[u8; 2]> = replies.iter().map(|reply| [reply[8], reply[10]]).collect();
    assert_eq!(ids, [[10, 10], [10, 30], [10, 41], [20, 11], [10, 50]]);
    assert_eq!(replies[0][replies[0].len() - 6..], *b"en_US\xce");
    assert_eq!(refused, ["queue.declare"]);
}

#[tokio::test]
async fn smtp_logs_in() {
    let messages = ["EHLO me\r\n", "AUTH LOGIN\r\n", "YXBw\r\n", "c2VjcmV0\r\n", "MAIL FROM:<a@b>\r\n", "QUIT\r\n"];
    let messages = messages.map(|line| line.as_bytes().to_vec());
    let (replies, refused) = converse(Spoken::Smtp, &messages).await;
    let texts: Vec<String> = replies.iter().map(|reply| String::from_utf8_lossy(reply).into_owned()).collect();
    let codes: Vec<&str> = texts.iter().map(|text| &text[..3]).collect();
    assert_eq!(codes, ["220", "250", "334", "334", "235", "502", "221"]);
    assert!(texts[1].contains("STARTTLS"), "{}", texts[1]);
    assert_eq!(refused, ["MAIL"]);
}
