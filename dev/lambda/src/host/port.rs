//! The port of the Function URL, which can refuse connections.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpSocket},
    task::JoinSet,
};

const BACKLOG: u32 = 1024;

/// One port. No other process can take it, also while nothing listens on it.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    /// The task that accepts clients. A drop aborts it.
    acceptor: JoinSet<()>,
    /// A socket that is bound and never listens. It keeps the port while one listener is gone and the next is not bound yet.
    _reservation: TcpSocket,
}

impl Port {
    /// Reserves any free port of 127.0.0.1, and refuses connections to it.
    pub(crate) fn new() -> io::Result<Self> {
        // Without SO_REUSEADDR: with it, a listener of another process could be bound beside this socket.
        let reservation = TcpSocket::new_v4()?;
        reservation.set_reuseport(true)?;
        reservation.bind(([127, 0, 0, 1], 0).into())?;
        Ok(Self {
            address: reservation.local_addr()?,
            acceptor: JoinSet::new(),
            _reservation: reservation,
        })
    }

    /// Accepts connections with `listen`, unless they are accepted already.
    pub(crate) fn open<F>(&mut self, listen: impl FnOnce(TcpListener) -> F) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.acceptor.is_empty() {
            let listener = self.bound()?.listen(BACKLOG)?;
            self.acceptor.spawn(listen(listener));
        }
        Ok(())
    }

    /// Returns once connections are refused.
    pub(crate) async fn close(&mut self) {
        self.acceptor.shutdown().await;
    }

    fn bound(&self) -> io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        // Old connections keep the port in use for a minute.
        socket.set_reuseaddr(true)?;
        // The reservation keeps it in use, too.
        socket.set_reuseport(true)?;
        socket.bind(self.address)?;
        Ok(socket)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::runtime::Builder;

    use super::Port;

    #[test]
    fn no_other_socket_can_be_bound_while_the_port_opens_and_closes() {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let mut port = Port::new().unwrap();
        let (address, done) = (port.address, AtomicBool::new(false));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let binds = std::iter::repeat_with(|| TcpListener::bind(address));
                let mut binds = binds.take_while(|_| !done.load(Ordering::Relaxed));
                binds.all(|bind| bind.is_err())
            });
            runtime.block_on(async {
                for _ in 0..1000 {
                    port.open(|listener| async move {
                        let _accepted = listener.accept().await;
                    })
                    .unwrap();
                    port.close().await;
                }
            });
            done.store(true, Ordering::Relaxed);
            assert!(other.join().unwrap());
        });
    }
}
