//! The port of the Function URL, which can refuse connections.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

const BACKLOG: u32 = 1024;

/// One port. It stays reserved if nothing listens on it.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    /// The task that accepts clients. A drop aborts it.
    acceptor: JoinSet<()>,
    /// If there is no such task: a socket that is bound and does not listen, so it refuses connections.
    reserved: Option<TcpSocket>,
}

impl Port {
    /// Reserves any free port of 127.0.0.1, and refuses connections to it.
    pub(crate) fn new() -> io::Result<Self> {
        let socket = bound(([127, 0, 0, 1], 0).into())?;
        Ok(Self {
            address: socket.local_addr()?,
            acceptor: JoinSet::new(),
            reserved: Some(socket),
        })
    }

    /// Accepts connections with `listen`, unless they are accepted already.
    pub(crate) fn open<F>(&mut self, listen: impl FnOnce(TcpListener) -> F) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(socket) = self.reserved.take() {
            self.acceptor.spawn(listen(socket.listen(BACKLOG)?));
        }
        Ok(())
    }

    /// Returns once connections are refused.
    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.acceptor.shutdown().await;
        if self.reserved.is_none() {
            self.reserved = Some(bound(self.address)?);
        }
        Ok(())
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Old connections keep the port in use for a minute.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
