//! A run as one page of HTML that needs nothing else: the data as JSON, drawn by the page's own script.

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
/// In one scope, in this order.
const SCRIPTS: [&str; 3] = [include_str!("html/base.js"), include_str!("html/panel.js"), include_str!("html/page.js")];

/// The page. It asks for nothing over a network, and runs no script but its own: whatever a log says is text.
#[must_use]
pub fn render(run: &Run) -> String {
    let page = data::Page::of(run);
    // A reader of HTML makes every line break one character before a hash is taken.
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

/// A template whose `{{name}}` are replaced, each once, whatever stands in the texts.
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

/// What a content security policy calls a script or a style by.
fn hash(text: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests;
