//! Standard output and standard error.

use std::io::Write;

use super::failure::Failure;

/// Writes a result to standard output.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Failure::unwritten(format!("writing the result: {e}")))
}

/// Prints a progress line to standard error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}
