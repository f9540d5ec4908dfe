//! SMTP (RFC 5321, 3207, 4954). The server speaks first.

use std::io;

use tokio::io::{AsyncWriteExt, BufReader};

use super::{REFUSAL, Stream, Talk, line};

pub(super) async fn play(mut talk: Talk<'_>, stream: Stream) -> io::Result<()> {
    let host = talk.host.clone();
    let mut stream = BufReader::new(stream);
    say(&mut stream, &format!("220 {host} ESMTP")).await?;
    loop {
        let command = line(&mut stream).await?;
        let mut words = command.split_whitespace().map(str::to_ascii_uppercase);
        let (verb, argument) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let reply = match (verb.as_str(), argument.as_str()) {
            ("EHLO", _) if talk.is_secure => format!("250-{host}\r\n250 AUTH PLAIN LOGIN"),
            ("EHLO", _) => format!("250-{host}\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"),
            ("HELO", _) => format!("250 {host}"),
            ("NOOP" | "RSET", _) => "250 OK".to_owned(),
            ("STARTTLS", _) if !talk.is_secure => {
                say(&mut stream, "220 go ahead").await?;
                let Some(secure) = talk.secure(stream.into_inner()).await else { return Ok(()) };
                stream = BufReader::new(secure);
                continue;
            }
            ("AUTH", mechanism) => {
                // The rest of what it needs, if it is not all in the command: "Username:" and "Password:".
                let asks: &[&str] = match (mechanism, words.next()) {
                    ("LOGIN", None) => &["VXNlcm5hbWU6", "UGFzc3dvcmQ6"],
                    ("LOGIN", Some(_)) => &["UGFzc3dvcmQ6"],
                    (_, None) => &[""],
                    (_, Some(_)) => &[],
                };
                for ask in asks {
                    say(&mut stream, &format!("334 {ask}")).await?;
                    line(&mut stream).await?;
                }
                "235 authenticated".to_owned()
            }
            ("QUIT", _) => return say(&mut stream, "221 bye").await,
            _ => {
                talk.refuse(&verb);
                format!("502 {REFUSAL}")
            }
        };
        say(&mut stream, &reply).await?;
    }
}

async fn say(stream: &mut BufReader<Stream>, text: &str) -> io::Result<()> {
    stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await
}
