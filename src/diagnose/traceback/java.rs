//! `Exception in thread "main" …`, `Caused by: …`, `\tat package.Class.method(File.java:12)`
//! (<https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/lang/Throwable.html>, `printStackTrace`).

use super::{Crash, Frame, Language, parted, place};

/// Packages that do not belong to the application.
const FOREIGN: [&str; 28] = [
    "kafka.",
    "io.confluent.",
    "org.elasticsearch.",
    "org.opensearch.",
    "org.keycloak.",
    "org.sonar.",
    "io.micronaut.",
    "io.quarkus.",
    "org.h2.",
    "liquibase.",
    "org.flywaydb.",
    "io.jsonwebtoken.",
    "java.",
    "javax.",
    "jakarta.",
    "jdk.",
    "sun.",
    "com.sun.",
    "kotlin.",
    "scala.",
    "org.springframework.",
    "org.hibernate.",
    "org.apache.",
    "org.eclipse.",
    "io.netty.",
    "com.zaxxer.",
    "org.postgresql.",
    "com.mysql.",
];

/// Maximum number of lines of a message.
const MOST_LINES: usize = 12;

pub(super) fn read(lines: &[&str]) -> Option<Crash> {
    let last = lines.iter().rposition(|line| frame(line).is_some())?;
    // The whole trace: frames, causes, and omitted frames.
    let part =
        |line: &str| frame(line).is_some() || line.starts_with("Caused by: ") || line.trim_start().starts_with("... ");
    let mut first = last;
    // A message may have several lines.
    let head = loop {
        while first > 0 && part(lines[first - 1]) {
            first -= 1;
        }
        let above =
            lines[first.saturating_sub(MOST_LINES)..first].iter().rev().take_while(|line| frame(line).is_none());
        let up = above
            .take_while(|line| !part(line) || line.starts_with("Caused by: "))
            .position(|line| thrown(line).is_some())?;
        let head = first - 1 - up;
        first = head;
        if !lines[head].starts_with("Caused by: ") {
            break head;
        }
    };
    // The last cause is the root cause.
    let cause = lines[head..=last].iter().rposition(|line| line.starts_with("Caused by: ")).map(|n| n + head);
    let headline = lines[cause.unwrap_or(head)].trim();
    let (kind, message) = thrown(headline)?;
    let mine = |f: &Frame| !FOREIGN.iter().any(|foreign| f.function.starts_with(foreign));
    let frames = |from: usize| lines[from..=last].iter().filter_map(|line| frame(line)).find(mine);
    let own = frames(cause.unwrap_or(head)).or_else(|| frames(head));
    let importing = lines[head..=last].iter().any(|line| line.contains("<clinit>"));
    let headline = headline.to_owned();
    Some(Crash {
        language: Language::Java,
        kind,
        message,
        headline,
        own,
        importing,
        begins: head,
        handles: None,
        ends: last,
    })
}

/// The error in the first line of a trace, or of a cause.
fn thrown(line: &str) -> Option<(String, String)> {
    let text = line.trim();
    let text = text.strip_prefix("Caused by: ").unwrap_or(text);
    let text = match text.strip_prefix("Exception in thread ") {
        Some(rest) => rest.split_once("\" ").map_or(rest, |(_, rest)| rest),
        None => text,
    };
    parted(text).filter(|(kind, _)| kind.ends_with("Exception") || kind.ends_with("Error"))
}

fn frame(line: &str) -> Option<Frame> {
    let text = line.trim_start().strip_prefix("at ")?;
    let (function, at) = text.split_once('(')?;
    let at = at.split_once(')')?.0;
    let function = function.rsplit('/').next().unwrap_or(function);
    if !function.contains('.') || function.contains(' ') {
        return None;
    }
    let (file, line) = place(at, false).unwrap_or((at.to_owned(), 0));
    let known = [".java", ".kt", ".scala", ".groovy"].iter().any(|end| file.ends_with(end));
    (known || ["Native Method", "Unknown Source"].contains(&file.as_str())).then(|| Frame {
        file,
        line,
        function: function.to_owned(),
        source: String::new(),
    })
}
