//! Fetching files and archives: `fetchurl` and `fetchTarball`.

use bstr::ByteSlice;
use zeval_model::{
    Algorithm, ContentMethod, Hash,
    store_path::{References, check_name, content_path},
};

use super::{Builtin, fetch_tree::check_address, files::store_path_value};
use crate::{
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Result},
    },
    position::PosId,
    value::{Value, View},
};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin::new("fetchurl", 1, 1, |evaluator, args, pos| fetch(evaluator, args[0], pos, &FETCHURL)),
    Builtin::new("fetchTarball", 1, 1, |evaluator, args, pos| fetch(evaluator, args[0], pos, &FETCH_TARBALL)),
];

/// What `fetchurl` and `fetchTarball` differ in.
struct Kind {
    builtin: &'static str,
    method: ContentMethod,
    /// The name of the store path unless it is given; else it comes from the URL.
    default_name: Option<&'static str>,
}

const FETCHURL: Kind = Kind { builtin: "fetchurl", method: ContentMethod::Flat, default_name: None };
const FETCH_TARBALL: Kind =
    Kind { builtin: "fetchTarball", method: ContentMethod::Nar, default_name: Some("source") };

/// What is asked for.
#[derive(Default)]
struct Request {
    url: String,
    /// As given in a set.
    name: Option<String>,
    hash: Option<Hash>,
    is_set: bool,
}

/// The exit status for a file that has another hash than was said.
const WRONG_HASH: i32 = 102;

fn fetch(evaluator: &mut Evaluator, argument: Value, pos: PosId, kind: &Kind) -> Result<Value> {
    evaluator.main_only()?;
    let request = request(evaluator, argument, pos, kind)?;
    check_address(evaluator, &request.url, pos)?;
    let name = store_name(&request, kind, pos)?;
    if evaluator.session.settings.pure && request.hash.is_none() {
        let message = format!("in pure evaluation mode, '{}' requires a 'sha256' argument", kind.builtin);
        return Err(EvalError::new(ErrorKind::Restricted, pos, message));
    }
    let session = evaluator.session.clone();
    if let Some(hash) = &request.hash {
        let path = content_path(kind.method, hash, &name, &References::none())
            .map_err(|error| EvalError::eval(pos, error.to_string()))?;
        // Now or once it is fetched, the result is this path.
        if let Some(reads) = &session.reads {
            reads.valid(&path.to_string());
        }
        if session.store.is_valid(&path) {
            return Ok(store_path_value(evaluator, path));
        }
    }
    if request.hash.is_none() {
        session.unrepeatable();
    }
    let unpack = kind.method == ContentMethod::Nar;
    if !unpack && !has_scheme(&request.url) {
        let message = format!("URL '{}' doesn't have a scheme", request.url);
        return Err(EvalError::eval(PosId::NONE, message));
    }
    let fetched =
        session.inputs().fetch_file(&request.url, &name, unpack).map_err(|failure| failure.at(pos))?;
    match request.hash {
        Some(expected) if expected != fetched.hash => {
            let message = format!(
                "hash mismatch in file downloaded from '{}':\n  specified: {}\n  got:       {}",
                request.url,
                expected.to_prefixed_nix32(),
                fetched.hash.to_prefixed_nix32()
            );
            let mut error = EvalError::new(ErrorKind::World, pos, message);
            error.status = WRONG_HASH;
            Err(error)
        }
        _ => Ok(store_path_value(evaluator, fetched.store_path)),
    }
}

/// Whether a text begins as URLs do.
fn has_scheme(url: &str) -> bool {
    let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
    url.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(is_of_scheme)
    })
}

fn request(evaluator: &mut Evaluator, argument: Value, pos: PosId, kind: &Kind) -> Result<Request> {
    const URL: &str = "while evaluating the url we should fetch";
    let View::Attrs(attrs) = evaluator.force(argument)?.view() else {
        return Ok(Request { url: text(evaluator, argument, pos, URL)?, ..Request::default() });
    };
    let mut request = Request { is_set: true, ..Request::default() };
    let mut url = None;
    for (name, slot) in attrs.flatten(&mut evaluator.heap).iter() {
        let at = attrs.position(name).unwrap_or_default();
        match name.text().as_bytes() {
            b"url" => url = Some(text(evaluator, slot.get(), at, URL)?),
            b"sha256" => {
                let doing = "while evaluating the sha256 of the content we should fetch";
                let given = text(evaluator, slot.get(), at, doing)?;
                request.hash = Some(sha256(evaluator, &given, pos)?);
            }
            b"name" => {
                let doing = "while evaluating the name of the content we should fetch";
                request.name = Some(text(evaluator, slot.get(), at, doing)?);
            }
            other => {
                let message = format!(
                    "unsupported argument '{}' to '{}'",
                    crate::text::raw::Shown(other),
                    kind.builtin
                );
                return Err(EvalError::eval(pos, message));
            }
        }
    }
    request.url = url.ok_or_else(|| EvalError::eval(pos, "'url' argument required"))?;
    Ok(request)
}

fn text(evaluator: &mut Evaluator, value: Value, pos: PosId, doing: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(evaluator.expect_plain_string(value, pos, doing)?).into_owned())
}

/// An empty hash stands for one that is not known yet.
fn sha256(evaluator: &Evaluator, given: &str, pos: PosId) -> Result<Hash> {
    if given.is_empty() {
        let zero = Hash::from_bytes(Algorithm::Sha256, &[0; 32])
            .map_err(|error| EvalError::eval(pos, error.to_string()))?;
        evaluator.session.say(&format!("warning: found empty hash, assuming '{}'", zero.to_sri()));
        return Ok(zero);
    }
    Hash::parse(given, Some(Algorithm::Sha256)).map_err(|error| EvalError::eval(pos, error.to_string()))
}

fn store_name(request: &Request, kind: &Kind, pos: PosId) -> Result<String> {
    let last = || request.url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let given = request.name.as_deref().or(kind.default_name).filter(|name| !name.is_empty());
    let name = given.unwrap_or_else(last);
    check_name(name).map_err(|error| {
        let builtin = kind.builtin;
        let remedy = if request.name.is_some() {
            format!("Please change the value for the 'name' attribute passed to '{builtin}',")
        } else if request.is_set {
            format!("Please add a valid 'name' attribute to the argument for '{builtin}',")
        } else {
            format!(
                "Please pass an attribute set with 'url' and 'name' attributes to '{builtin}', "
            )
        };
        let message = format!(
            "invalid store path name when fetching URL '{}': {error}. {remedy} so that it can create a valid store path.",
            request.url
        );
        EvalError::eval(pos, message)
    })?;
    Ok(name.to_owned())
}
