//! The port of the Function URL, which can refuse connections.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{Shutdown, shutdown};
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
    /// The listener's socket, for [`close`](Self::close).
    listening: Option<OwnedFd>,
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
            listening: None,
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
            self.listening = Some(listener.as_fd().try_clone_to_owned()?);
            self.acceptor.spawn(listen(listener));
        }
        Ok(())
    }

    /// Returns once connections are refused.
    pub(crate) async fn close(&mut self) {
        // A child process that another thread starts right now holds a copy of the socket until it calls exec. If the socket were
        // only closed here, that copy would go on listening for a moment. A shutdown ends listening for every copy.
        if let Some(socket) = self.listening.take() {
            // It fails if the socket does not listen any more, and then there is nothing to end.
            let _ = shutdown(&socket, Shutdown::Both);
        }
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
    use std::net::{TcpListener, TcpStream};
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

    #[test]
    fn a_copy_of_the_socket_in_another_process_listens_no_more() {
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let mut port = Port::new().unwrap();
        runtime.block_on(async {
            let listen = |listener: tokio::net::TcpListener| async move {
                let _accepted = listener.accept().await;
            };
            port.open(listen).unwrap();
            let copy = port.listening.as_ref().unwrap().try_clone().unwrap();
            port.close().await;
            assert!(TcpStream::connect(port.address).is_err());
            drop(copy);
            port.open(listen).unwrap();
            assert!(TcpStream::connect(port.address).is_ok());
        });
    }
}
