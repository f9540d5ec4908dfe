//! Pages in Markdown: commands in code blocks, and parts between marks.

/// A command line of a code block, and the folder that an earlier `cd` of the block entered.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Line {
    /// The folder, from the repository's; empty for the repository itself.
    pub(crate) folder: String,
    /// The command with its continuation lines, without its comment.
    pub(crate) text: String,
}

impl Line {
    /// Its words, up to a redirection or a `&`.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = shlex::split(&self.text).unwrap_or_else(|| panic!("{}", self.text));
        words.into_iter().take_while(|word| ![">", "&", "|", "||", "&&", ";"].contains(&word.as_str())).collect()
    }
}

/// The content of every code block in a language, in order.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = page;
    while let Some((_, block)) = rest.split_once("```") {
        let (info, body) = block.split_once('\n').unwrap_or((block, ""));
        let (body, after) = body.split_once("```").expect("a code block ends");
        if info.trim() == language {
            found.push(body);
        }
        rest = after;
    }
    found
}

/// The command lines of a block.
pub(crate) fn lines(block: &str) -> Vec<Line> {
    let mut folder = String::new();
    let mut found = Vec::new();
    for line in block.replace("\\\n", " ").lines() {
        let text = line.split(" #").next().unwrap_or(line).trim();
        match text.strip_prefix("cd ") {
            Some(entered) => folder = entered.to_owned(),
            None if text.is_empty() => {}
            None => found.push(Line { folder: folder.clone(), text: text.to_owned() }),
        }
    }
    found
}

/// Every mark `<!-- KEY: VALUE -->` of a page, with the command of the code block before it.
pub(crate) fn marks(page: &str, key: &str) -> Vec<(String, Option<Line>)> {
    let begin = format!("<!-- {key}: ");
    let mut found = Vec::new();
    for (at, _) in page.match_indices(&begin) {
        let value = page[at + begin.len()..].split("-->").next().unwrap_or_default().trim().to_owned();
        let mut folder = String::new();
        let mut command = None;
        for line in blocks(&page[..at], "sh").into_iter().flat_map(lines) {
            if !line.folder.is_empty() {
                folder.clone_from(&line.folder);
            }
            command = Some(Line { folder: folder.clone(), ..line });
        }
        found.push((value, command));
    }
    found
}
