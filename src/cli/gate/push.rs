//! Reads what is pushed: git's lines to a pre-push hook, or the variables of the pre-commit framework.

/// One ref that a push changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    /// The pushed ref, as the user named it.
    pub(crate) local_ref: String,
    /// Its commit (or a name for it); zeros for a deletion.
    pub(crate) local: String,
    /// The remote ref.
    pub(crate) remote_ref: String,
    /// The remote commit; zeros if there is none yet.
    pub(crate) remote: String,
}

/// Whether the id is all zeros, in SHA-1 and SHA-256 repositories alike.
pub(crate) fn is_nothing(oid: &str) -> bool {
    !oid.is_empty() && oid.bytes().all(|byte| byte == b'0')
}

/// Reads git's lines `LOCAL-REF LOCAL-OID REMOTE-REF REMOTE-OID`.
///
/// # Errors
/// On an invalid line.
pub(crate) fn read(text: &str) -> Result<Vec<Update>, String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(update).collect()
}

fn update(line: &str) -> Result<Update, String> {
    // Split from the right: the user's name for it may contain spaces (`main@{1 day ago}`).
    let mut words = line.trim_end().rsplitn(4, ' ');
    let (Some(remote), Some(remote_ref), Some(local), Some(local_ref)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("`{line}` is not a line that git passes to a pre-push hook"));
    };
    let oid = |text: &str| text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !oid(local) || !oid(remote) {
        return Err(format!("`{line}` is not a line that git passes to a pre-push hook"));
    }
    let [local_ref, local, remote_ref, remote] = [local_ref, local, remote_ref, remote].map(str::to_owned);
    Ok(Update { local_ref, local, remote_ref, remote })
}

/// The push as the pre-commit framework describes it; the framework itself reads git's lines.
pub(crate) fn of_framework(variable: impl Fn(&str) -> Option<String>) -> Option<Update> {
    let given = |name: &str| variable(name).filter(|value| !value.is_empty());
    let to = given("PRE_COMMIT_TO_REF");
    // On a first push, neither end is given.
    if to.is_none() && given("PRE_COMMIT_REMOTE_NAME").is_none() {
        return None;
    }
    let branch = given("PRE_COMMIT_LOCAL_BRANCH").unwrap_or_else(|| "HEAD".to_owned());
    Some(Update {
        local: to.unwrap_or_else(|| branch.clone()),
        local_ref: branch,
        remote_ref: given("PRE_COMMIT_REMOTE_BRANCH").unwrap_or_default(),
        remote: given("PRE_COMMIT_FROM_REF").unwrap_or_else(|| "0".to_owned()),
    })
}

impl Update {
    /// What is tested without a push.
    pub(crate) fn by_hand() -> Self {
        let head = || "HEAD".to_owned();
        Self { local_ref: head(), local: head(), remote_ref: String::new(), remote: "0".to_owned() }
    }

    /// Why there is nothing to test, regardless of the commit's content.
    pub(crate) fn nothing_to_judge(&self) -> Option<&'static str> {
        if is_nothing(&self.local) {
            Some("the ref is deleted")
        } else if self.remote_ref.starts_with("refs/tags/") {
            Some("the ref is a tag")
        } else if self.remote_ref.starts_with("refs/notes/") {
            Some("git notes have no image")
        } else {
            None
        }
    }

    /// Its customary name.
    pub(crate) fn short(&self) -> &str {
        let name = if self.remote_ref.is_empty() { &self.local_ref } else { &self.remote_ref };
        ["refs/heads/", "refs/tags/", "refs/"].iter().find_map(|start| name.strip_prefix(start)).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
    const ZERO: &str = "0000000000000000000000000000000000000000";

    #[test]
    fn reads_lines_of_git() {
        let long = "0".repeat(64);
        let sha256 = "c".repeat(64);
        for (line, name, why) in [
            (format!("refs/heads/main {A} refs/heads/main {B}"), "main", None),
            (format!("main@{{1 day ago}} {A} refs/heads/old {B}"), "old", None),
            (format!("HEAD~2 {A} refs/for/main {ZERO}"), "for/main", None),
            (format!("(delete) {ZERO} refs/heads/gone {B}"), "gone", Some("the ref is deleted")),
            (format!("(delete) {long} refs/heads/gone {sha256}"), "gone", Some("the ref is deleted")),
            (format!("refs/tags/v1 {A} refs/tags/v1 {ZERO}"), "v1", Some("the ref is a tag")),
            (
                format!("refs/notes/commits {A} refs/notes/commits {B}"),
                "notes/commits",
                Some("git notes have no image"),
            ),
            (format!("refs/heads/a {sha256} refs/heads/a {long}"), "a", None),
        ] {
            let updates = read(&format!("{line}\n")).expect(&line);
            assert_eq!(updates.len(), 1, "{line}");
            assert_eq!((updates[0].short(), updates[0].nothing_to_judge()), (name, why), "{line}");
        }
        assert_eq!(read("").expect("nothing"), []);
        assert_eq!(read("\n").expect("nothing"), []);
        let two = read(&format!("a {A} refs/heads/a {B}\nb {B} refs/heads/b {ZERO}\n")).expect("two");
        assert_eq!((two[0].local_ref.as_str(), two[1].local.as_str()), ("a", B));
        for bad in ["refs/heads/main", "a b c d", "refs/heads/a 12 refs/heads/a 34"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reads_variables_of_the_framework() {
        let of = |pairs: &[(&str, &str)]| {
            of_framework(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(of(&[]), None);
        let usual = of(&[
            ("PRE_COMMIT_FROM_REF", B),
            ("PRE_COMMIT_TO_REF", A),
            ("PRE_COMMIT_REMOTE_NAME", "origin"),
            ("PRE_COMMIT_LOCAL_BRANCH", "refs/heads/x"),
            ("PRE_COMMIT_REMOTE_BRANCH", "refs/heads/y"),
        ])
        .expect("a push");
        assert_eq!((usual.local.as_str(), usual.remote.as_str(), usual.short()), (A, B, "y"));
        let first = of(&[("PRE_COMMIT_REMOTE_NAME", "origin"), ("PRE_COMMIT_LOCAL_BRANCH", "refs/heads/x")]);
        let first = first.expect("a push");
        assert_eq!((first.local.as_str(), first.short()), ("refs/heads/x", "x"));
        assert!(is_nothing(&first.remote));
        let tag = of(&[("PRE_COMMIT_TO_REF", A), ("PRE_COMMIT_REMOTE_BRANCH", "refs/tags/v1")]).expect("a push");
        assert_eq!(tag.nothing_to_judge(), Some("the ref is a tag"));
    }
}
