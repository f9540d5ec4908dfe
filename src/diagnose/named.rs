//! The files that a log names where it speaks of an error. Pure.

use std::sync::LazyLock;

use regex::Regex;

/// Maximum number of files.
const MOST: usize = 4;
/// Number of lines that are searched: only the end of a log speaks of what ended the process.
const MOST_LINES: usize = 60;

/// A path in a line: absolute, or beginning with `./` or `../`; it follows a blank, a quote, a bracket, a colon or `=`.
/// Two slashes begin a host.
static PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?:^|[\s'"`‘(\[<:=])(?P<path>\.{0,2}(?:/[\w@%+~.,#-]+)+)"#).ok());

/// Words of lines about a missing or forbidden file, unlike those about a place in the program's own code.
const OF_A_FILE: [&str; 12] = [
    "denied",
    "no such file",
    "not found",
    "cannot find",
    "does not exist",
    "doesn't exist",
    "enoent",
    "eacces",
    "eperm",
    "not permitted",
    "not writable",
    "cannot",
];

/// The paths that a log names in lines about a missing or forbidden file, the last lines first.
#[must_use]
pub(crate) fn files(log: &str) -> Vec<String> {
    let Some(path) = PATH.as_ref() else { return Vec::new() };
    let about = |line: &&str| {
        let low = line.to_ascii_lowercase();
        OF_A_FILE.iter().any(|words| low.contains(words))
    };
    let mut all: Vec<String> = Vec::new();
    for line in log.lines().rev().take(MOST_LINES).filter(about) {
        for found in path.captures_iter(line).filter_map(|groups| groups.name("path")) {
            let found = found.as_str().trim_end_matches(['.', ',']);
            if !all.iter().any(|known| known == found) {
                all.push(found.to_owned());
            }
        }
    }
    all.truncate(MOST);
    all
}

#[cfg(test)]
mod tests {
    use super::files;

    #[test]
    fn finds_the_paths_of_lines_about_files() {
        for (log, expected) in [
            ("PermissionError: [Errno 13] Permission denied: '/app/data/x.db'", vec!["/app/data/x.db"]),
            ("Error: Cannot find module './Routes/User'\nRequire stack:\n- /app/index.js", vec!["./Routes/User"]),
            ("Error: EACCES: permission denied, mkdir '/app/.next/cache'", vec!["/app/.next/cache"]),
            (r#"open() "/var/log/nginx/error.log" failed (13: Permission denied)"#, vec!["/var/log/nginx/error.log"]),
            ("sh: 1: /app/start.sh: not found", vec!["/app/start.sh"]),
            ("open /etc/app/config.yaml: no such file or directory", vec!["/etc/app/config.yaml"]),
            ("GET https://example.com/x: 404 not found", vec![]),
            ("listening on /tmp/app.sock", vec![]),
            ("a\nmkdir: cannot create directory '/data': Permission denied\nbye", vec!["/data"]),
        ] {
            assert_eq!(files(log), expected, "{log}");
        }
        let many: String = (0..9).map(|n| format!("cannot open /file{n}\n")).collect();
        assert_eq!(files(&many), ["/file8", "/file7", "/file6", "/file5"]);
    }
}
