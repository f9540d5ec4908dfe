//! The folder of a run: where it is kept, and how an interrupted run is resumed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::failure::Failure;
use super::headings::OUTPUT;
use crate::event::run::Run;
use crate::event::{Attempts, Planned};
use crate::model::search::SearchReport;
use crate::model::{CaseResult, Plan, Verdict};
use crate::report::folder::{self, Folder};
use crate::run::schedule::How;
use crate::run::session::state_dir;

/// Number of runs kept in the state folder.
const KEPT: usize = 20;
/// Their folder in the state folder.
const RUNS: &str = "runs";

/// Flags of commands that keep their run.
#[derive(clap::Args)]
pub(crate) struct RunFolder {
    /// Keep the run (its events and logs) in this folder [default: one of the last 20 in the state folder]
    #[arg(long, value_name = "DIR", conflicts_with = "resume", help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) folder: Option<PathBuf>,
    /// Resume an interrupted run; cases with a verdict do not run again
    #[arg(long, value_name = "DIR", help_heading = OUTPUT, hide_short_help = true)]
    pub(crate) resume: Option<PathBuf>,
}

impl RunFolder {
    /// The run to resume.
    ///
    /// # Errors
    /// When the folder contains no readable run.
    pub(crate) fn earlier(&self) -> Result<Option<Run>, Failure> {
        let read = |path: &PathBuf| folder::read(path).map(|(run, _)| run).map_err(|e| Failure::file(e.to_string()));
        self.resume.as_ref().map(read).transpose()
    }

    /// Opens the folder of a run with these settings.
    ///
    /// # Errors
    /// When it cannot be written, already contains a run, or another process writes to it.
    pub(crate) fn open(&self, how: &How) -> Result<Folder, Failure> {
        let opened = match (&self.resume, &self.folder) {
            (Some(path), _) => Folder::resume(path, how.recorded()).map_err(|e| (path.clone(), e)),
            (None, Some(path)) => Folder::create(path).map_err(|e| (path.clone(), e)),
            (None, None) => {
                let runs = state_dir().join(RUNS);
                // Failing to tidy up is no reason not to run.
                let _ = folder::keep(&runs, KEPT - 1);
                let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3f");
                let path = runs.join(format!("{now}-{}", std::process::id()));
                Folder::create(&path).map_err(|e| (path, e))
            }
        };
        opened.map_err(|(path, e)| {
            let what = match e.kind() {
                std::io::ErrorKind::AlreadyExists => "already contains a run; use --resume to continue it".to_owned(),
                std::io::ErrorKind::WouldBlock => "another exitone process is writing this run".to_owned(),
                _ => e.to_string(),
            };
            Failure::unwritten(format!("{}: {what}", path.display()))
        })
    }
}

/// Adds the results of an earlier run of the same plan to a run's settings.
///
/// # Errors
/// When it was a different plan.
pub(crate) fn resume(run: &Run, plan: &Plan, how: &mut How) -> Result<(), Failure> {
    let (added, searched) = searched(run, plan);
    how.done = done(run, plan, &added)?;
    how.searched = (added, searched);
    Ok(())
}

/// The results of an earlier run that still count.
fn done(run: &Run, plan: &Plan, added: &[Planned]) -> Result<Vec<(Arc<CaseResult>, Attempts)>, Failure> {
    let known = |planned: &&Planned| {
        plan.cases.iter().any(|case| case.id == planned.id) || added.iter().any(|known| known.id == planned.id)
    };
    if let Some(other) = run.header.cases.iter().find(|planned| !known(planned)) {
        return Err(Failure::usage(format!("cannot resume: {} is not a case of this run", other.id)));
    }
    if run.header.platform != plan.platforms() {
        let (then, now) = (&run.header.platform, plan.platforms());
        return Err(Failure::usage(format!("cannot resume: the earlier run was for {then}, this one is for {now}")));
    }
    // A rebuilt image runs again.
    let counts = |planned: &Planned, result: &CaseResult| {
        result.verdict != Verdict::Unresolved && result.image_id == plan.image_id(&planned.image)
    };
    let with_result = run.header.cases.iter().filter_map(|planned| Some((planned, run.results.get(&planned.id)?)));
    let counting = with_result.filter(|(planned, result)| counts(planned, result));
    Ok(counting.filter_map(|(planned, _)| run.finished(&planned.id)).collect())
}

/// Finished searches of an earlier run, and the cases that searches of this plan added there.
fn searched(run: &Run, plan: &Plan) -> (Vec<Planned>, Vec<Arc<SearchReport>>) {
    let of_plan = |planned: &Planned| {
        let mut known = plan.searches.iter().map(|search| &search.id).chain(plan.bisect.as_ref().map(|b| &b.id));
        known.any(|id| planned.search.as_ref() == Some(id)) && !plan.cases.iter().any(|case| case.id == planned.id)
    };
    let stands =
        |searched: &&Arc<SearchReport>| {
            let search = plan.searches.iter().find(|search| search.id == searched.id);
            searched.open.is_none()
                && search.is_some_and(|search| {
                    let known = plan.named(search).all(|case| run.results.contains_key(&case.id));
                    known && searched.answer.image_id == plan.image_id(&search.image)
                })
                && run.header.cases.iter().all(|planned| {
                    planned.search.as_ref() != Some(&searched.id) || run.results.contains_key(&planned.id)
                })
        };
    let added = run.header.cases.iter().filter(|planned| of_plan(planned)).cloned().collect();
    (added, run.searches.values().filter(stands).cloned().collect())
}

/// The absolute form of a path.
pub(crate) fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}
