//! Looks up the addresses of a host without the C library.
//!
//! In a static binary, glibc's own look-up loads shared libraries of the machine (as `/etc/nsswitch.conf` says), which need not fit
//! it and may crash it. So there, this reads `/etc/hosts` and asks the name servers of `/etc/resolv.conf` (resolv.conf(5)).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::dns::{self, Answer, Family};

const HOSTS: &str = "/etc/hosts";
const CONFIGURATION: &str = "/etc/resolv.conf";
const PORT: u16 = 53;
const MAX_SERVERS: usize = 3;
/// Larger than what a server sends without being told that it may.
const DATAGRAM: usize = 4096;

/// Why a host has no address.
#[derive(Debug)]
pub(super) enum LookupError {
    NoSuchHost,
    /// No server answered, or none that could.
    Failed(io::Error),
}

/// What `/etc/resolv.conf` says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Configuration {
    servers: Vec<SocketAddr>,
    /// Domains that names are looked up in which have fewer dots than `dots`.
    search: Vec<String>,
    dots: usize,
    timeout: Duration,
    attempts: usize,
}

/// The addresses of `host`, IPv4 ones first.
pub(super) fn lookup(host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = literal.parse() {
        return Ok(vec![address]);
    }
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let known = in_hosts(&std::fs::read_to_string(HOSTS).unwrap_or_default(), &host);
    if !known.is_empty() {
        return Ok(known);
    }
    // RFC 6761: these never go to a server.
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let configuration = Configuration::parse(&std::fs::read_to_string(CONFIGURATION).unwrap_or_default());
    configuration.lookup(&host)
}

/// The addresses that a text like `/etc/hosts` has for `host`.
fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
        if words.any(|name| name.eq_ignore_ascii_case(host)) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses
}

impl Configuration {
    fn parse(text: &str) -> Configuration {
        let mut configuration = Configuration {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(3),
            attempts: 2,
        };
        for line in text.lines() {
            let mut words = line.split(['#', ';']).next().unwrap_or_default().split_whitespace();
            match words.next() {
                Some("nameserver") => configuration.servers.extend(words.next().and_then(server)),
                Some("domain" | "search") => configuration.search = words.map(str::to_owned).collect(),
                Some("options") => words.for_each(|option| configuration.set(option)),
                _ => {}
            }
        }
        configuration.servers.truncate(MAX_SERVERS);
        if configuration.servers.is_empty() {
            configuration.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        configuration
    }

    fn set(&mut self, option: &str) {
        let Some((name, Ok(value))) = option.split_once(':').map(|(name, value)| (name, value.parse::<u8>()))
        else {
            return;
        };
        match name {
            "ndots" => self.dots = value.min(15).into(),
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5).into(),
            _ => {}
        }
    }

    /// The full names that `host` may stand for, in the order to try.
    fn names(&self, host: &str) -> Vec<String> {
        let mut names: Vec<String> = self.search.iter().map(|domain| format!("{host}.{domain}")).collect();
        let at = if host.matches('.').count() >= self.dots { 0 } else { names.len() };
        names.insert(at, host.to_owned());
        names
    }

    fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, LookupError> {
        let mut failure = None;
        for name in self.names(host) {
            let mut addresses = Vec::new();
            for family in [Family::V4, Family::V6] {
                match self.ask_servers(&name, family) {
                    Ok(found) => addresses.extend(found),
                    Err(LookupError::NoSuchHost) => break,
                    // That a server is silent about one family need not keep us from the other.
                    Err(LookupError::Failed(error)) => failure = Some(error),
                }
            }
            if !addresses.is_empty() {
                return Ok(addresses);
            }
        }
        Err(failure.map_or(LookupError::NoSuchHost, LookupError::Failed))
    }

    fn ask_servers(&self, name: &str, family: Family) -> Result<Vec<IpAddr>, LookupError> {
        let mut failure = io::Error::new(io::ErrorKind::TimedOut, "no name server answers");
        for server in (0..self.attempts).flat_map(|_| &self.servers) {
            match self.ask(*server, name, family) {
                Ok(Answer::Addresses(addresses)) => return Ok(addresses),
                Ok(Answer::NoSuchHost) => return Err(LookupError::NoSuchHost),
                Ok(Answer::Failed(code)) => {
                    failure = io::Error::other(format!("the name server {server} fails with code {code}"));
                }
                Ok(Answer::CutShort) => failure = io::Error::other("the name server's answer is too long"),
                Err(error) => {
                    failure = io::Error::new(error.kind(), format!("the name server {server}: {error}"))
                }
            }
        }
        Err(LookupError::Failed(failure))
    }

    /// Asks one server, by a datagram, and over TCP if the answer does not fit into one.
    fn ask(&self, server: SocketAddr, name: &str, family: Family) -> io::Result<Answer> {
        let Some(question) = dns::question(random_id(), name, family) else { return Ok(Answer::NoSuchHost) };
        match self.ask_by_datagram(server, &question, family)? {
            Answer::CutShort => self.ask_over_tcp(server, &question, family),
            answer => Ok(answer),
        }
    }

    fn ask_by_datagram(&self, server: SocketAddr, question: &[u8], family: Family) -> io::Result<Answer> {
        let any: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server)?;
        socket.send(question)?;
        let deadline = Instant::now() + self.timeout;
        let mut buffer = [0; DATAGRAM];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer"));
            }
            socket.set_read_timeout(Some(left))?;
            let length = match socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            };
            // Others may send datagrams too; only an answer to the question counts.
            if let Some(answer) = dns::read_answer(&buffer[..length], question, family) {
                return Ok(answer);
            }
        }
    }

    fn ask_over_tcp(&self, server: SocketAddr, question: &[u8], family: Family) -> io::Result<Answer> {
        let mut stream = TcpStream::connect_timeout(&server, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        let length = u16::try_from(question.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), question].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message)?;
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "a malformed answer");
        dns::read_answer(&message, question, family).ok_or_else(malformed)
    }
}

fn server(text: &str) -> Option<SocketAddr> {
    // A scope such as fe80::1%eth0 needs an interface's number, which a name server seldom has.
    let address: IpAddr = text.parse().ok()?;
    Some((address, PORT).into())
}

/// Hard to guess, so that nobody can answer in the server's stead.
fn random_id() -> u16 {
    let [low, high, ..] = RandomState::new().build_hasher().finish().to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn hosts_files() {
        let text =
            "127.0.0.1\tlocalhost\n# 192.0.2.9 a\n::1 a b\n192.0.2.1  b  a # c\nrubbish a\n192.0.2.1 a\n";
        let found = |host| in_hosts(text, host).iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(found("a"), ["192.0.2.1", "::1"]);
        assert_eq!(found("LOCALHOST"), ["127.0.0.1"]);
        assert!(found("c").is_empty());
    }

    #[test]
    fn configurations() {
        let text = "# c\ndomain old.example\nsearch a.example b.example\nnameserver 192.0.2.1\nnameserver 2001:db8::1 ; c\n\
                    nameserver bad\noptions ndots:2 timeout:1 attempts:0 rotate\n";
        let configuration = Configuration::parse(text);
        let servers: Vec<String> = configuration.servers.iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert_eq!((configuration.dots, configuration.timeout.as_secs(), configuration.attempts), (2, 1, 1));
        assert_eq!(configuration.names("x.y"), ["x.y.a.example", "x.y.b.example", "x.y"]);
        assert_eq!(configuration.names("x.y.z"), ["x.y.z", "x.y.z.a.example", "x.y.z.b.example"]);
        assert_eq!(Configuration::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }

    #[test]
    fn addresses_are_their_own() {
        assert_eq!(lookup("192.0.2.7").unwrap(), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(lookup("[::1]").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert!(lookup("x.localhost").unwrap().contains(&Ipv4Addr::LOCALHOST.into()));
    }

    fn configuration(servers: Vec<SocketAddr>) -> Configuration {
        Configuration {
            servers,
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_millis(300),
            attempts: 2,
        }
    }

    /// `question` answered with flags and, if it asks for IPv4, one address.
    fn answer(question: &[u8], flags: u8) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2] = 0x80 | flags;
        if question[question.len() - 3] == 1 && flags == 0 {
            message[7] = 1;
            message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 5]);
        }
        message
    }

    #[test]
    fn silent_servers_are_passed_over_and_long_answers_come_over_tcp() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(server).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                // Rubbish first, then that the answer is cut short, for each family.
                for _ in 0..2 {
                    let mut buffer = [0; 512];
                    let (length, from) = udp.recv_from(&mut buffer).unwrap();
                    udp.send_to(b"rubbish", from).unwrap();
                    udp.send_to(&answer(&buffer[..length], 2), from).unwrap();
                    let mut stream = tcp.accept().unwrap().0;
                    let mut question = vec![0; length + 2];
                    stream.read_exact(&mut question).unwrap();
                    let message = answer(&question[2..], 0);
                    stream.write_all(&(message.len() as u16).to_be_bytes()).unwrap();
                    stream.write_all(&message).unwrap();
                }
            });
            let found =
                configuration(vec![silent.local_addr().unwrap(), server]).lookup("a.example").unwrap();
            assert_eq!(found, ["192.0.2.5".parse::<IpAddr>().unwrap()]);
        });
    }

    #[test]
    fn without_an_answer_the_server_is_named() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let Err(LookupError::Failed(error)) = configuration(vec![address]).lookup("a.example") else {
            panic!("found")
        };
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
