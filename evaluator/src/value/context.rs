//! String contexts: which store paths a string mentions, and how.

use std::sync::{Mutex, OnceLock};

use zeval_model::store_path::StorePath;

use super::{Heap, heap::context_id::Id};
use crate::blocks::Blocks;

/// One thing that a string depends on.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum ContextElement {
    /// A store path as it is: a source, or a `.drv` file as plain data.
    Opaque(StorePath),
    /// A derivation with all that it needs (`drvPath`): printed with `=`.
    DrvDeep(StorePath),
    /// An output of a derivation: printed with `!`.
    Built(Built),
}

/// An output of a derivation, which may itself be the output of a derivation (dynamic derivations).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Built {
    /// The derivation.
    pub derivation: Box<Derived>,
    /// The output's name.
    pub output: String,
}

/// A store path, or the output of a derivation that will be one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Derived {
    /// A store path.
    Opaque(StorePath),
    /// The output of a derivation.
    Built(Built),
}

/// A non-empty set of context elements: sorted numbers.
pub struct Context {
    elements: &'static [Id],
}

static ELEMENTS: Blocks<ContextElement> = Blocks::new();

fn index() -> &'static Mutex<rustc_hash::FxHashMap<&'static ContextElement, Id>> {
    static INDEX: OnceLock<Mutex<rustc_hash::FxHashMap<&'static ContextElement, Id>>> = OnceLock::new();
    INDEX.get_or_init(Default::default)
}

/// The number of an element, new or known.
pub fn intern(element: ContextElement) -> Id {
    let mut index = index().lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(&id) = index.get(&element) {
        return id;
    }
    let id = index.len() as Id;
    ELEMENTS.set(id, element);
    index.insert(self::element(id), id);
    id
}

/// The element of a number.
pub fn element(id: Id) -> &'static ContextElement {
    ELEMENTS.get(id).expect("a number is only handed out after its element was written")
}

impl Context {
    pub(super) fn new(elements: &'static [Id]) -> Context {
        Context { elements }
    }

    /// The numbers of the elements, ascending.
    pub fn ids(&self) -> &'static [Id] {
        self.elements
    }

    /// The elements, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &'static ContextElement> {
        self.elements.iter().map(|&id| element(id))
    }

    /// The elements in Nix's order: by their kinds, then by their paths.
    pub fn sorted(&self) -> Vec<&'static ContextElement> {
        let mut elements: Vec<_> = self.iter().collect();
        elements.sort_unstable();
        elements
    }

    /// The context of one element.
    pub fn single(heap: &mut Heap, element: ContextElement) -> Option<&'static Context> {
        heap.context(&[intern(element)])
    }

    /// The context of any elements.
    pub fn of(heap: &mut Heap, elements: impl Iterator<Item = ContextElement>) -> Option<&'static Context> {
        let mut ids: Vec<Id> = elements.map(intern).collect();
        ids.sort_unstable();
        ids.dedup();
        heap.context(&ids)
    }

    /// All elements of both; no copy where one holds the other.
    pub fn union(
        heap: &mut Heap,
        left: Option<&'static Context>,
        right: Option<&'static Context>,
    ) -> Option<&'static Context> {
        let (Some(a), Some(b)) = (left, right) else { return left.or(right) };
        if std::ptr::eq(a, b) || a.includes(b) {
            return left;
        }
        if b.includes(a) {
            return right;
        }
        let mut ids = [a.elements, b.elements].concat();
        ids.sort_unstable();
        ids.dedup();
        heap.context(&ids)
    }

    fn includes(&self, other: &Context) -> bool {
        other.elements.len() <= self.elements.len()
            && other.elements.iter().all(|id| self.elements.binary_search(id).is_ok())
    }
}

/// An element as Nix writes it: `/nix/store/...`, `=/nix/store/...`, `!out!/nix/store/...`.
pub fn encode(element: &ContextElement) -> String {
    match element {
        ContextElement::Opaque(path) => path.to_string(),
        ContextElement::DrvDeep(path) => format!("={path}"),
        ContextElement::Built(built) => format!("!{}!{}", built.output, encode_derived(&built.derivation)),
    }
}

/// An element as errors tell of it: `/nix/store/...`, `/nix/store/... (deep)`, `/nix/store/...^out`.
pub fn shown(element: &ContextElement) -> String {
    match element {
        ContextElement::Opaque(path) => path.to_string(),
        ContextElement::DrvDeep(path) => format!("{path} (deep)"),
        ContextElement::Built(built) => shown_built(built),
    }
}

fn shown_built(built: &Built) -> String {
    match &*built.derivation {
        Derived::Opaque(path) => format!("{path}^{}", built.output),
        Derived::Built(outer) => format!("{}^{}", shown_built(outer), built.output),
    }
}

/// An element as [`encode`] writes it, but for the store's folder.
pub fn encode_base_name(element: &ContextElement) -> String {
    encode(element).replace(&format!("{}/", zeval_model::store_dir()), "")
}

/// A derivation, as [`encode`] writes it.
pub fn encode_derived(derived: &Derived) -> String {
    match derived {
        Derived::Opaque(path) => path.to_string(),
        Derived::Built(built) => format!("!{}!{}", built.output, encode_derived(&built.derivation)),
    }
}
