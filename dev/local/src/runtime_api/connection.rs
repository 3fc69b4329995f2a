//! A client's connection that can be cut where hyper would end the response properly.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Cuts a [`Connection`] as soon as all that was written before is out.
#[derive(Clone, Default)]
pub(super) struct Knife(Arc<AtomicU8>);

const FIN: u8 = 1;
const RST: u8 = 2;

impl Knife {
    /// From now on nothing more is to be written; the next flush is the connection's end.
    pub(super) fn cut(&self, reset: bool) {
        self.0
            .store(if reset { RST } else { FIN }, Ordering::Release);
    }

    pub(super) fn is_used(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}

/// hyper flushes a connection only once its own buffer is empty: an error at that moment makes it drop the connection
/// after the last byte and before anything that would end the response.
pub(super) struct Connection {
    stream: TcpStream,
    knife: Knife,
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> (Self, Knife) {
        let knife = Knife::default();
        (
            Self {
                stream,
                knife: knife.clone(),
            },
            knife,
        )
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.knife.0.load(Ordering::Acquire) {
            0 => Pin::new(&mut self.stream).poll_flush(cx),
            how => {
                if how == RST {
                    self.stream.set_zero_linger()?;
                }
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
