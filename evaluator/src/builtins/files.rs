//! Files: reading, importing, finding and copying to the store.

use std::os::unix::ffi::OsStrExt;

use bstr::ByteSlice;
use zeval_model::{
    Algorithm, ContentMethod, Hash,
    store_path::{References, StorePath},
    tree::FileType,
};

use super::{Builtin, Kind};
use crate::{
    embedded::{self, Entry},
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{ErrorKind, EvalError, Failure, Result, Traced},
    },
    load::Scope,
    position::PosId,
    store::Source,
    symbol::{Symbol, known},
    value::{
        Context, Value,
        context::ContextElement,
        context::{Built, Derived},
    },
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("import", 1, 1, import),
    Builtin::new("scopedImport", 2, 3, scoped_import),
    Builtin::new("readFile", 1, 1, read_file),
    Builtin::new("readDir", 1, 1, read_dir),
    Builtin::new("readFileType", 1, 1, read_file_type),
    Builtin::new("pathExists", 1, 1, path_exists),
    Builtin::new("findFile", 2, 1, find_file),
    Builtin::new("baseNameOf", 1, 1, base_name_of),
    Builtin::new("dirOf", 1, 1, dir_of),
    Builtin::new("toPath", 1, 1, to_path),
    Builtin::new("path", 1, 1, path),
    Builtin::new("filterSource", 2, 3, filter_source),
    Builtin::new("toFile", 2, 3, to_file).after(Kind::String),
    Builtin::new("storePath", 1, 1, store_path),
    Builtin::new("hashFile", 2, 1, hash_file),
    Builtin::new("getEnv", 1, 1, get_env),
];

fn world(pos: PosId, message: impl std::fmt::Display) -> Failure {
    EvalError::new(ErrorKind::World, pos, message.to_string())
}

/// A path argument whose derivations, if its string mentions any, are built first.
fn realised_path(evaluator: &mut Evaluator, value: Value, pos: PosId) -> Result<Vec<u8>> {
    let mut context = None;
    let doing = "while realising the context of a path";
    let path = evaluator.coerce_to_path(value, &mut context, PosId::NONE, doing)?;
    let doing = || format!("while realising the context of path '{}'", crate::text::raw::Shown(path));
    realise_context(evaluator, context, path.to_vec(), pos).traced(pos, doing)
}

/// What a text refers to must be in the store, or be a source that is used where it is.
fn must_be_there(evaluator: &Evaluator, path: &StorePath) -> Result<()> {
    let session = &evaluator.session;
    if session.store.is_valid(path) || session.in_place(path.to_string().as_bytes()).is_some() {
        return Ok(());
    }
    Err(world(PosId::NONE, format!("path '{}' is not valid", path.base_name())))
}

/// Builds what a context mentions, and puts the outputs' paths where the text has placeholders.
pub(super) fn realise_context(
    evaluator: &mut Evaluator,
    context: Option<&'static Context>,
    mut text: Vec<u8>,
    pos: PosId,
) -> Result<Vec<u8>> {
    let Some(context) = context else { return Ok(text) };
    let elements = context.sorted();
    for element in &elements {
        if let ContextElement::Opaque(path) = element {
            must_be_there(evaluator, path)?;
        }
    }
    let wanted: Vec<&Built> = elements
        .into_iter()
        .filter_map(|element| match element {
            ContextElement::Built(built) => Some(built),
            _ => None,
        })
        .collect();
    let Some(first) = wanted.first() else { return Ok(text) };
    let session = evaluator.session.clone();
    if !session.settings.import_from_derivation {
        let message = format!(
            "cannot build '{}' during evaluation because the option 'allow-import-from-derivation' is disabled",
            crate::value::context::encode_derived(&first.derivation)
        );
        return Err(EvalError::eval(pos, message));
    }
    if session.settings.trace_import_from_derivation {
        let built = crate::value::context::shown(&ContextElement::Built((*first).clone()));
        session.say(&format!("warning: built '{built}' during evaluation due to an import from derivation"));
    }
    let outputs = evaluator.realise(&wanted, pos)?;
    for (built, output) in wanted.iter().zip(outputs) {
        if let Some(reads) = &session.reads {
            reads.valid(&output.to_string());
        }
        let Derived::Opaque(derivation) = &*built.derivation else { continue };
        let placeholder = zeval_model::derivation::downstream_placeholder(derivation, &built.output)
            .map_err(|error| world(pos, error))?;
        text = text.replace(placeholder, output.to_string());
    }
    Ok(text)
}

fn import(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let path = realised_path(evaluator, args[0], pos)?;
    match derivation_at(evaluator, &path) {
        Some(derivation) => import_derivation(evaluator, derivation, pos),
        None => evaluator.import(&path, pos),
    }
}

/// The store path of a derivation that is there, if that is what a path is.
fn derivation_at(evaluator: &Evaluator, path: &[u8]) -> Option<StorePath> {
    let path = StorePath::from_absolute(std::str::from_utf8(path).ok()?).ok()?;
    (path.is_derivation() && evaluator.session.store.is_valid(&path)).then_some(path)
}

/// `import /nix/store/....drv`: what `derivation` would have given, as far as the file tells.
fn import_derivation(evaluator: &mut Evaluator, path: StorePath, pos: PosId) -> Result<Value> {
    let derivation = evaluator.session.store.read_derivation(&path).map_err(|error| world(pos, error))?;
    let context = Context::single(&mut evaluator.heap, ContextElement::DrvDeep(path.clone()));
    let drv_path = evaluator.heap.string_with(path.to_string().as_bytes(), context);
    let name = match derivation.env.get(b"name".as_bstr()) {
        Some(name) => evaluator.heap.string(name),
        None => evaluator.heap.string(b""),
    };
    let mut paths = Vec::new();
    for (output, kind) in &derivation.outputs {
        let text = match kind.path() {
            Some(path) => path.to_string(),
            None => zeval_model::derivation::downstream_placeholder(&path, output)
                .map_err(|error| world(pos, error))?,
        };
        let built = Built { derivation: Box::new(Derived::Opaque(path.clone())), output: output.clone() };
        let context = Context::single(&mut evaluator.heap, ContextElement::Built(built));
        paths.push((output, evaluator.heap.string_with(text.as_bytes(), context)));
    }
    Ok(imported(evaluator, drv_path, name, &paths))
}

/// A set for each output, all of which know each other: the first.
fn imported(evaluator: &mut Evaluator, drv_path: Value, name: Value, paths: &[(&String, Value)]) -> Value {
    let kind = evaluator.heap.string(b"derivation");
    // The sets refer to each other, so they are made with slots that are filled afterwards.
    let all = evaluator.heap.slots(paths.len(), |_, _| Value::NULL);
    let all_value = evaluator.heap.list_of(all);
    let mut sets = Vec::with_capacity(paths.len());
    for (output, path) in paths {
        let output_name = evaluator.heap.string(output.as_bytes());
        let mut members = vec![
            (Symbol::intern(b"all"), all_value),
            (known().drv_path, drv_path),
            (known().name, name),
            (known().type_, kind),
            (known().out_path, *path),
            (Symbol::intern(b"outputName"), output_name),
        ];
        members.extend(paths.iter().map(|(other, _)| (Symbol::intern(other.as_bytes()), Value::NULL)));
        members.sort_by_key(|member| member.0);
        members.dedup_by_key(|member| member.0);
        sets.push(evaluator.attrs_from(&mut members));
    }
    for (index, (output, _)) in paths.iter().enumerate() {
        all[index].set(sets[index]);
        for set in &sets {
            if let Some(slot) = set.as_attrs().and_then(|attrs| attrs.find(Symbol::intern(output.as_bytes())))
            {
                slot.set(sets[index]);
            }
        }
    }
    sets.first().copied().unwrap_or(Value::NULL)
}

fn scoped_import(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let path = realised_path(evaluator, args[1], pos)?;
    let doing = "while evaluating the first argument passed to builtins.scopedImport";
    let scope = evaluator.expect_attrs(args[0], pos, doing)?;
    let resolved = evaluator.resolve(&path, pos)?;
    let bindings: Vec<(Symbol, Value)> =
        scope.flatten(&mut evaluator.heap).iter().map(|(name, slot)| (name, slot.get())).collect();
    evaluator.evaluate_file(&resolved, Scope { bindings: &bindings }, pos)
}

fn read_file(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let path = realised_path(evaluator, args[0], pos)?;
    if let Some(Entry::File(file)) = embedded::entry(&path) {
        return Ok(evaluator.heap.string(file.text));
    }
    evaluator.session.check_access(&path, pos)?;
    let physical = evaluator.session.physical(&path);
    let text = evaluator.session.read_file(&physical).map_err(|error| read_failure(&path, &error, pos))?;
    if text.contains(&0) {
        let message = format!(
            "the contents of the file '{}' cannot be represented as a Nix string",
            crate::text::raw::Shown(&path)
        );
        return Err(EvalError::eval(pos, message));
    }
    let context = mentioned(evaluator, &path, &text);
    Ok(evaluator.heap.string_with(&text, context))
}

/// Of what the store path of a file refers to, what the file itself mentions.
fn mentioned(evaluator: &mut Evaluator, path: &[u8], text: &[u8]) -> Option<&'static Context> {
    if !path.starts_with(zeval_model::store_dir().as_bytes()) {
        return None;
    }
    let (store_path, _) = StorePath::split_absolute(&String::from_utf8_lossy(path)).ok()?;
    let references = evaluator.session.store.references(&store_path);
    let found = references.into_iter().filter(|path| text.contains_str(path.hash_part()));
    let elements: Vec<ContextElement> = found.map(ContextElement::Opaque).collect();
    Context::of(&mut evaluator.heap, elements.into_iter())
}

fn read_failure(path: &[u8], error: &std::io::Error, pos: PosId) -> Failure {
    // Below what is no folder there is nothing.
    if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) {
        return crate::session::missing(path, pos);
    }
    if error.kind() == std::io::ErrorKind::IsADirectory {
        return world(pos, "read of 4096 bytes: Is a directory");
    }
    world(pos, format!("reading from file '{}': {}", crate::shown::path(path), system_reason(error)))
}

fn list_failure(path: &[u8], error: &std::io::Error, pos: PosId) -> Failure {
    if error.kind() == std::io::ErrorKind::NotFound {
        return crate::session::missing(path, pos);
    }
    let shown = crate::shown::path(path);
    world(pos, format!("cannot read directory {shown:?}: {}", system_reason(error)))
}

/// The system's words for a failure.
fn system_reason(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), nix_error_text)
}

/// The system's text for an error number, without Rust's addition.
fn nix_error_text(code: i32) -> String {
    let text = std::io::Error::from_raw_os_error(code).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn type_name(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_file() {
        "regular"
    } else if kind.is_symlink() {
        "symlink"
    } else {
        "unknown"
    }
}

fn read_dir(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let path = realised_path(evaluator, args[0], pos)?;
    if let Some(Entry::Folder(names)) = embedded::entry(&path) {
        let kind = Symbol::intern(b"regular").value();
        let mut members: Vec<(Symbol, Value)> =
            names.iter().map(|name| (Symbol::intern(name.as_bytes()), kind)).collect();
        return Ok(evaluator.attrs_from(&mut members));
    }
    evaluator.session.check_access(&path, pos)?;
    let physical = evaluator.session.physical(&path);
    let entries =
        evaluator.session.read_folder(&physical).map_err(|error| match physical.symlink_metadata() {
            Ok(_) => list_failure(&path, &error, pos),
            Err(_) => crate::session::missing(&path, pos),
        })?;
    let source = evaluator.session.in_place(&path);
    let mut members = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| list_failure(&path, &error, pos))?;
        if source.as_ref().is_some_and(|(source, below)| !source.has(&below.join(entry.file_name()))) {
            continue;
        }
        let kind = entry.file_type().map_err(|error| list_failure(&path, &error, pos))?;
        let name = Symbol::intern(entry.file_name().as_bytes());
        members.push((name, Symbol::intern(type_name(kind).as_bytes()).value()));
    }
    Ok(evaluator.attrs_from(&mut members))
}

fn read_file_type(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let path = realised_path(evaluator, args[0], pos)?;
    match embedded::entry(&path) {
        Some(Entry::File(_)) => return Ok(Symbol::intern(b"regular").value()),
        Some(Entry::Folder(_)) => return Ok(Symbol::intern(b"directory").value()),
        None => {}
    }
    evaluator.session.check_access(&path, pos)?;
    let metadata = evaluator
        .session
        .physical(&path)
        .symlink_metadata()
        .map_err(|_| crate::session::missing(&path, pos))?;
    Ok(Symbol::intern(type_name(metadata.file_type()).as_bytes()).value())
}

fn path_exists(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let value = evaluator.force(args[0])?;
    // A string that ends in a slash asks for a folder.
    let wants_folder =
        value.as_string().is_some_and(|text| text.bytes().ends_with(b"/") || text.bytes().ends_with(b"/."));
    let path = realised_path(evaluator, args[0], pos)?;
    match embedded::entry(&path) {
        Some(Entry::File(_)) => return Ok(Value::bool(!wants_folder)),
        Some(Entry::Folder(_)) => return Ok(Value::TRUE),
        None => {}
    }
    if evaluator.session.check_access(&path, pos).is_err() {
        return Ok(Value::FALSE);
    }
    let physical = evaluator.session.physical(&path);
    let exists = if wants_folder { physical.is_dir() } else { physical.symlink_metadata().is_ok() };
    Ok(Value::bool(exists))
}

fn find_file(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.findFile";
    let entries = evaluator.expect_list(args[0], pos, doing)?;
    let mut search_path = Vec::with_capacity(entries.len());
    for entry in entries.iter() {
        let doing = "while evaluating an element of the list passed to builtins.findFile";
        let attrs = evaluator.expect_attrs(entry, pos, doing)?;
        let prefix = match attrs.get(known().prefix) {
            Some(prefix) => {
                let doing = "while evaluating the `prefix` attribute of an element of the list passed to builtins.findFile";
                evaluator.expect_plain_string(prefix, pos, doing)?
            }
            None => b"",
        };
        let path =
            super::attrs::required(evaluator, attrs, known().path, pos, "in an element of the __nixPath")?;
        let mut context = None;
        let doing =
            "while evaluating the `path` attribute of an element of the list passed to builtins.findFile";
        let path = evaluator.coerce(path, Coercion::APPENDED, &mut context, pos, doing)?.to_vec();
        let path = realise_context(evaluator, context, path.clone(), pos).map_err(|mut error| {
            if error.kind == ErrorKind::World && error.message.ends_with("' is not valid") {
                let shown = crate::text::raw::text(&path);
                error.message = format!("cannot find '{shown}', since {}", error.message);
            }
            error
        })?;
        search_path.push((prefix, path));
    }
    let doing = "while evaluating the second argument passed to builtins.findFile";
    let name = evaluator.expect_plain_string(args[1], pos, doing)?;
    let found = evaluator.look_up(&search_path, name, pos)?;
    Ok(evaluator.heap.path(&found))
}

fn base_name_of(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.baseNameOf";
    let mut context = None;
    if let crate::value::View::Path(path) = evaluator.force_at(args[0], pos)?.view() {
        let name = evaluator.session.file_name(path, pos)?;
        return Ok(evaluator.heap.string(&name));
    }
    let text = evaluator.coerce(
        args[0],
        Coercion { canonical: false, ..Coercion::APPENDED },
        &mut context,
        pos,
        doing,
    )?;
    let trimmed = text.strip_suffix(b"/").unwrap_or(text);
    let start = trimmed.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    Ok(evaluator.heap.string_of(&trimmed[start..], context))
}

fn dir_of(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let value = evaluator.force(args[0])?;
    if let crate::value::View::Path(path) = value.view() {
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0).max(1);
        return Ok(evaluator.heap.path(&path[..end]));
    }
    let doing = "while evaluating the first argument passed to 'builtins.dirOf'";
    let mut context = None;
    let text = evaluator.coerce(value, Coercion::APPENDED, &mut context, pos, doing)?;
    let folder: &[u8] = match text.iter().rposition(|&byte| byte == b'/') {
        None => b".",
        Some(0) => b"/",
        Some(end) => &text[..end],
    };
    Ok(evaluator.heap.string_of(folder, context))
}

fn to_path(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.toPath";
    let mut context = None;
    let path = evaluator.coerce_to_path(args[0], &mut context, pos, doing)?;
    let text = evaluator.session.observed(path, pos)?;
    let text = evaluator.heap.bytes(&text);
    Ok(evaluator.heap.string_of(text, context))
}

/// What `builtins.path` and `filterSource` were asked for.
struct Addition {
    path: Vec<u8>,
    context: Option<&'static Context>,
    name: String,
    method: ContentMethod,
    filter: Option<Value>,
    expected: Option<Hash>,
}

fn path(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to 'builtins.path'";
    let attrs = evaluator.expect_attrs(args[0], pos, doing)?;
    let mut wanted = Addition {
        path: Vec::new(),
        context: None,
        name: String::new(),
        method: ContentMethod::Nar,
        filter: None,
        expected: None,
    };
    for (name, slot) in attrs.flatten(&mut evaluator.heap).iter() {
        let pos = attrs.position(name).unwrap_or(pos);
        let value = slot.get();
        match name.text().as_bytes() {
            b"path" => {
                let doing = "while evaluating the 'path' attribute passed to 'builtins.path'";
                wanted.path = evaluator.coerce_to_path(value, &mut wanted.context, pos, doing)?.to_vec();
            }
            b"name" => {
                let doing = "while evaluating the `name` attribute passed to builtins.path";
                wanted.name =
                    String::from_utf8_lossy(evaluator.expect_plain_string(value, pos, doing)?).into_owned();
            }
            b"filter" => {
                let doing = "while evaluating the `filter` parameter passed to builtins.path";
                wanted.filter = Some(evaluator.expect_function(value, pos, doing)?);
            }
            b"recursive" => {
                let doing = "while evaluating the `recursive` attribute passed to builtins.path";
                if !evaluator.expect_bool(value, pos, doing)? {
                    wanted.method = ContentMethod::Flat;
                }
            }
            b"sha256" => {
                let doing = "while evaluating the `sha256` attribute passed to builtins.path";
                let hash = evaluator.expect_plain_string(value, pos, doing)?;
                let hash = Hash::parse(&String::from_utf8_lossy(hash), Some(Algorithm::Sha256));
                wanted.expected =
                    Some(hash.map_err(|error| EvalError::eval(PosId::NONE, error.to_string()))?);
            }
            _ => {
                let message = format!("unsupported argument '{}' to 'builtins.path'", name.shown());
                return Err(EvalError::eval(pos, message));
            }
        }
    }
    if wanted.path.is_empty() {
        return Err(EvalError::eval(
            pos,
            "missing required 'path' attribute in the first argument to 'builtins.path'",
        ));
    }
    if wanted.name.is_empty() {
        wanted.name = file_name(evaluator, &wanted.path, pos)?;
    }
    add(evaluator, wanted, pos)
}

fn filter_source(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the second argument (the path to filter) passed to 'builtins.filterSource'";
    let mut context = None;
    let path = evaluator.coerce_to_path(args[1], &mut context, pos, doing)?.to_vec();
    let doing = "while evaluating the first argument passed to builtins.filterSource";
    let filter = evaluator.expect_function(args[0], pos, doing)?;
    let name = file_name(evaluator, &path, pos)?;
    let wanted =
        Addition { path, context, name, method: ContentMethod::Nar, filter: Some(filter), expected: None };
    add(evaluator, wanted, pos)
}

fn file_name(evaluator: &Evaluator, path: &[u8], pos: PosId) -> Result<String> {
    Ok(String::from_utf8_lossy(&evaluator.session.file_name(path, pos)?).into_owned())
}

fn add(evaluator: &mut Evaluator, mut wanted: Addition, pos: PosId) -> Result<Value> {
    let shown = wanted.path.clone();
    let doing = || format!("while adding path '{}'", crate::shown::path(&shown));
    let added = match wanted.context {
        Some(_) => realise_context(evaluator, wanted.context, std::mem::take(&mut wanted.path), pos)
            .and_then(|path| {
                wanted.path = path;
                add_realised(evaluator, &wanted, pos)
            }),
        None => add_realised(evaluator, &wanted, pos),
    };
    added.traced(pos, doing)
}

fn add_realised(evaluator: &mut Evaluator, wanted: &Addition, pos: PosId) -> Result<Value> {
    let session = evaluator.session.clone();
    session.check_access(&wanted.path, pos)?;
    let physical = session.physical(&wanted.path);
    let source =
        Source { path: &physical, name: &wanted.name, method: wanted.method, algorithm: Algorithm::Sha256 };
    if let Some(expected) = &wanted.expected {
        let path =
            zeval_model::store_path::content_path(wanted.method, expected, &wanted.name, &References::none())
                .map_err(|error| EvalError::eval(pos, error.to_string()))?;
        if session.store.is_valid(&path) {
            return Ok(store_path_value(evaluator, path));
        }
    }
    if physical.symlink_metadata().is_err() {
        return Err(crate::session::missing(&wanted.path, pos));
    }
    let mut failure = None;
    let added = match wanted.filter {
        None => session.add_path(&wanted.path, &source, &mut zeval_model::tree::everything),
        Some(filter) => {
            let (root, logical) = (physical.clone(), session.observed(&wanted.path, pos)?);
            session.add_path(&wanted.path, &source, &mut |path, kind| {
                let path = logical_below(&root, &logical, path.as_os_str().as_bytes());
                match is_wanted(evaluator, filter, &path, kind, pos) {
                    Ok(wanted) => Ok(wanted),
                    Err(error) => {
                        let text = error.message.clone();
                        failure = Some(error);
                        Err(text.into())
                    }
                }
            })
        }
    };
    if let Some(error) = failure {
        return Err(error);
    }
    let added = added.map_err(|error| match wanted.method {
        // What reading the folder as a file says.
        ContentMethod::Flat if physical.is_dir() => world(pos, "read of 4096 bytes: Is a directory"),
        _ => world(pos, error),
    })?;
    if let Some(expected) = &wanted.expected {
        let path =
            zeval_model::store_path::content_path(wanted.method, expected, &wanted.name, &References::none())
                .map_err(|error| EvalError::eval(pos, error.to_string()))?;
        if path != added {
            let message = format!(
                "store path mismatch in (possibly filtered) path added from '{}'",
                crate::text::raw::Shown(&wanted.path)
            );
            return Err(EvalError::eval(pos, message));
        }
    }
    Ok(store_path_value(evaluator, added))
}

fn logical_below(root: &std::path::Path, logical: &[u8], path: &[u8]) -> Vec<u8> {
    let rest = path.strip_prefix(root.as_os_str().as_bytes()).unwrap_or_default();
    [logical, rest].concat()
}

fn is_wanted(
    evaluator: &mut Evaluator,
    filter: Value,
    path: &[u8],
    kind: FileType,
    pos: PosId,
) -> Result<bool> {
    let path = evaluator.heap.string(path);
    let kind = Symbol::intern(kind.name().as_bytes()).value();
    let value = evaluator.apply(filter, &[path, kind], pos)?;
    let doing = "while evaluating the return value of the path filter function";
    evaluator.expect_bool(value, pos, doing)
}

pub(super) fn store_path_value(evaluator: &mut Evaluator, path: StorePath) -> Value {
    let text = path.to_string();
    let context = Context::single(&mut evaluator.heap, ContextElement::Opaque(path));
    evaluator.heap.string_with(text.as_bytes(), context)
}

fn to_file(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.toFile";
    let name = evaluator.expect_plain_string(args[0], pos, doing)?;
    let name = String::from_utf8_lossy(name).into_owned();
    let doing = "while evaluating the second argument passed to builtins.toFile";
    let contents = evaluator.expect_string(args[1], pos, doing)?;
    let mut references = References::none();
    for element in contents.context.iter().flat_map(|context| context.sorted()) {
        let ContextElement::Opaque(path) = element else {
            let message = format!(
                "files created by builtins.toFile may not reference derivations, but {} references {}",
                crate::print::coloured(&name),
                crate::value::context::encode_base_name(element)
            );
            return Err(EvalError::eval(pos, message));
        };
        references.others.insert(path.clone());
    }
    let path = evaluator
        .session
        .store
        .add_text(&name, contents.bytes(), &references)
        .map_err(|error| world(pos, error))?;
    Ok(store_path_value(evaluator, path))
}

fn store_path(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    if evaluator.session.settings.pure {
        let message = "'builtins.storePath' is not allowed in pure evaluation mode";
        return Err(EvalError::eval(pos, message));
    }
    let doing = "while evaluating the first argument passed to 'builtins.storePath'";
    let mut context = None;
    let path = evaluator.coerce_to_path(args[0], &mut context, pos, doing)?;
    let text = String::from_utf8_lossy(&evaluator.session.observed(path, pos)?).into_owned();
    let (store_path, _) = StorePath::split_absolute(&text).map_err(|error| {
        match zeval_model::store_path::is_in_store(text.as_bytes()) {
            true => EvalError::eval(pos, error.to_string()),
            false => EvalError::eval(pos, format!("path '{text}' is not in the Nix store")),
        }
    })?;
    let store = &evaluator.session.store;
    if !store.is_read_only() && !store.is_valid(&store_path) {
        return Err(world(pos, format!("path '{store_path}' does not exist in the store")));
    }
    let single = Context::single(&mut evaluator.heap, ContextElement::Opaque(store_path));
    let context = Context::union(&mut evaluator.heap, context, single);
    Ok(evaluator.heap.string_with(text.as_bytes(), context))
}

fn hash_file(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.hashFile";
    let name = evaluator.expect_plain_string(args[0], pos, doing)?;
    let algorithm = super::strings::algorithm(evaluator, name, pos)?;
    let path = realised_path(evaluator, args[1], pos)?;
    evaluator.session.check_access(&path, pos)?;
    let physical = evaluator.session.physical(&path);
    let text = evaluator.session.read_file(&physical).map_err(|error| read_failure(&path, &error, pos))?;
    Ok(evaluator.heap.string(Hash::of(algorithm, &text).to_base16().as_bytes()))
}

fn get_env(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.getEnv";
    let name = evaluator.expect_plain_string(args[0], pos, doing)?;
    let settings = &evaluator.session.settings;
    if settings.pure || settings.restricted {
        return Ok(evaluator.heap.string(b""));
    }
    if let Some(reads) = &evaluator.session.reads {
        reads.variable(name);
    }
    let value = std::env::var_os(std::ffi::OsStr::from_bytes(name)).unwrap_or_default();
    Ok(evaluator.heap.string(value.as_bytes()))
}
