//! Whether clients can connect.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// One port, listened on or not, and kept in either case.
pub(super) struct Gate {
    pub(super) address: SocketAddr,
    /// The task that accepts clients. Dropped, it is aborted.
    listening: JoinSet<()>,
    /// Where there is none: a socket that is bound and does not listen, and so refuses connections.
    held: Option<TcpSocket>,
}

impl Gate {
    /// Takes any free port of 127.0.0.1, and refuses connections to it.
    pub(super) fn new() -> io::Result<Self> {
        let socket = bound(([127, 0, 0, 1], 0).into())?;
        Ok(Self {
            address: socket.local_addr()?,
            listening: JoinSet::new(),
            held: Some(socket),
        })
    }

    /// Hands the clients to `listen`, unless another has them.
    pub(super) fn open<F>(&mut self, listen: impl FnOnce(TcpListener) -> F) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(socket) = self.held.take() {
            self.listening.spawn(listen(socket.listen(BACKLOG)?));
        }
        Ok(())
    }

    /// Returns once connections are refused.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        self.listening.shutdown().await;
        if self.held.is_none() {
            self.held = Some(bound(self.address)?);
        }
        Ok(())
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Connections that were open on the port linger for a minute.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
