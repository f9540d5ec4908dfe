//! `docs/healthy.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

const PAGE: &str = "docs/healthy.md";

/// The page's introduction.
const HEAD: &str = "\
# Healthy servers, and what `exitone why` says of them

You want to know whether exitone blames images that have no fault: here is what it says of ordinary servers with
configurations that a careful person would ship.

`tests/docker/healthy` builds them from Debian packages. Each is run under friendly conditions, where exitone must find
nothing wrong, and then searched under everything that differs on the platform (`exitone why IMAGE --service FILE`). What
exitone does report is true: `tests/docker/healthy/servers.yaml` has the proof.

`EXITONE_UPDATE_DOCS=1 cargo test --test docker healthy::` rewrites this page; the test compares all but runs and seconds
(four images side by side, on a machine with two cores).
";

/// One server's line.
pub(super) struct Row {
    pub name: String,
    pub version: String,
    pub diagnosed: BTreeMap<String, Vec<String>>,
    pub warnings: Vec<String>,
    pub runs: u64,
    pub seconds: f64,
}

impl Row {
    /// The compared part.
    fn said(&self) -> String {
        let set = |(set, causes): (&String, &Vec<String>)| format!("`{set}`: {}", causes.join(", "));
        let diagnosed: Vec<String> = self.diagnosed.iter().map(set).collect();
        let diagnosed = if diagnosed.is_empty() { "nothing".to_owned() } else { diagnosed.join("<br>") };
        let warnings = if self.warnings.is_empty() { "none".to_owned() } else { self.warnings.join(", ") };
        let version = if self.version.is_empty() { "-" } else { &self.version };
        format!("| {} | {version} | {diagnosed} | {warnings} |", self.name)
    }
}

/// Writes the page if requested; returns where it is out of date. `whole`: whether all servers ran.
pub(super) fn check(rows: &[Row], whole: bool) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if whole && std::env::var_os("EXITONE_UPDATE_DOCS").is_some() {
        let mut page = format!("{HEAD}\n| server | version | makes it fail | warnings | runs | seconds |\n");
        page.push_str("|---|---|---|---|---|---|\n");
        for row in rows {
            let _ = writeln!(page, "{} {} | {:.0} |", row.said(), row.runs, row.seconds);
        }
        std::fs::write(&path, page).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = found.lines().filter(|line| line.starts_with("| ")).skip(1);
    // The last two columns depend on the machine.
    let asked = |line: &&str| whole || rows.iter().any(|row| line.starts_with(&format!("| {} |", row.name)));
    let on_page: Vec<&str> = lines.filter(asked).filter_map(|line| line.rsplitn(3, " | ").nth(2)).collect();
    let said: Vec<String> = rows.iter().map(Row::said).collect();
    let said: Vec<&str> = said.iter().map(|line| line.trim_end_matches(" |")).collect();
    let differ = on_page != said;
    let told = format!(
        "{PAGE} is out of date; run EXITONE_UPDATE_DOCS=1 cargo test --test docker healthy::\n{said:#?}\n{on_page:#?}"
    );
    if differ { vec![told] } else { Vec::new() }
}
