//! Derivations: attributes to a `.drv` file and the paths of its outputs.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice};
use zeval_model::{
    Algorithm, ContentMethod, Derivation, Hash, InputOutputs, Output,
    derivation::{DownstreamPlaceholder, Instantiated},
    store_path::StorePath,
};

use super::{Builtin, Globals, strings::experimental};
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{ErrorKind, EvalError, Result, Traced},
    },
    ir::lower,
    parallel::Need,
    position::{Origin, PosId, Source},
    symbol::{Symbol, known},
    value::{
        Attrs, Context, Heap, Slot, Value,
        context::{Built, ContextElement, Derived},
    },
};

pub(super) const BUILTINS: &[Builtin] =
    &[Builtin::new("derivationStrict", 1, 1, derivation_strict), Builtin::new("outputOf", 2, 3, output_of)];

/// The name of the function's file, as Nix prints it.
pub(crate) const INTERNAL_NAME: &str = "«nix-internal»/derivation-internal.nix";

/// The function `derivation`, which is written in the language itself.
pub(super) fn function(heap: &mut Heap, globals: &Globals) -> Value {
    let text = include_bytes!("derivation.zx");
    let source = Source::register(Origin::Internal(INTERNAL_NAME), text.to_vec());
    let arena = bumpalo::Bump::new();
    let tree = crate::syntax::parse(text, &arena, &Default::default());
    let (Some(source), Ok(tree)) = (source, tree) else { unreachable!("a text of our own that parses") };
    let context = lower::Context {
        source: &source,
        base: b"/".as_slice().into(),
        home: None,
        globals,
        scope: &[],
        marks: lower::Marks::None,
    };
    match lower::lower(&tree, &context, heap) {
        Ok(lower::Code { root: crate::ir::Expr::Lambda(lambda), .. }) => {
            let env = heap.env(None, 0);
            heap.closure(lambda, env)
        }
        _ => unreachable!("a text of our own that is a function of known names"),
    }
}

/// What of a derivation is in `outputChecks` if its attributes are structured.
const OUTPUT_CHECKS: &[&[u8]] = &[
    b"allowedReferences",
    b"allowedRequisites",
    b"disallowedReferences",
    b"disallowedRequisites",
    b"maxClosureSize",
    b"maxSize",
];

/// The attributes of a derivation, as far as they are read.
struct Attributes {
    name: String,
    derivation: Derivation,
    context: Option<&'static Context>,
    outputs: Vec<String>,
    output_hash: Option<String>,
    output_hash_algorithm: Option<Algorithm>,
    method: Option<ContentMethod>,
    content_addressed: bool,
    impure: bool,
    ignore_nulls: bool,
    json: Option<serde_json_like::Object>,
}

mod serde_json_like {
    //! Structured attributes on their way to JSON: members in the order of their names, already as text.

    /// An object.
    pub(super) type Object = std::collections::BTreeMap<Vec<u8>, Vec<u8>>;

    /// The object's text.
    pub(super) fn text(object: &Object) -> crate::Result<Vec<u8>> {
        let mut text = vec![b'{'];
        for (index, (name, value)) in object.iter().enumerate() {
            if index > 0 {
                text.push(b',');
            }
            crate::builtins::json::json_string(&mut text, name)?;
            text.push(b':');
            text.extend_from_slice(value);
        }
        text.push(b'}');
        Ok(text)
    }
}

fn derivation_strict(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.derivationStrict";
    let attrs = evaluator.expect_attrs(args[0], pos, doing)?;
    let doing = "in the attrset passed as argument to builtins.derivationStrict";
    let name = super::attrs::required(evaluator, attrs, known().name, pos, doing)?;
    let name_pos = attrs.position(known().name).unwrap_or_default();
    let doing = "while evaluating the `name` attribute passed to builtins.derivationStrict";
    let name = evaluator
        .expect_plain_string(name, pos, doing)
        .traced(name_pos, || "while evaluating the derivation attribute 'name'")?;
    let name = String::from_utf8_lossy(name).into_owned();
    let outer = evaluator.profile_part(|| format!("derivation {name}"));
    let result = instantiate(evaluator, attrs, name.clone(), pos);
    evaluator.profile_end(outer);
    result.map_err(|error| {
        let place = crate::print::position(name_pos);
        error.trace(
            PosId::NONE,
            format!("while evaluating derivation '{name}'\n  whose name attribute is located at {place}"),
        )
    })
}

fn instantiate(evaluator: &mut Evaluator, attrs: &'static Attrs, name: String, pos: PosId) -> Result<Value> {
    zeval_model::store_path::check_name(&name).map_err(|error| {
        EvalError::eval(
            pos,
            format!("invalid derivation name: {error}. Please pass a different '{}'.", "name"),
        )
    })?;
    let mut given = Attributes::read(evaluator, attrs, name, pos)?;
    given.add_inputs(evaluator, pos)?;
    given.check(pos)?;
    given.set_outputs(evaluator, pos)?;
    let mut derivation = given.derivation;
    let session = evaluator.session.clone();
    let instantiated = derivation
        .instantiate(&*session)
        .map_err(|error| EvalError::new(ErrorKind::World, pos, error.to_string()))?;
    session
        .store
        .add_derivation(&derivation, &instantiated)
        .map_err(|error| EvalError::new(ErrorKind::World, pos, error.to_string()))?;
    session.remember(&instantiated);
    outcome(evaluator, &derivation, &instantiated, pos)
}

/// What `derivationStrict` gives: the path of the derivation, and a string for each output.
fn outcome(
    evaluator: &mut Evaluator,
    derivation: &Derivation,
    instantiated: &Instantiated,
    pos: PosId,
) -> Result<Value> {
    let path = &instantiated.path;
    let context = Context::single(&mut evaluator.heap, ContextElement::DrvDeep(path.clone()));
    let drv_path = evaluator.heap.string_with(path.to_string().as_bytes(), context);
    let mut entries = vec![(known().drv_path, drv_path)];
    for (name, output) in &derivation.outputs {
        let text = match output.path() {
            Some(path) => path.to_string(),
            None => placeholder_of(path, name, pos)?,
        };
        let built = Built { derivation: Box::new(Derived::Opaque(path.clone())), output: name.clone() };
        let context = Context::single(&mut evaluator.heap, ContextElement::Built(built));
        let value = evaluator.heap.string_with(text.as_bytes(), context);
        entries.push((Symbol::intern(name.as_bytes()), value));
    }
    Ok(evaluator.attrs_from(&mut entries))
}

fn placeholder_of(derivation: &StorePath, output: &str, pos: PosId) -> Result<String> {
    zeval_model::derivation::downstream_placeholder(derivation, output)
        .map_err(|error| EvalError::eval(pos, error.to_string()))
}

impl Attributes {
    fn read(
        evaluator: &mut Evaluator,
        attrs: &'static Attrs,
        name: String,
        pos: PosId,
    ) -> Result<Attributes> {
        let structured = flag(evaluator, attrs, known().structured_attrs, pos)?;
        let mut given = Attributes {
            derivation: Derivation {
                name: name.clone(),
                outputs: BTreeMap::new(),
                input_derivations: BTreeMap::new(),
                input_sources: Default::default(),
                platform: BString::default(),
                builder: BString::default(),
                args: Vec::new(),
                env: BTreeMap::new(),
            },
            name,
            context: None,
            outputs: vec!["out".into()],
            output_hash: None,
            output_hash_algorithm: None,
            method: None,
            content_addressed: false,
            impure: false,
            ignore_nulls: flag(evaluator, attrs, known().ignore_nulls, pos)?,
            json: structured.then(Default::default),
        };
        let attributes = attrs.flatten(&mut evaluator.heap).sorted();
        let _offer = evaluator.offer(Need::Text, attributes.iter().map(|(_, slot)| *slot));
        for (name, slot) in attributes {
            let attr_pos = attrs.position(name).unwrap_or_default();
            given.attribute(evaluator, name, slot, pos).traced(attr_pos, || {
                format!("while evaluating attribute '{}' of derivation '{}'", name.shown(), given.name)
            })?;
        }
        if let Some(json) = &given.json {
            let text = serde_json_like::text(json)?;
            given.derivation.env.insert("__json".into(), text.into());
        }
        Ok(given)
    }

    fn attribute(
        &mut self,
        evaluator: &mut Evaluator,
        name: Symbol,
        slot: &'static Slot,
        pos: PosId,
    ) -> Result<()> {
        if name == known().ignore_nulls {
            return Ok(());
        }
        if self.ignore_nulls && evaluator.force_slot(slot)? == Value::NULL {
            return Ok(());
        }
        let value = slot.get();
        if name == known().content_addressed {
            if evaluator.expect_bool(value, pos, "")? {
                require_feature(evaluator, "ca-derivations", pos)?;
                self.content_addressed = true;
            }
            return Ok(());
        } else if name == known().impure {
            if evaluator.expect_bool(value, pos, "")? {
                require_feature(evaluator, "impure-derivations", pos)?;
                self.impure = true;
            }
            return Ok(());
        } else if name == known().args {
            for element in evaluator.expect_list(value, pos, "")?.iter() {
                let doing = "while evaluating an element of the argument list";
                let text = evaluator.coerce(element, Coercion::ENVIRONMENT, &mut self.context, pos, doing)?;
                self.derivation.args.push(text.into());
            }
            return Ok(());
        }
        if self.json.is_some() {
            return self.structured(evaluator, name, value, pos);
        }
        self.variable(evaluator, name, value, pos)
    }

    /// An attribute that becomes an environment variable.
    fn variable(&mut self, evaluator: &mut Evaluator, name: Symbol, value: Value, pos: PosId) -> Result<()> {
        let text = evaluator.coerce(value, Coercion::ENVIRONMENT, &mut self.context, pos, "")?;
        self.special(evaluator, name, text, pos)?;
        if name == known().outputs {
            let names = text.split(|byte| byte.is_ascii_whitespace()).filter(|name| !name.is_empty());
            let names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            self.set_output_names(names, pos)?;
        }
        if name.text() == "__json" {
            evaluator.main_only()?;
            evaluator.session.say(&format!(
                "warning: In derivation '{}': setting structured attributes via '__json' is deprecated, and may be disallowed in \
                 future versions of Nix. Set '__structuredAttrs = true' instead.",
                self.name
            ));
        }
        self.derivation.env.insert(name.text().to_owned(), text.into());
        Ok(())
    }

    /// An attribute that becomes a member of the structured attributes.
    fn structured(
        &mut self,
        evaluator: &mut Evaluator,
        name: Symbol,
        value: Value,
        pos: PosId,
    ) -> Result<()> {
        if name == known().structured_attrs {
            return Ok(());
        }
        let mut text = Vec::new();
        super::json::write_json(evaluator, value, true, &mut self.context, &mut text, pos)?;
        if let Some(json) = &mut self.json {
            json.insert(name.text().to_vec(), text);
        }
        if OUTPUT_CHECKS.contains(&name.text().as_bytes()) {
            evaluator.main_only()?;
            let (derivation, name) = (&self.name, name.text());
            evaluator.session.say(&format!(
                "warning: In a derivation named '{derivation}', 'structuredAttrs' disables the effect of the derivation attribute \
                 '{name}'; use 'outputChecks.<output>.{name}' instead"
            ));
        }
        let is_plain =
            [known().system, known().output_hash, known().output_hash_algo, known().output_hash_mode]
                .contains(&name);
        if name == known().builder {
            let text = evaluator.expect_string(value, pos, "")?;
            self.context = Context::union(&mut evaluator.heap, self.context, text.context);
            self.special(evaluator, name, text.bytes(), pos)?;
        } else if is_plain {
            let text = evaluator.expect_plain_string(value, pos, "")?;
            self.special(evaluator, name, text, pos)?;
        } else if name == known().outputs {
            let mut names = Vec::new();
            for element in evaluator.expect_list(value, pos, "")?.iter() {
                let name = evaluator.expect_plain_string(element, pos, "")?;
                names.push(String::from_utf8_lossy(name).into_owned());
            }
            self.set_output_names(names, pos)?;
        }
        Ok(())
    }

    /// Attributes that mean something besides being passed on.
    fn special(&mut self, evaluator: &Evaluator, name: Symbol, text: &[u8], pos: PosId) -> Result<()> {
        let known = known();
        if name == known.builder {
            self.derivation.builder = text.into();
        } else if name == known.system {
            self.derivation.platform = text.into();
        } else if name == known.output_hash {
            self.output_hash = Some(String::from_utf8_lossy(text).into_owned());
        } else if name == known.output_hash_algo {
            // As in Nix, one that is not known counts as none.
            let is_known = String::from_utf8_lossy(text).parse::<Algorithm>().is_ok();
            self.output_hash_algorithm =
                is_known.then(|| super::strings::algorithm(evaluator, text, pos)).transpose()?;
        } else if name == known.output_hash_mode {
            self.method = Some(method(evaluator, text, &self.name, pos)?);
        }
        Ok(())
    }

    fn set_output_names(&mut self, names: Vec<String>, pos: PosId) -> Result<()> {
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                return Err(EvalError::eval(pos, format!("duplicate derivation output '{name}'")));
            }
            if name == "drvPath" {
                return Err(EvalError::eval(pos, "invalid derivation output name 'drvPath'"));
            }
        }
        if names.is_empty() {
            return Err(EvalError::eval(pos, "derivation cannot have an empty set of outputs"));
        }
        self.outputs = names;
        Ok(())
    }

    /// What the strings mention is what the derivation needs.
    fn add_inputs(&mut self, evaluator: &mut Evaluator, pos: PosId) -> Result<()> {
        let Some(context) = self.context else { return Ok(()) };
        for element in context.iter() {
            match element {
                ContextElement::Opaque(path) => {
                    self.derivation.input_sources.insert(path.clone());
                }
                ContextElement::Built(built) => {
                    self.input(&built.derivation).outputs.insert(built.output.clone());
                }
                ContextElement::DrvDeep(path) => add_closure(evaluator, &mut self.derivation, path, pos)?,
            }
        }
        Ok(())
    }

    /// The entry of the inputs for a derivation, which may be an output of another.
    fn input(&mut self, derived: &Derived) -> &mut InputOutputs {
        match derived {
            Derived::Opaque(path) => self.derivation.input_derivations.entry(path.clone()).or_default(),
            Derived::Built(built) => {
                self.input(&built.derivation).dynamic.entry(built.output.clone()).or_default()
            }
        }
    }

    fn check(&self, pos: PosId) -> Result<()> {
        if self.derivation.builder.is_empty() {
            return Err(EvalError::eval(pos, "required attribute 'builder' missing"));
        }
        if self.derivation.platform.is_empty() {
            return Err(EvalError::eval(pos, "required attribute 'system' missing"));
        }
        if self.name.ends_with(".drv") {
            let text = self.method == Some(ContentMethod::Text);
            if !(text && self.outputs.len() == 1 && self.outputs[0] == "out") {
                let message = "derivation names are allowed to end in '.drv' only if they produce a single derivation file";
                return Err(EvalError::eval(pos, message));
            }
        }
        Ok(())
    }

    fn set_outputs(&mut self, evaluator: &mut Evaluator, pos: PosId) -> Result<()> {
        if let Some(hash) = self.output_hash.take() {
            return self.set_fixed_output(evaluator, &hash, pos);
        }
        if self.content_addressed && self.impure {
            return Err(EvalError::eval(pos, "derivation cannot be both content-addressed and impure"));
        }
        let method = self.method.unwrap_or(ContentMethod::Nar);
        let algorithm = self.output_hash_algorithm.unwrap_or(Algorithm::Sha256);
        for name in &self.outputs {
            let output = if self.content_addressed {
                Output::Floating { method, algorithm }
            } else if self.impure {
                Output::Impure { method, algorithm }
            } else {
                Output::Deferred
            };
            self.derivation.outputs.insert(name.clone(), output);
        }
        Ok(())
    }

    fn set_fixed_output(&mut self, evaluator: &mut Evaluator, hash: &str, pos: PosId) -> Result<()> {
        if self.outputs.len() != 1 || self.outputs[0] != "out" {
            let message = "multiple outputs are not supported in fixed-output derivations";
            return Err(EvalError::eval(pos, message));
        }
        let hash = if hash.is_empty() {
            let Some(algorithm) = self.output_hash_algorithm else {
                return Err(EvalError::eval(pos, "empty hash requires explicit hash algorithm"));
            };
            let hash = Hash::zero(algorithm);
            let message = format!("warning: found empty hash, assuming '{}'", hash.to_sri());
            evaluator.main_only()?;
            evaluator.session.say(&message);
            hash
        } else {
            Hash::parse(hash, self.output_hash_algorithm)
                .map_err(|error| EvalError::eval(pos, error.to_string()))?
        };
        let method = self.method.unwrap_or(ContentMethod::Flat);
        let output = Output::fixed(method, hash, &self.name, "out")
            .map_err(|error| EvalError::eval(pos, error.to_string()))?;
        self.derivation.outputs.insert("out".into(), output);
        Ok(())
    }
}

fn flag(evaluator: &mut Evaluator, attrs: &'static Attrs, name: Symbol, pos: PosId) -> Result<bool> {
    let Some(value) = attrs.get(name) else { return Ok(false) };
    let doing =
        format!("while evaluating the `{}` attribute passed to builtins.derivationStrict", name.text());
    evaluator.expect_bool(value, pos, &doing)
}

pub(super) fn require_feature(evaluator: &Evaluator, feature: &str, pos: PosId) -> Result<()> {
    if evaluator.session.settings.has_feature(feature) { Ok(()) } else { Err(experimental(feature, pos)) }
}

fn method(evaluator: &Evaluator, text: &[u8], name: &str, pos: PosId) -> Result<ContentMethod> {
    match text {
        b"recursive" | b"nar" => Ok(ContentMethod::Nar),
        b"flat" => Ok(ContentMethod::Flat),
        b"text" if !evaluator.session.settings.has_feature("dynamic-derivations") => {
            let reason = format!(" (text-hashed derivation '{name}', outputHashMode = \"text\")");
            Err(super::strings::experimental_for("dynamic-derivations", &reason, pos))
        }
        b"text" => Ok(ContentMethod::Text),
        b"git" => require_feature(evaluator, "git-hashing", pos).map(|()| ContentMethod::Git),
        other => {
            let shown = crate::text::raw::text(other);
            Err(EvalError::eval(pos, format!("invalid value '{shown}' for 'outputHashMode' attribute")))
        }
    }
}

/// All that a derivation needs, with all outputs of the derivations among it: for strings that hold a `drvPath`.
fn add_closure(evaluator: &mut Evaluator, into: &mut Derivation, root: &StorePath, pos: PosId) -> Result<()> {
    let mut pending = vec![root.clone()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = pending.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        into.input_sources.insert(path.clone());
        if !path.is_derivation() {
            continue;
        }
        let derivation = evaluator
            .session
            .store
            .read_derivation(&path)
            .map_err(|error| EvalError::new(ErrorKind::World, pos, error.to_string()))?;
        let outputs = into.input_derivations.entry(path).or_default();
        outputs.outputs.extend(derivation.outputs.keys().cloned());
        pending.extend(derivation.input_derivations.into_keys());
        pending.extend(derivation.input_sources);
    }
    Ok(())
}

fn output_of(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    require_feature(evaluator, "dynamic-derivations", pos)?;
    let doing = "while evaluating the first argument to builtins.outputOf";
    let derivation = evaluator.expect_string(args[0], pos, doing)?;
    let doing = "while evaluating the second argument to builtins.outputOf";
    let output = evaluator.expect_plain_string(args[1], pos, doing)?;
    let output = String::from_utf8_lossy(output).into_owned();
    let elements: Vec<&ContextElement> =
        derivation.context.iter().flat_map(|context| context.iter()).collect();
    let derived = match elements[..] {
        [ContextElement::Opaque(path) | ContextElement::DrvDeep(path)] => Derived::Opaque(path.clone()),
        [ContextElement::Built(built)] => Derived::Built(built.clone()),
        _ => {
            let shown = crate::text::raw::text(derivation.bytes());
            let message = format!(
                "string '{shown}' has {} entries in its context. It should only have exactly one entry",
                elements.len()
            );
            let doing = "while evaluating the first argument to builtins.outputOf";
            return Err(EvalError::eval(pos, message).trace(PosId::NONE, doing));
        }
    };
    let placeholder = derived_placeholder(&derived, &output, pos)?.render();
    let built = Built { derivation: Box::new(derived), output };
    let context = Context::single(&mut evaluator.heap, ContextElement::Built(built));
    Ok(evaluator.heap.string_with(placeholder.as_bytes(), context))
}

fn derived_placeholder(derived: &Derived, output: &str, pos: PosId) -> Result<DownstreamPlaceholder> {
    match derived {
        Derived::Opaque(path) => DownstreamPlaceholder::unknown_output(path, output)
            .map_err(|error| EvalError::eval(pos, error.to_string())),
        Derived::Built(built) => {
            let inner = derived_placeholder(&built.derivation, &built.output, pos)?;
            Ok(DownstreamPlaceholder::unknown_derivation(inner, output))
        }
    }
}
