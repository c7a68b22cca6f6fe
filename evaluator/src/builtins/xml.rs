//! Values as XML.

use std::collections::HashSet;

use bstr::{BString, ByteSlice};

use super::Builtin;
use crate::{
    eval::{Evaluator, error::Result},
    ir::Parameter,
    position::{Origin, PosId},
    symbol::{Symbol, known},
    text::{number, xml::XmlWriter},
    value::{Attrs, Context, Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new("toXML", 1, 1, to_xml)];

fn to_xml(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let mut document = Document::new(true, false);
    document.value(evaluator, args[0], pos)?;
    let context = document.context;
    let pieces = document.finish();
    let length = pieces.iter().map(Vec::len).sum();
    let text = evaluator.heap.concat(length, pieces.iter().map(Vec::as_slice));
    Ok(evaluator.heap.string_of(text, context))
}

impl Evaluator {
    /// Appends a value as XML, for output: if it fails, what there was before, with all elements closed. With `strict`,
    /// thunks are evaluated; with `locations`, attributes and functions tell where they stand.
    pub fn to_xml(&mut self, value: Value, strict: bool, locations: bool, out: &mut Vec<u8>) -> Result<()> {
        let mut document = Document::new(strict, locations);
        let result = document.value(self, value, PosId::NONE);
        out.extend(document.finish().into_iter().flatten());
        result
    }
}

type Attributes = Vec<(&'static str, BString)>;

struct Document {
    xml: XmlWriter,
    strict: bool,
    locations: bool,
    context: Option<&'static Context>,
    /// The derivations whose attributes were shown, by the text of their `drvPath`.
    shown: HashSet<&'static [u8]>,
}

impl Document {
    fn new(strict: bool, locations: bool) -> Document {
        let mut document = Document {
            xml: XmlWriter::default(),
            strict,
            locations,
            context: None,
            shown: HashSet::default(),
        };
        document.open("expr", Vec::new());
        document
    }

    fn finish(self) -> Vec<Vec<u8>> {
        self.xml.finish()
    }

    fn open(&mut self, name: &'static str, attributes: Attributes) {
        let attributes: Vec<(&'static str, &[u8])> =
            attributes.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        self.xml.open(name, &attributes);
    }

    fn empty(&mut self, name: &'static str, value: &[u8]) {
        self.xml.empty(name, &[("value", value)]);
    }

    fn value(&mut self, evaluator: &mut Evaluator, value: Value, pos: PosId) -> Result<()> {
        evaluator.enter(pos)?;
        self.element(evaluator, value, pos)?;
        evaluator.leave();
        Ok(())
    }

    fn element(&mut self, evaluator: &mut Evaluator, value: Value, pos: PosId) -> Result<()> {
        let value = if self.strict { evaluator.force(value)? } else { value.peek() };
        match value.view() {
            View::Null => self.xml.empty("null", &[]),
            View::Bool(value) => self.empty("bool", if value { b"true" } else { b"false" }),
            View::Int(value) => self.empty("int", value.to_string().as_bytes()),
            View::Float(value) => self.empty("float", number::print_float(value).as_bytes()),
            View::String(string) => {
                self.context = Context::union(&mut evaluator.heap, self.context, string.context);
                self.empty("string", string.bytes());
            }
            View::Path(path) => self.empty("path", &crate::text::raw::bytes(&crate::shown::path(path))),
            View::Attrs(attrs) if evaluator.is_derivation(attrs)? => {
                self.derivation(evaluator, attrs, pos)?;
            }
            View::Attrs(attrs) => {
                self.open("attrs", Vec::new());
                self.members(evaluator, attrs)?;
                self.xml.close();
            }
            View::List(list) => {
                self.open("list", Vec::new());
                for element in list.iter() {
                    self.value(evaluator, element, pos)?;
                }
                self.xml.close();
            }
            View::Closure(_) | View::Builtin(_) | View::Partial(_) | View::Thunk(_) => {
                match value.next_parameter() {
                    Some(parameter) => self.function(parameter),
                    None => self.xml.empty("unevaluated", &[]),
                }
            }
        }
        Ok(())
    }

    fn derivation(&mut self, evaluator: &mut Evaluator, attrs: &'static Attrs, pos: PosId) -> Result<()> {
        let drv_path = self.text_of(evaluator, attrs, known().drv_path)?;
        let out_path = self.text_of(evaluator, attrs, known().out_path)?;
        let mut attributes = Attributes::new();
        attributes.extend(drv_path.map(|text| ("drvPath", text.into())));
        attributes.extend(out_path.map(|text| ("outPath", text.into())));
        self.open("derivation", attributes);
        match drv_path {
            Some(path) if !path.is_empty() && self.shown.insert(path) => self.members(evaluator, attrs)?,
            _ => self.xml.empty("repeated", &[]),
        }
        self.xml.close();
        evaluator.check_stack(pos)
    }

    /// The text of a member that is a string.
    fn text_of(
        &self,
        evaluator: &mut Evaluator,
        attrs: &'static Attrs,
        name: Symbol,
    ) -> Result<Option<&'static [u8]>> {
        let Some(value) = attrs.get(name) else { return Ok(None) };
        let value = if self.strict { evaluator.force(value)? } else { value.peek() };
        Ok(value.as_string().map(|string| string.bytes()))
    }

    fn members(&mut self, evaluator: &mut Evaluator, attrs: &'static Attrs) -> Result<()> {
        for (name, slot) in attrs.flatten(&mut evaluator.heap).sorted() {
            let pos = attrs.position(name).unwrap_or_default();
            let mut attributes: Attributes = vec![("name", BString::from(name.text()))];
            attributes.extend(self.location(pos));
            attributes.sort_unstable();
            self.open("attr", attributes);
            self.value(evaluator, slot.get(), pos)?;
            self.xml.close();
        }
        Ok(())
    }

    fn function(&mut self, parameter: &Parameter) {
        self.open("function", self.location(parameter.pos));
        let name = parameter.name.map(|name| ("name", BString::from(name.text())));
        match &parameter.pattern {
            None => self
                .xml
                .empty("varpat", &[("name", name.as_ref().map_or(&b""[..], |name| name.1.as_bytes()))]),
            Some(pattern) => {
                let ellipsis = pattern.ellipsis.then(|| ("ellipsis", BString::from("1")));
                self.open("attrspat", ellipsis.into_iter().chain(name).collect());
                let mut formals: Vec<_> = pattern.formals.iter().map(|formal| formal.name.text()).collect();
                formals.sort_unstable();
                for formal in formals {
                    self.xml.empty("attr", &[("name", formal.as_bytes())]);
                }
                self.xml.close();
            }
        }
        self.xml.close();
    }

    fn location(&self, pos: PosId) -> Attributes {
        let Some(place) = pos.place().filter(|_| self.locations) else { return Attributes::new() };
        let mut attributes = vec![
            ("column", BString::from(place.column.to_string())),
            ("line", BString::from(place.line.to_string())),
        ];
        match &place.source.origin {
            Origin::File(path) => attributes.push(("path", BString::from(path.display().to_string()))),
            // Nix's own files are in a file system of their own.
            Origin::Internal(name) => {
                let path = name.strip_prefix("«nix-internal»").unwrap_or(name);
                attributes.push(("path", BString::from(path)));
            }
            Origin::String | Origin::Stdin => {}
        }
        attributes
    }
}
