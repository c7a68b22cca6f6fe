//! The derivations that a value holds: itself, or the members of sets and lists, as `nix-build` finds them.

use std::collections::HashSet;

use zeval_evaluator::{
    ErrorKind, Evaluator, Failure, Symbol, Value, View,
    eval::{coerce::Coercion, error::Traced},
    position::PosId,
    print,
};

use crate::evaluation;

/// A derivation that was found.
pub struct Found {
    /// The attributes on the way to it, apart by points; empty for the value itself.
    pub attribute: String,
    /// The derivation's set.
    pub value: Value,
}

/// Why there are no derivations to be had.
pub enum Unsuitable {
    /// Evaluation failed.
    Failure(Failure),
    /// This is no derivation, nor a set or list of some.
    NotDerivations(Value),
}

impl Unsuitable {
    /// The failure in Nix's words.
    pub fn told(self) -> Failure {
        match self {
            Unsuitable::Failure(failure) => failure,
            Unsuitable::NotDerivations(_) => {
                let message = "expression does not evaluate to a derivation (or a set or list of those)";
                zeval_evaluator::EvalError::wrong_type(PosId::NONE, message)
            }
        }
    }
}

impl From<Failure> for Unsuitable {
    fn from(failure: Failure) -> Unsuitable {
        Unsuitable::Failure(failure)
    }
}

/// The derivations in a value; functions are called with the given arguments.
pub fn find(
    evaluator: &mut Evaluator,
    value: Value,
    given: &[(Symbol, Value)],
) -> Result<Vec<Found>, Unsuitable> {
    let mut search = Search { given, skips: false, seen: HashSet::new(), found: Vec::new() };
    search.value(evaluator, value, "")?;
    Ok(search.found)
}

/// The same, without those that fail by `throw` or `assert`.
pub fn find_what_evaluates(
    evaluator: &mut Evaluator,
    value: Value,
    given: &[(Symbol, Value)],
) -> Result<Vec<Found>, Unsuitable> {
    let mut search = Search { given, skips: true, seen: HashSet::new(), found: Vec::new() };
    search.value(evaluator, value, "")?;
    Ok(search.found)
}

/// Whether an expression refuses to be what was asked for: a package for another system, say.
pub fn is_refusal(failure: &Failure) -> bool {
    matches!(failure.kind, ErrorKind::Throw | ErrorKind::Assertion)
}

struct Search<'s> {
    given: &'s [(Symbol, Value)],
    /// Whether what refuses is left out.
    skips: bool,
    seen: HashSet<usize>,
    found: Vec<Found>,
}

impl Search<'_> {
    fn value(&mut self, evaluator: &mut Evaluator, value: Value, path: &str) -> Result<(), Unsuitable> {
        let value = evaluation::auto_call(evaluator, value, self.given)?;
        if self.derivation(evaluator, value, path)? {
            return Ok(());
        }
        match value.view() {
            View::Attrs(attrs) => {
                let sorted = attrs.flatten(&mut evaluator.heap).sorted();
                let _offer = evaluator.offer_derivations(sorted.iter().map(|(_, slot)| slot.get()));
                // How `nix-env` marks a set of package sets.
                let combines = attrs.get(Symbol::intern(b"_combineChannels")).is_some();
                for (name, slot) in sorted {
                    if !is_plain(name.text()) {
                        continue;
                    }
                    let doing = || format!("while evaluating the attribute '{}'", print::attr_name(name));
                    let pos = attrs.position(name).unwrap_or(PosId::NONE);
                    let inner = join(path, &name.text().to_string());
                    let found = match combines {
                        true => self.value(evaluator, slot.get(), &inner),
                        false => self.member(evaluator, slot.get(), &inner, pos),
                    };
                    match found {
                        Err(Unsuitable::Failure(failure)) if self.skips && is_refusal(&failure) => {}
                        Err(Unsuitable::Failure(failure)) => {
                            Err::<(), Failure>(failure).traced(pos, doing)?;
                        }
                        other => other?,
                    }
                }
                Ok(())
            }
            View::List(list) => {
                let _offer = evaluator.offer_derivations(list.iter());
                for (index, element) in list.iter().enumerate() {
                    let inner = join(path, &index.to_string());
                    let element = evaluator.force(element)?;
                    if !self.derivation(evaluator, element, &inner)? {
                        self.value(evaluator, element, &inner)?;
                    }
                }
                Ok(())
            }
            _ => Err(Unsuitable::NotDerivations(value)),
        }
    }

    /// A member of a set counts if it is a derivation, or a set that asks to be looked into.
    fn member(
        &mut self,
        evaluator: &mut Evaluator,
        value: Value,
        path: &str,
        pos: PosId,
    ) -> Result<(), Unsuitable> {
        let value = evaluator.force(value)?;
        if self.derivation(evaluator, value, path)? {
            return Ok(());
        }
        let Some(attrs) = value.as_attrs() else { return Ok(()) };
        let name = Symbol::intern(b"recurseForDerivations");
        let Some(recurse) = attrs.get(name) else { return Ok(()) };
        let doing = "while evaluating the attribute `recurseForDerivations`";
        let at = attrs.position(name).unwrap_or(pos);
        match evaluator.expect_bool(recurse, at, doing)? {
            true => self.value(evaluator, value, path),
            false => Ok(()),
        }
    }

    /// Whether it is a derivation; each one is found once.
    fn derivation(&mut self, evaluator: &mut Evaluator, value: Value, path: &str) -> Result<bool, Failure> {
        let Some(attrs) = value.as_attrs() else { return Ok(false) };
        if !evaluator.is_derivation(attrs)? {
            return Ok(false);
        }
        if self.seen.insert(value.address()) {
            self.found.push(Found { attribute: path.to_owned(), value });
        }
        Ok(true)
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Names that `nix-env` could not take are not looked at.
fn is_plain(name: &[u8]) -> bool {
    let starts = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_+".contains(byte);
    name.split_first().is_some_and(|(&first, rest)| starts(first) && rest.iter().all(goes_on))
}

/// The store path of a derivation, from its set.
pub fn drv_path(evaluator: &mut Evaluator, derivation: Value) -> Result<String, Failure> {
    let failed = |message: &str| zeval_evaluator::EvalError::eval(PosId::NONE, message);
    let doing = "while evaluating the 'drvPath' attribute of a derivation";
    let name = Symbol::intern(b"drvPath");
    let attrs = derivation.as_attrs();
    let found = attrs.and_then(|attrs| Some((attrs.get(name)?, attrs.position(name)?)));
    let Some((path, pos)) = found else {
        return Err(failed("derivation does not contain a 'drvPath' attribute"));
    };
    let path = evaluator.coerce(path, Coercion::APPENDED, &mut None, pos, doing)?;
    let path = String::from_utf8_lossy(path).into_owned();
    if zeval_model::StorePath::from_absolute(&path).is_err() {
        return Err(failed(&format!("path '{path}' is not in the Nix store")).trace(pos, doing));
    }
    Ok(path)
}

/// The output that a derivation's set stands for, if it says so.
pub fn output_name(evaluator: &mut Evaluator, derivation: Value) -> Result<Option<String>, Failure> {
    let doing = "while evaluating the output name of a derivation";
    let name = Symbol::intern(b"outputName");
    let attrs = derivation.as_attrs();
    let Some((output, pos)) = attrs.and_then(|attrs| Some((attrs.get(name)?, attrs.position(name)?))) else {
        return Ok(None);
    };
    let output = evaluator.expect_string(output, pos, doing)?;
    Ok(Some(String::from_utf8_lossy(output.bytes()).into_owned()))
}
