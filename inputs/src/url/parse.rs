//! Reading addresses.

use std::collections::BTreeMap;

use super::{
    Authority, Url,
    encode::{decode, is_unreserved, is_well_encoded, percent_decode},
};
use crate::error::{InputError, Result};

/// What older versions of Nix let stand unencoded in a query, and in a fragment.
const EXTRA_IN_QUERY: &str = " \"";
const EXTRA_IN_FRAGMENT: &str = " \"^";

fn is_sub_delimiter(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte) || is_sub_delimiter(byte) || b":@%".contains(&byte)
}

/// Whether a text consists of such characters only, every `%` beginning an encoded byte.
fn consists_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(allowed) && is_well_encoded(text)
}

fn invalid(text: &str, why: &str) -> InputError {
    InputError::bad_url(format!("'{text}' is not a valid URL: {why}"))
}

/// Reads an address. A lenient reader takes some characters unencoded, as older versions of Nix did. `warn` is told of
/// parts that are passed over.
pub fn parse(text: &str, lenient: bool, warn: &mut dyn FnMut(String)) -> Result<Url> {
    let (rest, fragment) = match text.split_once('#') {
        Some((rest, fragment)) => (rest, Some(fragment)),
        None => (text, None),
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let fragment = encode_extra(fragment.unwrap_or_default(), EXTRA_IN_FRAGMENT, lenient);
    let query = encode_extra(query.unwrap_or_default(), EXTRA_IN_QUERY, lenient);
    let Some((scheme, rest)) = split_scheme(rest) else {
        return Err(InputError::bad_url(format!("'{text}' doesn't have a scheme")));
    };
    let (authority, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, rest),
    };
    if !consists_of(path, |byte| is_path_character(byte) || byte == b'/') {
        return Err(invalid(text, "leftover"));
    }
    if !consists_of(&query, |byte| is_path_character(byte) || b"/?[]".contains(&byte))
        || !consists_of(&fragment, |byte| is_path_character(byte) || b"/?".contains(&byte))
    {
        return Err(invalid(text, "leftover"));
    }
    let authority = authority.map(|authority| parse_authority(authority, text)).transpose()?;
    let mut url = Url { scheme: scheme.to_owned(), authority, fragment: decode(&fragment), ..Url::default() };
    let is_file = url.split_scheme().1 == "file";
    if let Some(authority) = url.authority.as_ref().filter(|authority| is_file && !authority.host.is_empty())
    {
        return Err(InputError::bad_url(format!(
            "file:// URL '{text}' has unexpected authority '{authority}'"
        )));
    }
    let path = if is_file && path.is_empty() { "/" } else { path };
    url.path = path.split('/').map(decode).collect();
    url.query = decode_query(&query, false, warn)?;
    Ok(url)
}

fn encode_extra(text: &str, extra: &str, lenient: bool) -> String {
    if !lenient {
        return text.to_owned();
    }
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        match extra.contains(character) {
            true => encoded.push_str(&format!("%{:02X}", u32::from(character))),
            false => encoded.push(character),
        }
    }
    encoded
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let mut bytes = scheme.bytes();
    let is_scheme = bytes.next()?.is_ascii_alphabetic()
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

fn parse_authority(text: &str, url: &str) -> Result<Authority> {
    let (user_info, host_port) = match text.rsplit_once('@') {
        Some((user_info, host_port)) => (Some(user_info), host_port),
        None => (None, text),
    };
    let mut authority = Authority::default();
    if let Some(user_info) = user_info {
        let allowed = |byte: u8| is_unreserved(byte) || is_sub_delimiter(byte) || b":%".contains(&byte);
        if !consists_of(user_info, allowed) {
            return Err(invalid(url, "leftover"));
        }
        let (user, password) = match user_info.split_once(':') {
            Some((user, password)) => (user, Some(decode(password))),
            None => (user_info, None),
        };
        authority.user = Some(decode(user));
        authority.password = password;
    }
    let port = match host_port.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or_else(|| invalid(url, "leftover"))?;
            if !consists_of(host, is_path_character) || host.is_empty() {
                return Err(invalid(url, "leftover"));
            }
            authority.host = decode(host);
            authority.is_ipv6 = true;
            match port {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or_else(|| invalid(url, "leftover"))?),
            }
        }
        None => {
            let (host, port) = match host_port.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host_port, None),
            };
            let allowed = |byte: u8| is_unreserved(byte) || is_sub_delimiter(byte) || byte == b'%';
            if !consists_of(host, allowed) {
                return Err(invalid(url, "leftover"));
            }
            authority.host = decode(host);
            port
        }
    };
    authority.port = match port {
        None | Some("") => None,
        Some(port) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(invalid(url, "leftover"));
        }
        Some(port) => {
            let number = port.parse().ok().filter(|&number: &u16| number > 0);
            Some(number.ok_or_else(|| InputError::bad_url(format!("port '{port}' is invalid")))?)
        }
    };
    Ok(authority)
}

/// Reads `a=b&c=d`; the first of several values counts.
pub fn decode_query(
    query: &str,
    lenient: bool,
    warn: &mut dyn FnMut(String),
) -> Result<BTreeMap<String, String>> {
    let encoded = encode_extra(query, EXTRA_IN_QUERY, lenient);
    if !consists_of(&encoded, |byte| is_path_character(byte) || b"/?[]".contains(&byte)) {
        return Err(InputError::bad_url(format!("invalid URI query '{query}': leftover")));
    }
    let mut values = BTreeMap::new();
    for parameter in encoded.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some((name, value)) => {
                values.entry(percent_decode(name)?).or_insert(percent_decode(value)?);
            }
            None => {
                warn(format!("dubious URI query '{parameter}' is missing equal sign '=', ignoring"));
            }
        }
    }
    Ok(values)
}
