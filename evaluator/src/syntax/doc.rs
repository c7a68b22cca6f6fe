//! Doc comments (`/** ... */`): which function each belongs to, as RFC 145 and Nix have it.

use std::collections::HashMap;

use bstr::ByteSlice;
use bumpalo::Bump;

use super::ast::{Attr, AttrSet, AttrValue, Expr, Pos};
use super::error::SyntaxError;
use super::tokens::Tokens;
use super::{ParseOptions, parse};

/// The doc comment of the function at `pos` in a file, without its signs and common indentation.
///
/// It stands before the function, before the attribute that is bound to it, or before the function whose body it is; the
/// innermost wins. Like [`parse`] it wants a large stack.
pub fn of_function(source: &[u8], pos: Pos) -> Option<Vec<u8>> {
    let comments = comments(source);
    let arena = Bump::new();
    let options = ParseOptions { pipe_operators: true, ..ParseOptions::default() };
    let ast = parse(source, &arena, &options).ok()?;
    let mut search = Search { comments: &comments, pos, found: None };
    search.expr(ast.root, None);
    search.found.map(|comment| inner_text(&source[comment.start as usize..comment.end as usize]))
}

/// What is written about a file and about the attributes of the set that it gives.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FileDoc {
    /// What stands before the whole expression.
    pub text: Option<Vec<u8>>,
    /// The attributes that have a doc comment, in the order of the file.
    pub members: Vec<MemberDoc>,
}

/// What is written about an attribute.
#[derive(Debug, PartialEq, Eq)]
pub struct MemberDoc {
    /// Its name.
    pub name: Vec<u8>,
    /// Where that stands.
    pub pos: Pos,
    /// The doc comment, without its signs and common indentation.
    pub text: Vec<u8>,
}

/// The doc comments of a file: of the attributes of its set, which may stand behind `let`, `with`, `assert` and arguments.
/// Like [`parse`] it wants a large stack.
pub fn of_file(source: &[u8]) -> Result<FileDoc, SyntaxError> {
    let comments = comments(source);
    let arena = Bump::new();
    let options = ParseOptions { pipe_operators: true, ..ParseOptions::default() };
    let ast = parse(source, &arena, &options)?;
    let text = |comment: Comment| inner_text(&source[comment.start as usize..comment.end as usize]);
    let first = Tokens::new(source).next().and_then(|token| comments.get(&token.start));
    let mut root = ast.root;
    let set = loop {
        root = match root {
            Expr::Let { body, .. } | Expr::With { body, .. } | Expr::Assert { body, .. } => body,
            Expr::Lambda(lambda) => lambda.body,
            Expr::Attrs(set) => break set,
            _ => return Ok(FileDoc { text: first.copied().map(text), members: Vec::new() }),
        }
    };
    let mut members: Vec<MemberDoc> = set
        .attrs
        .iter()
        .filter_map(|attr| {
            let comment = *comments.get(&attr.pos)?;
            Some(MemberDoc {
                name: ast.names[attr.name.0 as usize].to_vec(),
                pos: attr.pos,
                text: text(comment),
            })
        })
        .collect();
    members.sort_by_key(|member| member.pos);
    Ok(FileDoc { text: first.copied().map(text), members })
}

/// Where a comment stands.
#[derive(Clone, Copy)]
struct Comment {
    start: Pos,
    end: Pos,
}

/// The last doc comment before each token that has one, by the token's offset.
fn comments(source: &[u8]) -> HashMap<Pos, Comment> {
    let mut found = HashMap::new();
    let mut last_end = 0;
    for token in Tokens::new(source) {
        // Inside of strings and paths tokens follow each other at once.
        if token.start > last_end
            && let Some(comment) = last_in(&source[last_end as usize..token.start as usize], last_end)
        {
            found.insert(token.start, comment);
        }
        last_end = last_end.max(token.end);
    }
    found
}

/// The last doc comment in a stretch of blanks and comments that begins at `offset`.
fn last_in(mut rest: &[u8], mut offset: Pos) -> Option<Comment> {
    let mut last = None;
    while !rest.is_empty() {
        let length = match rest {
            [b'#', ..] => memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()),
            [b'/', b'*', body @ ..] => {
                let length = memchr::memmem::find(body, b"*/").map_or(rest.len(), |at| at + 4);
                if matches!(rest, [b'/', b'*', b'*', first, ..] if !matches!(first, b'/' | b'*')) {
                    last = Some(Comment { start: offset, end: offset + length as Pos });
                }
                length
            }
            _ => 1,
        };
        offset += length as Pos;
        rest = &rest[length..];
    }
    last
}

struct Search<'c> {
    comments: &'c HashMap<Pos, Comment>,
    pos: Pos,
    found: Option<Comment>,
}

impl Search<'_> {
    /// `outer` is the comment of what the expression is directly bound to or the body of.
    fn expr(&mut self, expr: &Expr<'_>, outer: Option<Comment>) {
        match expr {
            Expr::Lambda(lambda) => {
                let comment = self.comments.get(&lambda.pos).copied().or(outer);
                if lambda.pos == self.pos {
                    self.found = comment;
                }
                let body: *const Expr<'_> = lambda.body;
                expr.for_each_child(|child| {
                    let is_body = std::ptr::eq(child, body);
                    self.expr(child, comment.filter(|_| is_body));
                });
            }
            Expr::Attrs(set) | Expr::LegacyLet { attrs: set, .. } => self.set(set),
            Expr::Let { attrs, body, .. } => {
                self.set(attrs);
                self.expr(body, None);
            }
            _ => expr.for_each_child(|child| self.expr(child, None)),
        }
    }

    fn set(&mut self, set: &AttrSet<'_>) {
        for Attr { pos, value, .. } in set.attrs {
            if let AttrValue::Plain(value) = value {
                self.expr(value, self.comments.get(pos).copied());
            }
        }
        for attr in set.dynamic {
            self.expr(attr.name, None);
            self.expr(attr.value, self.comments.get(&attr.pos).copied());
        }
        set.inherit_from.iter().for_each(|source| self.expr(source.expr, None));
    }
}

/// The text between the signs, its common indentation taken off; the opening sign counts as blanks.
fn inner_text(comment: &[u8]) -> Vec<u8> {
    let text = comment.strip_prefix(b"/**").and_then(|rest| rest.strip_suffix(b"*/")).unwrap_or(comment);
    if text.is_empty() {
        return Vec::new();
    }
    let text = [b"   ", text].concat();
    let is_blank = |line: &[u8]| line.iter().all(|byte| *byte == b' ');
    let mut indentation = 10_000;
    for line in text.lines_with_terminator() {
        let Some(content) = line.strip_suffix(b"\n").or((!is_blank(line)).then_some(line)) else { continue };
        let blanks = content.iter().take_while(|byte| **byte == b' ').count();
        // That a line of blanks can widen the indentation is Nix's own.
        indentation = if is_blank(content) { indentation.max(blanks) } else { indentation.min(blanks) };
    }
    let mut out = Vec::with_capacity(text.len());
    for line in text.lines_with_terminator() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        out.extend_from_slice(line.get(indentation..).unwrap_or_default());
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice;

    fn doc(source: &str, function: &str) -> Option<String> {
        let pos = source.find(function).expect("the function is in the text");
        super::of_function(source.as_bytes(), pos as u32).map(|text| text.to_str_lossy().trim().to_owned())
    }

    #[test]
    fn the_innermost_comment_wins() {
        let of = |source, function| doc(source, function).unwrap_or_default();
        assert_eq!(of("/** a */ x: x", "x:"), "a");
        assert_eq!(of("/** a */ x: /* no */ y: x", "y:"), "a");
        assert_eq!(of("/** a */ x: /** b */ y: x", "y:"), "b");
        assert_eq!(of("/** a */ x: /** b */ y: x", "x:"), "a");
        assert_eq!(of("{ /** a */ b = c: c; }", "c:"), "a");
        assert_eq!(of("{ /** a */ # no\n b.c = (d: d); }", "d:"), "a");
        assert_eq!(of("{ /** a */ b = /** d */ { e }: e; }", "{ e"), "d");
        assert_eq!(of("let /** a */ b = c: c; in b", "c:"), "a");
        assert_eq!(of("{ /** a */ b = 1; d = c: c; }", "c:"), "");
        assert_eq!(of("/*** a */ x: x", "x:"), "");
        assert_eq!(of("/**/ x: x", "x:"), "");
        assert_eq!(of("\"${/** a */ x: x}\"", "x:"), "a");
    }

    #[test]
    fn the_attributes_of_a_file_are_found() {
        let source = "/** The file. */\n{ x }: let /** no */ y = 1; in rec {\n  /** One. */\n  b = 1;\n  inherit\n    /** Two. */\n    a\n    c ;\n}";
        let doc = super::of_file(source.as_bytes()).expect("it parses");
        let text = |bytes: &[u8]| bytes.to_str_lossy().trim().to_owned();
        assert_eq!(doc.text.as_deref().map(text), Some("The file.".to_owned()));
        let members: Vec<_> =
            doc.members.iter().map(|member| (text(&member.name), text(&member.text))).collect();
        assert_eq!(members, [("b".to_owned(), "One.".to_owned()), ("a".to_owned(), "Two.".to_owned())]);
    }

    #[test]
    fn indentation_is_taken_off() {
        let source = "{\n  /**\n    One.\n\n      Two.\n  */\n  a = x: x;\n}";
        assert_eq!(doc(source, "x:").expect("a comment"), "One.\n\n  Two.");
    }
}
