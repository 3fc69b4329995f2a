//! TLS in front of the embedded DynamoDB, with a chain like DynamoDB's: an RSA-2048 leaf, and an intermediate.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize,
};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::Result;

/// Where distributions keep the certificates that a machine trusts: Debian, Amazon Linux.
const BUNDLES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// A TLS front. A drop stops it.
pub(super) struct Front {
    pub url: String,
    /// The authority alone.
    pub authority: PathBuf,
    /// The machine's authorities and this one, because a process parses all of them.
    pub bundle: PathBuf,
    _server: JoinSet<()>,
}

impl Front {
    /// Decrypts what arrives and forwards it to an address. The files are written into a folder.
    pub(super) async fn start(to: SocketAddr, folder: &Path) -> Result<Self> {
        let root_key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
        let root = authority("Bench root");
        let certificate = root.self_signed(&root_key)?;
        let root = Issuer::new(root, root_key);
        let config = server(&root)?;
        let (alone, bundle) = (folder.join("authority.pem"), folder.join("bundle.pem"));
        fs::write(&alone, certificate.pem())?;
        let machine = BUNDLES
            .iter()
            .find_map(|path| fs::read_to_string(path).ok());
        let all = machine.unwrap_or_default() + &certificate.pem();
        fs::write(&bundle, all)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("https://localhost:{}", listener.local_addr()?.port());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), to));
        Ok(Self {
            url,
            authority: alone,
            bundle,
            _server: tasks,
        })
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn server(root: &Issuer<'_, KeyPair>) -> Result<ServerConfig> {
    let key = || KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048);
    let (middle_key, leaf_key) = (key()?, key()?);
    let middle = authority("Bench intermediate");
    let middle_certificate = middle.signed_by(&middle_key, root)?;
    let middle = Issuer::new(middle, middle_key);
    let leaf = CertificateParams::new(["localhost".to_owned()])?.signed_by(&leaf_key, &middle)?;
    let chain = vec![leaf.into(), middle_certificate.into()];
    let leaf_key = PrivateKeyDer::try_from(leaf_key.serialize_der())?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, leaf_key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, to: SocketAddr) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            let _ = stream.set_nodelay(true);
            // A connection that fails is noticed by the process that made it.
            let Ok(mut inside) = acceptor.accept(stream).await else {
                return;
            };
            if let Ok(mut database) = TcpStream::connect(to).await {
                let _ = database.set_nodelay(true);
                let _ = copy_bidirectional(&mut inside, &mut database).await;
            }
        });
    }
}
