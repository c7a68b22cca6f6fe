//! The certificates that this machine trusts to vouch for a server.

use std::path::Path;
use std::sync::OnceLock;

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use ureq::tls::{Certificate, RootCerts};

/// Nix's name for the file of certificates, before the usual `SSL_CERT_FILE` and `SSL_CERT_DIR`.
const NIX_VARIABLE: &str = "NIX_SSL_CERT_FILE";

/// The trusted certificates, or what to do for lack of any. Read once.
pub(super) fn roots() -> Result<RootCerts, String> {
    static ROOTS: OnceLock<Result<RootCerts, String>> = OnceLock::new();
    ROOTS.get_or_init(load).clone()
}

fn load() -> Result<RootCerts, String> {
    let found = match std::env::var_os(NIX_VARIABLE).filter(|path| Path::new(path).is_file()) {
        Some(path) => load_certs_from_paths(Some(Path::new(&path)), None),
        None => load_native_certs(),
    };
    let CertificateResult { certs, errors, .. } = found;
    if certs.is_empty() {
        let errors: String = errors.iter().map(|error| format!(" ({error})")).collect();
        return Err(format!(
            "this machine has no certificates to check https servers with{errors}: install the package ca-certificates, \
             or set SSL_CERT_FILE to a file of certificates in PEM format"
        ));
    }
    let certificates: Vec<_> = certs.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    Ok(RootCerts::new_with_certs(&certificates))
}
