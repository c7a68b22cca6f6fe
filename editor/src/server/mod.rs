//! The language server: requests of an editor on standard input, answers on standard output.

mod actions;
mod complete;
mod convert;
mod diagnose;
mod hover;
mod outline;
mod rename;

use std::{
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

use lsp_server::{Connection, ErrorCode, Message, Notification, Request, Response};
use lsp_types::{
    self as lsp, GotoDefinitionResponse, Location, OneOf, ServerCapabilities, TextDocumentSyncCapability,
    TextDocumentSyncKind, Uri,
    notification::{self, Notification as _},
    request::{self, Request as _},
};
use rnix::TextSize;
use rustc_hash::FxHashMap;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;

use crate::{
    analysis::things::{self, Thing},
    workspace::{Source, Workspace},
};
use convert::{offset_of, path_of, range_of, to_range, uri_of};

/// How long an editor must be quiet before a text is looked at for errors.
const QUIET: Duration = Duration::from_millis(120);

/// Why the server ended before it was asked to.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A request that cannot be answered: what to tell the person.
struct Refused(String);

type Answer<T> = Result<T, Refused>;

/// Serves an editor until it says to stop. To be called on a thread with a large stack.
pub fn serve(version: &str) -> Result<(), Failure> {
    let (connection, threads) = Connection::stdio();
    let (id, parameters) = connection.initialize_start()?;
    let capabilities = serde_json::json!({
        "capabilities": capabilities(),
        "serverInfo": { "name": "zeval", "version": version },
    });
    connection.initialize_finish(id, capabilities)?;
    let mut server = Server::new(connection, serde_json::from_value(parameters)?);
    server.run()?;
    drop(server);
    threads.join()?;
    Ok(())
}

fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        text_document_sync: Some(TextDocumentSyncCapability::Kind(TextDocumentSyncKind::INCREMENTAL)),
        definition_provider: Some(OneOf::Left(true)),
        references_provider: Some(OneOf::Left(true)),
        document_highlight_provider: Some(OneOf::Left(true)),
        hover_provider: Some(lsp::HoverProviderCapability::Simple(true)),
        completion_provider: Some(lsp::CompletionOptions {
            trigger_characters: Some(vec![".".into(), "/".into(), "<".into()]),
            ..Default::default()
        }),
        rename_provider: Some(OneOf::Right(lsp::RenameOptions {
            prepare_provider: Some(true),
            work_done_progress_options: Default::default(),
        })),
        document_symbol_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        inlay_hint_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(lsp::CodeActionProviderCapability::Simple(true)),
        ..Default::default()
    }
}

/// A text that the editor has open. It is parsed when it is asked about.
struct Open {
    /// As the editor calls it: its path is that behind all symbolic links.
    uri: Uri,
    text: String,
    version: i32,
    is_parsed: bool,
    is_diagnosed: bool,
}

struct Server {
    connection: Connection,
    workspace: Workspace,
    folders: Vec<PathBuf>,
    open: FxHashMap<PathBuf, Open>,
}

impl Server {
    fn new(connection: Connection, parameters: lsp::InitializeParams) -> Server {
        let mut folders: Vec<PathBuf> = parameters
            .workspace_folders
            .unwrap_or_default()
            .iter()
            .map(|folder| path_of(&folder.uri))
            .collect();
        #[allow(deprecated, reason = "older editors tell nothing else")]
        if let (true, Some(root)) = (folders.is_empty(), parameters.root_uri) {
            folders.push(path_of(&root));
        }
        Server { connection, workspace: Workspace::default(), folders, open: FxHashMap::default() }
    }

    fn run(&mut self) -> Result<(), Failure> {
        loop {
            let is_waiting = self.open.values().any(|open| !open.is_diagnosed);
            let message = match is_waiting {
                true => match self.connection.receiver.recv_timeout(QUIET) {
                    Ok(message) => message,
                    Err(error) if error.is_timeout() => {
                        self.diagnose()?;
                        continue;
                    }
                    Err(_) => return Ok(()),
                },
                false => match self.connection.receiver.recv() {
                    Ok(message) => message,
                    Err(_) => return Ok(()),
                },
            };
            match message {
                Message::Request(request) => {
                    if self.connection.handle_shutdown(&request)? {
                        return Ok(());
                    }
                    let response = self.answer(request);
                    self.connection.sender.send(response.into())?;
                }
                Message::Notification(note) => self.note(note)?,
                Message::Response(_) => {}
            }
        }
    }

    fn note(&mut self, note: Notification) -> Result<(), Failure> {
        match note.method.as_str() {
            notification::DidOpenTextDocument::METHOD => {
                let parameters: lsp::DidOpenTextDocumentParams = serde_json::from_value(note.params)?;
                let document = parameters.text_document;
                let (uri, text, version) = (document.uri, document.text, document.version);
                let open = Open { uri, text, version, is_parsed: false, is_diagnosed: false };
                self.open.insert(path_of(&open.uri), open);
            }
            notification::DidChangeTextDocument::METHOD => {
                let parameters: lsp::DidChangeTextDocumentParams = serde_json::from_value(note.params)?;
                self.change(parameters);
            }
            notification::DidCloseTextDocument::METHOD => {
                let parameters: lsp::DidCloseTextDocumentParams = serde_json::from_value(note.params)?;
                let path = path_of(&parameters.text_document.uri);
                self.open.remove(&path);
                self.workspace.close(&path);
                self.publish(parameters.text_document.uri, Vec::new(), None)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn change(&mut self, parameters: lsp::DidChangeTextDocumentParams) {
        let path = path_of(&parameters.text_document.uri);
        let Some(open) = self.open.get_mut(&path) else { return };
        for change in parameters.content_changes {
            match change.range {
                Some(range) => convert::splice(&mut open.text, range, &change.text),
                None => open.text = change.text,
            }
        }
        open.version = parameters.text_document.version;
        (open.is_parsed, open.is_diagnosed) = (false, false);
    }

    /// An open text, or a file, parsed.
    fn source(&mut self, uri: &Uri) -> Answer<Rc<Source>> {
        let path = path_of(uri);
        if let Some(open) = self.open.get_mut(&path)
            && !open.is_parsed
        {
            open.is_parsed = true;
            return Ok(self.workspace.open(path, open.text.clone()));
        }
        self.workspace.source(&path).ok_or_else(|| Refused(format!("cannot read {}", path.display())))
    }

    /// Publishes what is wrong with the texts that changed.
    fn diagnose(&mut self) -> Result<(), Failure> {
        let waiting = self.open.values_mut().filter(|open| !open.is_diagnosed);
        let waiting: Vec<(Uri, i32)> = waiting
            .map(|open| {
                open.is_diagnosed = true;
                (open.uri.clone(), open.version)
            })
            .collect();
        for (uri, version) in waiting {
            if let Ok(source) = self.source(&uri) {
                self.publish(uri, diagnose::diagnostics(&source.document), Some(version))?;
            }
        }
        Ok(())
    }

    fn publish(
        &self,
        uri: Uri,
        diagnostics: Vec<lsp::Diagnostic>,
        version: Option<i32>,
    ) -> Result<(), Failure> {
        let parameters = lsp::PublishDiagnosticsParams { uri, diagnostics, version };
        let method = notification::PublishDiagnostics::METHOD.to_owned();
        self.connection.sender.send(Notification::new(method, parameters).into())?;
        Ok(())
    }

    fn answer(&mut self, request: Request) -> Response {
        let Request { id, method, params } = request;
        let result = match method.as_str() {
            request::GotoDefinition::METHOD => with(params, |parameters| self.definition(parameters)),
            request::References::METHOD => with(params, |parameters| self.references(parameters)),
            request::DocumentHighlightRequest::METHOD => {
                with(params, |parameters| self.highlight(parameters))
            }
            request::HoverRequest::METHOD => with(params, |parameters| self.hover(parameters)),
            request::Completion::METHOD => with(params, |parameters| self.complete(parameters)),
            request::PrepareRenameRequest::METHOD => {
                with(params, |parameters| self.prepare_rename(parameters))
            }
            request::Rename::METHOD => with(params, |parameters| self.rename(parameters)),
            request::DocumentSymbolRequest::METHOD => with(params, |parameters| self.symbols(parameters)),
            request::Formatting::METHOD => with(params, |parameters| self.format(parameters)),
            request::InlayHintRequest::METHOD => with(params, |parameters| self.hints(parameters)),
            request::CodeActionRequest::METHOD => with(params, |parameters| self.actions(parameters)),
            _ => {
                let message = format!("this server has no {method}");
                return Response::new_err(id, ErrorCode::MethodNotFound as i32, message);
            }
        };
        match result {
            Ok(value) => Response::new_ok(id, value),
            Err(Refused(message)) => Response::new_err(id, ErrorCode::RequestFailed as i32, message),
        }
    }

    fn thing(
        &mut self,
        place: &lsp::TextDocumentPositionParams,
    ) -> Answer<(Rc<Source>, TextSize, Option<Thing>)> {
        let source = self.source(&place.text_document.uri)?;
        let offset = offset_of(&source.document, place.position);
        let thing = things::at(&self.workspace, &source, offset);
        Ok((source, offset, thing))
    }

    fn definition(
        &mut self,
        parameters: lsp::GotoDefinitionParams,
    ) -> Answer<Option<GotoDefinitionResponse>> {
        let (_, _, thing) = self.thing(&parameters.text_document_position_params)?;
        let found = thing.and_then(|thing| thing.definition(&self.workspace));
        Ok(found.and_then(|location| location_of(&location)).map(GotoDefinitionResponse::Scalar))
    }

    fn references(&mut self, parameters: lsp::ReferenceParams) -> Answer<Option<Vec<Location>>> {
        let (source, _, thing) = self.thing(&parameters.text_document_position)?;
        let Some(thing) = thing else { return Ok(None) };
        let folders: Vec<&Path> = self.folders.iter().map(PathBuf::as_path).collect();
        let mut found = thing.uses(&self.workspace, &source, &folders);
        if parameters.context.include_declaration {
            found.extend(thing.definition(&self.workspace));
        }
        let mut locations: Vec<Location> = found.iter().filter_map(location_of).collect();
        locations.sort_by(|a, b| (a.uri.as_str(), a.range.start).cmp(&(b.uri.as_str(), b.range.start)));
        locations.dedup();
        Ok(Some(locations))
    }

    fn highlight(
        &mut self,
        parameters: lsp::DocumentHighlightParams,
    ) -> Answer<Option<Vec<lsp::DocumentHighlight>>> {
        let (source, _, thing) = self.thing(&parameters.text_document_position_params)?;
        let Some(thing) = thing else { return Ok(None) };
        let mut found = thing.uses(&Workspace::default(), &source, &[]);
        found.extend(thing.definition(&self.workspace));
        let here = found.iter().filter(|location| location.source.path == source.path);
        let highlight = |location: &things::Location| lsp::DocumentHighlight {
            range: range_of(&source.document, location.range),
            kind: None,
        };
        Ok(Some(here.map(highlight).collect()))
    }

    fn hover(&mut self, parameters: lsp::HoverParams) -> Answer<Option<lsp::Hover>> {
        let (_, _, thing) = self.thing(&parameters.text_document_position_params)?;
        Ok(thing.and_then(|thing| hover::of(&thing)))
    }

    fn complete(&mut self, parameters: lsp::CompletionParams) -> Answer<lsp::CompletionResponse> {
        let place = parameters.text_document_position;
        let source = self.source(&place.text_document.uri)?;
        let offset = offset_of(&source.document, place.position);
        let items = complete::at(&self.workspace, &source, offset);
        Ok(lsp::CompletionResponse::List(lsp::CompletionList { is_incomplete: false, items }))
    }

    fn prepare_rename(
        &mut self,
        parameters: lsp::TextDocumentPositionParams,
    ) -> Answer<lsp::PrepareRenameResponse> {
        let source = self.source(&parameters.text_document.uri)?;
        let offset = offset_of(&source.document, parameters.position);
        let (range, placeholder) = rename::name_at(&source.document, offset).map_err(Refused)?;
        let range = range_of(&source.document, range);
        Ok(lsp::PrepareRenameResponse::RangeWithPlaceholder { range, placeholder })
    }

    fn rename(&mut self, parameters: lsp::RenameParams) -> Answer<lsp::WorkspaceEdit> {
        let place = parameters.text_document_position;
        let source = self.source(&place.text_document.uri)?;
        let offset = offset_of(&source.document, place.position);
        let edits = rename::edits(&source.document, offset, &parameters.new_name).map_err(Refused)?;
        Ok(actions::workspace_edit(place.text_document.uri, &source.document, &edits))
    }

    fn symbols(&mut self, parameters: lsp::DocumentSymbolParams) -> Answer<lsp::DocumentSymbolResponse> {
        let source = self.source(&parameters.text_document.uri)?;
        Ok(lsp::DocumentSymbolResponse::Nested(outline::symbols(&source.document)))
    }

    fn format(&mut self, parameters: lsp::DocumentFormattingParams) -> Answer<Vec<lsp::TextEdit>> {
        let source = self.source(&parameters.text_document.uri)?;
        let formatted =
            crate::format::format(&source.document.text).map_err(|error| Refused(error.to_string()))?;
        Ok(actions::difference(&source.document, &formatted))
    }

    fn hints(&mut self, parameters: lsp::InlayHintParams) -> Answer<Vec<lsp::InlayHint>> {
        let source = self.source(&parameters.text_document.uri)?;
        Ok(diagnose::hints(&source.document, to_range(&source.document, parameters.range)))
    }

    fn actions(&mut self, parameters: lsp::CodeActionParams) -> Answer<lsp::CodeActionResponse> {
        let source = self.source(&parameters.text_document.uri)?;
        let range = to_range(&source.document, parameters.range);
        Ok(actions::fixes(parameters.text_document.uri, &source.document, range))
    }
}

/// Reads the parameters of a request and answers it.
fn with<P: DeserializeOwned, R: Serialize>(
    parameters: Json,
    answer: impl FnOnce(P) -> Answer<R>,
) -> Answer<Json> {
    let parameters = serde_json::from_value(parameters).map_err(|error| Refused(error.to_string()))?;
    serde_json::to_value(answer(parameters)?).map_err(|error| Refused(error.to_string()))
}

fn location_of(location: &things::Location) -> Option<Location> {
    let range = range_of(&location.source.document, location.range);
    Some(Location { uri: uri_of(&location.source.path)?, range })
}
