use super::*;

#[test]
fn fills_in_words() {
    let word = |name: &str| (name == "a").then(|| "[x]".to_owned());
    assert_eq!(filled("one {a}[ two {a}][ three {b}].", &word), "one [x] two [x].");
    assert_eq!(
        filled("`CMD [\"a\", \"b\"]` with ${PORT:-80} and ${a}; {b}", &word),
        "`CMD [\"a\", \"b\"]` with ${PORT:-80} and ${a}; …"
    );
    assert_eq!(required_words("{a} [of {b}] in {c}"), ["a", "c"]);
}
