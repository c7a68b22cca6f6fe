//! The grammar of JSON, without recursion: texts may nest as deeply as they like.

use bstr::{BString, ByteSlice};

use super::JsonError;
use super::lexer::{Lexer, Problem, Token};

/// Receives a JSON text's values in their order. Keys may repeat: the last one counts.
pub trait Visitor {
    fn null(&mut self);
    fn bool(&mut self, value: bool);
    fn int(&mut self, value: i64);
    fn float(&mut self, value: f64);
    fn string(&mut self, value: &[u8]);
    fn begin_array(&mut self);
    fn end_array(&mut self);
    fn begin_object(&mut self);
    /// The name of the value that comes next.
    fn key(&mut self, name: &[u8]);
    fn end_object(&mut self);
}

/// Reads one JSON text. The visitor has seen what came before an error.
pub fn parse(text: &[u8], visitor: &mut impl Visitor) -> Result<(), JsonError> {
    let mut parser = Parser { lexer: Lexer::new(text), visitor, open: Vec::new() };
    parser.value_and_all_around()?;
    parser.expect(Token::End, "value")
}

#[derive(Clone, Copy)]
enum Container {
    Array,
    Object,
}

struct Parser<'a, V> {
    lexer: Lexer<'a>,
    visitor: &'a mut V,
    open: Vec<Container>,
}

impl<V: Visitor> Parser<'_, V> {
    fn value_and_all_around(&mut self) -> Result<(), JsonError> {
        let mut token = self.lexer.next();
        loop {
            // One value, unless it is a container with something in it: then the first value inside comes next.
            if let Some(first_inside) = self.value(token)? {
                token = first_inside;
                continue;
            }
            token = loop {
                let Some(&container) = self.open.last() else { return Ok(()) };
                if let Some(next) = self.after_value(container)? {
                    break next;
                }
            };
        }
    }

    fn value(&mut self, token: Result<Token, Problem>) -> Result<Option<Result<Token, Problem>>, JsonError> {
        match token {
            Ok(Token::Null) => self.visitor.null(),
            Ok(Token::True) => self.visitor.bool(true),
            Ok(Token::False) => self.visitor.bool(false),
            Ok(Token::String) => self.visitor.string(without_nul(&self.lexer.string)?),
            Ok(Token::Signed(value)) => self.visitor.int(value),
            Ok(Token::Unsigned(value)) => self.visitor.int(i64::try_from(value).map_err(|_| {
                JsonError::Value(format!("unsigned json number {value} outside of Nix integer range").into())
            })?),
            Ok(Token::Float(value)) if value.is_finite() => self.visitor.float(value),
            Ok(Token::Float(_)) => {
                let mut message =
                    BString::from("[json.exception.out_of_range.406] number overflow parsing '");
                message.extend_from_slice(&self.lexer.last_read());
                message.push(b'\'');
                return Err(JsonError::Syntax(message));
            }
            Ok(Token::BeginArray) => {
                self.visitor.begin_array();
                let first = self.lexer.next();
                if first != Ok(Token::EndArray) {
                    self.open.push(Container::Array);
                    return Ok(Some(first));
                }
                self.visitor.end_array();
            }
            Ok(Token::BeginObject) => {
                self.visitor.begin_object();
                let first = self.lexer.next();
                if first != Ok(Token::EndObject) {
                    self.open.push(Container::Object);
                    return self.key(first).map(Some);
                }
                self.visitor.end_object();
            }
            Ok(Token::End) if self.lexer.is_empty() => {
                return Err(self.error_at(
                    "attempting to parse an empty input; check that your input string or stream contains the \
                     expected JSON"
                        .into(),
                ));
            }
            Ok(other) => return Err(self.unexpected(Ok(other), "value", Some("'[', '{', or a literal"))),
            Err(problem) => return Err(self.unexpected(Err(problem), "value", None)),
        }
        Ok(None)
    }

    /// A member's name and the colon; gives the first token of its value.
    fn key(&mut self, token: Result<Token, Problem>) -> Result<Result<Token, Problem>, JsonError> {
        if token != Ok(Token::String) {
            return Err(self.unexpected(token, "object key", Some(Token::String.name())));
        }
        self.visitor.key(without_nul(&self.lexer.string)?);
        self.expect(Token::Colon, "object separator")?;
        Ok(self.lexer.next())
    }

    /// Goes on after a value in a container: the first token of the next value, or `None` if the container ends.
    fn after_value(&mut self, container: Container) -> Result<Option<Result<Token, Problem>>, JsonError> {
        let token = self.lexer.next();
        match (container, token) {
            (Container::Array, Ok(Token::Comma)) => return Ok(Some(self.lexer.next())),
            (Container::Array, Ok(Token::EndArray)) => self.visitor.end_array(),
            (Container::Array, other) => {
                return Err(self.unexpected(other, "array", Some(Token::EndArray.name())));
            }
            (Container::Object, Ok(Token::Comma)) => {
                let name = self.lexer.next();
                return self.key(name).map(Some);
            }
            (Container::Object, Ok(Token::EndObject)) => self.visitor.end_object(),
            (Container::Object, other) => {
                return Err(self.unexpected(other, "object", Some(Token::EndObject.name())));
            }
        }
        self.open.pop();
        Ok(None)
    }

    fn expect(&mut self, wanted: Token, context: &str) -> Result<(), JsonError> {
        let token = self.lexer.next();
        if token == Ok(wanted) { Ok(()) } else { Err(self.unexpected(token, context, Some(wanted.name()))) }
    }

    fn unexpected(&self, token: Result<Token, Problem>, context: &str, expected: Option<&str>) -> JsonError {
        let mut message = BString::from(format!("syntax error while parsing {context} - "));
        match token {
            Ok(token) => message.extend_from_slice(format!("unexpected {}", token.name()).as_bytes()),
            Err(problem) => {
                message.extend_from_slice(problem.as_bytes());
                message.extend_from_slice(b"; last read: '");
                message.extend_from_slice(&self.lexer.last_read());
                message.push(b'\'');
            }
        }
        if let Some(expected) = expected {
            message.extend_from_slice(format!("; expected {expected}").as_bytes());
        }
        self.error_at(message)
    }

    fn error_at(&self, message: BString) -> JsonError {
        let (line, column) = self.lexer.line_and_column();
        let place = format!("[json.exception.parse_error.101] parse error at line {line}, column {column}: ");
        JsonError::Syntax([place.as_bytes(), &message].concat().into())
    }
}

/// Nix's strings cannot hold NUL.
fn without_nul(text: &[u8]) -> Result<&[u8], JsonError> {
    if !text.contains(&0) {
        return Ok(text);
    }
    let mut message = BString::from("input string '");
    message.extend_from_slice(&text.replace(b"\0", "␀"));
    message.extend_from_slice(b"' cannot be represented as Nix string because it contains null bytes");
    Err(JsonError::Value(message))
}
