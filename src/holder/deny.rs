//! How databases refuse credentials, in their own protocols.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::opening::mysql::packet;
use super::opening::postgres::{GSS_REQUEST, LONGEST_START, SSL_REQUEST};
use super::opening::{recognise, spoken_first};
use crate::model::observation::Spoken;

/// Whether a server on this port refuses before its client has said anything.
#[must_use]
pub(crate) fn speaks_first(port: u16) -> bool {
    spoken_first(port) == Some(Spoken::Mysql)
}

/// Greets like a MySQL server that refuses the client: an error packet instead of the handshake
/// (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_err_packet.html>).
pub(crate) async fn greet(mut stream: TcpStream) {
    let refusal = [&[0xff], &1045_u16.to_le_bytes()[..], b"#28000Access denied (using password: YES)"].concat();
    let _ = stream.write_all(&packet(0, &refusal)).await;
    finish(stream).await;
}

/// Refuses a client that spoke first; `first` are its first bytes, which the stream still has.
pub(crate) async fn refuse(stream: impl AsyncRead + AsyncWrite + Unpin, first: &[u8]) {
    match recognise(first) {
        Some(Spoken::Postgresql) => drop(postgres(stream).await),
        Some(Spoken::Redis) => redis(stream).await,
        // Any other protocol: just close the connection.
        _ => {}
    }
}

async fn postgres(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        if !(8..=LONGEST_START).contains(&length) {
            return Ok(());
        }
        let mut body = vec![0; length as usize - 4];
        stream.read_exact(&mut body).await?;
        let code = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
        if code == SSL_REQUEST || code == GSS_REQUEST {
            stream.write_all(b"N").await?;
            continue;
        }
        let mut words = body[4..].split(|b| *b == 0).map(String::from_utf8_lossy);
        let user = words.by_ref().skip_while(|word| word != "user").nth(1).unwrap_or_default();
        let message = format!("password authentication failed for user \"{user}\"");
        let fields = [('S', "FATAL"), ('V', "FATAL"), ('C', "28P01"), ('M', message.as_str())];
        let mut fields: Vec<u8> =
            fields.iter().flat_map(|(tag, text)| [&[*tag as u8], text.as_bytes(), &[0]].concat()).collect();
        fields.push(0);
        let length = u32::try_from(fields.len() + 4).unwrap_or_default();
        stream.write_all(&[&b"E"[..], &length.to_be_bytes(), &fields].concat()).await?;
        return stream.shutdown().await;
    }
}

async fn redis(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut piece = [0; 4096];
    while let Ok(1..) = stream.read(&mut piece).await {
        let refusal = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n";
        if stream.write_all(refusal).await.is_err() {
            return;
        }
    }
}

/// Closes a connection so that the client reads everything sent before: our side first, then the client's.
async fn finish(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn postgresql_refusal_names_the_user() {
        let (mut client, server) = tokio::io::duplex(4096);
        let task = tokio::spawn(postgres(server));
        client.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).await.expect("written");
        assert_eq!(client.read_u8().await.expect("read"), b'N');
        let start = b"\0\x03\0\0user\0app\0database\0app\0\0";
        let length = u32::try_from(start.len() + 4).expect("small");
        client.write_all(&[&length.to_be_bytes()[..], start].concat()).await.expect("written");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("read");
        let text = String::from_utf8_lossy(&answer);
        assert!(text.starts_with('E') && text.contains("28P01"), "{text}");
        assert!(text.contains("password authentication failed for user \"app\""), "{text}");
        task.await.expect("ended").expect("no error");
    }
}
