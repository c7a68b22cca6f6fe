//! Reading a `flake.nix` without calling it: its inputs must be written out, so that they can be known before anything is
//! fetched.

use std::collections::BTreeMap;

use bstr::ByteSlice;
use zeval_model::input::{Attr, Attrs};

use crate::{
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Failure, Result, Traced},
        expect::show_type,
    },
    ir::Expr,
    position::PosId,
    symbol::Symbol,
    value::{Attrs as Set, Value, View, thunk::ThunkState},
};

/// What a `flake.nix` says.
#[derive(Clone, Debug, Default)]
pub struct FlakeFile {
    /// What the flake is.
    pub description: Option<String>,
    /// Its inputs.
    pub inputs: BTreeMap<String, InputSpec>,
    /// What it says of its own source: `inputs.self`.
    pub own: Attrs,
    /// Settings that it would like to have.
    pub settings: Vec<(String, Setting)>,
    /// Attributes that no flake has, and where they are.
    pub unsupported: Option<(String, String)>,
    /// Whether there is a function of outputs.
    pub has_outputs: bool,
}

/// What a `flake.nix` says of an input.
#[derive(Clone, Debug, Default)]
pub struct InputSpec {
    /// The reference as text.
    pub url: Option<String>,
    /// The reference as attributes, and any others.
    pub attrs: Attrs,
    /// Whether it is said whether this is a flake.
    pub is_flake: Option<bool>,
    /// The path of another input that it is the same as.
    pub follows: Option<String>,
    /// What its own inputs are to be instead.
    pub inputs: BTreeMap<String, InputSpec>,
    /// Whether it is only named, as an argument of the outputs.
    pub is_implied: bool,
    /// Where it is, for messages.
    pub place: String,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setting {
    String(String),
    Int(i64),
    Bool(bool),
    List(Vec<String>),
}

impl Setting {
    /// As a configuration file has it.
    pub fn to_text(&self) -> String {
        match self {
            Setting::String(text) => text.clone(),
            Setting::Int(number) => number.to_string(),
            Setting::Bool(value) => value.to_string(),
            Setting::List(words) => words.join(" "),
        }
    }
}

fn failure(message: impl Into<String>) -> Failure {
    EvalError::new(ErrorKind::Eval, PosId::NONE, message)
}

/// A position as Nix writes it within a message.
pub fn place(pos: PosId) -> String {
    let Some(place) = pos.place() else { return "«none»:0".to_owned() };
    let name = crate::print::origin(&place.source.origin);
    format!("{name}:{}:{}", place.line, place.column)
}

/// Whether a value may be evaluated without running any code: a set, a function or a list that is written out.
fn is_written_out(value: Value) -> bool {
    let View::Thunk(thunk) = value.peek().view() else { return true };
    match thunk.state() {
        ThunkState::Code(Expr::Attrs(attrs), _) => attrs.dynamic.is_empty(),
        ThunkState::Code(Expr::RecAttrs(attrs), _) => attrs.dynamic.is_empty(),
        ThunkState::Code(Expr::LetEnv(bindings), _) => matches!(bindings.body, Expr::RecAttrs(_)),
        ThunkState::Code(Expr::Lambda(_) | Expr::List(_), _) => true,
        _ => false,
    }
}

fn kind(value: Value) -> String {
    match value.peek().view() {
        View::String(_) => "a string".to_owned(),
        View::Closure(_) | View::Builtin(_) | View::Partial(_) => "a function".to_owned(),
        _ => show_type(value),
    }
}

/// The members of a set in the order of their names, with where they are.
fn members(evaluator: &mut Evaluator, set: &'static Set) -> Vec<(Symbol, Value, PosId)> {
    let sorted = set.flatten(&mut evaluator.heap).sorted();
    sorted
        .into_iter()
        .map(|(name, slot)| (name, slot.get(), set.position(name).unwrap_or(PosId::NONE)))
        .collect()
}

impl Evaluator {
    /// Reads a `flake.nix`, given by its logical path. `source` is the folder of its source, below which paths may point.
    pub fn read_flake(&mut self, file: &[u8], source: &[u8]) -> Result<FlakeFile> {
        let value = self.evaluate_written_out(file)?;
        let mut flake = FlakeFile::default();
        for (name, value, pos) in members(self, value) {
            match name.text().as_bytes() {
                b"description" => flake.description = Some(self.written_string(value, pos)?),
                b"inputs" => {
                    (flake.inputs, flake.own) = self.input_specs(value, pos, source, true)?;
                }
                b"outputs" => {}
                b"nixConfig" => flake.settings = self.settings(value, pos)?,
                other if flake.unsupported.is_none() => {
                    flake.unsupported = Some((other.to_str_lossy().into_owned(), place(pos)));
                }
                _ => {}
            }
        }
        if let Some(outputs) = value.get(Symbol::intern(b"outputs")) {
            let pos = value.position(Symbol::intern(b"outputs")).unwrap_or(PosId::NONE);
            self.read_outputs(outputs, pos, &mut flake)?;
        }
        Ok(flake)
    }

    /// The set that a file consists of.
    fn evaluate_written_out(&mut self, file: &[u8]) -> Result<&'static Set> {
        let resolved = self.resolve(file, PosId::NONE)?;
        let value = self.evaluate_set_file(&resolved)?;
        let set = value.and_then(Value::as_attrs);
        set.ok_or_else(|| {
            let file = file.as_bstr();
            let error = failure(format!("file '{file}' must be an attribute set"));
            error.trace(PosId::NONE, format!("while evaluating the file '{file}':"))
        })
    }

    fn expect_written(&mut self, value: Value, wanted: &str, pos: PosId) -> Result<Value> {
        let value = if is_written_out(value) { self.force(value)? } else { value };
        let found = kind(value);
        match found == wanted {
            true => Ok(value),
            false => Err(failure(format!("expected {wanted} but got {found} at {}", place(pos)))),
        }
    }

    fn written_set(&mut self, value: Value, pos: PosId) -> Result<&'static Set> {
        let value = self.expect_written(value, "a set", pos)?;
        value.as_attrs().ok_or_else(|| failure("not a set"))
    }

    fn written_string(&mut self, value: Value, pos: PosId) -> Result<String> {
        let value = self.expect_written(value, "a string", pos)?;
        Ok(value.as_string().map(|text| text.bytes().to_str_lossy().into_owned()).unwrap_or_default())
    }

    fn input_specs(
        &mut self,
        value: Value,
        pos: PosId,
        source: &[u8],
        may_have_self: bool,
    ) -> Result<(BTreeMap<String, InputSpec>, Attrs)> {
        let set = self.written_set(value, pos)?;
        let (mut specs, mut own) = (BTreeMap::new(), Attrs::new());
        for (name, value, pos) in members(self, set) {
            let name = name.text().to_str_lossy().into_owned();
            if name == "self" {
                if !may_have_self {
                    return Err(failure(format!("'self' input attribute not allowed at {}", place(pos))));
                }
                let set = self.written_set(value, pos)?;
                for (name, value, _) in members(self, set) {
                    let name = name.text().to_str_lossy().into_owned();
                    own.insert(name.clone(), self.input_attr(&name, value)?);
                }
            } else {
                specs.insert(name, self.input_spec(value, pos, source)?);
            }
        }
        Ok((specs, own))
    }

    fn input_spec(&mut self, value: Value, pos: PosId, source: &[u8]) -> Result<InputSpec> {
        let set = self.written_set(value, pos)?;
        let mut spec = InputSpec { place: place(pos), ..InputSpec::default() };
        for (name, value, at) in members(self, set) {
            let name = name.text().to_str_lossy().into_owned();
            self.input_field(&mut spec, &name, value, at, source)
                .traced(at, || format!("while evaluating flake attribute '{name}'"))?;
        }
        Ok(spec)
    }

    fn input_field(
        &mut self,
        spec: &mut InputSpec,
        name: &str,
        value: Value,
        pos: PosId,
        source: &[u8],
    ) -> Result<()> {
        match name {
            "url" => {
                let url = self.input_url(value, pos, source)?;
                spec.attrs.insert(name.to_owned(), Attr::from(url.as_str()));
                spec.url = Some(url);
            }
            "flake" => {
                let value = self.expect_written(value, "a Boolean", pos)?;
                spec.is_flake = Some(value == Value::TRUE);
            }
            "inputs" => spec.inputs = self.input_specs(value, pos, source, false)?.0,
            "follows" => spec.follows = Some(self.written_string(value, pos)?),
            _ => {
                let attr = self.input_attr(name, value)?;
                spec.attrs.insert(name.to_owned(), attr);
            }
        }
        Ok(())
    }

    fn input_url(&mut self, value: Value, pos: PosId, source: &[u8]) -> Result<String> {
        match value.peek().view() {
            View::String(text) => Ok(text.bytes().to_str_lossy().into_owned()),
            View::Path(path) => {
                let folder = [source, b"/"].concat();
                let path_in_folder = [path.as_bytes(), b"/"].concat();
                let Some(below) = path_in_folder.strip_prefix(folder.as_slice()) else {
                    return Err(failure(format!(
                        "input attribute path '{path}' at {} must be in the same source tree as {}",
                        place(pos),
                        source.as_bstr()
                    )));
                };
                let below = below.strip_suffix(b"/").unwrap_or(below);
                Ok(format!("path:./{}", below.to_str_lossy()))
            }
            _ => {
                let found = kind(value);
                Err(failure(format!("expected a string or a path but got {found} at {}", place(pos))))
            }
        }
    }

    fn input_attr(&mut self, name: &str, value: Value) -> Result<Attr> {
        match value.peek().view() {
            View::String(text) => Ok(Attr::String(text.bytes().to_str_lossy().into_owned())),
            View::Bool(value) => Ok(Attr::Bool(value)),
            View::Int(number) => u64::try_from(number).map(Attr::Int).map_err(|_| {
                failure(format!("negative value given for flake input attribute {name}: {number}"))
            }),
            _ if name == "publicKeys" => {
                let json = self.to_json(value, true)?;
                Ok(Attr::String(json.to_str_lossy().into_owned()))
            }
            _ => {
                let found = kind(value);
                Err(EvalError::wrong_type(
                    PosId::NONE,
                    format!(
                        "flake input attribute '{name}' is {found} while a string, Boolean, or integer is expected"
                    ),
                ))
            }
        }
    }

    fn read_outputs(&mut self, outputs: Value, pos: PosId, flake: &mut FlakeFile) -> Result<()> {
        let outputs = self.expect_written(outputs, "a function", pos)?;
        flake.has_outputs = true;
        let pattern = outputs.next_parameter().and_then(|parameter| parameter.pattern.as_ref());
        for formal in pattern.iter().flat_map(|pattern| pattern.formals) {
            let name = formal.name.text().to_str_lossy().into_owned();
            if name != "self" {
                let implied =
                    InputSpec { is_implied: true, place: place(formal.pos), ..InputSpec::default() };
                flake.inputs.entry(name).or_insert(implied);
            }
        }
        Ok(())
    }

    fn settings(&mut self, value: Value, pos: PosId) -> Result<Vec<(String, Setting)>> {
        let set = self.written_set(value, pos)?;
        let mut settings = Vec::new();
        for (name, value, pos) in members(self, set) {
            let name = name.text().to_str_lossy().into_owned();
            let value = if is_written_out(value) { self.force(value)? } else { value };
            let setting = match value.peek().view() {
                View::String(text) => Setting::String(text.bytes().to_str_lossy().into_owned()),
                View::Path(path) => Setting::String(self.session.copy_to_store(path, pos)?.to_string()),
                View::Int(number) => Setting::Int(number),
                View::Bool(value) => Setting::Bool(value),
                View::List(list) => {
                    let mut words = Vec::with_capacity(list.len());
                    for element in list.iter() {
                        let View::String(text) = element.peek().view() else {
                            let message = format!(
                                "list element in flake configuration setting '{name}' is {} while a string is expected",
                                kind(value)
                            );
                            return Err(EvalError::wrong_type(PosId::NONE, message));
                        };
                        words.push(text.bytes().to_str_lossy().into_owned());
                    }
                    Setting::List(words)
                }
                _ => {
                    let message = format!("flake configuration setting '{name}' is {}", kind(value));
                    return Err(EvalError::wrong_type(PosId::NONE, message));
                }
            };
            settings.push((name, setting));
        }
        Ok(settings)
    }
}
