//! `zeval doc`: the reference of files, the standard library and the builtins, out of what is written there.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use zeval_evaluator::{
    builtins::docs::DOCS,
    embedded,
    syntax::doc::{FileDoc, of_file},
    with_large_stack,
};

use super::Result;
use crate::{cli::Doc, diagnostic::Failed};

/// Runs the command.
pub fn run(arguments: &Doc) -> Result<()> {
    let text = if arguments.builtins {
        builtins(arguments.json)
    } else {
        let sources = if arguments.std { library() } else { read(&arguments.files)? };
        let documents = documents(&sources)?;
        match arguments.json {
            true => format!("{}\n", documents.iter().map(object).collect::<Json>()),
            false => documents.iter().map(page).collect::<Vec<_>>().join("\n"),
        }
    };
    super::print(&text);
    Ok(())
}

/// A text to look for comments in.
struct Source {
    /// What its section is called.
    title: String,
    text: Vec<u8>,
}

/// What is written in a file, and what its section is called.
struct Document {
    title: String,
    doc: FileDoc,
}

fn library() -> Vec<Source> {
    let files = embedded::LIBRARY.iter().filter_map(|file| {
        let name = file.name.strip_prefix("<std>/")?.strip_suffix(".zx")?;
        (name != "default").then(|| Source { title: name.to_owned(), text: file.text.to_vec() })
    });
    files.collect()
}

fn read(files: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for file in files {
        for file in below(file)? {
            let text = fs::read(&file)
                .map_err(|error| Failed::other(format!("cannot read '{}': {error}", file.display())))?;
            sources.push(Source { title: file.display().to_string(), text });
        }
    }
    Ok(sources)
}

/// A file, or those of a folder, in the order of their names.
fn below(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error| Failed::other(format!("cannot list '{}': {error}", path.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|ending| ending == "zx" || ending == "nix") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn documents(sources: &[Source]) -> Result<Vec<Document>> {
    let all = with_large_stack(|| {
        let document = |source: &Source| {
            let doc = of_file(&source.text).map_err(|error| {
                let message = String::from_utf8_lossy(&error.message()).into_owned();
                let line =
                    1 + source.text[..error.pos as usize].iter().filter(|&&byte| byte == b'\n').count();
                Failed::other(format!("{}:{line}: {message}", source.title))
            })?;
            Ok(Document { title: source.title.clone(), doc })
        };
        sources.iter().map(document).collect::<Result<Vec<_>>>()
    });
    all.map_err(|error| Failed::other(format!("cannot start a thread to parse on: {error}")))?
}

fn object(document: &Document) -> Json {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let members: Vec<Json> = document
        .doc
        .members
        .iter()
        .map(|member| json!({ "name": text(&member.name), "text": text(&member.text) }))
        .collect();
    json!({ "file": document.title, "text": document.doc.text.as_deref().map(text), "attributes": members })
}

fn page(document: &Document) -> String {
    let mut out = format!("## {}\n", document.title);
    if let Some(text) = &document.doc.text {
        let _ = write!(out, "\n{}", markdown(text));
    }
    for member in &document.doc.members {
        let name = String::from_utf8_lossy(&member.name);
        let _ = write!(out, "\n### `{name}`\n\n{}", markdown(&member.text));
    }
    out
}

/// A comment as Markdown below a heading: its own headings become labels, and an example that is no code block becomes one.
fn markdown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = String::new();
    let mut lines = text.trim().lines().peekable();
    while let Some(line) = lines.next() {
        let Some(heading) = line.strip_prefix("# ") else {
            let _ = writeln!(out, "{line}");
            continue;
        };
        let _ = writeln!(out, "**{heading}**\n");
        let is_example = heading.starts_with("Example");
        while lines.next_if(|line| line.is_empty()).is_some() {}
        if !is_example || lines.peek().is_none_or(|line| line.starts_with("```")) {
            continue;
        }
        let mut code = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("# ")) {
            let _ = writeln!(code, "{line}");
        }
        let _ = writeln!(out, "```nix\n{}\n```", code.trim_end());
        if lines.peek().is_some() {
            out.push('\n');
        }
    }
    out
}

fn builtins(as_json: bool) -> String {
    let mut docs = DOCS.to_vec();
    docs.sort_by_key(|doc| doc.name);
    if as_json {
        let objects = docs
            .iter()
            .map(|doc| json!({ "name": doc.name, "arguments": doc.arguments.split(' ').collect::<Vec<_>>(), "text": doc.text }));
        return format!("{}\n", objects.collect::<Json>());
    }
    let section = |doc: &zeval_evaluator::builtins::docs::BuiltinDoc| {
        format!("## `{} {}`\n\n{}\n", doc.name, doc.arguments, doc.text)
    };
    docs.iter().map(section).collect::<Vec<_>>().join("\n")
}
