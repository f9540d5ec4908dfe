//! Whether changed files can affect an image. If in doubt, they can.

use super::named::Build;

/// Files that determine the content of others on checkout.
const DECIDING: [&str; 2] = [".gitattributes", ".gitmodules"];

/// The file that lists what docker excludes from a context.
pub(crate) const IGNORE: &str = ".dockerignore";

/// The first changed file that may affect the image; `also`: paths that count regardless. `ignore` is the text of the
/// context's .dockerignore.
pub(super) fn affecting<'a>(
    changed: &'a [String],
    build: &Build,
    ignore: Option<&str>,
    also: &[String],
) -> Option<&'a str> {
    let rules: Vec<Rule> = ignore.map(rules).unwrap_or_default();
    let matters = |path: &&String| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let of_build = **path == build.dockerfile || **path == build.own_ignore();
        if also.contains(path) || of_build || DECIDING.contains(&name) {
            return true;
        }
        match below(path, &build.context) {
            Some(inside) => inside == IGNORE || !ignored(inside, &rules),
            // A file in place of the context's directory, or of one above it.
            None => build.context == **path || below(&build.context, path).is_some(),
        }
    };
    changed.iter().find(matters).map(String::as_str)
}

/// A path relative to a folder; the empty folder is the top.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

/// A line of .dockerignore.
struct Rule {
    /// Whether matching files are not ignored after all.
    except: bool,
    /// The parts of the pattern; `None` if it is not supported here.
    parts: Option<Vec<String>>,
}

fn rules(text: &str) -> Vec<Rule> {
    text.trim_start_matches('\u{feff}').lines().filter_map(rule).collect()
}

fn rule(line: &str) -> Option<Rule> {
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim();
    let (except, pattern) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
    let parts: Vec<String> =
        pattern.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
    if parts.is_empty() {
        return None;
    }
    // Classes, escapes and parent steps are left to docker.
    let plain =
        |part: &String| !part.contains(['[', ']', '\\']) && part != ".." && (!part.contains("**") || part == "**");
    let understood = parts.iter().all(plain);
    Some(Rule { except, parts: understood.then_some(parts) })
}

/// Whether the file is surely not part of the context: the last matching rule decides. An unsupported rule ignores
/// nothing and excepts everything.
fn ignored(path: &str, rules: &[Rule]) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    let mut ignored = false;
    for rule in rules {
        let matches = match &rule.parts {
            // A match on a directory includes everything in it.
            Some(pattern) => (1..=parts.len()).any(|n| matches(pattern, &parts[..n])),
            None => rule.except,
        };
        if matches {
            ignored = !rule.except;
        }
    }
    ignored
}

fn matches(pattern: &[String], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((first, rest)) if first == "**" => (0..=path.len()).any(|n| matches(rest, &path[n..])),
        Some((first, rest)) => {
            path.split_first().is_some_and(|(name, more)| name_matches(first, name) && matches(rest, more))
        }
    }
}

/// Matches `*` and `?` within one name.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The position of the last star, and what it has matched so far: backtracking further is never needed.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_what_docker_ignores() {
        for (ignore, path, expected) in [
            ("", "README.md", false),
            ("README.md", "README.md", true),
            ("*.md", "README.md", true),
            // A pattern is anchored at the context.
            ("*.md", "docs/a.md", false),
            ("**/*.md", "docs/deep/a.md", true),
            ("**/*.md", "a.md", true),
            ("docs", "docs/deep/a.md", true),
            ("/docs/", "docs/a.md", true),
            ("./docs", "docs/a.md", true),
            ("docs", "src/docs/a.md", false),
            ("docs/**", "docs/a/b", true),
            ("**/node_modules", "a/node_modules/b/c.js", true),
            ("# docs\ndocs", "docs/a", true),
            ("# docs", "docs/a", false),
            ("*\n!app", "app/main.py", false),
            ("*\n!app", "docs/main.py", true),
            ("docs\n!docs/keep.md", "docs/keep.md", false),
            ("docs\n!docs/keep.md\ndocs/*.md", "docs/keep.md", true),
            ("do?s", "docs/a", true),
            ("d*s", "docs/a", true),
            ("d*x", "docs/a", false),
            ("*a*b*", "xxaxxbxx", true),
            // In doubt, a file is part of the image.
            ("[dD]ocs", "docs/a", false),
            ("docs\n![a-z]*", "docs/a", false),
            ("a\\*", "a*", false),
            ("../x", "x", false),
            ("do**", "docs/a", false),
        ] {
            assert_eq!(ignored(path, &rules(ignore)), expected, "{ignore:?} {path}");
        }
    }

    #[test]
    fn recognises_files_that_cannot_affect_the_image() {
        let build = |dockerfile: &str, context: &str| Build {
            dockerfile: dockerfile.to_owned(),
            context: context.to_owned(),
            image: "app".to_owned(),
        };
        let ignore = Some("docs\n*.md\nDockerfile\n.dockerignore");
        let top = build("Dockerfile", "");
        let app = build("deploy/Dockerfile", "services/app");
        for (changed, build, told) in [
            (vec!["README.md", "docs/a.txt"], &top, None),
            (vec!["README.md", "main.py"], &top, Some("main.py")),
            // Docker reads both, even if ignored.
            (vec!["Dockerfile"], &top, Some("Dockerfile")),
            (vec![".dockerignore"], &top, Some(".dockerignore")),
            (vec!["Dockerfile.dockerignore"], &top, Some("Dockerfile.dockerignore")),
            (vec!["docs/.gitattributes"], &top, Some("docs/.gitattributes")),
            (vec!["docs/gate.yaml"], &top, Some("docs/gate.yaml")),
            (vec!["services/other/main.py", "main.py"], &app, None),
            (vec!["services/app/main.py"], &app, Some("services/app/main.py")),
            (vec!["services/app/README.md"], &app, None),
            (vec!["services/app2/main.py"], &app, None),
            (vec!["deploy/Dockerfile"], &app, Some("deploy/Dockerfile")),
            (vec!["deploy/Dockerfile.dockerignore"], &app, Some("deploy/Dockerfile.dockerignore")),
            (vec!["services"], &app, Some("services")),
            (vec!["services/app"], &app, Some("services/app")),
            (vec![], &app, None),
        ] {
            let changed: Vec<String> = changed.into_iter().map(str::to_owned).collect();
            let also = ["docs/gate.yaml".to_owned()];
            assert_eq!(affecting(&changed, build, ignore, &also), told, "{changed:?}");
        }
    }
}
