//! A run as a self-contained HTML page: data as JSON, rendered by the page's own script.

mod data;
mod sentence;
mod still;
mod text;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha2::{Digest, Sha256};

use super::markup;
use crate::event::run::Run;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
/// The parts of the script, in this order and in one scope.
const SCRIPTS: [&str; 3] = [include_str!("html/base.js"), include_str!("html/panel.js"), include_str!("html/page.js")];

/// The page. It loads nothing over the network and runs no script but its own; logs are only ever text.
#[must_use]
pub fn render(run: &Run) -> String {
    let page = data::Page::of(run);
    // Browsers normalize line breaks before they compute a hash.
    let style = STYLE.replace("\r\n", "\n");
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.concat()).replace("\r\n", "\n");
    let json = serde_json::to_string(&page).unwrap_or_else(|_| "null".to_owned());
    let parts = [
        ("title", markup::text(&page.title)),
        ("style-hash", hash(&style)),
        ("script-hash", hash(&script)),
        ("still", still::summary(&page)),
        ("data", text::json_in_html(&json)),
        ("style", style),
        ("script", script),
    ];
    filled(PAGE, &parts)
}

/// Fills in the `{{name}}` of a template. Inserted texts are not expanded again.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::with_capacity(template.len() + parts.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        page.extend(parts.iter().filter(|(known, _)| *known == name).map(|(_, text)| text.as_str()));
        rest = after;
    }
    page + rest
}

/// The hash of a script or style for a content security policy.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests;
