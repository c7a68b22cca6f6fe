//! Which tests a value holds: the forms of nixpkgs' `lib.runTests` and of nix-unit, and lists.

use zeval_evaluator::{
    ErrorKind, Evaluator, Failure, Symbol, Value, View, position::PosId, print, value::Attrs,
};

/// A test and what it is called.
pub struct Found {
    /// The attribute path, as `-A` takes it, or what its `name` says.
    pub name: String,
    /// Where it stands, as far as that is known.
    pub pos: PosId,
    /// What it wants.
    pub test: Test,
}

/// What a test wants.
pub enum Test {
    /// `{ expr, expected }`
    Equal { expr: Value, expected: Value },
    /// `{ expr, expectedError }`
    Fails { expr: Value, error: Value },
    /// `{ name, expected, result }`, as `lib.runTests` gives for a test that did not pass.
    Failed { expected: Value, result: Value },
    /// The empty list, as `lib.runTests` gives when every test passed.
    NoneFailed,
    /// Not a test, though it should be one: why.
    Malformed(String),
    /// Whether it is a test could not be told.
    Unknown(Failure),
}

type Result<T> = std::result::Result<T, Failure>;

/// The tests in a value, in the order of their names or of the list.
pub fn find(evaluator: &mut Evaluator, value: Value) -> Result<Vec<Found>> {
    let mut search = Search { evaluator, found: Vec::new() };
    search.value(&[], PosId::NONE, value, true)?;
    Ok(search.found)
}

struct Search<'e> {
    evaluator: &'e mut Evaluator,
    found: Vec<Found>,
}

impl Search<'_> {
    /// `wanted` says that something is to be found here, so that anything else is a mistake.
    fn value(&mut self, path: &[String], pos: PosId, value: Value, wanted: bool) -> Result<()> {
        let value = match self.evaluator.force_at(value, pos) {
            Ok(value) => value,
            Err(error) if path.is_empty() || error.kind == ErrorKind::Interrupted => return Err(error),
            Err(error) => return self.add(path, pos, Test::Unknown(error)),
        };
        match value.view() {
            View::Attrs(attrs) => self.set(path, pos, attrs, wanted),
            // What `lib.runTests` gives when all is well.
            View::List(list) if list.is_empty() && path.is_empty() => self.add(path, pos, Test::NoneFailed),
            View::List(list) => {
                for (index, element) in list.iter().enumerate() {
                    self.value(&joined(path, index.to_string()), PosId::NONE, element, true)?;
                }
                Ok(())
            }
            _ if wanted => {
                let found = zeval_evaluator::eval::expect::show_type(value);
                let message = format!("a set or list of tests is needed here, but this is {found}");
                self.add(path, pos, Test::Malformed(message))
            }
            _ => Ok(()),
        }
    }

    fn set(&mut self, path: &[String], pos: PosId, attrs: &'static Attrs, wanted: bool) -> Result<()> {
        let get = |name: &[u8]| attrs.get(Symbol::intern(name));
        let place = |name: &[u8]| attrs.position(Symbol::intern(name)).unwrap_or(PosId::NONE);
        let test = match (get(b"expr"), get(b"expected"), get(b"expectedError"), get(b"result")) {
            (Some(expr), Some(expected), _, _) => Test::Equal { expr, expected },
            (Some(expr), None, Some(error), _) => Test::Fails { expr, error },
            (None, Some(expected), None, Some(result)) if get(b"name").is_some() => {
                Test::Failed { expected, result }
            }
            (Some(_), None, None, _) if wanted => {
                Test::Malformed("it has `expr`, but neither `expected` nor `expectedError`".to_owned())
            }
            (None, None, None, _) => return self.group(path, attrs, wanted),
            _ if wanted => Test::Malformed("it has no `expr`".to_owned()),
            _ => return Ok(()),
        };
        let path = match get(b"name") {
            Some(name) => self.renamed(path, name)?,
            None => path.to_vec(),
        };
        let pos = if pos.is_some() { pos } else { place(b"expr") };
        self.add(&path, pos, test)
    }

    /// A test in a list is called what it says instead of its number.
    fn renamed(&mut self, path: &[String], name: Value) -> Result<Vec<String>> {
        let mut path = path.to_vec();
        let name = self.evaluator.force(name)?;
        if let (Some(last), Some(name)) = (path.last_mut(), name.as_string())
            && last.parse::<usize>().is_ok()
        {
            *last = String::from_utf8_lossy(name.bytes()).into_owned();
        }
        Ok(path)
    }

    fn group(&mut self, path: &[String], attrs: &'static Attrs, wanted: bool) -> Result<()> {
        if self.evaluator.is_derivation(attrs)? {
            return Ok(());
        }
        let before = self.found.len();
        let only = self.only(attrs)?;
        for (name, slot) in attrs.flatten(&mut self.evaluator.heap).sorted() {
            let text = name.text().to_string();
            let is_left_out = text.starts_with('_')
                || only.as_ref().is_some_and(|only| text == "tests" || !only.contains(&text));
            if is_left_out {
                continue;
            }
            let pos = attrs.position(name).unwrap_or(PosId::NONE);
            let is_test = text.starts_with("test");
            self.value(&joined(path, print::attr_name(name)), pos, slot.get(), is_test)?;
        }
        if wanted && !path.is_empty() && self.found.len() == before {
            let message = "it has no `expr`, and holds no tests".to_owned();
            return self.add(path, PosId::NONE, Test::Malformed(message));
        }
        Ok(())
    }

    /// `tests = [ "testA" ]`: those that are to be run, as `lib.runTests` has it.
    fn only(&mut self, attrs: &'static Attrs) -> Result<Option<Vec<String>>> {
        let Some(tests) = attrs.get(Symbol::intern(b"tests")) else { return Ok(None) };
        let Ok(tests) = self.evaluator.force(tests) else { return Ok(None) };
        let View::List(list) = tests.view() else { return Ok(None) };
        let mut names = Vec::new();
        for name in list.iter() {
            match self.evaluator.force(name)?.as_string() {
                Some(name) => names.push(String::from_utf8_lossy(name.bytes()).into_owned()),
                None => return Ok(None),
            }
        }
        Ok(Some(names).filter(|names| !names.is_empty()))
    }

    fn add(&mut self, path: &[String], pos: PosId, test: Test) -> Result<()> {
        self.found.push(Found { name: path.join("."), pos, test });
        Ok(())
    }
}

fn joined(path: &[String], name: String) -> Vec<String> {
    path.iter().cloned().chain([name]).collect()
}
