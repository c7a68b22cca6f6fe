//! `fetchClosure`: a store path and all that it refers to, from a binary cache.

use zeval_model::StorePath;

use super::{Builtin, derivation::require_feature, files::store_path_value};
use crate::{
    eval::{
        Evaluator,
        coerce::Coercion,
        error::{EvalError, Result},
    },
    position::PosId,
    symbol::Symbol,
    text::raw,
    value::Value,
};

pub(super) const BUILTINS: &[Builtin] = &[Builtin::new("fetchClosure", 1, 1, fetch_closure)];

/// What is asked for.
#[derive(Default)]
struct Request {
    from_store: Option<String>,
    from_path: Option<StorePath>,
    to_path: Option<Rewritten>,
    input_addressed: bool,
}

/// What the path is to be rewritten to.
enum Rewritten {
    /// Not known yet: an error is to tell it.
    Unknown,
    To(StorePath),
}

fn fetch_closure(evaluator: &mut Evaluator, args: &[Value], pos: PosId) -> Result<Value> {
    require_feature(evaluator, "fetch-closure", pos)?;
    evaluator.main_only()?;
    let request = Request::read(evaluator, args[0], pos)?;
    let missing =
        |name: &str| EvalError::eval(pos, format!("attribute '{name}' is missing in call to 'fetchClosure'"));
    let from_path = request.from_path.ok_or_else(|| missing("fromPath"))?;
    if request.input_addressed && request.to_path.is_some() {
        let message =
            "attribute 'inputAddressed' is set to true, but 'toPath' is also set. Please remove one of them";
        return Err(EvalError::eval(pos, message));
    }
    let from_store = request.from_store.ok_or_else(|| missing("fromStore"))?;
    check_store(&from_store, pos)?;
    let path = match request.to_path {
        Some(to_path) => rewritten(evaluator, &from_store, &from_path, to_path, pos)?,
        None => copied(evaluator, &from_store, &from_path, request.input_addressed, pos)?,
    };
    if let Some(reads) = &evaluator.session.reads {
        reads.valid(&path.to_string());
    }
    Ok(store_path_value(evaluator, path))
}

impl Request {
    fn read(evaluator: &mut Evaluator, argument: Value, pos: PosId) -> Result<Request> {
        let doing = "while evaluating the argument passed to builtins.fetchClosure";
        let attrs = evaluator.expect_attrs(argument, pos, doing)?;
        let mut request = Request::default();
        for (name, slot) in attrs.flatten(&mut evaluator.heap).iter() {
            request.attribute(evaluator, name, slot.get(), attrs.position(name).unwrap_or(pos), pos)?;
        }
        Ok(request)
    }

    fn attribute(
        &mut self,
        evaluator: &mut Evaluator,
        name: Symbol,
        value: Value,
        at: PosId,
        pos: PosId,
    ) -> Result<()> {
        let doing =
            format!("while evaluating the attribute '{}' passed to builtins.fetchClosure", name.shown());
        match &**name.text() {
            b"fromPath" => self.from_path = Some(store_path(evaluator, value, at, &doing)?),
            b"toPath" => {
                let is_open =
                    evaluator.force_at(value, at)?.as_string().is_some_and(|text| text.bytes().is_empty());
                self.to_path = Some(match is_open {
                    true => Rewritten::Unknown,
                    false => Rewritten::To(store_path(evaluator, value, at, &doing)?),
                });
            }
            b"fromStore" => {
                let url = evaluator.expect_plain_string(value, at, &doing)?;
                self.from_store = Some(raw::text(url).into_owned());
            }
            b"inputAddressed" => self.input_addressed = evaluator.expect_bool(value, at, &doing)?,
            _ => {
                let message =
                    format!("attribute '{}' isn't supported in call to 'fetchClosure'", name.shown());
                return Err(EvalError::eval(pos, message));
            }
        }
        Ok(())
    }
}

fn store_path(evaluator: &mut Evaluator, value: Value, pos: PosId, doing: &str) -> Result<StorePath> {
    let text = evaluator.coerce(value, Coercion::APPENDED, &mut None, pos, doing)?;
    let path = std::str::from_utf8(text).ok().and_then(|text| StorePath::from_absolute(text).ok());
    path.ok_or_else(|| {
        let message = format!("path '{}' is not in the Nix store", raw::text(text));
        EvalError::eval(PosId::NONE, message).trace(pos, doing)
    })
}

/// Only caches behind HTTP are taken, and folders where Nix's own tests take them.
fn check_store(url: &str, pos: PosId) -> Result<()> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    let is_taken = match scheme {
        "http" | "https" => true,
        "file" => std::env::var_os("_NIX_IN_TEST").is_some(),
        _ => false,
    };
    if !is_taken {
        let message = "'fetchClosure' only supports http:// and https:// stores";
        return Err(EvalError::eval(pos, message));
    }
    if url.split_once('?').is_some_and(|(_, query)| !query.is_empty()) {
        let message = format!("'fetchClosure' does not support URL query parameters (in '{url}')");
        return Err(EvalError::eval(pos, message));
    }
    Ok(())
}

/// A path as it is in the cache.
fn copied(
    evaluator: &Evaluator,
    cache: &str,
    path: &StorePath,
    input_addressed: bool,
    pos: PosId,
) -> Result<StorePath> {
    let session = &evaluator.session;
    session.inputs().copy_closure(cache, path).map_err(|failure| failure.at(pos))?;
    let message = match (session.store.is_content_addressed(path), input_addressed) {
        (false, false) => format!(
            "The 'fromPath' value '{path}' is input-addressed, but 'inputAddressed' is set to 'false' (default).\n\n\
             If you do intend to fetch an input-addressed store path, add\n\n    inputAddressed = true;\n\n\
             to the 'fetchClosure' arguments.\n\n\
             Note that to ensure authenticity input-addressed store paths, users must configure a trusted binary cache \
             public key on their systems. This is not needed for content-addressed paths."
        ),
        (true, true) => format!(
            "The store object referred to by 'fromPath' at '{path}' is not input-addressed, but 'inputAddressed' is set to \
             'true'.\n\nRemove the 'inputAddressed' attribute (it defaults to 'false') to expect 'fromPath' to be \
             content-addressed"
        ),
        _ => return Ok(path.clone()),
    };
    Err(EvalError::eval(pos, message))
}

/// A path made from the contents of the one in the cache.
fn rewritten(
    evaluator: &Evaluator,
    cache: &str,
    from: &StorePath,
    to: Rewritten,
    pos: PosId,
) -> Result<StorePath> {
    let session = &evaluator.session;
    let rewrite = || session.inputs().readdress_closure(cache, from).map_err(|failure| failure.at(pos));
    let fail = |message: String| Err(EvalError::eval(pos, message));
    let to = match to {
        Rewritten::Unknown => {
            return fail(format!(
                "rewriting '{from}' to content-addressed form yielded '{}'\n\
                 Use this value for the 'toPath' attribute passed to 'fetchClosure'",
                rewrite()?
            ));
        }
        Rewritten::To(to) => to,
    };
    if !session.store.is_valid(&to) {
        let made = rewrite()?;
        if made != to {
            return fail(format!(
                "rewriting '{from}' to content-addressed form yielded '{made}', while '{to}' was expected"
            ));
        }
    }
    // What is there already is not made again, but an input-addressed path cannot be what is wanted.
    match session.store.is_content_addressed(&to) {
        true => Ok(to),
        false => fail(format!(
            "The 'toPath' value '{to}' is input-addressed, so it can't possibly be the result of rewriting to a \
             content-addressed path.\n\nSet 'toPath' to an empty string to make Nix report the correct \
             content-addressed path."
        )),
    }
}
