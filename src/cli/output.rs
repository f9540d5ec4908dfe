//! The outputs of a run: live progress, the folder, and reports in any format, all made from events.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::console::{print, say};
use super::failure::Failure;
use super::headings::OUTPUT;
use crate::event::Stamped;
use crate::event::run::Run;
use crate::report::folder::Folder;
use crate::report::{annotations, html, json, junit, markdown, terminal};

/// The form of a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ReportForm {
    /// Human-readable text
    Text,
    /// One JSON document
    Json,
    /// JUnit XML
    Junit,
    /// Markdown for a CI job's summary
    Markdown,
    /// GitHub Actions annotations
    Annotations,
    /// One self-contained HTML page
    Html,
}

/// A report into a file: `junit=out.xml`.
#[derive(Clone, Debug)]
pub(crate) struct ReportFile {
    form: ReportForm,
    path: PathBuf,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || {
            let names = ReportForm::value_variants().iter().filter_map(ValueEnum::to_possible_value);
            names.map(|v| v.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        };
        let (form, path) =
            text.split_once('=').ok_or_else(|| format!("expected FORMAT=FILE; FORMAT is one of {}", known()))?;
        let form = ReportForm::from_str(form, false)
            .map_err(|_| format!("unknown format `{form}`; expected one of {}", known()))?;
        if path.is_empty() {
            return Err("missing file name".to_owned());
        }
        Ok(Self { form, path: PathBuf::from(path) })
    }
}

/// Flags of commands that report a run.
#[derive(Args)]
pub(crate) struct Output {
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportForm::Text, help_heading = OUTPUT)]
    pub(crate) format: ReportForm,
    /// Write the result to this file
    #[arg(long, short = 'o', value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) output: Option<PathBuf>,
    /// Write an additional report; may be repeated
    #[arg(long, value_name = "FORMAT=FILE", help_heading = OUTPUT)]
    pub(crate) report: Vec<ReportFile>,
}

impl Output {
    /// Writes every report; a failing one does not prevent the others.
    ///
    /// # Errors
    /// When a report cannot be written.
    pub(crate) fn write(&self, run: &Run) -> Result<(), Failure> {
        self.write_as(run, |_| None)
    }

    /// Like [`Self::write`], with formats that a command renders itself.
    ///
    /// # Errors
    /// When a report cannot be written.
    pub(crate) fn write_as(&self, run: &Run, own: impl Fn(ReportForm) -> Option<String>) -> Result<(), Failure> {
        let render = |form| own(form).unwrap_or_else(|| render(form, run));
        let mut failed: Vec<String> = Vec::new();
        let result = match &self.output {
            Some(path) => into_file(path, &render(self.format)),
            None => print(&render(self.format)).map_err(|failure| failure.message().to_owned()),
        };
        failed.extend(result.err());
        failed.extend(self.report.iter().filter_map(|r| into_file(&r.path, &render(r.form)).err()));
        if failed.is_empty() { Ok(()) } else { Err(Failure::unwritten(failed.join("\nerror: "))) }
    }
}

/// Renders a run in one of the formats.
fn render(form: ReportForm, run: &Run) -> String {
    match form {
        ReportForm::Text => terminal::run(run),
        ReportForm::Json => format!("{:#}\n", json::of_run(run)),
        ReportForm::Junit => junit::render(run),
        ReportForm::Markdown => markdown::render(run),
        ReportForm::Html => html::render(run),
        ReportForm::Annotations => annotations::render(run),
    }
}

/// Writes a file without colours. A pipe or device is written to as it is, so that several commands may add to it.
fn into_file(path: &Path, text: &str) -> Result<(), String> {
    let plain = anstream::adapter::strip_str(text).to_string();
    let written = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| file.write_all(plain.as_bytes()));
    written.map_err(|e| format!("{}: {e}", path.display()))
}

/// Receives every event: draws progress, writes the folder, assembles the run.
pub(crate) struct Reporters {
    progress: Box<dyn FnMut(&Stamped)>,
    folder: Option<Folder>,
    /// The run so far.
    pub(crate) run: Run,
    failed: Option<String>,
}

impl Reporters {
    /// No events yet.
    pub(crate) fn new(progress: impl FnMut(&Stamped) + 'static, folder: Option<Folder>) -> Self {
        Self { progress: Box::new(progress), folder, run: Run::default(), failed: None }
    }

    /// Handles an event. A folder that becomes unwritable is given up; the rest continues.
    pub(crate) fn on(&mut self, event: &Stamped) {
        (self.progress)(event);
        self.run.on(event);
        if let Some(folder) = &mut self.folder
            && let Err(e) = folder.on(event)
        {
            let message = format!("{}: {e}; the run goes on without its folder", folder.path().display());
            say(&format!("error: {message}"));
            self.failed = Some(message);
            self.folder = None;
        }
    }

    /// The folder that has the run; `None` when it cannot be written.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(Folder::path)
    }

    /// What could not be written.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_report_files() {
        let good: ReportFile = "json=a=b.json".parse().expect("good");
        assert_eq!((good.form, good.path.as_path()), (ReportForm::Json, Path::new("a=b.json")));
        for bad in ["json", "json=", "pdf=x", ""] {
            assert!(bad.parse::<ReportFile>().is_err(), "{bad}");
        }
    }
}
