//! Which proxy the environment names for an address.
//!
//! Variables as curl has them: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in lower or upper case.

use ureq::{Proxy, ProxyProtocol};

/// The proxy for addresses of `scheme` (`http` or `https`), if any; an error if the variable's value is none.
pub(super) fn of_environment(scheme: &str) -> Result<Option<Proxy>, String> {
    select(scheme, |name| std::env::var(name).ok())
}

fn select(scheme: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    let lookup = |name: &str| {
        let names = [name.to_owned(), name.to_ascii_uppercase()];
        names.into_iter().find_map(|name| Some((variable(&name).filter(|value| !value.is_empty())?, name)))
    };
    let found = lookup(&format!("{scheme}_proxy")).or_else(|| lookup("all_proxy"));
    let Some((value, name)) = found else { return Ok(None) };
    let malformed = || format!("the variable {name} does not name a proxy such as http://HOST:PORT");
    let parsed = Proxy::new(&value).map_err(|_| malformed())?;
    let mut builder = Proxy::builder(parsed.protocol()).host(parsed.host()).port(parsed.port());
    if let Some(user) = parsed.username() {
        builder = builder.username(user);
    }
    if let Some(password) = parsed.password() {
        builder = builder.password(password);
    }
    for host in lookup("no_proxy").map(|(value, _)| value).unwrap_or_default().split(',') {
        let host = host.trim();
        builder = builder.no_proxy(host);
        // For curl and others `example.org` also means its subdomains.
        if !host.is_empty() && !host.starts_with(['.', '*']) {
            builder = builder.no_proxy(&format!(".{host}"));
        }
    }
    // A proxy elsewhere does not reach this machine's own servers.
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        builder = builder.no_proxy(host);
    }
    // With SOCKS the proxy looks names up, as it may know more of them.
    builder = builder.resolve_target(matches!(parsed.protocol(), ProxyProtocol::Socks4));
    builder.build().map(Some).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(scheme: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Ok(select(scheme, variable)?.map(|proxy| format!("{}:{}", proxy.host(), proxy.port())))
    }

    #[test]
    fn the_scheme_decides_then_all_proxy() {
        let both =
            [("http_proxy", "http://p.example.org:3128"), ("HTTPS_PROXY", "http://s.example.org:3129")];
        assert_eq!(chosen("http", &both), Ok(Some("p.example.org:3128".to_owned())));
        assert_eq!(chosen("https", &both), Ok(Some("s.example.org:3129".to_owned())));
        let all = [("http_proxy", ""), ("all_proxy", "socks5://a.example.org:1080")];
        assert_eq!(chosen("http", &all), Ok(Some("a.example.org:1080".to_owned())));
        assert_eq!(chosen("http", &[]), Ok(None));
        assert_eq!(
            chosen("http", &[("http_proxy", "p.example.org:80")]),
            Ok(Some("p.example.org:80".to_owned()))
        );
        let error = chosen("http", &[("http_proxy", "ftp://p.example.org")]).unwrap_err();
        assert!(error.contains("http_proxy"), "{error}");
    }
}
