//! `zeval explain`: what a kind of error means and what to do, out of the book's page of codes.

use serde_json::{Value as Json, json};

use super::Result;
use crate::{cli::Explain, diagnostic::Failed};

/// The book's page; a section begins with its number and name.
const PAGE: &str = include_str!("../../book/src/codes.md");

/// A section of the page.
struct Section {
    number: &'static str,
    name: &'static str,
    text: &'static str,
}

/// Runs the command.
pub fn run(arguments: &Explain) -> Result<()> {
    let all = sections();
    let wanted: Vec<&Section> = match &arguments.code {
        None => all.iter().collect(),
        Some(code) => vec![find(&all, code).ok_or_else(|| {
            Failed::other(format!("there is no code '{code}': zeval explain without one lists them"))
        })?],
    };
    let text = match (arguments.json, &arguments.code) {
        (true, _) => format!("{}\n", wanted.iter().map(|section| object(section)).collect::<Json>()),
        (false, None) => {
            wanted.iter().map(|section| format!("{} {}\n", section.number, section.name)).collect()
        }
        (false, Some(_)) => wanted
            .iter()
            .map(|section| format!("{} {}\n\n{}\n", section.number, section.name, section.text))
            .collect(),
    };
    super::print(&text);
    Ok(())
}

fn sections() -> Vec<Section> {
    let sections = PAGE.split("\n## ").skip(1).filter_map(|section| {
        let (heading, text) = section.split_once('\n')?;
        let (number, name) = heading.split_once(' ')?;
        Some(Section { number, name, text: text.trim() })
    });
    sections.collect()
}

/// By number, name, or exit status of a build.
fn find<'s>(all: &'s [Section], code: &str) -> Option<&'s Section> {
    let status = format!("Exit status {code}.");
    let is_status = code.parse::<u8>().is_ok();
    all.iter().find(|section| {
        section.number.eq_ignore_ascii_case(code)
            || section.name == code
            || is_status && section.text.starts_with(&status)
    })
}

fn object(section: &Section) -> Json {
    json!({ "code": section.number, "name": section.name, "text": section.text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        let all = sections();
        let codes = crate::diagnostic::CODES.iter().copied();
        for code in codes.chain(zeval_editor::lint::LINTS.iter().flat_map(|lint| [lint.code, lint.name])) {
            assert!(find(&all, code).is_some(), "{code} has no section in the book");
        }
        for status in ["100", "101", "102", "104"] {
            assert!(find(&all, status).is_some(), "exit status {status} has no section in the book");
        }
    }
}
