//! YAML with places; no other file uses the parser.

use std::collections::BTreeMap;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::node::{Entry, Node, Value};
use super::problem::{Place, Problem};

/// Maximum number of values in a document, including those repeated by aliases.
const MOST_NODES: usize = 20_000;
/// Maximum nesting depth.
const DEEPEST: usize = 32;

/// Parses a document into a tree.
///
/// # Errors
/// The first place where it is not YAML, or exceeds a limit.
pub(crate) fn tree(text: &str) -> Result<Node, Problem> {
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() + 1;
        return Err(Problem::at(line, 1, "NUL byte: not a text file"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { parser: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0 };
    let mut root = None;
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(..) if root.is_some() => {
                return Err(Problem::of(place(span), "unexpected second document"));
            }
            Event::DocumentStart(..) => {}
            event => root = Some(reader.node(event, span, 0)?),
        }
    }
    root.filter(|root| !matches!(root.value, Value::Null)).ok_or_else(|| Problem::of_file("the file is empty"))
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// The next event that is not a comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Problem> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(next)) => return Ok(Some(next)),
                Some(Err(error)) => return Err(rephrased(&error)),
            }
        }
    }

    fn count(&mut self, nodes: usize, at: Span) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes <= MOST_NODES {
            return Ok(());
        }
        let repeated = if nodes > 1 { "repeated " } else { "" };
        Err(Problem::of(place(at), format!("too many {repeated}nodes (the limit is {MOST_NODES})")))
    }

    /// The node that starts with an event.
    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let here = place(span);
        if depth > DEEPEST {
            return Err(Problem::of(here, format!("nested too deeply (the limit is {DEEPEST} levels)")));
        }
        let (value, anchor) = match event {
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return Err(Problem::of(here, "recursive alias"));
                };
                let (value, size) = (node.value.clone(), size(node));
                self.count(size, span)?;
                return Ok(Node { place: here, value });
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let value = if plain && ["", "~", "null", "Null", "NULL"].contains(&text.as_ref()) {
                    Value::Null
                } else {
                    Value::Scalar { text: text.into_owned(), plain }
                };
                (value, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping(depth)?, anchor),
            _ => return Err(Problem::of(here, "expected a value")),
        };
        self.count(1, span)?;
        let node = Node { place: here, value };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, span, depth + 1)?);
        }
        Ok(Value::List(items))
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, span, depth + 1)?;
            let Some((event, span)) = self.next()? else { break };
            let node = self.node(event, span, depth + 1)?;
            let plain = matches!(key.value, Value::Scalar { plain: true, .. });
            if plain && key.text() == "<<" {
                // https://yaml.org/type/merge.html
                let sources = node.items().iter().flat_map(|source| source.entries().iter().cloned());
                merged.extend(sources.map(|entry| Entry { place: key.place, ..entry }));
                continue;
            }
            if !key.is_scalar() {
                return Err(key.problem("a key must be a string"));
            }
            entries.push(Entry { key: key.text().to_owned(), place: key.place, node });
        }
        for entry in merged {
            if entries.iter().all(|known| known.key != entry.key) {
                entries.push(entry);
            }
        }
        Ok(Value::Map(entries))
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

/// The number of values in a node; a long string counts as several.
fn size(node: &Node) -> usize {
    let inner: usize = match &node.value {
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| 1 + size(&entry.node)).sum(),
        Value::Scalar { text, .. } => text.len() / 64,
        Value::Null => 0,
    };
    1 + inner
}

/// The parser's error, rephrased for authors of scenarios.
fn rephrased(error: &ScanError) -> Problem {
    let message = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart => "tab in indentation: YAML uses spaces".to_owned(),
        ErrorKind::UnknownAnchor => "alias without an anchor before it".to_owned(),
        ErrorKind::RecursionLimitExceeded => format!("nested too deeply (the limit is {DEEPEST} levels)"),
        ErrorKind::UnclosedQuotedScalar => "unterminated quote".to_owned(),
        ErrorKind::UnclosedFlowCollection { open } => format!("unclosed `{open}`"),
        ErrorKind::UnexpectedCharacter { character } => format!("unexpected `{}`", character.escape_default()),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            "unexpected key; quote a string that contains `: `".to_owned()
        }
        ErrorKind::MappingValueNotAllowed => "unexpected second `: `; quote a string that contains `: `".to_owned(),
        ErrorKind::ExpectedBlockSequenceEntry => "expected `- `; check the indentation".to_owned(),
        ErrorKind::ExpectedBlockMappingKey => "expected `KEY: `; check the indentation".to_owned(),
        ErrorKind::InvalidQuotedScalarIndent => {
            "unterminated quote before this, or its text is not indented".to_owned()
        }
        _ => format!("not valid YAML: {}", error.info()),
    };
    Problem::at(error.marker().line(), error.marker().col() + 1, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let problem = tree(text).err().expect(text);
        format!("{:?}:{} {}", problem.line, problem.column, problem.message)
    }

    #[test]
    fn reads_places_aliases_and_merges() {
        let root = tree("a: &x {b: 1, c: [2, '3']}\nd:\n  <<: *x\n  c: 4\ne: *x\n").expect("good");
        let place = |node: &Node| (node.place.line, node.place.column);
        let of = |path: &[&str]| path.iter().fold(&root, |node, key| node.get(key).expect("there"));
        assert_eq!(place(of(&["a"])), (1, 7));
        assert_eq!(place(&of(&["a", "c"]).items()[1]), (1, 21));
        assert_eq!((of(&["d", "b"]).text(), of(&["d", "c"]).text()), ("1", "4"));
        assert_eq!((place(of(&["e"])), of(&["e"]).json().to_string().as_str()), ((5, 4), r#"{"b":1,"c":[2,"3"]}"#));
    }

    #[test]
    fn rejects_invalid_documents_with_clear_messages() {
        let bomb = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            let aliases = vec![format!("*a{}", n - 1); 9].join(", ");
            text + &format!("a{n}: &a{n} [{aliases}]\n")
        });
        let texts = [
            "",
            "# nothing\n",
            "a: 1\n---\nb: 2\n",
            "a:\n\tb: 1\n",
            "a: b: c\n",
            "a: [1, 2\n",
            "a: 'x\n",
            "a: *x\n",
            "a: &a [*a]\n",
            "a: \0",
            "[a]: 1\n",
            "a: }\n",
            "- a\nb: 1\n",
            "a: @x\n",
            "%x\n",
            "a: \"\\q\"\n",
            &bomb,
            &"[".repeat(100),
            &format!("a: {}1{}", "[".repeat(40), "]".repeat(40)),
            &format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 100].join(", ")),
        ];
        insta::assert_snapshot!(texts.map(wrong).join("\n"));
    }
}
