//! A client's connection that can be cut in the middle of a response.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Cuts a [`CuttableStream`] once all that was written before is sent.
#[derive(Clone, Default)]
pub(crate) struct Cutter(Arc<AtomicU8>);

const FIN: u8 = 1;
const RST: u8 = 2;

impl Cutter {
    /// Ends the connection at the next flush. Nothing may be written after this call.
    pub(crate) fn cut(&self, reset: bool) {
        self.0
            .store(if reset { RST } else { FIN }, Ordering::Release);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}

/// hyper flushes a connection only if its own buffer is empty. An error at that moment makes hyper drop the connection after
/// the last byte and before the last chunk.
pub(crate) struct CuttableStream {
    stream: TcpStream,
    cutter: Cutter,
}

impl CuttableStream {
    pub(crate) fn new(stream: TcpStream) -> (Self, Cutter) {
        let cutter = Cutter::default();
        (
            Self {
                stream,
                cutter: cutter.clone(),
            },
            cutter,
        )
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for CuttableStream {
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
        match self.cutter.0.load(Ordering::Acquire) {
            0 => Pin::new(&mut self.stream).poll_flush(cx),
            end => {
                if end == RST {
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
