//! An issuer's https server, and the authority that signs its certificate.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "test files share it; none of them uses all of it"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::NamedTempFile;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// An authority that signs the certificates of servers.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A file with its certificate, like a machine's file of trusted certificates.
    pub fn file(&self) -> NamedTempFile {
        let certificate = BASE64_STANDARD.encode(self.0.der());
        let file = NamedTempFile::new().unwrap();
        let pem =
            format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
        std::fs::write(file.path(), pem).unwrap();
        file
    }

    /// The configuration of a server whose certificate this authority signed.
    pub fn server_config(&self, name: &str, until_year: i32) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], key.into())
            .unwrap()
    }
}

/// An issuer's server. A drop stops it.
pub struct KeyServer {
    pub url: String,
    pub requests: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl KeyServer {
    pub async fn start(tls: ServerConfig, jwks: String) -> Self {
        Self::responding(tls, move |request| {
            assert_eq!(request.uri(), "/jwks.json");
            Response::new(jwks.clone())
        })
        .await
    }

    pub async fn responding(
        tls: ServerConfig,
        respond: impl Fn(&Request<Incoming>) -> Response<String> + Send + Sync + 'static,
    ) -> Self {
        let respond = Arc::new(respond);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let requests = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        let count = Arc::clone(&requests);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, respond) = (acceptor.clone(), Arc::clone(&respond));
                let count = Arc::clone(&count);
                connections.spawn(async move {
                    // A client that does not trust the certificate closes the connection.
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(|request: Request<Incoming>| {
                        count.fetch_add(1, Ordering::Relaxed);
                        let response = respond(&request);
                        async { Ok::<_, Infallible>(response) }
                    });
                    let served =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                    served.await.ok();
                });
            }
        });
        let url = format!("https://{address}/jwks.json");
        Self {
            url,
            requests,
            _tasks: tasks,
        }
    }
}
