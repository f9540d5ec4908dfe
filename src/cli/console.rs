//! Standard output and standard error.

use std::io::{ErrorKind, Write};

use super::failure::Failure;

/// Writes a result to standard output. A reader that has seen enough, such as `head`, is no error.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Failure::unwritten(format!("writing the result: {e}"))),
        _ => Ok(()),
    }
}

/// Prints a progress line to standard error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}
