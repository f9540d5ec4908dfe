//! Finds the program behind wrappers such as `env` and `tini`.

use crate::model::words::is_shell;

/// Characters with a meaning to a shell.
const SHELL_SIGNS: &str = "&|;<>$`*?(){}[]~#\n";

/// The command that a wrapper executes; `None` when the command is not a known wrapper.
#[must_use]
pub(crate) fn wrapped(words: &[String]) -> Option<Vec<String>> {
    let (program, arguments) = words.split_first()?;
    let inner = match program.rsplit('/').next()? {
        "env" => of_env(arguments),
        "tini" | "tini-static" | "docker-init" | "dumb-init" | "catatonit" => of_init(arguments),
        // gosu USER COMMAND
        "gosu" | "su-exec" => Some(arguments.get(1..)?.to_vec()),
        name if is_shell(name) => of_shell(arguments),
        _ => None,
    };
    inner.filter(|words| !words.is_empty())
}

/// `env [-i] [-u NAME] [NAME=VALUE …] COMMAND`; `-S` splits a word into several.
fn of_env(arguments: &[String]) -> Option<Vec<String>> {
    let mut rest = arguments;
    while let Some((word, more)) = rest.split_first() {
        let split = word.strip_prefix("-S").or_else(|| word.strip_prefix("--split-string="));
        match (split, word.as_str()) {
            (Some(text), _) => {
                let words = shlex::split(text)?;
                return of_env(&[&words, more].concat());
            }
            (_, "-i" | "-" | "--ignore-environment" | "--") => rest = more,
            (_, "-u" | "-C") => rest = more.get(1..)?,
            (_, option) if option.starts_with('-') => return None,
            (_, assignment) if assignment.contains('=') => rest = more,
            _ => return Some(rest.to_vec()),
        }
    }
    None
}

/// `tini [-s] [-e CODE] [-p SIGNAL] [--] COMMAND`, `dumb-init [-r FROM:TO] COMMAND`.
fn of_init(arguments: &[String]) -> Option<Vec<String>> {
    let mut rest = arguments;
    while let Some((word, more)) = rest.split_first() {
        match word.as_str() {
            "--" => return Some(more.to_vec()),
            "-e" | "-p" | "-r" | "--rewrite" => rest = more.get(1..)?,
            option if option.starts_with('-') => rest = more,
            _ => return Some(rest.to_vec()),
        }
    }
    None
}

/// `sh -c "COMMAND"`, if it is a single plain command with a path. A bare word may be a builtin of the shell.
fn of_shell(arguments: &[String]) -> Option<Vec<String>> {
    let (option, rest) = arguments.split_first()?;
    let text = rest.first()?;
    let plain = option.starts_with('-') && option.ends_with('c') && !text.contains(|c| SHELL_SIGNS.contains(c));
    let mut words = plain.then(|| shlex::split(text))??;
    if words.first().is_some_and(|word| word == "exec") {
        words.remove(0);
    }
    let first = words.first()?;
    (first.contains('/') && !first.contains('=')).then_some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wrappers_are_unwrapped() {
        for (words, expected) in [
            (vec!["/usr/bin/env", "python3", "/app/x.py"], Some(vec!["python3", "/app/x.py"])),
            (vec!["env", "-i", "A=b", "-u", "C", "python3"], Some(vec!["python3"])),
            (vec!["env", "-S python3 -u", "/app/x.py"], Some(vec!["python3", "-u", "/app/x.py"])),
            (vec!["env", "-S", "python3"], Some(vec!["python3"])),
            (vec!["env", "--split-string=A=1 node"], Some(vec!["node"])),
            (vec!["env", "python3 -u", "/app/x.py"], Some(vec!["python3 -u", "/app/x.py"])),
            (vec!["env", "--what", "python3"], None),
            (vec!["env"], None),
            (vec!["/sbin/tini", "-g", "--", "/entry.sh", "npm"], Some(vec!["/entry.sh", "npm"])),
            (vec!["tini", "-e", "143", "/entry.sh"], Some(vec!["/entry.sh"])),
            (vec!["dumb-init", "-r", "15:3", "node"], Some(vec!["node"])),
            (vec!["tini", "--"], None),
            (vec!["gosu", "app", "node", "x"], Some(vec!["node", "x"])),
            (vec!["gosu"], None),
            (vec!["/bin/sh", "-c", "exec /app/run 'a b'"], Some(vec!["/app/run", "a b"])),
            (vec!["/bin/sh", "-ec", "./run --port=80"], Some(vec!["./run", "--port=80"])),
            (vec!["/bin/sh", "-c", "/app/a && /app/b"], None),
            (vec!["/bin/sh", "-c", "A=/x /app/a"], None),
            (vec!["/bin/sh", "-c", "echo hello"], None),
            (vec!["/bin/sh", "-c", "'/app"], None),
            (vec!["/bin/sh", "/app/run.sh"], None),
            (vec!["python3", "-m", "app"], None),
            (vec![], None),
        ] {
            let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(wrapped(&owned(words.clone())), expected.map(owned), "{words:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_words_do_not_panic(first in "env|tini|sh|gosu", rest in prop::collection::vec("-?[-a-zA-Z=/' ]{0,8}", 0..6)) {
            let words: Vec<String> = std::iter::once(first).chain(rest).collect();
            let _ = wrapped(&words);
        }
    }
}
