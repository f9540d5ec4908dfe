//! What the logs of a deployment show together.

use super::{deployment, failed, of_application};
use crate::diagnose::log::{Line, PlatformLine};
use crate::diagnose::signature::error_line;
use crate::model::deployment::{Seen, Shown};
use crate::model::outcome::FailureClass;
use crate::model::service::Service;
use crate::model::words::file_name;

/// Number of lines kept of the application's log.
const MOST_LINES: usize = 400;

/// What the logs show: the failure in the service log, and what the application printed. Each is a name and its lines;
/// an application that printed nothing has an empty log.
///
/// # Errors
/// One sentence for each file that shows no failure.
pub(crate) fn seen(logs: Vec<(String, Vec<Line>)>, service: &Service) -> Result<Seen, Vec<String>> {
    let mut seen = Seen { silent: true, ..Seen::default() };
    let mut wrong = Vec::new();
    let mut application: Vec<(String, Line)> = Vec::new();
    for (name, all) in logs {
        let (from, to) = deployment(&all);
        let is_platforms = all.iter().any(|line| line.meaning.is_some());
        let part: Vec<&Line> = all.iter().filter(|line| (from..=to).contains(&line.at)).collect();
        if is_platforms {
            let failed = failed(part.iter().copied());
            let succeeded = part.iter().any(|line| line.meaning == Some(PlatformLine::Succeeded));
            match failed {
                Some(line) => failure(&mut seen, &name, line, &part),
                None if succeeded => {
                    wrong.push(format!("{name}: its last deployment succeeded; pass the log of the one that failed"));
                }
                None => seen
                    .notes
                    .push(format!("{name} ends before its deployment does: how the deployment failed is not in it")),
            }
        }
        let mixed = all.iter().any(|line| matches!(line.meaning, Some(PlatformLine::Started(_))));
        let own = all.into_iter().filter(|line| line.meaning.is_none() && !line.text.trim().is_empty());
        let own = own.filter(|line| !mixed || (from..=to).contains(&line.at));
        application.extend(own.map(|line| (name.clone(), line)));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    seen.silent = application.is_empty();
    if application.iter().all(|(_, line)| line.ms.is_some()) {
        application.sort_by_key(|(_, line)| line.ms);
    }
    if seen.class != Some(FailureClass::A) {
        let text: Vec<&str> = application.iter().map(|(_, line)| line.text.as_str()).collect();
        seen.causes = of_application(&text.join("\n"), seen.class, seen.exit_code, service);
        seen.log = text[text.len().saturating_sub(MOST_LINES)..].join("\n");
        let lines = || application.iter().map(|(_, line)| line.text.as_str());
        let error = error_line(lines()).or_else(|| lines().next_back());
        let shown = |(name, line): &(String, Line)| shown(name, line);
        seen.error = error.and_then(|error| application.iter().rfind(|(_, line)| line.text == error).map(shown));
    }
    Ok(seen)
}

fn shown(name: &str, line: &Line) -> Shown {
    Shown { source: file_name(name).to_owned(), line: Some(line.number), text: line.text.trim().to_owned() }
}

/// The failure of a deployment; that of an earlier file stays.
fn failure(seen: &mut Seen, name: &str, line: &Line, part: &[&Line]) {
    if seen.failure.is_some() {
        return;
    }
    let found =
        |of: &dyn Fn(&PlatformLine) -> Option<String>| part.iter().find_map(|line| of(line.meaning.as_ref()?));
    seen.class = line.meaning.as_ref().and_then(PlatformLine::class);
    seen.exit_code = line.meaning.as_ref().and_then(PlatformLine::exit_code);
    seen.failure = Some(shown(name, line));
    seen.image = found(&|meaning| if let PlatformLine::Image(image) = meaning { Some(image.clone()) } else { None });
    seen.deployment = found(&|meaning| if let PlatformLine::Started(id) = meaning { Some(id.clone()) } else { None });
    let started = part.iter().find(|line| matches!(line.meaning, Some(PlatformLine::Started(_))));
    seen.began_ms = started.and_then(|line| line.ms);
    if seen.image.is_none() {
        seen.notes.push(format!("{name} begins within its deployment: which image that was is not in it"));
    }
}
