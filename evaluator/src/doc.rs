//! What is written about a function: a builtin's sentence, or the doc comment of a function in a file.

use crate::{
    Symbol, Value, View,
    builtins::docs::{self, BuiltinDoc},
    ir::Lambda,
    position::PosId,
    syntax,
};

/// What is known of a function.
#[derive(Clone, Debug)]
pub enum Documentation {
    /// A builtin.
    Builtin(&'static BuiltinDoc),
    /// A function of the language.
    Function {
        /// The name it was bound to, if any.
        name: Option<Symbol>,
        /// Where it stands.
        pos: PosId,
        /// Its doc comment.
        text: Option<String>,
    },
}

/// The documentation of an evaluated value; `None` if it is no function.
pub fn of(value: Value) -> Option<Documentation> {
    match value.view() {
        View::Builtin(id) => docs::find(id.builtin().name).map(Documentation::Builtin),
        View::Closure(closure) => Some(function(closure.lambda, 0)),
        View::Partial(partial) => match partial.function.view() {
            View::Closure(closure) => Some(function(closure.lambda, partial.arguments.len())),
            _ => of(partial.function),
        },
        View::Attrs(attrs) => of(attrs.get(Symbol::intern(b"__functor"))?.peek()),
        _ => None,
    }
}

fn function(lambda: &'static Lambda, given: usize) -> Documentation {
    let pos = lambda.parameters[given.min(lambda.parameters.len() - 1)].pos;
    let text = pos.place().and_then(|place| {
        let comment = syntax::doc::of_function(&place.source.text, u32::try_from(place.offset).ok()?)?;
        Some(String::from_utf8_lossy(&comment).into_owned())
    });
    Documentation::Function { name: lambda.name, pos, text }
}
