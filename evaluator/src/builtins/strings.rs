//! Strings: parts, replacement, regular expressions, versions and hashes.

use zeval_model::{Algorithm, Hash};

use super::{Builtin, Kind};
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{ErrorKind, EvalError, Failure, Result, Traced},
    },
    parallel::Need,
    position::PosId,
    symbol::{Symbol, known},
    text::regex::{Regex, RegexError},
    value::{Context, Str, Value},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("toString", 1, 1, to_string),
    Builtin::new("stringLength", 1, 1, string_length),
    Builtin::new("substring", 3, 7, substring).after(Kind::Index).then(Kind::Int),
    Builtin::new("concatStringsSep", 2, 3, concat_strings_sep).after(Kind::String),
    Builtin::new("replaceStrings", 3, 3, replace_strings).after(Kind::List),
    Builtin::new("match", 2, 1, match_),
    Builtin::new("split", 2, 1, split),
    Builtin::new("splitVersion", 1, 1, split_version),
    Builtin::new("compareVersions", 2, 3, compare_versions).after(Kind::String),
    Builtin::new("parseDrvName", 1, 1, parse_drv_name),
    Builtin::new("hashString", 2, 1, hash_string),
    Builtin::new("convertHash", 1, 1, convert_hash),
    Builtin::new("placeholder", 1, 1, placeholder),
];

fn to_string(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let value = evaluator.force(args[0]);
    if let Ok(value) = value
        && value.as_string().is_some()
    {
        return Ok(value);
    }
    let mut context = None;
    let doing = "while evaluating the first argument passed to builtins.toString";
    let text = evaluator.coerce(args[0], Coercion::TO_STRING, &mut context, pos, doing)?;
    Ok(evaluator.heap.string_of(text, context))
}

/// The text of an argument that may be anything that counts as a string; a path is copied to the store.
fn text(
    evaluator: &mut Evaluator,
    value: Value,
    context: &mut Option<&'static Context>,
    pos: PosId,
    doing: &str,
) -> Result<&'static [u8]> {
    evaluator.coerce(value, Coercion::INTERPOLATED, context, pos, doing)
}

fn string_length(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the argument passed to builtins.stringLength";
    let text = text(evaluator, args[0], &mut None, pos, doing)?;
    Ok(evaluator.heap.int(text.len() as i64))
}

fn substring(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument (the start offset) passed to builtins.substring";
    let start = evaluator.expect_int(args[0], pos, doing)?;
    let Ok(start) = usize::try_from(start) else {
        return Err(EvalError::eval(pos, "negative start position in 'substring'"));
    };
    let doing = "while evaluating the second argument (the substring length) passed to builtins.substring";
    let length = evaluator.expect_int(args[1], pos, doing)?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let doing = "while evaluating the third argument (the string) passed to builtins.substring";
    let mut context = None;
    let text = text(evaluator, args[2], &mut context, pos, doing)?;
    let start = start.min(text.len());
    let end = start.saturating_add(length).min(text.len());
    Ok(evaluator.heap.string_of(&text[start..end], context))
}

fn concat_strings_sep(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing =
        "while evaluating the first argument (the separator string) passed to builtins.concatStringsSep";
    let separator = evaluator.expect_string(args[0], pos, doing)?;
    let doing = "while evaluating the second argument (the list of strings to concat) passed to builtins.concatStringsSep";
    let list = evaluator.expect_list(args[1], pos, doing)?;
    let doing =
        "while evaluating one element of the list of strings to concat passed to builtins.concatStringsSep";
    let _offer = evaluator.offer(Need::Text, list.slots().iter());
    let mut context = separator.context;
    let mut parts: Vec<&[u8]> = Vec::with_capacity(2 * list.len());
    let mut length = 0;
    for (index, element) in list.iter().enumerate() {
        if index > 0 {
            parts.push(separator.bytes());
        }
        let part = evaluator.coerce(element, Coercion::INTERPOLATED, &mut context, pos, doing)?;
        length += part.len();
        parts.push(part);
    }
    length += separator.bytes().len() * list.len().saturating_sub(1);
    let bytes = evaluator.heap.concat(length, parts.into_iter());
    Ok(evaluator.heap.string_of(bytes, context))
}

fn replace_strings(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.replaceStrings";
    let from = evaluator.expect_list(args[0], pos, doing)?;
    let doing = "while evaluating the second argument passed to builtins.replaceStrings";
    let to = evaluator.expect_list(args[1], pos, doing)?;
    if from.len() != to.len() {
        let message = "'from' and 'to' arguments passed to builtins.replaceStrings have different lengths";
        return Err(EvalError::eval(pos, message));
    }
    let doing = "while evaluating one of the strings to replace passed to builtins.replaceStrings";
    let mut patterns = Vec::with_capacity(from.len());
    for pattern in from.iter() {
        patterns.push(evaluator.expect_string(pattern, pos, doing)?.bytes());
    }
    let doing = "while evaluating the third argument passed to builtins.replaceStrings";
    let text = evaluator.expect_string(args[2], pos, doing)?;
    let mut context = text.context;
    let mut replacements: Vec<Option<&'static Str>> = vec![None; to.len()];
    let bytes = text.bytes();
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at <= bytes.len() {
        let hit = patterns.iter().position(|pattern| bytes[at..].starts_with(pattern));
        let Some(hit) = hit else {
            replaced.extend(bytes.get(at));
            at += 1;
            continue;
        };
        // A replacement is only evaluated when it is used.
        let replacement = match replacements[hit] {
            Some(replacement) => replacement,
            None => {
                let doing =
                    "while evaluating one of the replacement strings passed to builtins.replaceStrings";
                let replacement = evaluator.expect_string(to.slots()[hit].get(), pos, doing)?;
                context = Context::union(&mut evaluator.heap, context, replacement.context);
                replacements[hit] = Some(replacement);
                replacement
            }
        };
        replaced.extend_from_slice(replacement.bytes());
        if patterns[hit].is_empty() {
            replaced.extend(bytes.get(at));
            at += 1;
        } else {
            at += patterns[hit].len();
        }
    }
    Ok(evaluator.heap.string_with(&replaced, context))
}

fn regex_failure(error: RegexError, pos: PosId) -> Failure {
    EvalError::eval(pos, error.to_string())
}

fn match_(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.match";
    let pattern = evaluator.expect_plain_string(args[0], pos, doing)?;
    let regex = Regex::cached(pattern).map_err(|error| regex_failure(error, pos))?;
    let doing = "while evaluating the second argument passed to builtins.match";
    let text = evaluator.expect_string(args[1], pos, doing)?.bytes();
    match regex.full_match(text) {
        None => Ok(Value::NULL),
        Some(groups) => {
            let groups: Vec<Value> = groups
                .into_iter()
                .map(|group| group.map_or(Value::NULL, |range| evaluator.heap.string_of(&text[range], None)))
                .collect();
            Ok(evaluator.heap.list(&groups))
        }
    }
}

fn split(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.split";
    let pattern = evaluator.expect_plain_string(args[0], pos, doing)?;
    let regex = Regex::cached(pattern).map_err(|error| regex_failure(error, pos))?;
    let doing = "while evaluating the second argument passed to builtins.split";
    let string = evaluator.expect_string(args[1], pos, doing)?;
    let text = string.bytes();
    let mut pieces = Vec::new();
    let mut end = 0;
    for found in regex.matches(text) {
        pieces.push(evaluator.heap.string_of(&text[found.prefix], None));
        let groups: Vec<Value> = found
            .groups
            .into_iter()
            .map(|group| group.map_or(Value::NULL, |range| evaluator.heap.string_of(&text[range], None)))
            .collect();
        pieces.push(evaluator.heap.list(&groups));
        end = found.range.end;
    }
    pieces.push(evaluator.heap.string_of(&text[end..], None));
    Ok(evaluator.heap.list(&pieces))
}

fn split_version(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.splitVersion";
    let version = evaluator.expect_plain_string(args[0], pos, doing)?;
    let parts: Vec<Value> = crate::text::version::components(version)
        .map(|component| evaluator.heap.string_of(component, None))
        .collect();
    Ok(evaluator.heap.list(&parts))
}

fn compare_versions(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.compareVersions";
    let a = evaluator.expect_plain_string(args[0], pos, doing)?;
    let doing = "while evaluating the second argument passed to builtins.compareVersions";
    let b = evaluator.expect_plain_string(args[1], pos, doing)?;
    let order = crate::text::version::compare(a, b);
    Ok(evaluator.heap.int(order as i64))
}

fn parse_drv_name(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.parseDrvName";
    let text = evaluator.expect_plain_string(args[0], pos, doing)?;
    let (name, version) = crate::text::version::parse_derivation_name(text);
    let name = evaluator.heap.string_of(name, None);
    let version = evaluator.heap.string_of(version, None);
    Ok(evaluator.attrs_from(&mut [(known().name, name), (known().version, version)]))
}

pub(super) fn algorithm(evaluator: &Evaluator, name: &[u8], pos: PosId) -> Result<Algorithm> {
    let name = String::from_utf8_lossy(name);
    let algorithm: Option<Algorithm> = name.parse().ok();
    match algorithm {
        Some(Algorithm::Blake3) if !evaluator.session.settings.has_feature("blake3-hashes") => {
            Err(experimental("blake3-hashes", pos))
        }
        Some(algorithm) => Ok(algorithm),
        None => {
            let message = format!(
                "unknown hash algorithm '{name}', expect 'blake3', 'md5', 'sha1', 'sha256', or 'sha512'"
            );
            Err(EvalError::new(ErrorKind::Usage, pos, message))
        }
    }
}

/// The error for something that an experimental feature has to be turned on for.
pub(super) fn experimental(feature: &str, pos: PosId) -> Failure {
    experimental_for(feature, "", pos)
}

/// The same, with what it is needed for in parentheses.
pub(super) fn experimental_for(feature: &str, reason: &str, pos: PosId) -> Failure {
    let message = format!(
        "experimental Nix feature '{feature}' is disabled{reason}; add '--extra-experimental-features {feature}' to enable it"
    );
    EvalError::eval(pos, message)
}

fn hash_string(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.hashString";
    let name = evaluator.expect_plain_string(args[0], pos, doing)?;
    let algorithm = algorithm(evaluator, name, pos)?;
    let doing = "while evaluating the second argument passed to builtins.hashString";
    let text = evaluator.expect_string(args[1], pos, doing)?.bytes();
    let hash = Hash::of(algorithm, text).to_base16();
    Ok(evaluator.heap.string(hash.as_bytes()))
}

fn convert_hash(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.convertHash";
    let attrs = evaluator.expect_attrs(args[0], pos, doing)?;
    let (hash, hash_algo, format) =
        (Symbol::intern(b"hash"), Symbol::intern(b"hashAlgo"), Symbol::intern(b"toHashFormat"));
    let doing = "while locating the attribute 'hash'";
    let hash = super::attrs::required(evaluator, attrs, hash, pos, doing)?;
    let hash = evaluator.expect_plain_string(hash, pos, "while evaluating the attribute 'hash'")?;
    let given = match attrs.get(hash_algo) {
        Some(name) => {
            let name =
                evaluator.expect_plain_string(name, pos, "while evaluating the attribute 'hashAlgo'")?;
            Some(algorithm(evaluator, name, pos)?)
        }
        None => None,
    };
    let format =
        super::attrs::required(evaluator, attrs, format, pos, "while locating the attribute 'toHashFormat'")?;
    let format =
        evaluator.expect_plain_string(format, pos, "while evaluating the attribute 'toHashFormat'")?;
    if ![&b"base16"[..], b"nix32", b"base32", b"base64", b"sri"].contains(&format) {
        let message = format!(
            "unknown hash format '{}', expect 'base16', 'base32', 'base64', or 'sri'",
            String::from_utf8_lossy(format)
        );
        return Err(EvalError::new(ErrorKind::Usage, pos, message));
    }
    if format == b"base32" {
        evaluator.main_only()?;
        evaluator.session.say("warning: \"base32\" is a deprecated alias for hash format \"nix32\".");
    }
    let hash = Hash::parse(&String::from_utf8_lossy(hash), given)
        .map_err(|error| EvalError::eval(pos, error.to_string()))?;
    let converted = match format {
        b"base16" => hash.to_base16(),
        b"nix32" | b"base32" => hash.to_nix32(),
        b"base64" => hash.to_base64(),
        _ => hash.to_sri(),
    };
    Ok(evaluator.heap.string(converted.as_bytes()))
}

fn placeholder(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    let doing = "while evaluating the first argument passed to builtins.placeholder";
    let output = evaluator.expect_plain_string(args[0], pos, doing).traced(pos, || "")?;
    let placeholder = zeval_model::derivation::placeholder(&String::from_utf8_lossy(output));
    Ok(evaluator.heap.string(placeholder.as_bytes()))
}
