//! What each builtin is for, in a sentence, with the names of its arguments.

/// A builtin's documentation.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinDoc {
    /// Its name in `builtins`.
    pub name: &'static str,
    /// Its arguments.
    pub arguments: &'static str,
    /// What it gives.
    pub text: &'static str,
}

/// The documentation of a builtin.
pub fn find(name: &str) -> Option<&'static BuiltinDoc> {
    DOCS.iter().find(|doc| doc.name == name)
}

const fn doc(name: &'static str, arguments: &'static str, text: &'static str) -> BuiltinDoc {
    BuiltinDoc { name, arguments, text }
}

/// The documentation of every builtin that is a function.
pub const DOCS: &[BuiltinDoc] = &[
    doc("abort", "message", "Ends the evaluation with an error that `tryEval` does not catch."),
    doc("add", "a b", "The sum of two numbers."),
    doc(
        "addDrvOutputDependencies",
        "string",
        "The string with the closure of the outputs, instead of the derivation alone, as its context.",
    ),
    doc("addErrorContext", "context value", "The value; an error on the way to it tells the context."),
    doc("all", "predicate list", "Whether the predicate holds for every element."),
    doc("any", "predicate list", "Whether the predicate holds for some element."),
    doc("appendContext", "string context", "The string with what `getContext` gives as further context."),
    doc("attrNames", "set", "The names of a set, sorted."),
    doc("attrValues", "set", "The values of a set, in the order of their names."),
    doc("baseNameOf", "path", "What follows the last slash of a path or string."),
    doc("bitAnd", "a b", "The bits that are set in both integers."),
    doc("bitOr", "a b", "The bits that are set in either integer."),
    doc("bitXor", "a b", "The bits that are set in just one of the integers."),
    doc("break", "value", "The value; under `--debugger` the debugger takes over first."),
    doc("catAttrs", "name list", "The values of an attribute in those sets of a list that have it."),
    doc("ceil", "number", "The least integer that is not less than a number."),
    doc("compareVersions", "a b", "-1, 0 or 1, as version `a` is older than, the same as or newer than `b`."),
    doc("concatLists", "lists", "The lists of a list, one after the other."),
    doc(
        "concatMap",
        "function list",
        "The lists that a function makes of the elements, one after the other.",
    ),
    doc("concatStringsSep", "separator list", "The strings of a list with the separator between them."),
    doc("convertHash", "set", "A hash in another notation: `{ hash, toHashFormat, hashAlgo ? }`."),
    doc("deepSeq", "a b", "`b`, after `a` and all that it holds were evaluated."),
    doc(
        "derivation",
        "set",
        "A derivation: `{ name, system, builder, args ?, outputs ?, ... }`, all other attributes become variables of its environment.",
    ),
    doc(
        "derivationStrict",
        "set",
        "What `derivation` is made of: the paths of a derivation and of its outputs.",
    ),
    doc("dirOf", "path", "What comes before the last slash of a path or string."),
    doc("div", "a b", "The quotient of two numbers; that of integers is cut towards zero."),
    doc("elem", "value list", "Whether a value is among the elements."),
    doc("elemAt", "list index", "An element of a list, counted from 0."),
    doc("fetchClosure", "set", "A store path with all that it needs, from a binary cache."),
    doc(
        "fetchGit",
        "url or set",
        "The files of a commit of a Git repository: `{ url, rev ?, ref ?, submodules ?, shallow ?, ... }`.",
    ),
    doc("fetchMercurial", "url or set", "The files of a revision of a Mercurial repository."),
    doc("fetchTarball", "url or set", "The unpacked files of an archive: `{ url, sha256 ?, name ? }`."),
    doc("fetchTree", "reference", "The files that a flake reference names, with what is known of them."),
    doc("fetchurl", "url or set", "A file, fetched while evaluating: `{ url, sha256 ?, name ? }`."),
    doc("filter", "predicate list", "The elements for which the predicate holds."),
    doc(
        "filterSource",
        "predicate path",
        "A store path with those files below a path that the predicate (of path and type) wants.",
    ),
    doc("findFile", "searchPath name", "What a name stands for in a search path; `<x>` means this."),
    doc("flakeRefToString", "set", "A flake reference as a URL."),
    doc("floor", "number", "The greatest integer that is not greater than a number."),
    doc("foldl'", "op nul list", "`op (op (op nul x0) x1) x2 ...`, each step evaluated."),
    doc("fromJSON", "text", "The value that a JSON text describes."),
    doc("fromTOML", "text", "The set that a TOML text describes."),
    doc("functionArgs", "function", "The names in a function's pattern, each with whether it has a default."),
    doc("genList", "generator length", "The list of `generator 0`, `generator 1`, ..."),
    doc("genericClosure", "set", "All that `operator` leads to from `startSet`, each `key` once."),
    doc("getAttr", "name set", "The value of an attribute."),
    doc("getContext", "string", "The context of a string, as a set by store path."),
    doc("getEnv", "name", "A variable of the environment, or `\"\"`."),
    doc("getFlake", "reference", "The outputs of a flake, and what is known of it."),
    doc("groupBy", "function list", "The elements in lists by the name that a function gives each."),
    doc("hasAttr", "name set", "Whether a set has an attribute."),
    doc("hasContext", "string", "Whether a string refers to store paths."),
    doc("hashFile", "algorithm path", "The hash of a file, in base 16."),
    doc("hashString", "algorithm text", "The hash of a text, in base 16."),
    doc("head", "list", "The first element."),
    doc(
        "import",
        "path",
        "The value of the expression in a file, or in the `default.zx` or `default.nix` of a folder.",
    ),
    doc("intersectAttrs", "a b", "The attributes of `b` whose names are in `a`."),
    doc("isAttrs", "value", "Whether a value is a set."),
    doc("isBool", "value", "Whether a value is a boolean."),
    doc("isFloat", "value", "Whether a value is a float."),
    doc("isFunction", "value", "Whether a value is a function."),
    doc("isInt", "value", "Whether a value is an integer."),
    doc("isList", "value", "Whether a value is a list."),
    doc("isNull", "value", "Whether a value is `null`."),
    doc("isPath", "value", "Whether a value is a path."),
    doc("isString", "value", "Whether a value is a string."),
    doc("length", "list", "The number of elements."),
    doc("lessThan", "a b", "Whether `a` is less than `b`; `a < b` means this."),
    doc("listToAttrs", "list", "A set from a list of `{ name, value }`; the first of a name counts."),
    doc("map", "function list", "What a function makes of each element."),
    doc("mapAttrs", "function set", "A set with what a function makes of each name and value."),
    doc(
        "match",
        "regex text",
        "The groups of an extended regular expression that matches a whole text, or `null`.",
    ),
    doc("mul", "a b", "The product of two numbers."),
    doc(
        "outputOf",
        "derivation output",
        "A string that stands for the output of a derivation that is itself built.",
    ),
    doc("parseDrvName", "name", "A package's name apart from its version: `{ name, version }`."),
    doc("parseFlakeRef", "url", "A flake reference as a set."),
    doc(
        "partition",
        "predicate list",
        "The elements for which a predicate holds (`right`) and the others (`wrong`).",
    ),
    doc(
        "path",
        "set",
        "A store path with the files of a path: `{ path, name ?, filter ?, recursive ?, sha256 ? }`.",
    ),
    doc("pathExists", "path", "Whether there is a file."),
    doc("placeholder", "output", "A string that stands, while building, for the derivation's own output."),
    doc("readDir", "path", "The entries of a folder with their types."),
    doc("readFile", "path", "The text of a file."),
    doc(
        "readFileType",
        "path",
        "The type of a file: `\"regular\"`, `\"directory\"`, `\"symlink\"` or `\"unknown\"`.",
    ),
    doc("removeAttrs", "set list", "The set less the attributes of these names."),
    doc(
        "replaceStrings",
        "from to text",
        "The text with every string of `from` replaced by that of `to` at the same place.",
    ),
    doc("scopedImport", "scope path", "As `import`, with the attributes of a set as further variables."),
    doc("seq", "a b", "`b`, after `a` was evaluated."),
    doc(
        "sort",
        "comparator list",
        "The elements in order; `comparator a b` tells whether `a` comes before `b`.",
    ),
    doc(
        "split",
        "regex text",
        "The pieces of a text between the matches of a regular expression, and the groups of each match.",
    ),
    doc("splitVersion", "version", "The components of a version."),
    doc("storePath", "path", "A path that is in the store already, as a string that refers to it."),
    doc("stringLength", "text", "The length of a text in bytes."),
    doc("sub", "a b", "The difference of two numbers."),
    doc(
        "substring",
        "start length text",
        "A part of a text, counted in bytes; a negative length means up to its end.",
    ),
    doc("tail", "list", "All elements but the first."),
    doc("throw", "message", "Ends the evaluation with an error that `tryEval` catches."),
    doc("toFile", "name text", "A store path with a text in it."),
    doc("toJSON", "value", "A value as JSON."),
    doc("toPath", "text", "An absolute path, as a string. Use `/. + text` instead."),
    doc("toString", "value", "A value as a string."),
    doc("toXML", "value", "A value as XML."),
    doc("trace", "message value", "The value, after the message was printed to standard error."),
    doc("traceVerbose", "message value", "As `trace`, if the setting `trace-verbose` is on."),
    doc(
        "tryEval",
        "value",
        "`{ success, value }`: whether a value can be evaluated, up to its outermost part.",
    ),
    doc("typeOf", "value", "The type of a value, as a string."),
    doc(
        "unsafeDiscardOutputDependency",
        "string",
        "The string with derivations in its context as mere files.",
    ),
    doc("unsafeDiscardStringContext", "string", "The string without context."),
    doc(
        "unsafeGetAttrPos",
        "name set",
        "Where an attribute was defined: `{ file, line, column }`, or `null`.",
    ),
    doc("warn", "message value", "The value, after a warning was printed to standard error."),
    doc(
        "zipAttrsWith",
        "function list",
        "A set with what a function makes of each name and the list of its values in the sets of a list.",
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_builtin_is_documented() {
        let missing: Vec<&str> = crate::builtins::all()
            .map(|(_, builtin)| builtin.name)
            .filter(|name| super::find(name).is_none() && !crate::builtins::INTERNAL.contains(name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
