//! The session's certificate authority, which signs any name that a candidate connects to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;

/// The first byte of a TLS handshake record (RFC 8446, 5.1).
pub(crate) const TLS_HANDSHAKE: u8 = 0x16;

/// A certificate and its key, PEM. The key is never shown.
#[derive(Clone)]
pub(crate) struct Pair {
    /// The certificate.
    pub(crate) cert: String,
    /// The key.
    pub(crate) key: String,
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "exitone simulated internet");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Creates the authority of a session.
///
/// # Errors
/// When the system's random number generator fails.
pub(crate) fn new_authority() -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let cert = ca_params().self_signed(&key)?;
    Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
}

/// Signs one server certificate per name, on first use.
pub(crate) struct Signer {
    issuer: Issuer<'static, KeyPair>,
    configs: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl Signer {
    /// A signer with the session's key.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub(crate) fn new(ca_key: &str) -> Result<Self, rcgen::Error> {
        let issuer = Issuer::new(ca_params(), KeyPair::from_pem(ca_key)?);
        Ok(Self { issuer, configs: Mutex::default() })
    }

    /// The TLS configuration of a server of this name (or address).
    ///
    /// # Errors
    /// When a certificate cannot contain the name.
    pub(crate) fn config_for(&self, name: &str) -> Result<Arc<ServerConfig>, String> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(name) {
            return Ok(config.clone());
        }
        let config = Arc::new(self.sign(name)?);
        configs.insert(name.to_owned(), config.clone());
        Ok(config)
    }

    /// Accepts a TLS handshake as the server that the client names, else as `name`. `None` if the client does not finish it.
    pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: &str,
    ) -> Option<TlsStream<S>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.ok()?;
        let config = self.config_for(start.client_hello().server_name().unwrap_or(name)).ok()?;
        start.into_stream(config).await.ok()
    }

    fn sign(&self, name: &str) -> Result<ServerConfig, String> {
        let key = KeyPair::generate().map_err(|e| e.to_string())?;
        let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|e| e.to_string())?;
        params.distinguished_name.push(DnType::CommonName, "exitone stub");
        params.use_authority_key_identifier_extension = true;
        let cert = params.signed_by(&key, &self.issuer).map_err(|e| e.to_string())?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // No ALPN: clients that offer more than HTTP/1.1 still get HTTP/1.1.
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_each_name_once() {
        let pair = new_authority().expect("an authority");
        assert!(pair.cert.contains("BEGIN CERTIFICATE"));
        let signer = Signer::new(&pair.key).expect("a signer");
        let first = signer.config_for("verify.twilio.com").expect("signed");
        assert!(Arc::ptr_eq(&first, &signer.config_for("verify.twilio.com").expect("signed")));
        assert!(signer.config_for("198.18.0.1").is_ok());
    }
}
