//! Ctrl-C and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use super::failure::{Failure, INTERNAL};
use crate::event::Counts;
use crate::run::conductor::Interrupts;

const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

/// Interruptions of a running command by Ctrl-C or SIGTERM.
pub(crate) struct Signals {
    asked: Interrupts,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on, for the whole command.
    pub(crate) fn listen() -> Self {
        let (sender, asked) = watch::channel(0);
        let terminated = Arc::new(AtomicBool::new(false));
        let flag = terminated.clone();
        tokio::spawn(async move {
            #[cfg(unix)]
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).ok();
            loop {
                #[cfg(unix)]
                let ended = async {
                    match &mut terminate {
                        Some(signal) => signal.recv().await,
                        None => std::future::pending().await,
                    }
                };
                #[cfg(not(unix))]
                let ended = std::future::pending::<Option<()>>();
                tokio::select! {
                    pressed = tokio::signal::ctrl_c() => if pressed.is_err() { return },
                    _ = ended => flag.store(true, Ordering::Relaxed),
                }
                sender.send_modify(|asked| *asked += 1);
            }
        });
        Self { asked, terminated }
    }

    /// Receives every interruption.
    pub(crate) fn asked(&self) -> Interrupts {
        self.asked.clone()
    }

    /// The exit code if the user interrupted.
    pub(crate) fn exit_code(&self) -> Option<u8> {
        let code = if self.terminated.load(Ordering::Relaxed) { TERMINATED } else { INTERRUPTED };
        (*self.asked.borrow() > 0).then_some(code)
    }

    /// Does work that is simply dropped on an interruption; the watchdog cleans up after it.
    ///
    /// # Errors
    /// The interruption.
    pub(crate) async fn unless_asked<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut asked = self.asked.clone();
        asked.mark_unchanged();
        tokio::select! {
            done = work => Ok(done),
            Ok(()) = asked.changed() => {
                let code = self.exit_code().unwrap_or(INTERRUPTED);
                Err(Failure::interrupted(code))
            }
        }
    }
}

/// The exit code of a command with these results.
pub(crate) fn exit_code(summary: &Counts, broken: usize, signals: &Signals) -> u8 {
    match signals.exit_code() {
        Some(code) => code,
        None if broken > 0 => INTERNAL,
        None => summary.exit_code(),
    }
}
