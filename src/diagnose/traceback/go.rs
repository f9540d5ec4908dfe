//! `panic: …` and `fatal error: …` with `goroutine N [running]:` below (<https://pkg.go.dev/runtime/debug>).

use super::{Crash, Frame, Language, place};

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let head = lines.iter().rposition(|line| line.starts_with("panic: ") || line.starts_with("fatal error: "))?;
    let below = &lines[head + 1..];
    below.iter().take(12).find(|line| line.starts_with("goroutine "))?;
    // logrus panics with a pointer to the entry that it has logged in the line above.
    let said = if lines[head].contains("(*logrus.Entry)") { head.saturating_sub(1) } else { head };
    let (kind, message) = lines[head].split_once(": ")?;
    let message = if said == head { message } else { lines[said] };
    let mut own: Option<Frame> = None;
    let mut ends = head;
    let mut importing = false;
    for (n, pair) in below.windows(2).enumerate() {
        let Some(at) = pair[1].strip_prefix('\t') else { continue };
        let at = at.split_once(" +0x").map_or(at, |(at, _)| at);
        let Some((file, line)) = place(at, false) else { continue };
        ends = head + n + 2;
        let function = pair[0].rsplit_once('(').map_or(pair[0], |(name, _)| name).to_owned();
        importing |= function.ends_with(".init") || function.contains(".init.");
        let foreign = ["/usr/local/go/", "/usr/lib/go", "/pkg/mod/", "/vendor/", "/libexec/src/"];
        if own.is_none() && !foreign.iter().any(|word| file.contains(word)) {
            own = Some(Frame { file, line, function, source: String::new() });
        }
    }
    Some(Crash {
        language: Language::Go,
        kind: kind.to_owned(),
        message: message.to_owned(),
        headline: lines[said].to_owned(),
        own,
        importing,
        begins: said,
        handles: None,
        ends,
    })
}
