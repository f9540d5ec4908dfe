//! An engine that is reached over TLS: a proxy before the local one, which asks for a certificate of the client.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::support::{PLANTED, SOCKET, engine, exitone, load_planted};

/// A certificate authority.
struct Authority(Issuer<'static, KeyPair>, rcgen::Certificate);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let cert = params.self_signed(&key).expect("signed");
        Self(Issuer::new(params, key), cert)
    }

    fn certificate(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        (params.signed_by(&key, &self.0).expect("signed"), key)
    }

    /// The files of a client, as `DOCKER_CERT_PATH` has them.
    fn client(&self, folder: &Path) {
        let (cert, key) = self.certificate();
        for (name, text) in [("ca.pem", self.1.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())] {
            std::fs::write(folder.join(name), text).expect("written");
        }
    }

    fn server(&self) -> TlsAcceptor {
        let provider = Arc::new(default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.1.der().clone()).expect("a root");
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let (cert, key) = self.certificate();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(clients.build().expect("a verifier"))
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("a certificate");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Passes everything on to the engine; ends with the test.
async fn proxy(acceptor: TlsAcceptor) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut engine = UnixStream::connect(SOCKET).await.expect("the engine");
                let _ = tokio::io::copy_bidirectional(&mut client, &mut engine).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn engine_is_reached_over_tls() {
    let Some((engine, _one)) = engine().await else { return };
    if !Path::new(SOCKET).exists() {
        eprintln!("skipped: no {SOCKET}");
        return;
    }
    load_planted(engine.as_ref()).await;
    let authority = Authority::new();
    let address = proxy(authority.server()).await;
    let service = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(service.path(), "port: 8000\nstart_command: /planted serve 0.0.0.0 8000\n").expect("written");
    let run = async |certificates: &Path| {
        let mut command = exitone();
        command.args(["run", "--image", PLANTED, "--service"]).arg(service.path());
        command.env("DOCKER_HOST", &address).env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", certificates);
        tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("ended")
    };
    let ours = tempfile::tempdir().expect("a folder");
    authority.client(ours.path());
    let output = run(ours.path()).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let others = tempfile::tempdir().expect("a folder");
    Authority::new().client(others.path());
    let output = run(others.path()).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("invalid peer certificate"), "{said}");
    assert!(!output.status.success() && !said.contains("panicked"), "{said}");

    let output = run(&ours.path().join("nothing")).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("nothing/key.pem") || said.contains("nothing/ca.pem"), "{said}");
}
