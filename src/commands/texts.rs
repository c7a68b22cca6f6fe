//! The texts that a command line names: files, folders, standard input.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use zeval_editor::files;
use zeval_evaluator::{
    ErrorKind, EvalError,
    position::{Origin, PosId, Source},
    syntax::error::SyntaxError,
};

use super::Result;
use crate::diagnostic::Failed;

/// Stands for standard input.
const STDIN: &str = "-";

/// The exit status if a text cannot be read, understood or written.
pub const TROUBLE: u8 = 2;

/// A text to work on.
pub struct Text {
    /// Its file; `None` for standard input.
    pub file: Option<PathBuf>,
    /// What it is called.
    pub name: String,
}

impl Text {
    /// The text itself.
    pub fn read(&self) -> std::result::Result<String, String> {
        let bytes = match &self.file {
            Some(file) => fs::read(file),
            None => {
                let mut bytes = Vec::new();
                io::stdin().read_to_end(&mut bytes).map(|_| bytes)
            }
        };
        let bytes = bytes.map_err(|error| format!("cannot read '{}': {error}", self.name))?;
        String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            format!("'{}' is not UTF-8, from byte {offset} on: save it as UTF-8", self.name)
        })
    }

    /// A syntax error of this text, as an evaluation would have it.
    pub fn syntax_error(&self, text: String, error: &SyntaxError) -> Box<EvalError> {
        let origin = match &self.file {
            Some(file) => Origin::File(file.canonicalize().unwrap_or_else(|_| file.clone())),
            None => Origin::Stdin,
        };
        let source = Source::register(origin, text.into_bytes());
        let pos = source.map_or(PosId::NONE, |source| source.at(error.pos));
        EvalError::new(ErrorKind::Syntax, pos, error.message().to_string())
    }
}

/// The texts that operands name, in the order of the command line, then of their paths; the current folder's if there are
/// none.
pub fn of(operands: &[PathBuf]) -> Result<Vec<Text>> {
    let here = [PathBuf::from(".")];
    let operands = if operands.is_empty() { &here } else { operands };
    let mut texts = Vec::new();
    for operand in operands {
        if operand == Path::new(STDIN) {
            texts.push(Text { file: None, name: "«stdin»".into() });
            continue;
        }
        let found = files::below(operand).map_err(|error| {
            eprintln!("error: cannot read '{}': {error}", operand.display());
            Failed::Program(TROUBLE)
        })?;
        for file in found {
            let file = file.strip_prefix(".").map(Path::to_owned).unwrap_or(file);
            texts.push(Text { name: file.display().to_string(), file: Some(file) });
        }
    }
    Ok(texts)
}

/// Replaces a file's text as a whole: a reader, or a kill, sees the old or the new one.
pub fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = file.canonicalize()?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new().prefix(".zeval-").tempfile_in(folder)?;
    io::Write::write_all(&mut new, text.as_bytes())?;
    new.as_file().set_permissions(file.metadata()?.permissions())?;
    new.persist(&file)?;
    Ok(())
}
