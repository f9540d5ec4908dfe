//! Environment files: `NAME=VALUE` lines, `#` comments, optional quotes and `export`.

use std::collections::BTreeMap;

use super::problem::{Problem, Refused};
use crate::model::condition::variable_name;

/// Reads an environment file.
///
/// # Errors
/// Every invalid line with its number; no line's text is shown, because it may be a secret.
pub(crate) fn parse(file: &str, text: &str) -> Result<BTreeMap<String, String>, Refused> {
    let mut env = BTreeMap::new();
    let mut problems = Vec::new();
    for (i, line) in text.lines().enumerate() {
        match entry(line) {
            Ok(Some((name, value))) => {
                if env.insert(name.clone(), value).is_some() {
                    problems.push(Problem::at(i + 1, 1, format!("duplicate variable `{name}`")));
                }
            }
            Ok(None) => {}
            Err(message) => problems.push(Problem::at(i + 1, 1, message)),
        }
    }
    if problems.is_empty() { Ok(env) } else { Err(Refused::new(file, "", problems)) }
}

fn entry(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim_end_matches('\r').trim_start_matches('\u{feff}').trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let Some((name, value)) = line.split_once('=') else {
        return Err("expected NAME=VALUE".to_owned());
    };
    let name = variable_name(name.trim_end())?;
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return match rest.strip_suffix(quote) {
                Some(inner) => Ok(Some((name, inner.to_owned()))),
                None => Err(format!("unterminated quote ({quote}) in `{name}`")),
            };
        }
    }
    Ok(Some((name, value.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lines() {
        let text = "\u{feff}# a comment\n\nA=1\r\nexport B=\"two words\"\nC='x=y'\nD=\nE=a#b\n";
        let env = parse("x.env", text).expect("good");
        let pairs: Vec<(&str, &str)> = env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", ""), ("E", "a#b")]);
    }

    #[test]
    fn reports_every_invalid_line_without_its_text() {
        let refused = parse("x.env", "A=1\nhunter2\n9B=x\nC=\"open\nA=2\n").expect_err("bad");
        assert_eq!(
            refused.to_string(),
            "error: x.env:2:1: expected NAME=VALUE\n\
             error: x.env:3:1: `9B` is not a variable's name\n\
             error: x.env:4:1: unterminated quote (\") in `C`\n\
             error: x.env:5:1: duplicate variable `A`"
        );
    }
}
