//! An editor and the language server: every `tests/lsp/*.txt` is a session with `zeval lsp`, run again and compared.
//!
//! `== NAME` begins a file, which is written and, if its first line is not `# on disk`, opened. `> REQUEST NAME LINE:COLUMN`
//! asks something of a place (both from 1, as editors show them); what follows is the answer: JSON, with files by their
//! names. `ZEVAL_UPDATE=1 cargo test --test lsp` writes down what is answered now.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio},
};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value as Json, json};

fn main() -> ExitCode {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lsp");
    let mut sessions: Vec<PathBuf> =
        fs::read_dir(&folder).expect("tests/lsp").map(|entry| entry.expect("an entry").path()).collect();
    sessions.sort();
    let trials = sessions.into_iter().map(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Trial::test(name, move || compare(&path))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn compare(session: &Path) -> Result<(), Failed> {
    let recorded = fs::read_to_string(session)?;
    let found = replay(&recorded)?;
    if std::env::var_os("ZEVAL_UPDATE").is_some() {
        return Ok(fs::write(session, found)?);
    }
    if found == recorded {
        return Ok(());
    }
    let difference = similar::TextDiff::from_lines(&recorded, &found);
    Err(format!("{}", difference.unified_diff().header("recorded", "found")).into())
}

/// Plays the editor's part of a session again and writes the session anew.
fn replay(recorded: &str) -> Result<String, Failed> {
    let folder = tempfile::tempdir()?;
    let here = folder.path().canonicalize()?;
    let mut editor = Editor::start(&here)?;
    let mut found = String::new();
    let mut lines = recorded.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("== ") {
            let mut text = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("== ") && !line.starts_with("> ")) {
                text.push_str(line);
                text.push('\n');
            }
            found.push_str(&format!("{line}\n{text}"));
            fs::write(here.join(name), &text)?;
            if !text.starts_with("# on disk") {
                editor.open(name, &text)?;
            }
        } else if let Some(request) = line.strip_prefix("> ") {
            let answer = editor.ask(request)?;
            found.push_str(&format!("{line}\n{answer}\n"));
        }
    }
    editor.stop()?;
    Ok(found)
}

/// A client of the language server.
struct Editor {
    server: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: String,
    next_id: u64,
    /// What was published last, by the address of the file.
    published: std::collections::HashMap<String, Json>,
}

impl Editor {
    fn start(folder: &Path) -> Result<Editor, Failed> {
        let mut server = Command::new(env!("CARGO_BIN_EXE_zeval"))
            .arg("lsp")
            .env("HOME", folder)
            .env_remove("XDG_CACHE_HOME")
            .env_remove("NIX_PATH")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = server.stdin.take().ok_or("no standard input")?;
        let output = BufReader::new(server.stdout.take().ok_or("no standard output")?);
        let folder = format!("file://{}", folder.display());
        let published = Default::default();
        let mut editor = Editor { server, input, output, folder, next_id: 0, published };
        let parameters = json!({
            "processId": null,
            "capabilities": {},
            "workspaceFolders": [{ "uri": editor.folder, "name": "here" }],
        });
        editor.request("initialize", parameters)?;
        editor.notify("initialized", json!({}))?;
        Ok(editor)
    }

    fn stop(mut self) -> Result<(), Failed> {
        self.request("shutdown", Json::Null)?;
        self.notify("exit", Json::Null)?;
        match self.server.wait()?.success() {
            true => Ok(()),
            false => Err("the server ended with an error".into()),
        }
    }

    fn uri(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    fn open(&mut self, name: &str, text: &str) -> Result<(), Failed> {
        let document = json!({ "uri": self.uri(name), "languageId": "nix", "version": 1, "text": text });
        self.notify("textDocument/didOpen", json!({ "textDocument": document }))
    }

    /// `REQUEST NAME [LINE:COLUMN] [WORD]`, answered.
    fn ask(&mut self, request: &str) -> Result<String, Failed> {
        let words: Vec<&str> = request.split(' ').collect();
        let [method, name, rest @ ..] = &words[..] else { return Err("a request names a file".into()) };
        let place = rest.first().and_then(|word| word.split_once(':'));
        let position = match place {
            Some((line, column)) => {
                json!({ "line": line.parse::<u32>()? - 1, "character": column.parse::<u32>()? - 1 })
            }
            None => json!({ "line": 0, "character": 0 }),
        };
        let word = rest.get(1).copied().unwrap_or_default();
        let uri = self.uri(name);
        let mut parameters = json!({ "textDocument": { "uri": uri }, "position": position });
        let whole =
            json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 100_000, "character": 0 } });
        match *method {
            "diagnostics" => return self.diagnostics(&uri),
            "change" => {
                let text = rest[2..].join(" ");
                let range = json!({ "start": position, "end": position });
                let change = json!({ "range": range, "text": format!("{word}{text}") });
                let document = json!({ "uri": uri, "version": 2 });
                self.published.remove(&uri);
                self.notify(
                    "textDocument/didChange",
                    json!({ "textDocument": document, "contentChanges": [change] }),
                )?;
                return Ok("changed".into());
            }
            "references" => parameters["context"] = json!({ "includeDeclaration": true }),
            "rename" => parameters["newName"] = word.into(),
            "formatting" => parameters["options"] = json!({ "tabSize": 2, "insertSpaces": true }),
            "inlayHint" => parameters["range"] = whole,
            "codeAction" => {
                parameters["range"] = json!({ "start": position, "end": position });
                parameters["context"] = json!({ "diagnostics": [] });
            }
            _ => {}
        }
        let answer = self.request(&format!("textDocument/{method}"), parameters)?;
        let answer = match *method {
            "completion" => labels(&answer, word),
            _ => answer,
        };
        Ok(self.named(&answer))
    }

    /// JSON with files by their names.
    fn named(&self, value: &Json) -> String {
        let path = self.folder.trim_start_matches("file://");
        let text = value.to_string().replace(&format!("{}/", self.folder), "").replace(path, "/here");
        // The folder of the library is called by what it holds.
        match text.split_once("zeval/std-") {
            Some((before, after)) => {
                let rest = after.trim_start_matches(|letter: char| letter.is_ascii_hexdigit());
                format!("{before}zeval/std-HASH{rest}")
            }
            None => text,
        }
    }

    fn diagnostics(&mut self, uri: &str) -> Result<String, Failed> {
        while !self.published.contains_key(uri) {
            self.read()?;
        }
        Ok(self.named(&self.published[uri]))
    }

    fn notify(&mut self, method: &str, parameters: Json) -> Result<(), Failed> {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": parameters }))
    }

    fn request(&mut self, method: &str, parameters: Json) -> Result<Json, Failed> {
        self.next_id += 1;
        let id = self.next_id;
        self.send(json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": parameters }))?;
        loop {
            let message = self.read()?;
            if message["id"] == id {
                return Ok(match message.get("error") {
                    Some(error) => json!({ "refused": error["message"] }),
                    None => message["result"].clone(),
                });
            }
        }
    }

    fn send(&mut self, message: Json) -> Result<(), Failed> {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        Ok(self.input.flush()?)
    }

    /// The next message; what is published is kept.
    fn read(&mut self) -> Result<Json, Failed> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                return Err("the server said nothing more".into());
            }
            match line.trim().strip_prefix("Content-Length: ") {
                Some(number) => length = number.parse()?,
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        let mut text = vec![0; length];
        self.output.read_exact(&mut text)?;
        let message: Json = serde_json::from_slice(&text)?;
        if message["method"] == "textDocument/publishDiagnostics" {
            let uri = message["params"]["uri"].as_str().unwrap_or_default().to_owned();
            self.published.insert(uri, message["params"]["diagnostics"].clone());
        }
        Ok(message)
    }
}

/// The labels of completions that begin with a word.
fn labels(answer: &Json, prefix: &str) -> Json {
    let items = answer["items"].as_array().cloned().unwrap_or_default();
    let labels = items.iter().filter_map(|item| item["label"].as_str());
    labels.filter(|label| label.starts_with(prefix)).collect()
}
