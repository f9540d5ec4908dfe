//! Lists in pages. A token names its list and where it goes on, so that no other list accepts it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value as Json, json};

use super::error::{ApiError, ApiResult};

/// A page of a list, and the token of the next one.
///
/// # Errors
/// A token of another list, or of none.
pub(crate) fn page<T>(
    list: &str,
    all: Vec<T>,
    most: Option<i64>,
    token: Option<&str>,
    refuse: impl Fn(String) -> ApiError,
) -> ApiResult<(Vec<T>, Option<String>)> {
    let start = match token {
        None => 0,
        Some(token) => {
            let start = decoded(list, token).filter(|start| *start <= all.len());
            start.ok_or_else(|| refuse("The NextToken is not one of this list.".to_owned()))?
        }
    };
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let end = start.saturating_add(most).min(all.len());
    let next = (end < all.len()).then(|| URL_SAFE_NO_PAD.encode(format!("{end} {list}")));
    Ok((all.into_iter().skip(start).take(end - start).collect(), next))
}

/// An answer with the token of the next page under this name: absent at the end, because clients go on while it is not null.
pub(crate) fn with_token(mut answer: Json, name: &str, next: Option<String>) -> Json {
    if let Some(next) = next {
        answer[name] = json!(next);
    }
    answer
}

fn decoded(list: &str, token: &str) -> Option<usize> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let (at, of) = text.split_once(' ')?;
    if of == list { at.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_list() {
        let page =
            |list: &str, token: Option<&str>| page(list, (0..5).collect::<Vec<_>>(), Some(2), token, ApiError::invalid);
        let (first, token) = page("a", None).expect("a page");
        assert_eq!(first, [0, 1]);
        assert!(page("b", token.as_deref()).is_err(), "a token of another list");
        let (second, token) = page("a", token.as_deref()).expect("a page");
        let (last, end) = page("a", token.as_deref()).expect("a page");
        assert_eq!((second, last, end), (vec![2, 3], vec![4], None));
        assert!(page("a", Some("nonsense")).is_err());
    }
}
