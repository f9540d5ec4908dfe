use super::*;

#[test]
fn fills_in_words() {
    let word = |name: &str| (name == "a").then(|| "[x]".to_owned());
    assert_eq!(filled("one {a}[ two {a}][ three {b}].", &word), "one [x] two [x].");
}

#[test]
fn every_pattern_compiles() {
    for rule in all() {
        for seen in rule.seen.iter().chain(rule.unless).chain(rule.also) {
            let Seen::Line(patterns) = seen else { continue };
            for pattern in *patterns {
                assert!(regex::Regex::new(pattern).is_ok(), "{}: {pattern}", rule.id);
            }
        }
        assert!(rule.reference.starts_with("https://"), "{}", rule.id);
    }
}
