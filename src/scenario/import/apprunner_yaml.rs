//! `apprunner.yaml`: the configuration of a service that App Runner builds from source.
//!
//! Keys: <https://docs.aws.amazon.com/apprunner/latest/dg/config-file-ref.html>.

use super::Kind;
use super::draft::{Draft, Field, Origin, Store, Value, Variable};
use super::env::surroundings;
use crate::scenario::node::{self, Node};
use crate::scenario::problem::{Problem, Refused};
use crate::scenario::{text, yaml};

/// Reads the file.
///
/// # Errors
/// The file is not YAML. Invalid values become problems of the draft.
pub(crate) fn read(file: &str, text: &str) -> Result<Draft, Refused> {
    // No excerpt is shown: any line may contain the value of a variable.
    let refuse = |problem| Refused::new(file, "", vec![problem]);
    if text.len() > text::LARGEST {
        return Err(refuse(Problem::of_file(text::TOO_LARGE)));
    }
    let root = yaml::tree(text).map_err(refuse)?;
    let mut draft = Draft::new(Kind::AppRunnerYaml);
    let mut problems = Vec::new();
    let root = Mapping::of(&root, "", &mut problems);
    draft.notes.push(
        "The image: App Runner builds this service from source; exitone runs images. Build one (a Dockerfile that \
         does what `build:` and `pre-run:` do) and name it under `candidates`."
            .to_owned(),
    );
    let run = root.mapping("run", &mut problems);
    if let Some(runtime) = root.text("runtime", &mut problems) {
        let version = run.as_ref().and_then(|run| run.text("runtime-version", &mut problems));
        let whole = runtime.text + &version.map(|version| format!(" {}", version.text)).unwrap_or_default();
        let shown: String = whole.chars().filter(|c| c.is_ascii_alphanumeric() || " _.-".contains(*c)).collect();
        draft.notes.push(format!("What App Runner's runtime {shown} brings along: the image must have it."));
    }
    match run {
        Some(run) => take(&run, &mut draft, &mut problems),
        None if root.node.get("run").is_none() => {
            problems.push(Problem::of_file("missing key `run`: nothing to start"))
        }
        None => {}
    }
    draft.notes.push("The health check, CPU and memory: an apprunner.yaml does not set them.".to_owned());
    surroundings(&mut draft);
    Ok(draft.finish(problems))
}

fn take(run: &Mapping<'_>, draft: &mut Draft, problems: &mut Vec<Problem>) {
    draft.start_command = run.text("command", problems);
    if run.node.get("command").is_none() {
        problems.push(Problem::of_file("missing key `run.command`: nothing to start"));
    }
    if run.node.get("pre-run").is_some_and(|commands| !commands.items().is_empty()) {
        draft
            .notes
            .push("App Runner runs the `pre-run:` commands before the start command; exitone does not.".to_owned());
    }
    let network = run.mapping("network", problems);
    let port = network.as_ref().and_then(|network| network.text("port", problems));
    for entry in run.mappings("env", problems) {
        let Some(name) = entry.required("name", problems) else { continue };
        // `value:` without a value is an empty string.
        let value = entry.text("value", problems).map(|value| value.text).unwrap_or_default();
        draft.add(variable(&entry, name, Value::Plain(value)), problems);
    }
    for entry in run.mappings("secrets", problems) {
        let Some(name) = entry.required("name", problems) else { continue };
        let Some(reference) = entry.required("value-from", problems) else { continue };
        draft.add(variable(&entry, name, Value::Secret(Store::of(&reference.text))), problems);
    }
    // The port number is passed in this variable as well as in PORT.
    if let Some(name) = network.and_then(|network| network.text("env", problems)).filter(|name| name.text != "PORT") {
        let value = Value::Plain(port.as_ref().map_or_else(|| "8080".to_owned(), |port| port.text.clone()));
        draft.add(Variable { name: name.text, value, from: name.from }, problems);
    }
    draft.port = port;
}

/// A variable of a list; errors name the list and the place of the name.
fn variable(entry: &Mapping<'_>, name: Field, value: Value) -> Variable {
    Variable { name: name.text, value, from: Origin { path: entry.path.clone(), ..name.from } }
}

/// A mapping of the file and its path. Unknown keys are ignored: the format is App Runner's and may grow.
struct Mapping<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> Mapping<'a> {
    fn of(node: &'a Node, path: &str, problems: &mut Vec<Problem>) -> Self {
        if !matches!(node.value, node::Value::Map(_)) {
            problems.push(origin(path, node).problem("expected a mapping (KEY: value)"));
        }
        for (n, entry) in node.entries().iter().enumerate() {
            if node.entries()[..n].iter().any(|earlier| earlier.key == entry.key) {
                problems.push(Problem::of(entry.place, format!("duplicate key `{}`", entry.key)));
            }
        }
        Self { node, path: path.to_owned() }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key; null counts as absent.
    fn value(&self, key: &str) -> Option<&'a Node> {
        self.node.get(key).filter(|node| !matches!(node.value, node::Value::Null))
    }

    fn mapping(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        self.value(key).map(|node| Self::of(node, &self.path_of(key), problems))
    }

    /// The mappings in a list.
    fn mappings(&self, key: &str, problems: &mut Vec<Problem>) -> Vec<Self> {
        let path = self.path_of(key);
        match self.value(key) {
            Some(Node { value: node::Value::List(items), .. }) => {
                items.iter().map(|item| Self::of(item, &path, problems)).collect()
            }
            Some(other) => {
                problems.push(origin(&path, other).problem("expected a list"));
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn text(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Field> {
        let node = self.value(key)?;
        let from = origin(&self.path_of(key), node);
        if !node.is_scalar() {
            problems.push(from.problem("expected a string"));
            return None;
        }
        Some(Field { text: node.text().to_owned(), from })
    }

    fn required(&self, key: &str, problems: &mut Vec<Problem>) -> Option<Field> {
        if self.value(key).is_none() {
            problems.push(origin(&self.path, self.node).problem(&format!("missing key `{key}`")));
        }
        self.text(key, problems)
    }
}

fn origin(path: &str, node: &Node) -> Origin {
    Origin { path: path.to_owned(), place: Some((node.place.line, node.place.column)) }
}
