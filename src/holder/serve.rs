//! The holder's main loop: read a line, carry it out, write a line.
//!
//! It runs on the process's main thread, because a candidate joins that thread's namespace.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::authority::Signer;
use super::internet::Internet;
use super::probe;
use super::protocol::{
    CA_FILE, FromHolder, GROUPS, HOSTS, HOSTS_SECOND, Hello, OWN, RESOLV_CONF, SECOND, SHARED_DIR, SILENT_FOR,
    ToHolder, VERSION, line,
};
use super::runs::{Runs, hosts, resolv_conf};
use super::say::Say;
use super::sysctl;
use super::usage::Groups;

/// Runs until standard input ends, the controller falls silent, or the lifetime is over.
///
/// # Errors
/// When the first message is invalid or the namespaces cannot be created.
pub(crate) fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run());
    // Do not wait for the thread that reads standard input.
    runtime.shutdown_background();
    result
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut writer = tokio::spawn(write_lines(receiver));
    let say = Say::new(sender);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let Some(first) = timeout(SILENT_FOR, lines.next_line()).await.map_err(|_| silence())?? else { return Ok(()) };
    let mut container = String::new();
    let result = match serde_json::from_str(&first) {
        Ok(ToHolder::Hello(hello)) => {
            container.clone_from(&hello.container);
            handshake(&hello, &say).await
        }
        _ => Err(format!("expected a hello of protocol {VERSION}").into()),
    };
    let (internet, end) = match result {
        Ok(ready) => ready,
        Err(e) => {
            say.say(FromHolder::Failed { run: None, message: e.to_string() });
            drop(say);
            writer.await??;
            return Err(e);
        }
    };
    let groups = Groups::find(Path::new(GROUPS), &container);
    let mut holder = Runs::new(Arc::new(internet), say, groups);
    // While a message is carried out, the next ones wait: silence counts from its end.
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            biased;
            read = lines.next_line() => match read? {
                Some(text) => {
                    handle(&mut holder, &text).await;
                    heard = Instant::now();
                }
                None => return Ok(()),
            },
            // Nobody reads our messages any more.
            written = &mut writer => return Ok(written??),
            () = sleep_until(heard + SILENT_FOR) => return Err(silence()),
            () = sleep_until(end) => return Err("the holder's lifetime is over".into()),
        }
    }
}

fn silence() -> Box<dyn std::error::Error> {
    format!(
        "no heartbeat from exitone for {} s: it was stopped, this machine was asleep, or the engine is unreachable",
        SILENT_FOR.as_secs()
    )
    .into()
}

async fn write_lines(mut messages: mpsc::UnboundedReceiver<FromHolder>) -> io::Result<()> {
    let mut stdout = tokio::io::stdout();
    while let Some(message) = messages.recv().await {
        stdout.write_all(&line(&message)?).await?;
        stdout.flush().await?;
    }
    Ok(())
}

async fn handshake(hello: &Hello, say: &Say) -> Result<(Internet, Instant), Box<dyn std::error::Error>> {
    if hello.version != VERSION {
        return Err(format!("protocol mismatch: controller {}, holder {VERSION}", hello.version).into());
    }
    share(CA_FILE, &hello.ca_cert)?;
    // For engines on which candidates do not share this container's own.
    share(HOSTS, &hosts(OWN))?;
    share(HOSTS_SECOND, &hosts(SECOND))?;
    share(RESOLV_CONF, &resolv_conf())?;
    let internet = Internet::start(Arc::new(Signer::new(&hello.ca_key)?)).await?;
    say.say(FromHolder::Ready { version: VERSION });
    Ok((internet, Instant::now() + Duration::from_secs(hello.lifetime_s)))
}

/// Stores a file of the session where candidates read it. All holders of a session do so concurrently, each as process 1:
/// each writes a file with a unique name and renames it, so that readers always see a complete file.
fn share(name: &str, content: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let everybody = std::fs::Permissions::from_mode(0o644);
    let mut draft = tempfile::Builder::new().prefix(".draft-").permissions(everybody).tempfile_in(SHARED_DIR)?;
    draft.write_all(content.as_bytes())?;
    draft.persist(format!("{SHARED_DIR}/{name}")).map_err(|e| e.error)?;
    Ok(())
}

async fn handle(holder: &mut Runs, text: &str) {
    let (say, internet) = (holder.say.clone(), holder.internet.clone());
    match serde_json::from_str(text) {
        Ok(ToHolder::Place { run, number }) => holder.place(run, number).await,
        Ok(ToHolder::Await(order)) => holder.wait_for(&order),
        Ok(ToHolder::Prepare(prepare)) => holder.prepare(*prepare).await,
        Ok(ToHolder::Watch { run, container }) => holder.watch(run, &container),
        Ok(ToHolder::Started { run }) => holder.started(run),
        Ok(ToHolder::Probe(order)) => {
            tokio::spawn(async move {
                let (run, seq) = (order.run, order.seq);
                say.say(match internet.run(async move { probe::probe(&order).await }).await {
                    Some((result, location)) => FromHolder::Probed { run, seq, result, location },
                    None => FromHolder::Failed { run: Some(run), message: "a probe was aborted".to_owned() },
                });
            });
        }
        Ok(ToHolder::Request(order)) => {
            // Requests have their own time limit: from here on, connections hang as long as on the platform.
            if let Err(e) = sysctl::real_time() {
                say.say(FromHolder::Failed { run: Some(order.run), message: e.to_string() });
            }
            tokio::spawn(async move {
                let (run, seq) = (order.run, order.seq);
                say.say(match internet.run(async move { probe::request(&order).await }).await {
                    Some((result, body)) => FromHolder::Responded { run, seq, result, body },
                    None => FromHolder::Failed { run: Some(run), message: "a request was aborted".to_owned() },
                });
            });
        }
        Ok(ToHolder::Relay { run, port }) => {
            let relayed = sysctl::real_time().map_err(|e| e.to_string());
            let relayed = relayed.and_then(|()| holder.relay(run, port).map_err(|e| e.to_string()));
            say.say(match relayed {
                Ok(()) => FromHolder::Relaying { run },
                Err(message) => FromHolder::Failed { run: Some(run), message },
            });
        }
        Ok(ToHolder::Pending { run }) => holder.pending(run),
        Ok(ToHolder::SoFar { run }) => holder.so_far(run),
        Ok(ToHolder::Finish { run }) => holder.finish(run).await,
        Ok(ToHolder::Hello(_) | ToHolder::Heartbeat) => {}
        Err(e) => say.say(FromHolder::Failed { run: None, message: format!("invalid message: {e}") }),
    }
}
