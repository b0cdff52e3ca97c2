//! Receiving on a ring, so that it can be stopped without losing the connection.
//!
//! tokio-uring cancels nothing; the receive and its cancellation are submitted through its public
//! [`UnsubmittedOneshot`] (io_uring_prep_recv(3), io_uring_prep_cancel_fd(3)).

use std::{
    io,
    ops::Range,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

use io_uring::{cqueue, opcode, types};
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

use super::io::Buffer;

/// Receives into `room` of `buffer`. After `patience` it is cancelled: `ECANCELED`.
pub(super) async fn receive(
    socket: BorrowedFd<'_>,
    mut buffer: Buffer,
    room: Range<usize>,
    patience: Duration,
) -> (io::Result<usize>, Buffer) {
    let Some(bytes) = buffer.bytes().get_mut(room) else {
        return (Err(io::ErrorKind::InvalidInput.into()), buffer);
    };
    let fd = types::Fd(socket.as_raw_fd());
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    // The kernel writes into the buffer until the operation completes. The operation owns it until
    // then, wherever this future goes, and moving the owner does not move the bytes.
    let operation = opcode::Recv::new(fd, bytes.as_mut_ptr(), len).build();
    let operation = UnsubmittedOneshot::new(buffer, Received, operation).submit();
    let mut operation = std::pin::pin!(operation);
    if let Ok(done) = tokio::time::timeout(patience, operation.as_mut()).await {
        return done;
    }
    let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd)).build();
    // It completes at once, whether it found the receive or that had just ended.
    UnsubmittedOneshot::new((), Cancelled, cancel).submit().await;
    operation.await
}

/// The outcome of a receive: its buffer comes back with it.
struct Received;

impl OneshotOutputTransform for Received {
    type Output = (io::Result<usize>, Buffer);
    type StoredData = Buffer;

    fn transform_oneshot_output(self, buffer: Buffer, entry: cqueue::Entry) -> Self::Output {
        let result = entry.result();
        match usize::try_from(result) {
            Ok(received) => (Ok(received), buffer),
            Err(_) => (Err(io::Error::from_raw_os_error(-result)), buffer),
        }
    }
}

/// The outcome of a cancellation, which tells nothing that the receive does not.
struct Cancelled;

impl OneshotOutputTransform for Cancelled {
    type Output = ();
    type StoredData = ();

    fn transform_oneshot_output(self, (): (), _: cqueue::Entry) {}
}
