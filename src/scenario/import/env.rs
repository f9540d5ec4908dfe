//! An env file: variables only.

use super::Kind;
use super::draft::{Draft, Field, Origin, Value, Variable};
use crate::model::condition::variable_name;
use crate::scenario::env_file;
use crate::scenario::problem::Refused;

/// Whether a line has the form `NAME=VALUE`.
pub(crate) fn is_assignment(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    line.split_once('=').is_some_and(|(name, _)| variable_name(name.trim_end()).is_ok())
}

/// Reads the file.
///
/// # Errors
/// Every invalid line.
pub(crate) fn read(file: &str, text: &str) -> Result<Draft, Refused> {
    let variables = env_file::parse(file, text)?;
    let mut draft = Draft::new(Kind::EnvFile);
    let (mut problems, nowhere) = (Vec::new(), |name: &str| Origin { path: name.to_owned(), place: None });
    for (name, value) in variables {
        if name == "PORT" && value.parse::<u16>().is_ok_and(|port| port > 0) {
            draft.port = Some(Field { text: value.clone(), from: nowhere("PORT") });
        }
        draft.add(Variable { from: nowhere(&name), name, value: Value::Plain(value) }, &mut problems);
    }
    let from = if draft.port.is_some() { "that PORT says" } else { "8080, App Runner's default" };
    draft.notes.push(format!(
        "The port that App Runner is told (here: {from}), the start command, the health check, and the size: an env \
         file has variables alone."
    ));
    draft.notes.push(
        "Whether the deployed service has these variables, and with these values: a file for development often has \
         others."
            .to_owned(),
    );
    surroundings(&mut draft);
    Ok(draft.finish(problems))
}

/// Notes for files that do not come from a deployed service.
pub(crate) fn surroundings(draft: &mut Draft) {
    draft.notes.push(
        "Whether the service's egress goes through a VPC, whether that has a NAT gateway, and whether the service has \
         an instance role: conditions for both are proposed; take out what does not apply."
            .to_owned(),
    );
    draft.propose("egress.drop", "a VPC without a NAT gateway silently drops what goes to the internet");
    draft.propose("metadata.none", "without an instance role SDK calls find no credentials");
}
