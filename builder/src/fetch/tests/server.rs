//! An HTTP server that does as a test says, also what a good one would not do.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Answers every connection's one request with the bytes that the handler gives, and closes it. Ends when dropped.
pub struct Server {
    address: String,
    stop: Arc<AtomicBool>,
    requests: Arc<Mutex<Vec<Request>>>,
    thread: Option<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// How many came before.
    pub number: usize,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte of the range asked for.
    pub fn start(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        range.map_or(0, |start| start.parse().unwrap())
    }
}

impl Server {
    pub fn new(handler: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (stopped, seen, handler) = (Arc::clone(&stop), Arc::clone(&requests), Arc::new(handler));
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (mut stream, seen, handler) = (stream.unwrap(), Arc::clone(&seen), Arc::clone(&handler));
                thread::spawn(move || {
                    let Some(mut request) = read(&stream) else { return };
                    {
                        let mut seen: std::sync::MutexGuard<'_, Vec<Request>> = seen.lock().unwrap();
                        request.number = seen.len();
                        seen.push(request.clone());
                    }
                    handler(&request, &mut stream);
                });
            }
        });
        Server { address, stop, requests, thread: Some(thread) }
    }

    /// Serves `content` at every path, and ranges of it.
    pub fn of(content: &'static [u8]) -> Server {
        Server::new(move |request, stream| send(stream, request.start(), content, content.len()))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        let (key, value) = line.split_once(':')?;
        headers.push((key.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Request { path, headers, number: 0 })
}

/// Answers with `content` from byte `start` on, but breaks off before byte `end`.
pub fn send(stream: &mut TcpStream, start: usize, content: &[u8], end: usize) {
    let size = content.len();
    let head = match start {
        0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"),
        _ if start >= size => {
            let range = format!("Content-Range: bytes */{size}\r\n");
            format!(
                "HTTP/1.1 416 Range Not Satisfiable\r\n{range}Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
        }
        _ => format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{size}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            size - 1,
            size - start
        ),
    };
    // The client may have hung up.
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(content.get(start..end).unwrap_or_default());
}

/// Answers with a status alone.
pub fn status(stream: &mut TcpStream, line: &str) {
    let _ = write!(stream, "HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}
