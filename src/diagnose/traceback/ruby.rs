//! `file.rb:3:in 'method': message (Class)`, then `from file.rb:9:in …`
//! (<https://docs.ruby-lang.org/en/master/Exception.html>, `full_message`).

use super::{Crash, Frame, Language};

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let (head, (first, message, kind)) =
        lines.iter().enumerate().rev().find_map(|(n, line)| Some((n, headline(line)?)))?;
    let below: Vec<Frame> = lines[head + 1..]
        .iter()
        .take_while(|line| line.trim_start().starts_with("from "))
        .filter_map(|line| Some(frame(line.trim_start().strip_prefix("from ")?)?.0))
        .collect();
    let ends = head + below.len();
    let mut frames = vec![first];
    frames.extend(below);
    let foreign = |f: &Frame| ["/gems/", "/lib/ruby/", "<internal"].iter().any(|word| f.file.contains(word));
    let own = frames.iter().find(|f| !foreign(f)).cloned();
    let importing = frames.iter().any(|f| f.function.contains("<top (required)>"));
    let headline = lines[head].trim().to_owned();
    Some(Crash { language: Language::Ruby, kind, message, headline, own, importing, begins: head, handles: None, ends })
}

fn headline(line: &str) -> Option<(Frame, String, String)> {
    let (frame, rest) = frame(line.trim_start())?;
    let (message, kind) = rest.strip_suffix(')')?.rsplit_once(" (")?;
    let named = kind.starts_with(|c: char| c.is_ascii_uppercase());
    let named = named && kind.chars().all(|c| c.is_alphanumeric() || c == ':' || c == '_');
    named.then(|| (frame, message.trim_start_matches([':', ' ']).to_owned(), kind.to_owned()))
}

/// A place, and the rest of the text.
fn frame(text: &str) -> Option<(Frame, &str)> {
    let (file, rest) = text.split_once(".rb:").or_else(|| text.split_once(".ru:"))?;
    let ending = &text[file.len()..file.len() + 3];
    let (line, rest) = rest.split_once(":in ")?;
    let open = rest.chars().next().filter(|c| "`'".contains(*c))?;
    let (function, rest) = rest[open.len_utf8()..].split_once('\'')?;
    let frame = Frame {
        file: format!("{file}{ending}"),
        line: line.parse().ok()?,
        function: function.to_owned(),
        source: String::new(),
    };
    Some((frame, rest))
}
