//! Files to values: resolving, reading, parsing, lowering and evaluating, each file once.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use bstr::{BStr, ByteSlice};
use bumpalo::Bump;

use crate::{
    embedded,
    eval::{
        Evaluator,
        error::{ErrorKind, EvalError, Failure, Result},
    },
    ir::{
        Expr,
        archive::{self, Extent},
        lower::{self, LowerError},
    },
    position::{Origin, PosId, Source},
    symbol::Symbol,
    syntax::{
        self, ParseOptions,
        error::{SyntaxError, SyntaxErrorKind},
    },
    value::{Env, Value},
};

/// What a folder means, in this order.
const DEFAULT_FILES: [&[u8]; 2] = [b"/default.zx", b"/default.nix"];

/// Names bound around a file: for `scopedImport` and the repl.
#[derive(Clone, Copy, Default)]
pub struct Scope<'s> {
    /// The names and their values.
    pub bindings: &'s [(Symbol, Value)],
}

impl Evaluator {
    /// The value of a file; for a folder, of its `default.zx` or `default.nix`. Errors tell that the file was evaluated.
    pub fn import(&mut self, path: &[u8], pos: PosId) -> Result<Value> {
        self.import_with(path, pos, |error, file| {
            error.trace(PosId::NONE, format!("while evaluating the file '{}':", crate::shown::path(file)))
        })
    }

    /// The same for a file that the user named: errors tell nothing of it.
    pub fn import_named(&mut self, path: &[u8]) -> Result<Value> {
        self.import_with(path, PosId::NONE, |error, _| error)
    }

    fn import_with(
        &mut self,
        path: &[u8],
        pos: PosId,
        explain: impl FnOnce(Failure, &[u8]) -> Failure,
    ) -> Result<Value> {
        if let Some(value) = self.imported(path) {
            return Ok(value);
        }
        let resolved = self.resolve(path, pos)?;
        if let Some(value) = self.imported(&resolved) {
            return Ok(self.remember_import(path, value));
        }
        // Nothing is evaluated before all of the file is known to be an expression.
        let code = self.compile_file(&resolved, Scope::default(), pos)?;
        let value = self.run(&code, Scope::default()).map_err(|error| explain(error, &resolved))?;
        let value = self.remember_import(&resolved, value);
        Ok(self.remember_import(path, value))
    }

    fn imported(&self, path: &[u8]) -> Option<Value> {
        let imports = self.session.imports.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        imports.get(path).copied()
    }

    /// Gives the value that counts: that of another thread, if it was first.
    fn remember_import(&self, path: &[u8], value: Value) -> Value {
        let mut imports = self.session.imports.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        *imports.entry(path.to_vec()).or_insert(value)
    }

    /// The file that a path stands for: links followed, and a folder's default file.
    pub fn resolve(&self, path: &[u8], pos: PosId) -> Result<Vec<u8>> {
        if embedded::file(path).is_some() {
            return Ok(path.to_vec());
        }
        self.session.check_access(path, pos)?;
        let physical = self.session.physical(path);
        let metadata = physical.metadata().map_err(|_| crate::session::missing(path, pos))?;
        let file = if metadata.is_dir() {
            let candidates = DEFAULT_FILES.map(|name| [path, name].concat());
            let found = candidates.iter().find(|file| self.session.physical(file).exists());
            found.cloned().unwrap_or_else(|| [path, b"/default.nix"].concat())
        } else {
            path.to_vec()
        };
        let physical = self.session.physical(&file);
        if self.session.physical(&file).symlink_metadata().is_err() {
            return Err(crate::session::missing(&file, pos));
        }
        // Links inside the store stay logical paths.
        if zeval_model::store_path::is_in_store(&file) {
            return Ok(file);
        }
        let resolved = self.session.canonical(&physical).map_err(|error| {
            EvalError::new(
                ErrorKind::World,
                pos,
                format!("cannot resolve '{}': {error}", crate::text::raw::Shown(&file)),
            )
        })?;
        Ok(resolved.as_os_str().as_bytes().to_vec())
    }

    /// Evaluates a file anew, with further names in scope.
    pub fn evaluate_file(&mut self, path: &[u8], scope: Scope<'_>, pos: PosId) -> Result<Value> {
        let code = self.compile_file(path, scope, pos)?;
        self.run(&code, scope)
    }

    fn compile_file(&mut self, path: &[u8], scope: Scope<'_>, pos: PosId) -> Result<lower::Code> {
        if let Some(file) = embedded::file(path) {
            let origin = Origin::Internal(file.name);
            return self.compile_text(origin, file.text.to_vec(), file.folder().as_bstr(), scope);
        }
        let physical = self.session.physical(path);
        let text = self.session.read_file(&physical).map_err(|error| {
            let message = format!("cannot read file '{}': {error}", crate::text::raw::Shown(path));
            EvalError::new(ErrorKind::World, pos, message)
        })?;
        let base = path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)].as_bstr();
        let origin = Origin::File(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
        if self.session.settings.tell_files {
            self.session.say(&format!("evaluating file '{}'", crate::text::raw::Shown(path)));
        }
        self.stats.files += 1;
        self.compile_text(origin, text, base, scope)
    }

    /// Evaluates an expression from anywhere; relative paths in it start at `base`.
    pub fn evaluate_text(
        &mut self,
        origin: Origin,
        text: Vec<u8>,
        base: &BStr,
        scope: Scope<'_>,
    ) -> Result<Value> {
        let code = self.compile_text(origin, text, base, scope)?;
        self.run(&code, scope)
    }

    fn compile_text(
        &mut self,
        origin: Origin,
        text: Vec<u8>,
        base: &BStr,
        scope: Scope<'_>,
    ) -> Result<lower::Code> {
        let source = Source::register(origin, text).ok_or_else(too_much_text)?;
        let start = std::time::Instant::now();
        let outer = self.profile_load(&source.origin);
        let code = self.compile(&source, base, scope, Extent::AsNeeded);
        self.profile_end(outer);
        self.stats.load_time += start.elapsed();
        code
    }

    /// The value of a file that consists of a set, written out; `None` for any other expression.
    pub(crate) fn evaluate_set_file(&mut self, path: &[u8]) -> Result<Option<Value>> {
        let physical = self.session.physical(path);
        let text = self.session.read_file(&physical).map_err(|error| {
            let message = format!("cannot read file '{}': {error}", crate::text::raw::Shown(path));
            EvalError::new(ErrorKind::World, PosId::NONE, message)
        })?;
        let base = path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)].as_bstr();
        let origin = Origin::File(PathBuf::from(std::ffi::OsStr::from_bytes(path)));
        let source = Source::register(origin, text).ok_or_else(too_much_text)?;
        let code = self.compile(&source, base, Scope::default(), Extent::Whole)?;
        let is_set = match code.root {
            Expr::Attrs(_) | Expr::RecAttrs(_) => true,
            Expr::Value(value) => value.as_attrs().is_some(),
            Expr::Let(bindings) | Expr::LetEnv(bindings) => matches!(bindings.body, Expr::RecAttrs(_)),
            _ => false,
        };
        if !is_set {
            return Ok(None);
        }
        let env = self.heap.env(None, code.size as usize);
        self.eval(code.root, env).map(Some)
    }

    /// Parses an expression, checks that its names are bound, and prints it with every operator in parentheses.
    pub fn parsed(&mut self, origin: Origin, text: Vec<u8>, base: &BStr) -> Result<Vec<u8>> {
        let source = Source::register(origin, text).ok_or_else(too_much_text)?;
        let session = self.session.clone();
        let home = session.settings.home.as_ref().map(|home| home.as_os_str().as_bytes());
        let context = lower::Context {
            source: &source,
            base,
            home: home.map(|home| home.as_bstr()),
            globals: &session.globals,
            scope: &[],
            marks: lower::Marks::None,
        };
        let arena = Bump::new();
        let tree = self.parse(&arena, &source)?;
        lower::lower(&tree, &context, &mut self.heap).map_err(lower_failure)?;
        let base = syntax::print::PathBase { folder: base, home: home.unwrap_or(b"~").as_bstr() };
        Ok(syntax::print::expression(&tree, base))
    }

    /// The set of some definitions (`a = 1; inherit b;`), as the repl takes them: each sees the scope, not the others.
    pub fn evaluate_definitions(&mut self, text: Vec<u8>, base: &BStr, scope: Scope<'_>) -> Result<Value> {
        let source = Source::register(Origin::String, text).ok_or_else(too_much_text)?;
        let session = self.session.clone();
        let names: Vec<Symbol> = scope.bindings.iter().map(|(name, _)| *name).collect();
        let home = session.settings.home.as_ref().map(|home| home.as_os_str().as_bytes());
        let context = lower::Context {
            source: &source,
            base,
            home: home.map(|home| home.as_bstr()),
            globals: &session.globals,
            scope: &names,
            marks: self.marks(),
        };
        let arena = Bump::new();
        let tree = syntax::parse_definitions(&source.text, &arena, &self.parse_options())
            .map_err(|error| syntax_failure(&source, error))?;
        let code = lower::lower(&tree, &context, &mut self.heap).map_err(lower_failure)?;
        self.run(&code, scope)
    }

    /// Forgets the values of files, so that importing one reads it anew.
    pub fn forget_files(&mut self) {
        let mut imports = self.session.imports.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        imports.clear();
    }

    fn run(&mut self, code: &lower::Code, scope: Scope<'_>) -> Result<Value> {
        let env = self.heap.env(None, code.size as usize);
        for (index, (_, value)) in scope.bindings.iter().enumerate() {
            env.slot(index as u32).set(*value);
        }
        let env: &'static Env = env;
        self.eval(code.root, env)
    }

    /// The code of a source: from the cache if it was compiled before.
    fn compile(
        &mut self,
        source: &Source,
        base: &BStr,
        scope: Scope<'_>,
        extent: Extent,
    ) -> Result<lower::Code> {
        let session = self.session.clone();
        // The time is a constant, which nobody sees being used: that it is named must do.
        if session.reads.is_some() && source.text.contains_str("currentTime") {
            session.unrepeatable();
        }
        let settings = &session.settings;
        let names: Vec<Symbol> = scope.bindings.iter().map(|(name, _)| *name).collect();
        let home = settings.home.as_ref().map(|home| home.as_os_str().as_bytes());
        let context = lower::Context {
            source,
            base,
            home: home.map(|home| home.as_bstr()),
            globals: &session.globals,
            scope: &names,
            marks: self.marks(),
        };
        let is_file = matches!(source.origin, Origin::File(_));
        let cache =
            settings.code_cache.as_ref().filter(|_| is_file && names.is_empty() && !settings.lints.any());
        let cache = cache.filter(|_| context.marks == lower::Marks::None);
        let Some(cache) = cache else { return self.parse_and_lower(&context) };
        let key = cache.key(&source.text);
        if let Some(bytes) = cache.get(key)
            && let Some(code) = archive::read(bytes.leak(), &context, extent, &mut self.heap)
        {
            return Ok(code);
        }
        let code = self.parse_and_lower(&context)?;
        if let Some(bytes) = archive::write(&code, &context) {
            cache.put(key, &bytes);
        }
        Ok(code)
    }

    fn parse_and_lower(&mut self, context: &lower::Context<'_>) -> Result<lower::Code> {
        // A tree is done with once it is lowered, and no file is parsed while another is: one arena serves all.
        let mut arena = std::mem::take(&mut self.arena);
        let code = self.parse_and_lower_in(&arena, context);
        arena.reset();
        self.arena = arena;
        code
    }

    fn parse_and_lower_in(&mut self, arena: &Bump, context: &lower::Context<'_>) -> Result<lower::Code> {
        let tree = self.parse(arena, context.source)?;
        let mut code = lower::lower(&tree, context, &mut self.heap).map_err(lower_failure)?;
        // What is warned of is warned of every time.
        code.cacheable &= tree.warnings.is_empty();
        Ok(code)
    }

    fn parse<'a>(&self, arena: &'a Bump, source: &'a Source) -> Result<syntax::ast::Ast<'a>> {
        let tree = syntax::parse(&source.text, arena, &self.parse_options()).map_err(|error| {
            self.session.warn_of_cursed_or(&error.warnings, source);
            syntax_failure(source, error)
        })?;
        if !tree.warnings.is_empty() {
            self.main_only()?;
        }
        self.session.lint(&tree, source)?;
        Ok(tree)
    }

    /// What of the language is on.
    pub fn parse_options(&self) -> ParseOptions {
        let settings = &self.session.settings;
        ParseOptions {
            pipe_operators: settings.has_feature("pipe-operators"),
            pure: settings.pure,
            literals: settings.lints.any(),
        }
    }
}

fn syntax_failure(source: &Source, error: SyntaxError) -> Failure {
    let mut message = crate::text::raw::text(&error.message()).into_owned();
    if let SyntaxErrorKind::DuplicateAttribute { first, .. } = error.kind {
        message = format!("{message} at {}", crate::print::position(source.at(first)));
    }
    EvalError::new(ErrorKind::Syntax, source.at(error.pos), message)
}

fn too_much_text() -> Failure {
    EvalError::eval(PosId::NONE, "the source texts of this evaluation exceed 4 GiB")
}

fn lower_failure(error: LowerError) -> Failure {
    match error {
        LowerError::UndefinedVariable { name, pos, near } => {
            let message = format!("undefined variable '{}'", name.text());
            EvalError::new(ErrorKind::UndefinedVariable, pos, message).suggest(near)
        }
        LowerError::TooDeep { pos } => EvalError::eval(pos, "functions are nested too deeply here"),
        LowerError::NoHome { pos } => {
            EvalError::eval(pos, "'~' is used, but no home folder is known (set HOME)")
        }
    }
}

/// The current folder, canonical, as a base for relative paths.
pub fn current_folder() -> std::io::Result<Vec<u8>> {
    let current: &Path = &std::env::current_dir()?;
    Ok(current.as_os_str().as_bytes().to_vec())
}
