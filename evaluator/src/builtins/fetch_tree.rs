//! Fetching trees: `fetchTree`, `fetchGit`, `fetchMercurial`, and what calls of flakes fetch with.

use bstr::ByteSlice;
use zeval_model::input::{Attr, Attrs};

use super::{Builtin, files::store_path_value, strings::experimental};
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{ErrorKind, EvalError, Failure, Result},
        expect::show_type,
    },
    inputs::{Told, Tree, Wanted},
    position::PosId,
    symbol::Symbol,
    value::{Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("fetchTree", 1, 1, |evaluator, args, pos| fetch_tree(evaluator, args[0], pos, &FETCH_TREE)),
    Builtin::new("fetchGit", 1, 1, |evaluator, args, pos| fetch_tree(evaluator, args[0], pos, &FETCH_GIT)),
    Builtin::new("fetchFinalTree", 1, 1, |evaluator, args, pos| {
        fetch_tree(evaluator, args[0], pos, &FETCH_FINAL_TREE)
    }),
    Builtin::new("fetchMercurial", 1, 1, fetch_mercurial),
    Builtin::new("inPlaceFact", 2, 2, in_place_fact),
    Builtin::new("told", 3, 3, |evaluator, args, _| {
        if let (Some(reads), Some(name), Some(text)) =
            (&evaluator.session.reads, args[0].as_string(), args[1].as_string())
        {
            reads.told(name.bytes(), text.bytes());
        }
        Ok(args[2])
    }),
];

/// What is only known of a source that is read where it is once somebody asks.
#[derive(Clone, Copy)]
pub(crate) enum Fact {
    /// A path in it as text, without context.
    Text,
    /// Its store path.
    StorePath,
    NarHash,
    LastModified,
    LastModifiedDate,
}

const FACTS: [Fact; 5] =
    [Fact::Text, Fact::StorePath, Fact::NarHash, Fact::LastModified, Fact::LastModifiedDate];

impl Evaluator {
    /// A fact about the source that a path is in, found out when it is needed.
    pub(crate) fn delayed_in_place(&mut self, fact: Fact, path: &[u8]) -> Value {
        let arguments = [self.heap.int(fact as i64), self.heap.path(path)];
        self.delay_apply_all(super::internal_builtin("inPlaceFact"), &arguments)
    }
}

impl Evaluator {
    /// What is told to an evaluation, which is on record as being used only once it is.
    fn on_record(&mut self, name: &str, told: &Told, value: Value) -> Value {
        if self.session.reads.is_none() {
            return value;
        }
        let arguments =
            [self.heap.string(name.as_bytes()), self.heap.string(told.to_string().as_bytes()), value];
        self.delay_apply_all(super::internal_builtin("told"), &arguments)
    }
}

fn in_place_fact(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let (View::Int(fact), View::Path(path)) = (args[0].view(), args[1].view()) else {
        return Ok(Value::NULL);
    };
    let session = evaluator.session.clone();
    let (Some(fact), Some((source, _))) = (FACTS.get(fact as usize), session.in_place(path)) else {
        return Ok(Value::NULL);
    };
    let stored = source.stored().map_err(|failure| failure.at(pos))?;
    Ok(match fact {
        Fact::Text => {
            let text = session.observed(path, pos)?;
            evaluator.heap.string(&text)
        }
        Fact::StorePath => store_path_value(evaluator, stored.store_path),
        Fact::NarHash => evaluator.heap.string(stored.nar_hash.as_bytes()),
        Fact::LastModified => evaluator.heap.int(stored.last_modified as i64),
        Fact::LastModifiedDate => {
            evaluator.heap.string(zeval_model::time::compact(stored.last_modified).as_bytes())
        }
    })
}

/// What the builtins of this file differ in.
struct Kind {
    name: &'static str,
    is_git: bool,
    is_final: bool,
}

const FETCH_TREE: Kind = Kind { name: "fetchTree", is_git: false, is_final: false };
const FETCH_GIT: Kind = Kind { name: "fetchGit", is_git: true, is_final: false };
/// What a lock file pins: every attribute is known already.
const FETCH_FINAL_TREE: Kind = Kind { name: "fetchTree", is_git: false, is_final: true };

fn fetch_tree(evaluator: &mut Evaluator, argument: Value, pos: PosId, kind: &Kind) -> Result<Value> {
    evaluator.main_only()?;
    let value = evaluator.force_at(argument, pos)?;
    let wanted = match value.view() {
        View::Attrs(_) => Wanted::Attrs(tree_attrs(evaluator, value, pos, kind)?),
        _ => tree_address(evaluator, value, pos, kind)?,
    };
    let session = evaluator.session.clone();
    let pure = session.settings.pure;
    if !kind.is_final {
        session.unrepeatable();
    }
    let inputs = session.inputs();
    if session.settings.restricted {
        let address = inputs.address(&wanted).map_err(|failure| failure.at(pos))?;
        check_address(evaluator, &address, pos)?;
    }
    let tree =
        inputs.fetch_tree(wanted, kind.name, pure, kind.is_final).map_err(|failure| failure.at(pos))?;
    session.rely_on(std::path::Path::new(&tree.store_path.to_string()));
    Ok(tree_value(evaluator, &tree, kind.is_git, false))
}

fn text(evaluator: &mut Evaluator, value: Value, pos: PosId, doing: &str) -> Result<String> {
    let coercion = Coercion { canonical: false, ..Coercion::APPENDED };
    let text = evaluator.coerce(value, coercion, &mut None, pos, doing)?;
    Ok(text.to_str_lossy().into_owned())
}

fn tree_attrs(evaluator: &mut Evaluator, value: Value, pos: PosId, kind: &Kind) -> Result<Attrs> {
    let session = evaluator.session.clone();
    let set = evaluator.expect_attrs(value, pos, "")?;
    let mut attrs = Attrs::new();
    let scheme = match set.get(Symbol::intern(b"type")) {
        Some(_) if kind.is_git => return Err(EvalError::eval(pos, "unexpected argument 'type'")),
        Some(given) => {
            let at = set.position(Symbol::intern(b"type")).unwrap_or_default();
            let doing = format!("while evaluating the `type` argument passed to '{}'", kind.name);
            evaluator.expect_plain_string(given, at, &doing)?.to_str_lossy().into_owned()
        }
        None if kind.is_git => "git".to_owned(),
        None => {
            let message = format!("argument 'type' is missing in call to '{}'", kind.name);
            return Err(EvalError::eval(pos, message));
        }
    };
    let is_git_type = scheme == "git";
    attrs.insert("type".to_owned(), Attr::String(scheme));
    for (name, slot) in set.flatten(&mut evaluator.heap).iter() {
        let at = set.position(name).unwrap_or_default();
        let name = name.text().to_str_lossy().into_owned();
        if name == "type" {
            continue;
        }
        let value = evaluator.force_slot_at(slot, at)?;
        let attr = match value.view() {
            View::Path(_) | View::String(_) => {
                let text = text(evaluator, value, at, "")?;
                Attr::String(match kind.is_git && name == "url" {
                    true => session.inputs().git_address(&text).map_err(|failure| failure.at(pos))?,
                    false => text,
                })
            }
            View::Bool(value) => Attr::Bool(value),
            View::Int(number) => Attr::Int(u64::try_from(number).map_err(|_| {
                let kind = kind.name;
                EvalError::eval(pos, format!("negative value given for '{kind}' argument '{name}': {number}"))
            })?),
            _ if name == "publicKeys" => {
                if !session.settings.has_feature("verified-fetches") {
                    return Err(experimental("verified-fetches", pos));
                }
                Attr::String(evaluator.to_json(value, true)?.to_str_lossy().into_owned())
            }
            _ => {
                let message = format!(
                    "argument '{name}' to '{}' is {} while a string, Boolean or integer is expected",
                    kind.name,
                    show_type(value)
                );
                return Err(EvalError::wrong_type(PosId::NONE, message));
            }
        };
        attrs.insert(name, attr);
    }
    if kind.is_git
        && !attrs.contains_key("exportIgnore")
        && attrs.get("submodules") != Some(&Attr::Bool(true))
    {
        attrs.insert("exportIgnore".to_owned(), Attr::Bool(true));
    }
    if is_git_type && !kind.is_git && !attrs.contains_key("shallow") {
        attrs.insert("shallow".to_owned(), Attr::Bool(true));
    }
    if !kind.is_git && attrs.contains_key("name") {
        let message = format!("argument 'name' isn’t supported in call to '{}'", kind.name);
        return Err(EvalError::eval(pos, message));
    }
    Ok(attrs)
}

fn tree_address(evaluator: &mut Evaluator, value: Value, pos: PosId, kind: &Kind) -> Result<Wanted> {
    let doing = format!("while evaluating the first argument passed to '{}'", kind.name);
    let text = text(evaluator, value, pos, &doing)?;
    let session = evaluator.session.clone();
    if kind.is_git {
        let address = session.inputs().git_address(&text).map_err(|failure| failure.at(pos))?;
        return Ok(Wanted::Attrs(Attrs::from([
            ("type".to_owned(), "git".into()),
            ("url".to_owned(), address.into()),
            ("exportIgnore".to_owned(), Attr::Bool(true)),
        ])));
    }
    if !session.settings.has_feature("flakes") {
        let kind = kind.name;
        let message =
            format!("passing a string argument to '{kind}' requires the 'flakes' experimental feature");
        return Err(EvalError::eval(pos, message));
    }
    Ok(Wanted::Address(text))
}

/// The set that describes a source. Where there is no revision, `zero_revision` tells one of zeros; `is_changed` tells none
/// in any case.
pub(crate) fn tree_value(
    evaluator: &mut Evaluator,
    tree: &Tree,
    zero_revision: bool,
    is_changed: bool,
) -> Value {
    const ZERO: &str = "0000000000000000000000000000000000000000";
    let mut entries: Vec<(Symbol, Value)> = Vec::new();
    let mut add = |name: &str, value: Value| entries.push((Symbol::intern(name.as_bytes()), value));
    let root = tree.store_path.to_string();
    let is_in_place = evaluator.session.in_place(root.as_bytes()).is_some();
    if is_in_place {
        add("outPath", evaluator.delayed_in_place(Fact::StorePath, root.as_bytes()));
        add("narHash", evaluator.delayed_in_place(Fact::NarHash, root.as_bytes()));
    } else {
        add("outPath", store_path_value(evaluator, tree.store_path.clone()));
    }
    if let Some(hash) = tree.nar_hash.as_ref().filter(|_| !is_in_place) {
        add("narHash", evaluator.heap.string(hash.as_bytes()));
    }
    if let Some(submodules) = tree.submodules {
        add("submodules", Value::bool(submodules));
    }
    let is_zero =
        |name: &str| zero_revision && !is_changed && tree.state().iter().all(|(known, _)| *known != name);
    if is_zero("rev") {
        add("rev", evaluator.heap.string(ZERO.as_bytes()));
        add("shortRev", evaluator.heap.string(&ZERO.as_bytes()[..7]));
    }
    if is_zero("revCount") {
        add("revCount", evaluator.heap.int(0));
    }
    for (name, told) in tree.state() {
        let is_kept = !is_changed || !["rev", "shortRev", "revCount"].contains(&name);
        if is_kept {
            let value = match &told {
                Told::Text(text) => evaluator.heap.string(text.as_bytes()),
                Told::Number(number) => evaluator.heap.int(*number as i64),
            };
            add(
                name,
                if is_in_place {
                    evaluator.on_record(&format!("{root} {name}"), &told, value)
                } else {
                    value
                },
            );
        }
    }
    if tree.last_modified.is_none() && is_in_place {
        add("lastModified", evaluator.delayed_in_place(Fact::LastModified, root.as_bytes()));
        add("lastModifiedDate", evaluator.delayed_in_place(Fact::LastModifiedDate, root.as_bytes()));
    }
    evaluator.attrs_from(&mut entries)
}

fn fetch_mercurial(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let value = evaluator.force_at(args[0], pos)?;
    let mut attrs = Attrs::from([("type".to_owned(), "hg".into()), ("name".to_owned(), "source".into())]);
    let mut url = String::new();
    if let View::Attrs(set) = value.view() {
        for (name, slot) in set.flatten(&mut evaluator.heap).iter() {
            let at = set.position(name).unwrap_or_default();
            let doing = |name: &str| {
                format!("while evaluating the `{name}` attribute passed to builtins.fetchMercurial")
            };
            match name.text().as_bytes() {
                b"url" => url = text(evaluator, slot.get(), at, &doing("url"))?,
                b"rev" => {
                    // A revision, or the name of a branch or tag.
                    let given = evaluator.expect_plain_string(slot.get(), at, &doing("rev"))?;
                    let is_revision = given.len() == 40 && given.iter().all(u8::is_ascii_hexdigit);
                    let name = if is_revision { "rev" } else { "ref" };
                    attrs.insert(name.to_owned(), given.to_str_lossy().into_owned().into());
                }
                b"name" => {
                    let given = evaluator.expect_plain_string(slot.get(), at, &doing("name"))?;
                    attrs.insert("name".to_owned(), given.to_str_lossy().into_owned().into());
                }
                other => {
                    let message = format!(
                        "unsupported argument '{}' to 'fetchMercurial'",
                        crate::text::raw::Shown(other)
                    );
                    return Err(EvalError::eval(at, message));
                }
            }
        }
        if url.is_empty() {
            return Err(EvalError::eval(pos, "'url' argument required"));
        }
    } else {
        let doing = "while evaluating the first argument passed to builtins.fetchMercurial";
        url = text(evaluator, value, pos, doing)?;
    }
    evaluator.main_only()?;
    let session = evaluator.session.clone();
    check_address(evaluator, &url, pos)?;
    if session.settings.pure && !attrs.contains_key("rev") {
        return Err(impure("in pure evaluation mode, 'fetchMercurial' requires a Mercurial revision"));
    }
    let address = if url.contains("://") { url } else { format!("file://{url}") };
    attrs.insert("url".to_owned(), address.into());
    session.unrepeatable();
    let tree = session
        .inputs()
        .fetch_tree(Wanted::Attrs(attrs), "fetchMercurial", false, false)
        .map_err(|failure| failure.at(pos))?;
    Ok(mercurial_value(evaluator, &tree))
}

fn impure(message: &str) -> Failure {
    EvalError::new(ErrorKind::Restricted, PosId::NONE, message)
}

fn mercurial_value(evaluator: &mut Evaluator, tree: &Tree) -> Value {
    const ZERO: &str = "0000000000000000000000000000000000000000";
    let revision = tree.revision.as_deref().unwrap_or(ZERO);
    let mut entries = vec![
        (Symbol::intern(b"outPath"), store_path_value(evaluator, tree.store_path.clone())),
        (Symbol::intern(b"rev"), evaluator.heap.string(revision.as_bytes())),
        (Symbol::intern(b"shortRev"), evaluator.heap.string(&revision.as_bytes()[..12])),
    ];
    if let Some(branch) = &tree.branch {
        entries.push((Symbol::intern(b"branch"), evaluator.heap.string(branch.as_bytes())));
    }
    if let Some(count) = tree.revision_count {
        entries.push((Symbol::intern(b"revCount"), evaluator.heap.int(count as i64)));
    }
    evaluator.attrs_from(&mut entries)
}

/// Forbids addresses that restricted evaluation forbids.
pub(super) fn check_address(evaluator: &Evaluator, address: &str, pos: PosId) -> Result<()> {
    let settings = &evaluator.session.settings;
    if !settings.restricted || settings.allowed_uris.iter().any(|allowed| is_allowed(address, allowed)) {
        return Ok(());
    }
    if let Some(path) = address.strip_prefix("file://").or(address.starts_with('/').then_some(address)) {
        return evaluator.session.check_access(path.as_bytes(), pos);
    }
    let message = format!("access to URI '{address}' is forbidden in restricted mode");
    Err(EvalError::new(ErrorKind::Restricted, pos, message))
}

/// Whether an address is an allowed one, or below it: `https://github.co` does not allow `https://github.com`.
fn is_allowed(address: &str, allowed: &str) -> bool {
    let Some(rest) = address.strip_prefix(allowed).filter(|_| !allowed.is_empty()) else { return false };
    let is_scheme = || {
        let scheme = allowed.strip_suffix(':').unwrap_or_default();
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    rest.is_empty() || allowed.ends_with('/') || rest.starts_with('/') || is_scheme()
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[test]
    fn what_is_allowed_ends_at_a_slash() {
        assert!(is_allowed("https://github.com/a", "https://github.com"));
        assert!(is_allowed("https://github.com/a", "https://github.com/"));
        assert!(is_allowed("https://github.com", "https://github.com"));
        assert!(is_allowed("github:a/b", "github:"));
        assert!(!is_allowed("https://github.com/a", "https://github.co"));
        assert!(!is_allowed("https://github.com/a", ""));
        assert!(!is_allowed("https://github.com/a", "https"));
    }
}
