//! Interned names: every attribute name and variable of a process, each with one number.

use std::{
    cell::Cell,
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use bstr::{BStr, ByteSlice};

use crate::{blocks::Blocks, value::Value};

/// The number of an interned name. Order is that of first interning, not of the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct Symbol(pub(crate) u32);

struct Entry {
    text: &'static BStr,
    /// The name as a string value, made once, since `attrNames` and `mapAttrs` hand it out again and again.
    value: Value,
    /// The first eight bytes of the name, padded with zeros, as a number: decides most comparisons of names.
    prefix: u64,
}

fn prefix(text: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = text.len().min(8);
    first[..length].copy_from_slice(&text[..length]);
    u64::from_be_bytes(first)
}

/// So that several threads seldom want the same lock: a power of two.
const SHARDS: usize = 16;

struct Table {
    entries: Blocks<Entry>,
    len: AtomicU32,
    /// The numbers of the names, by their hashes; which part has a name its hash tells, too.
    index: [Mutex<hashbrown::HashTable<u32>>; SHARDS],
}

static TABLE: Table = Table {
    entries: Blocks::new(),
    len: AtomicU32::new(0),
    index: [const { Mutex::new(hashbrown::HashTable::new()) }; SHARDS],
};

impl Table {
    /// The part of the index that has the names of this hash.
    fn shard(&self, hash: u64) -> MutexGuard<'_, hashbrown::HashTable<u32>> {
        // The table within takes its place from the lowest bits, and its tag from the highest.
        let shard = (hash >> 40) as usize & (SHARDS - 1);
        self.index[shard].lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn entry(id: u32) -> &'static Entry {
    TABLE.entries.get(id).expect("a symbol is only handed out after its entry was written")
}

fn hash(text: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(text);
    hasher.finish()
}

/// Symbols whose own text was looked up last, by its address: what `attrNames` and `mapAttrs` hand out comes back as the name of an
/// attribute. A symbol's text is never freed, so its address means the symbol.
const RECENT: usize = 1 << 9;

thread_local! {
    static LOOKED_UP: [Cell<(*const u8, usize, Symbol)>; RECENT] =
        const { [const { Cell::new((std::ptr::null(), 0, Symbol(0))) }; RECENT] };
}

fn recent_place(text: &[u8]) -> usize {
    (text.as_ptr().addr().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) & (RECENT - 1)
}

#[inline]
fn looked_up(text: &[u8]) -> Option<Symbol> {
    let (at, len, symbol) = LOOKED_UP.with(|recent| recent[recent_place(text)].get());
    (at == text.as_ptr() && len == text.len() && len > 0).then_some(symbol)
}

fn remember_looked_up(text: &[u8], symbol: Symbol) {
    let own = symbol.text();
    if std::ptr::eq(own.as_ptr(), text.as_ptr()) && own.len() == text.len() {
        LOOKED_UP.with(|recent| recent[recent_place(text)].set((text.as_ptr(), text.len(), symbol)));
    }
}

impl Symbol {
    /// The symbol of a name, new or known.
    pub fn intern(text: &[u8]) -> Symbol {
        if let Some(symbol) = looked_up(text) {
            return symbol;
        }
        let symbol = Symbol::intern_in_table(text);
        remember_looked_up(text, symbol);
        symbol
    }

    fn intern_in_table(text: &[u8]) -> Symbol {
        let hash_of = hash(text);
        let mut index = TABLE.shard(hash_of);
        if let Some(&id) = index.find(hash_of, |&id| entry(id).text == text) {
            return Symbol(id);
        }
        let id = TABLE.len.fetch_add(1, Ordering::Relaxed);
        let text: &'static [u8] = Box::leak(text.into());
        let value = Value::leaked_string(text);
        TABLE.entries.set(id, Entry { text: text.as_bstr(), value, prefix: prefix(text) });
        index.insert_unique(hash_of, id, |&id| hash(entry(id).text));
        Symbol(id)
    }

    /// The symbol of a name if anything ever had that name: a lookup by a name never seen cannot succeed.
    pub fn find(text: &[u8]) -> Option<Symbol> {
        if let Some(symbol) = looked_up(text) {
            return Some(symbol);
        }
        let found = {
            let hash_of = hash(text);
            TABLE.shard(hash_of).find(hash_of, |&id| entry(id).text == text).map(|&id| Symbol(id))
        };
        found.inspect(|&symbol| remember_looked_up(text, symbol))
    }

    /// How many names there are.
    pub fn count() -> u32 {
        TABLE.len.load(Ordering::Acquire)
    }

    /// The name.
    pub fn text(self) -> &'static BStr {
        entry(self.0).text
    }

    /// A number that orders names as their bytes do, but where it is equal: then the texts decide.
    pub fn order(self) -> u64 {
        entry(self.0).prefix
    }

    /// The name for a message: quoted unless it is an identifier.
    pub fn shown(self) -> String {
        crate::print::attr_name(self)
    }

    /// The name as a string value.
    pub fn value(self) -> Value {
        entry(self.0).value
    }
}

/// How many names are interned, for statistics.
pub fn count() -> u32 {
    TABLE.len.load(Ordering::Acquire)
}

macro_rules! known {
    ($($name:ident = $text:literal),*; $($late:ident = $late_text:literal),* $(,)?) => {
        /// Names that the evaluator itself asks for.
        #[derive(Clone, Copy)]
        #[allow(non_camel_case_types, missing_docs, dead_code)]
        pub(crate) struct Known { $(pub $name: Symbol,)* $(pub $late: Symbol),* }

        /// The symbols of [`Known`], interned once.
        pub(crate) fn known() -> &'static Known {
            static KNOWN: OnceLock<Known> = OnceLock::new();
            KNOWN.get_or_init(|| {
                $(let $name = Symbol::intern($text.as_bytes());)*
                intern_registered();
                $(let $late = Symbol::intern($late_text.as_bytes());)*
                Known { $($name,)* $($late),* }
            })
        }
    };
}

// Interned before all others and in the order of Nix's `StaticEvalSymbols`, since attributes are evaluated in the order of their
// symbols where all are: which one fails first shows.
known! {
    out_path = "outPath",
    drv_path = "drvPath",
    type_ = "type",
    meta = "meta",
    name = "name",
    value = "value",
    system = "system",
    overrides = "__overrides",
    outputs = "outputs",
    output_name = "outputName",
    ignore_nulls = "__ignoreNulls",
    file = "file",
    line = "line",
    column = "column",
    functor = "__functor",
    to_string = "__toString",
    right = "right",
    wrong = "wrong",
    structured_attrs = "__structuredAttrs",
    json = "__json",
    allowed_references = "allowedReferences",
    allowed_requisites = "allowedRequisites",
    disallowed_references = "disallowedReferences",
    disallowed_requisites = "disallowedRequisites",
    max_size = "maxSize",
    max_closure_size = "maxClosureSize",
    builder = "builder",
    args = "args",
    content_addressed = "__contentAddressed",
    impure = "__impure",
    output_hash = "outputHash",
    output_hash_algo = "outputHashAlgo",
    output_hash_mode = "outputHashMode",
    recurse_for_derivations = "recurseForDerivations",
    description = "description",
    self_ = "self",
    empty = "",
    start_set = "startSet",
    operator = "operator",
    key = "key",
    path = "path",
    prefix = "prefix",
    output_specified = "outputSpecified",
    sub = "__sub",
    less_than = "__lessThan",
    mul = "__mul",
    div = "__div",
    or_ = "or",
    find_file = "__findFile",
    nix_path = "__nixPath",
    body = "body";
    success = "success",
    version = "version",
    outputs_all = "allOutputs",
}

/// The names that Nix makes next: its constants and builtins as it registers them, then those of `derivation`.
const REGISTERED: &str = "builtins true false null currentTime currentSystem nixVersion storeDir langVersion traceVerbose nixPath \
    scopedImport import typeOf isNull isFunction isInt isFloat isString isBool isPath genericClosure break abort throw \
    addErrorContext ceil floor tryEval getEnv seq deepSeq trace warn derivationStrict placeholder toPath storePath pathExists \
    baseNameOf dirOf readFile findFile hashFile readFileType readDir toXML toJSON fromJSON toFile filterSource attrNames \
    attrValues getAttr unsafeGetAttrPos hasAttr isAttrs removeAttrs listToAttrs intersectAttrs catAttrs functionArgs mapAttrs \
    zipAttrsWith isList elemAt head tail map filter elem concatLists length foldl' any all genList sort partition groupBy \
    concatMap add sub mul div bitAnd bitOr bitXor lessThan toString substring stringLength hashString convertHash match split \
    concatStringsSep replaceStrings parseDrvName compareVersions splitVersion unsafeDiscardStringContext hasContext \
    unsafeDiscardOutputDependency addDrvOutputDependencies getContext appendContext fetchMercurial fetchTree fetchurl \
    fetchTarball fetchGit fromTOML getFlake parseFlakeRef flakeRefToString derivation strict drvAttrs commonAttrs outputsList x \
    outputToAttrListElement";

fn intern_registered() {
    for name in REGISTERED.split_whitespace() {
        Symbol::intern(name.as_bytes());
    }
}
