//! The builtin functions and the names that are always in scope.

mod attrs;
mod closure;
mod context;
mod control;
mod derivation;
pub mod docs;
mod fetch;
mod fetch_closure;
mod fetch_tree;
mod files;
mod flake;
mod json;
mod lists;
mod numbers;
mod sets;
mod sort;
mod strings;
mod toml;
mod types;
mod xml;

pub(crate) use derivation::INTERNAL_NAME as DERIVATION_FILE;
pub(crate) use fetch_tree::Fact;
use rustc_hash::FxHashMap;

pub(crate) use fetch_tree::tree_value;

use crate::{
    eval::{Evaluator, error::Result},
    position::PosId,
    session::Settings,
    symbol::Symbol,
    value::{Heap, Value, View},
};

/// The most arguments that a builtin takes.
pub const MAX_ARITY: usize = 3;

/// What a builtin does with its arguments, as many as it takes; the position is that of the call.
pub type Function = fn(&mut Evaluator, &[Value], PosId) -> Result<Value>;

/// A builtin function.
pub struct Builtin {
    /// Its name in `builtins`.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: u8,
    /// Which arguments it is sure to evaluate, in their order, if those before are of the kinds in `after`: bit 0 is the first.
    pub strict: u8,
    /// What the first and the second argument have to be for the next one to be evaluated.
    after: [Kind; MAX_ARITY - 1],
    /// What it does.
    pub function: Function,
}

/// What an argument is to be before a builtin looks at the next one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Int,
    /// An integer that is not negative.
    Index,
    String,
    List,
    Attrs,
    /// Anything that can be called.
    Function,
}

impl Kind {
    fn is_of(self, value: Value) -> bool {
        match (self, value.view()) {
            (Kind::Any, _)
            | (Kind::Int, View::Int(_))
            | (Kind::String, View::String(_))
            | (Kind::List, View::List(_))
            | (Kind::Attrs, View::Attrs(_))
            | (Kind::Function, View::Closure(_) | View::Builtin(_) | View::Partial(_)) => true,
            (Kind::Index, View::Int(number)) => number >= 0,
            (Kind::Function, View::Attrs(attrs)) => attrs.find(crate::symbol::known().functor).is_some(),
            _ => false,
        }
    }
}

impl Builtin {
    const fn new(name: &'static str, arity: u8, strict: u8, function: Function) -> Builtin {
        Builtin { name, arity, strict, after: [Kind::Any; MAX_ARITY - 1], function }
    }

    /// A builtin of which no argument but the first is evaluated unless that is of a kind.
    const fn after(mut self, kind: Kind) -> Builtin {
        self.after[0] = kind;
        self
    }

    /// The same for the third argument and the second.
    const fn then(mut self, kind: Kind) -> Builtin {
        self.after[1] = kind;
        self
    }

    /// Whether it is sure to evaluate the argument that comes after those.
    #[inline(always)]
    pub(crate) fn needs_next(&self, before: &[Value]) -> bool {
        self.strict & 1 << before.len() != 0
            && before.iter().zip(self.after).all(|(value, kind)| kind == Kind::Any || kind.is_of(*value))
    }

    /// Whether errors tell that this builtin was being called: those that only pass control on do not.
    pub(crate) fn is_traced(&self) -> bool {
        !matches!(self.name, "addErrorContext" | "break")
    }
}

/// Which builtin: group and index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BuiltinId(pub(crate) u16);

const GROUP_BITS: u16 = 6;

static GROUPS: [&[Builtin]; 19] = [
    types::BUILTINS,
    numbers::BUILTINS,
    lists::BUILTINS,
    sort::BUILTINS,
    closure::BUILTINS,
    attrs::BUILTINS,
    sets::BUILTINS,
    strings::BUILTINS,
    context::BUILTINS,
    control::BUILTINS,
    files::BUILTINS,
    json::BUILTINS,
    toml::BUILTINS,
    xml::BUILTINS,
    fetch::BUILTINS,
    fetch_tree::BUILTINS,
    fetch_closure::BUILTINS,
    flake::BUILTINS,
    derivation::BUILTINS,
];

impl BuiltinId {
    /// The function.
    #[inline(always)]
    pub fn builtin(self) -> &'static Builtin {
        &GROUPS[(self.0 >> GROUP_BITS) as usize][(self.0 & ((1 << GROUP_BITS) - 1)) as usize]
    }
}

fn all() -> impl Iterator<Item = (BuiltinId, &'static Builtin)> {
    GROUPS.iter().enumerate().flat_map(|(group, builtins)| {
        builtins
            .iter()
            .enumerate()
            .map(move |(index, builtin)| (BuiltinId((group as u16) << GROUP_BITS | index as u16), builtin))
    })
}

/// A builtin that no expression can name.
pub(crate) fn internal_builtin(name: &str) -> Value {
    let found = all().find(|(_, builtin)| builtin.name == name);
    found.map_or(Value::NULL, |(id, _)| Value::builtin(id))
}

/// Builtins that are in scope without `builtins.`; the others have a name with two underscores there.
const TOP_LEVEL: &[&str] = &[
    "abort",
    "baseNameOf",
    "break",
    "derivation",
    "derivationStrict",
    "dirOf",
    "fetchGit",
    "fetchMercurial",
    "fetchTarball",
    "fetchTree",
    "fromTOML",
    "import",
    "isNull",
    "map",
    "placeholder",
    "removeAttrs",
    "scopedImport",
    "throw",
    "toString",
];

/// The names that are always in scope.
pub struct Globals {
    names: FxHashMap<Symbol, Value>,
    /// `builtins`
    pub builtins: Value,
}

impl Globals {
    pub(crate) fn new(settings: &Settings, heap: &mut Heap) -> Globals {
        crate::symbol::known();
        let mut names = FxHashMap::default();
        let mut members: Vec<(Symbol, Value)> = Vec::new();
        for (id, builtin) in all().filter(|(_, builtin)| is_enabled(builtin, settings)) {
            let value = Value::builtin(id);
            members.push((Symbol::intern(builtin.name.as_bytes()), value));
            names.insert(global_name(builtin.name), value);
        }
        for (name, value) in constants(settings, heap) {
            members.push((Symbol::intern(name.as_bytes()), value));
            names.insert(global_name(name), value);
        }
        // Both are made from the set that they are in.
        let (itself, derivation) = (Symbol::intern(b"builtins"), Symbol::intern(b"derivation"));
        members.extend([(itself, Value::NULL), (derivation, Value::NULL)]);
        members.sort_unstable_by_key(|member| member.0);
        let keys = heap.keys(members.iter().map(|member| (member.0, PosId::NONE)), PosId::NONE);
        let set = heap.attrs_unset(keys);
        for (slot, (_, value)) in set.flat_slots().iter().zip(&members) {
            slot.set(*value);
        }
        let builtins = heap.attrs_value(set);
        names.insert(itself, builtins);
        let mut globals = Globals { names, builtins };
        let function = derivation::function(heap, &globals);
        globals.names.insert(derivation, function);
        for (name, value) in [(itself, builtins), (derivation, function)] {
            set.find(name).expect("put among the members above").set(value);
        }
        globals
    }

    /// The value of a name that is always in scope.
    pub fn get(&self, name: Symbol) -> Option<Value> {
        self.names.get(&name).copied()
    }

    /// All names in scope.
    pub fn names(&self) -> impl Iterator<Item = Symbol> {
        self.names.keys().copied()
    }
}

/// What only zeval itself calls, for flakes: no expression can name it, and it has no documentation.
const INTERNAL: &[&str] = &["fetchFinalTree", "inPlaceFact", "told"];

/// Whether a builtin is there at all: an experimental one is only where its feature is on.
fn is_enabled(builtin: &Builtin, settings: &Settings) -> bool {
    match builtin.name {
        "outputOf" => settings.has_feature("dynamic-derivations"),
        "fetchClosure" => settings.has_feature("fetch-closure"),
        name if INTERNAL.contains(&name) => false,
        "fetchTree" => settings.has_feature("fetch-tree") || settings.has_feature("flakes"),
        _ => true,
    }
}

/// The attributes of `builtins` where all features are on, in no order.
pub fn members() -> impl Iterator<Item = &'static str> {
    let functions = all().map(|(_, builtin)| builtin.name).filter(|name| !INTERNAL.contains(name));
    functions.chain(CONSTANTS).chain(["builtins", "derivation"])
}

/// The name that an attribute of `builtins` has where it is in scope without `builtins.`.
pub fn global(member: &str) -> String {
    let is_plain = TOP_LEVEL.contains(&member) || ["builtins", "true", "false", "null"].contains(&member);
    if is_plain { member.to_owned() } else { format!("__{member}") }
}

fn global_name(name: &str) -> Symbol {
    Symbol::intern(global(name).as_bytes())
}

/// The attributes of `builtins` that are no functions.
const CONSTANTS: [&str; 9] = [
    "true",
    "false",
    "null",
    "langVersion",
    "nixVersion",
    "storeDir",
    "nixPath",
    "currentTime",
    "currentSystem",
];

fn constants(settings: &Settings, heap: &mut Heap) -> Vec<(&'static str, Value)> {
    let mut constants = vec![
        ("true", Value::TRUE),
        ("false", Value::FALSE),
        ("null", Value::NULL),
        ("langVersion", Value::leaked_int(6)),
        ("nixVersion", heap.string(b"2.34.8")),
        ("storeDir", heap.string(zeval_model::store_dir().as_bytes())),
        ("nixPath", search_path(settings, heap)),
    ];
    if !settings.pure {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        constants.push(("currentTime", Value::leaked_int(now.map_or(0, |now| now.as_secs() as i64))));
        constants.push(("currentSystem", heap.string(settings.system.as_bytes())));
    }
    constants
}

fn search_path(settings: &Settings, heap: &mut Heap) -> Value {
    let known = crate::symbol::known();
    let entries: Vec<Value> = settings
        .search_path
        .iter()
        .map(|(prefix, path)| {
            let mut entry = [(known.prefix, heap.string(prefix)), (known.path, heap.string(path))];
            entry.sort_unstable_by_key(|entry| entry.0);
            let keys = heap.keys(entry.iter().map(|entry| (entry.0, PosId::NONE)), PosId::NONE);
            heap.attrs(keys, |_, index| entry[index].1)
        })
        .collect();
    heap.list(&entries)
}
