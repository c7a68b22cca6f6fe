//! The store as a binary cache over HTTP, for any Nix to take from.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zeval_model::derivation::HashCache;
use zeval_model::signature::SecretKey;
use zeval_model::tree::{Walker, everything};
use zeval_model::{NarInfo, StorePath, nar, store_dir};

use super::CachedRealisation;
use super::listing;
use super::location::DESCRIPTION;
use crate::cancel::Cancellation;
use crate::store::{Realisation, Store, StoreError};

/// Requests being answered at once; more wait.
const MAX_CONNECTIONS: usize = 128;
/// Bytes of a request's head.
const MAX_HEAD: u64 = 16 * 1024;
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(30);

/// What is served, and how.
pub struct Server {
    store: Arc<Store>,
    keys: Vec<SecretKey>,
    /// Lower is asked first by those who have several caches.
    priority: i64,
    listener: TcpListener,
    realisations: Mutex<Realisations>,
}

/// An answer without its head.
enum Body {
    Text(&'static str, Vec<u8>),
    /// The archive of a path, with its size.
    Archive(StorePath, u64),
    NotFound,
}

impl Server {
    /// Binds to `address`, such as `127.0.0.1:8080`; port 0 takes any.
    pub fn bind(store: Arc<Store>, address: &str, keys: Vec<SecretKey>, priority: i64) -> io::Result<Server> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Server { store, keys, priority, listener, realisations: Mutex::default() })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until cancelled.
    pub fn run(&self, cancellation: &Cancellation) -> io::Result<()> {
        let active = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            while !cancellation.is_cancelled() {
                let is_full = active.load(Ordering::Relaxed) >= MAX_CONNECTIONS;
                match self.listener.accept() {
                    Ok((stream, _)) if !is_full => {
                        active.fetch_add(1, Ordering::Relaxed);
                        let active = &active;
                        scope.spawn(move || {
                            // A client that goes away is no concern of ours.
                            let _ = self.converse(&stream, cancellation);
                            active.fetch_sub(1, Ordering::Relaxed);
                        });
                    }
                    Ok((stream, _)) => drop(stream),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(10));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(100)),
                }
            }
            Ok(())
        })
    }

    /// Answers the requests of one connection.
    fn converse(&self, stream: &TcpStream, cancellation: &Cancellation) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.set_write_timeout(Some(IDLE))?;
        let mut input = BufReader::new(stream);
        let mut output = BufWriter::with_capacity(256 * 1024, stream);
        while let Some(head) = read_head(&mut input, cancellation)? {
            let Some(request) = Request::parse(&head) else {
                return write!(
                    output,
                    "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                )
                .and_then(|()| output.flush());
            };
            self.answer(&request, &mut output)?;
            output.flush()?;
            if request.is_last {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request, output: &mut impl Write) -> io::Result<()> {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return write!(output, "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n");
        }
        let with_body = request.method == "GET";
        match self.find(&request.path) {
            Ok(Body::Text(kind, text)) => {
                write!(
                    output,
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
                    text.len()
                )?;
                output.write_all(if with_body { &text } else { &[] })
            }
            Ok(Body::Archive(path, size)) => {
                write!(
                    output,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/x-nix-nar\r\ncontent-length: {size}\r\n\r\n"
                )?;
                match with_body {
                    true => nar::dump_path(&self.store.physical(&path), output).map_err(io::Error::other),
                    false => Ok(()),
                }
            }
            Ok(Body::NotFound) => write!(output, "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
            Err(_) => write!(output, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"),
        }
    }

    fn find(&self, path: &str) -> Result<Body, StoreError> {
        let path = path.trim_start_matches('/');
        if path == DESCRIPTION {
            let text = format!("StoreDir: {}\nWantMassQuery: 1\nPriority: {}\n", store_dir(), self.priority);
            return Ok(Body::Text("text/x-nix-cache-info", text.into()));
        }
        if let Some(hash_part) = path.strip_suffix(".narinfo") {
            return self.narinfo(hash_part);
        }
        if let Some(hash_part) = path.strip_suffix(".ls") {
            let Some(path) = self.store.find_by_hash_part(hash_part)? else { return Ok(Body::NotFound) };
            let mut everything = everything;
            let text = listing::file(&mut Walker::new(&self.store.physical(&path), &mut everything))?;
            return Ok(Body::Text("application/json", text.into()));
        }
        if let Some(base_name) = path.strip_prefix("log/") {
            let log = StorePath::from_base_name(base_name).ok().map(|drv| self.store.read_log(&drv));
            return Ok(log
                .transpose()?
                .flatten()
                .map_or(Body::NotFound, |log| Body::Text("text/plain", log)));
        }
        if let Some(file) = path.strip_prefix("realisations/") {
            return file.strip_suffix(".doi").map_or(Ok(Body::NotFound), |id| self.realisation(id));
        }
        if let Some(rest) = path.strip_prefix("nar/") {
            return self.archive(rest.strip_suffix(".nar").unwrap_or(rest));
        }
        Ok(Body::NotFound)
    }

    fn narinfo(&self, hash_part: &str) -> Result<Body, StoreError> {
        let Some(path) = self.store.find_by_hash_part(hash_part)? else { return Ok(Body::NotFound) };
        self.store.pin([&path])?;
        let Some(info) = self.store.info(&path)? else { return Ok(Body::NotFound) };
        let fingerprint = info.fingerprint();
        let mut signatures = info.signatures;
        signatures.extend(self.keys.iter().map(|key| key.sign(fingerprint.as_bytes())));
        let narinfo = NarInfo {
            url: format!("nar/{hash_part}-{}.nar", info.nar_hash.to_nix32()),
            path,
            compression: "none".to_owned(),
            file_hash: Some(info.nar_hash),
            file_size: Some(info.nar_size),
            nar_hash: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references,
            deriver: info.deriver,
            signatures,
            content_address: info.content_address,
        };
        Ok(Body::Text("text/x-nix-narinfo", narinfo.to_string().into()))
    }

    /// The archive called `HASH_PART-NAR_HASH`, as [`Server::narinfo`] says.
    fn archive(&self, name: &str) -> Result<Body, StoreError> {
        let Some((hash_part, nar_hash)) = name.split_once('-') else { return Ok(Body::NotFound) };
        let Some(path) = self.store.find_by_hash_part(hash_part)? else { return Ok(Body::NotFound) };
        self.store.pin([&path])?;
        Ok(match self.store.info(&path)? {
            Some(info) if info.nar_hash.to_nix32() == nar_hash => Body::Archive(path, info.nar_size),
            _ => Body::NotFound,
        })
    }

    /// What an output was built to, for `ID.doi`.
    fn realisation(&self, id: &str) -> Result<Body, StoreError> {
        let mut known = self.realisations.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.by_id.contains_key(id) && known.read.is_none_or(|read| read.elapsed() > REREAD) {
            known.by_id = self.read_realisations()?;
            known.read = Some(Instant::now());
        }
        let Some(mut realisation) = known.by_id.get(id).cloned() else { return Ok(Body::NotFound) };
        drop(known);
        self.store.pin([&realisation.path])?;
        if !self.store.is_valid(&realisation.path)? {
            return Ok(Body::NotFound);
        }
        self.keys.iter().for_each(|key| realisation.sign(key));
        Ok(Body::Text("application/json", realisation.to_json().into()))
    }

    /// By id, all realisations of derivations that are still here.
    fn read_realisations(&self) -> Result<HashMap<String, CachedRealisation>, StoreError> {
        let hashes = HashCache::new(|path: &StorePath| self.store.read_derivation(path));
        let mut by_id = HashMap::new();
        for Realisation { drv, output, path } in self.store.all_realisations()? {
            let Ok(derivation) = self.store.derivation(&drv) else { continue };
            let Ok(hash) = derivation.realisation_hash(&hashes) else { continue };
            let realisation = CachedRealisation::new(&hash, &output, path);
            by_id.insert(realisation.id.clone(), realisation);
        }
        Ok(by_id)
    }
}

/// Realisations by their ids, which only their derivations tell.
#[derive(Default)]
struct Realisations {
    by_id: HashMap<String, CachedRealisation>,
    read: Option<Instant>,
}

/// How soon what is not known is looked for again.
const REREAD: Duration = Duration::from_secs(5);

struct Request {
    method: String,
    /// Without what follows `?`.
    path: String,
    /// Whether the connection ends after it.
    is_last: bool,
}

impl Request {
    fn parse(head: &[u8]) -> Option<Request> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        request.parse(head).ok().filter(|status| status.is_complete())?;
        let is_close = |header: &&mut httparse::Header<'_>| {
            header.name.eq_ignore_ascii_case("connection") && header.value.eq_ignore_ascii_case(b"close")
        };
        let path = request.path?;
        Some(Request {
            method: request.method?.to_owned(),
            path: path.split('?').next().unwrap_or(path).replace("%21", "!"),
            is_last: request.version == Some(0) || request.headers.iter_mut().any(|header| is_close(&header)),
        })
    }
}

/// Reads up to the empty line that ends a request's head; nothing if no further request comes.
fn read_head(input: &mut impl BufRead, cancellation: &Cancellation) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    let mut waited = Duration::ZERO;
    loop {
        let room = MAX_HEAD - head.len() as u64;
        match input.by_ref().take(room).read_until(b'\n', &mut head) {
            Ok(0) => return Ok(None),
            Ok(_) if head.ends_with(b"\r\n\r\n") => return Ok(Some(head)),
            Ok(_) => (),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                waited += Duration::from_millis(500);
                if cancellation.is_cancelled() || waited >= IDLE {
                    return Ok(None);
                }
            }
            Err(error) => return Err(error),
        }
    }
}
