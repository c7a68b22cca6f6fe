//! Inputs from servers: sites that serve revisions as archives, and git over HTTP. Each server is of this machine, and says what the
//! real ones say.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use tempfile::TempDir;
use zeval_builder::{cancel::Cancellation, events::Silent, store::Store};
use zeval_inputs::{Attr, Fetcher, FlakeRef, Settings, Tree, reference::Reading, registry::UseRegistries};

const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
const TAGGED: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A request: its method, path with query, headers in lower case, and body.
struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &TcpStream) -> Option<Request> {
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (words.next()?, words.next()?);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut request = Request { method, path, headers, body: Vec::new() };
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).ok()?;
        Some(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What a server says: a status, headers as they are sent, and a body.
type Answer = (u16, String, Vec<u8>);

/// Serves until the test ends; gives the address.
fn serve(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = format!("http://{}/", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Some(request) = Request::read(&stream) else { continue };
            let (status, headers, body) = answer(&request);
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
            );
            // Who asked may be gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

fn git(folder: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "safe.directory=*"])
        .args(words)
        .current_dir(folder)
        .env("GIT_AUTHOR_DATE", "2020-01-02T03:04:05Z")
        .env("GIT_COMMITTER_DATE", "2020-01-02T03:04:05Z")
        .output()
        .expect("git");
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with two commits, the first of which is tagged `v1`.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    git(folder.path(), &["init", "-q", "-b", "main"]);
    for text in ["one", "two"] {
        fs::write(folder.path().join("file"), text).expect("a file");
        git(folder.path(), &["add", "-A"]);
        git(folder.path(), &["commit", "-qm", text]);
        if text == "one" {
            git(folder.path(), &["tag", "v1"]);
        }
    }
    folder
}

/// A fetcher with a store and a cache of its own.
struct Client {
    settings: Settings,
    fetcher: Fetcher,
    _folder: TempDir,
}

impl Client {
    fn new(forges: &str, adjust: impl FnOnce(&mut Settings)) -> Client {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::new(folder.path().join("cache"));
        settings.features = vec!["flakes".into()];
        settings.warn = Arc::new(|_| ());
        settings.forges = forges.to_owned();
        adjust(&mut settings);
        let store = Arc::new(Store::open(&folder.path().join("store")).expect("a store"));
        let fetcher = Fetcher::new(settings.clone(), store, Arc::new(Silent), Cancellation::new());
        Client { settings, fetcher, _folder: folder }
    }

    fn fetch(&self, reference: &str) -> Result<Tree, String> {
        let reading = Reading { is_flake: true, ..Reading::default() };
        let reference =
            FlakeRef::parse(&self.settings, reference, reading).map_err(|error| error.to_string())?;
        let fetched = self.fetcher.fetch(&reference.input, UseRegistries::No);
        fetched.map(|fetched| fetched.tree).map_err(|error| error.to_string())
    }

    fn file(&self, tree: &Tree) -> String {
        let file = self.fetcher.store.physical(&tree.store_path).join("file");
        fs::read_to_string(file).expect("the file of the repository")
    }
}

fn revision(tree: &Tree) -> String {
    tree.input.revision_text().expect("a revision").unwrap_or_default()
}

/// What was asked for: the path, and who asked if a header says so.
type Log = Arc<Mutex<Vec<String>>>;

/// A server that is all hosts of all forges: the first folder of a path is the host.
fn forge() -> (String, Log) {
    let repository = repository();
    let archive = Command::new("git")
        .args(["archive", "--format=tar.gz", "--prefix=r-1/", "v1"])
        .current_dir(repository.path())
        .output()
        .expect("git archive");
    let log = Log::default();
    let seen = Arc::clone(&log);
    let address = serve(move |request| {
        let who = ["authorization", "private-token"].into_iter().find_map(|name| request.header(name));
        let line = [Some(request.path.as_str()), who].into_iter().flatten().collect::<Vec<_>>().join(" ");
        seen.lock().expect("the log").push(line);
        let body = match &*request.path {
            path if path.contains("/nothing/") => return (404, String::new(), b"no such thing".to_vec()),
            path if path.contains("archive") || path.contains("tarball") => archive.stdout.clone(),
            path if path.contains("/commits/") => format!("{{\"sha\":\"{REVISION}\"}}").into_bytes(),
            path if path.contains("ref_name=gone") => b"[]".to_vec(),
            path if path.contains("repository/commits") => {
                format!("[{{\"id\":\"{REVISION}\"}}]").into_bytes()
            }
            path if path.ends_with("/HEAD") => b"ref: refs/heads/master\n".to_vec(),
            _ => format!("{REVISION}\trefs/heads/master\n{TAGGED}\trefs/tags/v1\n").into_bytes(),
        };
        (200, String::new(), body)
    });
    (address, log)
}

fn asked(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().expect("the log"))
}

/// What is asked for is what Nix 2.34.8 asks for, compared with a server that both talked to.
#[test]
fn forges_are_asked_as_nix_asks_them() {
    let (address, log) = forge();
    let archive = |before: &str| format!("{before}{REVISION}");
    let cases = [
        (
            "github:o/r",
            REVISION,
            vec![
                "/api.github.com/repos/o/r/commits/HEAD".to_owned(),
                archive("/github.com/o/r/archive/") + ".tar.gz",
            ],
        ),
        (
            "github:o/r/some/branch",
            REVISION,
            vec![
                "/api.github.com/repos/o/r/commits/some/branch".to_owned(),
                archive("/github.com/o/r/archive/") + ".tar.gz",
            ],
        ),
        (
            "github:o/r?host=git.example.org",
            REVISION,
            vec![
                "/git.example.org/api/v3/repos/o/r/commits/HEAD".to_owned(),
                archive("/git.example.org/api/v3/repos/o/r/tarball/"),
            ],
        ),
        (
            "gitlab:o/r/dev",
            REVISION,
            vec![
                "/gitlab.com/api/v4/projects/o%2Fr/repository/commits?ref_name=dev".to_owned(),
                archive("/gitlab.com/api/v4/projects/o%2Fr/repository/archive.tar.gz?sha="),
            ],
        ),
        (
            "sourcehut:~u/r",
            REVISION,
            vec![
                "/git.sr.ht/~u/r/HEAD".to_owned(),
                "/git.sr.ht/~u/r/info/refs".to_owned(),
                archive("/git.sr.ht/~u/r/archive/") + ".tar.gz",
            ],
        ),
        (
            "sourcehut:~u/r/v1",
            TAGGED,
            vec!["/git.sr.ht/~u/r/info/refs".to_owned(), format!("/git.sr.ht/~u/r/archive/{TAGGED}.tar.gz")],
        ),
    ];
    for (reference, pinned, wanted) in cases {
        let client = Client::new(&address, |_| ());
        let tree = client.fetch(reference).unwrap_or_else(|error| panic!("{reference}: {error}"));
        assert_eq!(asked(&log), wanted, "{reference}");
        assert_eq!(revision(&tree), pinned, "{reference}");
        assert_eq!(tree.input.attrs.get("ref"), None, "{reference}");
        assert_eq!(tree.input.attrs.get("lastModified"), Some(&Attr::Int(1_577_934_245)), "{reference}");
        assert_eq!(client.file(&tree), "one");
        // What is pinned is known now.
        client.fetch(&tree.input.to_url().expect("a reference").to_string()).expect("the same again");
        assert_eq!(asked(&log), Vec::<String>::new(), "{reference}");
    }
}

#[test]
fn tokens_are_shown_to_their_hosts_only() {
    let (address, log) = forge();
    let with_tokens = |settings: &mut Settings| {
        for (host, token) in [
            ("github.com", "general"),
            ("github.com/o", "special"),
            ("gitlab.com", "PAT:secret"),
            ("git.sr.ht", "x"),
        ] {
            settings.access_tokens.insert(host.to_owned(), token.to_owned());
        }
    };
    let client = Client::new(&address, with_tokens);
    client.fetch("github:o/r").expect("a tree");
    let archive = format!("/api.github.com/repos/o/r/tarball/{REVISION} token special");
    assert_eq!(asked(&log), ["/api.github.com/repos/o/r/commits/HEAD token special", &archive]);
    let client = Client::new(&address, with_tokens);
    client.fetch("gitlab:o/r").expect("a tree");
    assert!(asked(&log).iter().all(|line| line.ends_with(" secret")));
    let client = Client::new(&address, with_tokens);
    client.fetch("github:o/r?host=git.example.org").expect("a tree");
    assert!(asked(&log).iter().all(|line| !line.contains(' ')));
}

#[test]
fn what_a_forge_does_not_have_is_said() {
    let (address, _) = forge();
    let client = Client::new(&address, |_| ());
    let cases = [
        ("gitlab:o/r/gone", "No commits returned by GitLab API -- does the git ref really exist?"),
        ("sourcehut:~u/r/gone", "in 'sourcehut:~u/r/gone', couldn't find ref 'gone'"),
        ("github:o/nothing", "HTTP error 404"),
    ];
    for (reference, wanted) in cases {
        let error = client.fetch(reference).expect_err(reference);
        assert!(error.contains(wanted), "{reference}: {error}");
    }
}

/// A server of the repositories in a folder, by the program that git has for that.
fn git_server(folder: &Path) -> String {
    let folder = folder.to_owned();
    serve(move |request| {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let mut child = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("REQUEST_METHOD", &request.method)
            .env("CONTENT_TYPE", request.header("content-type").unwrap_or_default())
            .env("CONTENT_LENGTH", request.body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", request.header("content-encoding").unwrap_or_default())
            .env("GIT_PROTOCOL", request.header("git-protocol").unwrap_or_default())
            .env("GIT_CONFIG_COUNT", "2")
            .envs([("GIT_CONFIG_KEY_0", "safe.directory"), ("GIT_CONFIG_VALUE_0", "*")])
            .envs([("GIT_CONFIG_KEY_1", "uploadpack.allowAnySHA1InWant"), ("GIT_CONFIG_VALUE_1", "true")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("git http-backend");
        let mut input = child.stdin.take().expect("a pipe");
        let body = request.body.clone();
        let writer = thread::spawn(move || drop(input.write_all(&body)));
        let output = child.wait_with_output().expect("an answer").stdout;
        writer.join().expect("the body");
        let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0);
        let head = String::from_utf8_lossy(&output[..end]).into_owned();
        let status = head.lines().find_map(|line| line.strip_prefix("Status: ")?.get(..3)?.parse().ok());
        (status.unwrap_or(200), format!("{head}\r\n"), output[end + 4..].to_vec())
    })
}

#[test]
fn git_repositories_are_fetched_over_http() {
    let repository = repository();
    let (old, new) =
        (git(repository.path(), &["rev-parse", "v1"]), git(repository.path(), &["rev-parse", "HEAD"]));
    let address = format!("git+{}", git_server(repository.path()) + ".git");
    let cases = [
        (String::new(), &new, "two"),
        ("?ref=main".to_owned(), &new, "two"),
        ("?ref=refs/tags/v1".to_owned(), &old, "one"),
        (format!("?rev={old}"), &old, "one"),
        (format!("?shallow=1&rev={old}"), &old, "one"),
        ("?shallow=1".to_owned(), &new, "two"),
    ];
    for (query, wanted, text) in cases {
        let client = Client::new("https://", |_| ());
        let tree =
            client.fetch(&format!("{address}{query}")).unwrap_or_else(|error| panic!("{query}: {error}"));
        assert_eq!(revision(&tree), **wanted, "{query}");
        assert_eq!(client.file(&tree), text, "{query}");
        let is_shallow = query.contains("shallow");
        assert_eq!(tree.input.revision_count().is_some(), !is_shallow, "{query}");
    }
}

#[test]
fn an_overwritten_branch_does_not_hide_what_was_fetched() {
    let repository = repository();
    let address = format!("git+{}", git_server(repository.path()) + ".git");
    let client = Client::new("https://", |settings| settings.tarball_ttl = 0);
    let before = client.fetch(&address).expect("a tree");
    git(repository.path(), &["reset", "-q", "--hard", "v1"]);
    git(repository.path(), &["commit", "-q", "--amend", "-m", "another"]);
    client.fetcher.forget();
    let after = client.fetch(&address).expect("a tree");
    assert_ne!(revision(&before), revision(&after));
    assert_eq!(client.file(&after), "one");
    client.fetcher.forget();
    let again =
        client.fetch(&before.input.to_url().expect("a reference").to_string()).expect("what was pinned");
    assert_eq!(again.store_path, before.store_path);
}
