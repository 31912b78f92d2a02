//! A bell that a worker sleeps on through its own runtime, so that no waker ever crosses threads.
//!
//! monoio has no type for an eventfd. A Unix stream around the descriptor serves, read with `readv`:
//! a plain `read` would be recv(2), which an eventfd refuses.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;

use monoio::buf::VecBuf;
use monoio::io::AsyncReadRent;
use monoio::net::UnixStream;

use crate::sync::Bell;

/// The reader's side of a [`Bell`].
pub struct Doorbell {
    event: UnixStream,
    /// The eight bytes of the counter; None only while a read has them.
    counter: Option<VecBuf>,
}

impl Doorbell {
    /// Must be called on the worker's thread, within its runtime.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn new(bell: &Bell) -> io::Result<Doorbell> {
        let event = StdUnixStream::from(bell.as_fd().try_clone_to_owned()?);
        // The vector must have a length, not a capacity alone: of length 0 it would read nothing, for ever.
        Ok(Doorbell { event: UnixStream::from_std(event)?, counter: Some(VecBuf::from(vec![vec![0u8; 8]])) })
    }

    /// Returns when the bell has been rung.
    pub async fn heard(&mut self) {
        loop {
            let counter = self.counter.take().expect("one reader");
            let (read, counter) = self.event.readv(counter).await;
            self.counter = Some(counter);
            match read {
                Ok(8) => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                broken => panic!("the bell's descriptor is broken: {broken:?}"),
            }
        }
    }
}
