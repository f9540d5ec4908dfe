//! The page without JavaScript: tables, and the cases that are not as expected.

use std::fmt::Write;

use super::data::{Case, Matrix, Page};
use crate::report::markup::text as escaped;

/// Maximum number of cases described in sentences. The tables show all.
const MOST_DESCRIBED: usize = 100;

/// The content shown when scripts are disabled.
#[must_use]
pub(crate) fn summary(page: &Page) -> String {
    let mut out = format!("<h1>{}</h1>\n<p>", escaped(&page.headline));
    let about: Vec<String> = page.about.iter().map(|(name, value)| format!("{name} {}", escaped(value))).collect();
    let _ = writeln!(out, "{}</p>", about.join(" · "));
    let counts: Vec<String> = page.counts.iter().map(|(_, name, n)| format!("{n} {name}")).collect();
    let _ = writeln!(out, "<p>{}</p>", counts.join(" · "));
    for warning in &page.warnings {
        let _ = writeln!(out, "<p><strong>{}</strong></p>", escaped(warning));
    }
    for search in &page.searches {
        let _ = writeln!(out, "<h2>{}</h2>\n<p>{}</p>", escaped(&search.title), escaped(&search.verdict));
        for line in &search.broke {
            let _ = writeln!(out, "<p>{}</p>", escaped(line));
        }
        out.push_str("<ul>\n");
        for (_, text, _, because) in &search.lines {
            let because: String = because.iter().map(|text| format!("<br>{}", escaped(text))).collect();
            let _ = writeln!(out, "<li>{}{because}</li>", escaped(text));
        }
        out.push_str("</ul>\n");
        for line in &search.remarks {
            let _ = writeln!(out, "<p>{}</p>", escaped(line));
        }
    }
    page.matrices.iter().for_each(|matrix| table(page, matrix, &mut out));
    let described: Vec<&Case> = page.cases.iter().filter(|case| !["good", "step"].contains(&case.group)).collect();
    if !described.is_empty() {
        out.push_str("<h2>Not as expected or unresolved</h2>\n<ul>\n");
        described.iter().take(MOST_DESCRIBED).for_each(|case| sentence(page, case, &mut out));
        if described.len() > MOST_DESCRIBED {
            let _ = writeln!(out, "<li>… and {} more</li>", described.len() - MOST_DESCRIBED);
        }
        out.push_str("</ul>\n");
    }
    out
}

fn table(page: &Page, matrix: &Matrix, out: &mut String) {
    out.push_str("<table>");
    if let Some(name) = &matrix.scenario {
        let _ = write!(out, "<caption>{}</caption>", escaped(name));
    }
    out.push_str("<tr><th>conditions</th>");
    for image in &matrix.images {
        let _ = write!(out, "<th>{}</th>", escaped(&page.images[*image].0));
    }
    out.push_str("</tr>\n");
    for row in &matrix.rows {
        let _ = write!(out, "<tr><th>{}</th>", escaped(&row.name));
        for cell in &row.cells {
            match cell.map(|at| &page.cases[at]) {
                Some(case) => {
                    let _ = write!(out, "<td class={}>{}</td>", case.kind, escaped(&case.mark));
                }
                None => out.push_str("<td></td>"),
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn sentence(page: &Page, case: &Case, out: &mut String) {
    let image = escaped(&page.images[case.image].0);
    let under = escaped(&page.texts[case.under]);
    let _ = write!(out, "<li><b>{image}</b> under {under}: {}", escaped(&case.says));
    for (_, text, fix, _) in &case.causes {
        let _ = write!(out, "<br>Why: {}<br>Fix: {}", escaped(&page.texts[*text]), escaped(&page.texts[*fix]));
    }
    let _ = writeln!(out, " <code>{}</code></li>", escaped(&case.id));
}
