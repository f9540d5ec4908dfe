//! Names of images.

/// What is wrong with the name of an image (<https://pkg.go.dev/github.com/distribution/reference>).
pub(super) fn image_problem(name: &str) -> Option<String> {
    let (rest, digest) = name.split_once('@').map_or((name, None), |(rest, digest)| (rest, Some(digest)));
    let slash = rest.rfind('/').map_or(0, |at| at + 1);
    let (path, tag) = match rest[slash..].split_once(':') {
        Some((last, tag)) => (&rest[..slash + last.len()], Some(tag)),
        None => (rest, None),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let digest_good = |d: &str| {
        d.split_once(':')
            .is_some_and(|(kind, hex)| kind.chars().all(word) && hex.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let tag_good = |t: &str| (1..=128).contains(&t.len()) && t.chars().all(word) && !t.starts_with(['.', '-']);
    let part_good = |(i, part): (usize, &str)| {
        let host = i == 0 && path.contains('/') && (part.contains(['.', ':']) || part == "localhost");
        let edges = !part.starts_with(['.', '_', '-']) && !part.ends_with(['.', '_', '-']);
        let chars = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        let of_host = |c: char| c.is_ascii_alphanumeric() || ".:-[]".contains(c);
        !part.is_empty() && if host { part.chars().all(of_host) } else { edges && part.chars().all(chars) }
    };
    if tag.is_none_or(tag_good) && digest.is_none_or(digest_good) && path.split('/').enumerate().all(part_good) {
        return None;
    }
    let lower = path.chars().any(|c| c.is_ascii_uppercase()) && image_problem(&name.to_ascii_lowercase()).is_none();
    let hint = if lower { ": use lower case" } else { "" };
    Some(format!("`{name}` is not a valid image name{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for good in [
            "a",
            "a:1",
            "reg.io/team/app:v1.2_x-3",
            "localhost:5000/a:latest",
            "Reg.IO/a",
            "a/b@sha256:0123456789abcdef",
            "sha256:0123",
            "a:1@sha256:00ff",
        ] {
            assert_eq!(image_problem(good), None);
        }
        for bad in ["", "a b", ":1", "a:", "/a", "a//b", "a:1:2", "a@x", "-a", "App:1", "a/b/", "ä"] {
            assert!(image_problem(bad).is_some(), "{bad}");
        }
        assert!(image_problem("App:1").is_some_and(|text| text.ends_with("lower case")));
    }
}
