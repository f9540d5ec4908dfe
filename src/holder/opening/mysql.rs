//! MySQL (<https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>). The server speaks first.

use std::io;

use tokio::io::AsyncWriteExt;

use super::{REFUSAL, Stream, Talk, bytes, is_select_one, without_rows};

/// Capabilities: long password, found rows, long flags, connect with a database, protocol 4.1, TLS, transactions, secure
/// connection, authentication plugins and their data.
const CAPABILITIES: u32 = 0x1 | 0x2 | 0x4 | 0x8 | 0x200 | SSL | 0x2000 | 0x8000 | 0x8_0000 | 0x20_0000;
const SSL: u32 = 0x800;
/// A client's request for TLS is as long as the fixed part of its handshake.
const SSL_REQUEST_LENGTH: usize = 32;
/// `utf8mb4_general_ci`, and the status `autocommit`.
const CHARSET: u8 = 45;
const STATUS: [u8; 2] = [2, 0];
/// Random data that the client mixes with its password; nobody checks the result.
const SALT: &[u8; 20] = b"exitone-exitone-exit";
/// The way in which a client proves its password: the server's own, the one before it, and the answer that no more is
/// needed.
const DEFAULT_PLUGIN: &[u8] = b"caching_sha2_password\0";
const OLD_PLUGIN: &[u8] = b"mysql_native_password\0";
const FAST_AUTH: [u8; 2] = [1, 3];
/// `OK` without rows, and the end of rows.
const OK: [u8; 7] = [0, 0, 0, STATUS[0], STATUS[1], 0, 0];
const EOF: [u8; 5] = [0xfe, 0, 0, STATUS[0], STATUS[1]];

/// Commands of a client.
const QUIT: u8 = 0x01;
const INIT_DB: u8 = 0x02;
const QUERY: u8 = 0x03;
const PING: u8 = 0x0e;
const SET_OPTION: u8 = 0x1b;
const RESET_CONNECTION: u8 = 0x1f;

pub(super) async fn play(mut talk: Talk<'_>, mut stream: Stream) -> io::Result<()> {
    stream.write_all(&packet(0, &greeting())).await?;
    let (mut number, mut body) = read(&mut stream).await?;
    if body.len() == SSL_REQUEST_LENGTH && flags(&body) & SSL != 0 {
        let Some(secure) = talk.secure(stream).await else { return Ok(()) };
        stream = secure;
        (number, body) = read(&mut stream).await?;
    }
    let names = |plugin: &[u8]| body.windows(plugin.len()).any(|window| window == plugin);
    // After the fixed part comes the user, then the length of the password's proof.
    let user = body.get(SSL_REQUEST_LENGTH..).unwrap_or_default();
    let proof = user.iter().position(|b| *b == 0).and_then(|end| user.get(end + 1)).copied().unwrap_or_default();
    // Whatever the password is.
    if proof == 0 {
        // There is none.
    } else if names(DEFAULT_PLUGIN) {
        number = number.wrapping_add(1);
        stream.write_all(&packet(number, &FAST_AUTH)).await?;
    } else if !names(OLD_PLUGIN) {
        let switch = [&[0xfe], OLD_PLUGIN, &SALT[..], &[0]].concat();
        stream.write_all(&packet(number.wrapping_add(1), &switch)).await?;
        (number, _) = read(&mut stream).await?;
    }
    stream.write_all(&packet(number.wrapping_add(1), &OK)).await?;
    loop {
        let (number, body) = read(&mut stream).await?;
        let Some((command, rest)) = body.split_first() else { return Ok(()) };
        let packets = match *command {
            QUIT => return Ok(()),
            PING | INIT_DB | RESET_CONNECTION => vec![OK.to_vec()],
            SET_OPTION => vec![EOF.to_vec()],
            QUERY => query(&String::from_utf8_lossy(rest), &talk),
            _ => refuse(&talk, "a prepared statement"),
        };
        for (at, body) in (1..).zip(packets) {
            stream.write_all(&packet(number.wrapping_add(at), &body)).await?;
        }
    }
}

fn greeting() -> Vec<u8> {
    let [low, high] = [CAPABILITIES & 0xffff, CAPABILITIES >> 16].map(|half| half.to_le_bytes());
    [
        b"\x0a8.0.36\0".as_slice(),
        &1_u32.to_le_bytes(),
        &SALT[..8],
        &[0, low[0], low[1], CHARSET, STATUS[0], STATUS[1], high[0], high[1], 21],
        &[0; 10],
        &SALT[8..],
        &[0],
        DEFAULT_PLUGIN,
    ]
    .concat()
}

fn query(sql: &str, talk: &Talk<'_>) -> Vec<Vec<u8>> {
    if without_rows(sql).is_some() {
        return vec![OK.to_vec()];
    }
    if !is_select_one(sql) {
        return refuse(talk, "a query");
    }
    // Catalog, schema, table and its alias, column and its alias; then character set 63 (binary), length 1, type 8 (a
    // long integer), flags and decimals.
    let mut column = b"\x03def\0\0\0\x011\0\x0c".to_vec();
    column.extend([63, 0, 1, 0, 0, 0, 8, 0x81, 0, 0, 0, 0]);
    vec![vec![1], column, EOF.to_vec(), b"\x011".to_vec(), EOF.to_vec()]
}

/// `ER_NOT_SUPPORTED_YET`.
fn refuse(talk: &Talk<'_>, command: &str) -> Vec<Vec<u8>> {
    talk.refuse(command);
    vec![[&[0xff], &1235_u16.to_le_bytes()[..], b"#42000", REFUSAL.as_bytes()].concat()]
}

fn flags(body: &[u8]) -> u32 {
    body.get(..4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).unwrap_or_default()
}

async fn read(stream: &mut Stream) -> io::Result<(u8, Vec<u8>)> {
    let header = bytes(stream, 4).await?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    Ok((header[3], bytes(stream, length as usize).await?))
}

/// A packet with its number in the exchange.
pub(in crate::holder) fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or_default().to_le_bytes();
    [&[length[0], length[1], length[2], number], body].concat()
}
