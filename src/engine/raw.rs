//! What the loops ask of the kernel for which there is no safe call: a socket option, and
//! operations on a ring. The only `unsafe` of the engine.

use std::{
    future::Future,
    io,
    ops::Range,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    sync::Arc,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use tokio::io::{Interest, unix::AsyncFd};
use tokio_uring::{OneshotOutputTransform, UnsubmittedOneshot};

/// Sets SO_RCVLOWAT (socket(7)).
pub(super) fn set_low_water(socket: BorrowedFd<'_>, octets: usize) -> io::Result<()> {
    let value = i32::try_from(octets).map_err(io::Error::other)?;
    // SAFETY: the value is an int that lives across the call, and its size is passed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Receives into `room` of `buffer` (io_uring_prep_recv(3)). Buffer and socket belong to the
/// operation until it completes, wherever the future goes.
pub(super) fn receive<S: AsFd + 'static>(
    socket: &Arc<S>,
    mut buffer: Vec<u8>,
    room: Range<usize>,
) -> impl Future<Output = Done> + Unpin + use<S> {
    let fd = types::Fd(socket.as_fd().as_raw_fd());
    let bytes = buffer.get_mut(room).unwrap_or_default();
    let operation = opcode::Recv::new(fd, bytes.as_mut_ptr(), length(bytes)).build();
    // SAFETY: the operation refers to the buffer's heap and to the socket, both of which it owns.
    unsafe { submit(Owned { buffer, _object: Arc::clone(socket) }, operation) }
}

/// Sends `bytes` from `from` on (io_uring_prep_send(3)), as [`receive`].
pub(super) fn send<S: AsFd + 'static>(
    socket: &Arc<S>,
    bytes: Vec<u8>,
    from: usize,
) -> impl Future<Output = Done> + Unpin + use<S> {
    let fd = types::Fd(socket.as_fd().as_raw_fd());
    let rest = bytes.get(from..).unwrap_or_default();
    let operation = opcode::Send::new(fd, rest.as_ptr(), length(rest)).flags(libc::MSG_NOSIGNAL);
    // SAFETY: as in `receive`.
    unsafe { submit(Owned { buffer: bytes, _object: Arc::clone(socket) }, operation.build()) }
}

/// Writes `from` of `buffer` at `offset` (io_uring_prep_write(3)), as [`receive`].
pub(super) fn write<F: AsFd + 'static>(
    file: &Arc<F>,
    buffer: Vec<u8>,
    from: Range<usize>,
    offset: u64,
) -> impl Future<Output = Done> + Unpin + use<F> {
    let fd = types::Fd(file.as_fd().as_raw_fd());
    let bytes = buffer.get(from).unwrap_or_default();
    let operation = opcode::Write::new(fd, bytes.as_ptr(), length(bytes)).offset(offset).build();
    // SAFETY: as in `receive`.
    unsafe { submit(Owned { buffer, _object: Arc::clone(file) }, operation) }
}

/// Cancels what runs on the socket (io_uring_prep_cancel_fd(3)). It completes at once, whether it
/// found something or that had just ended.
pub(super) async fn cancel<S: AsFd + 'static>(socket: &Arc<S>) {
    let fd = types::Fd(socket.as_fd().as_raw_fd());
    let operation = opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd)).build();
    let owned = Owned { buffer: Vec::new(), _object: Arc::clone(socket) };
    // SAFETY: the operation refers to no memory but the socket, which it owns.
    let cancelled = unsafe { submit(owned, operation) };
    let _ = cancelled.await;
}

/// What came of an operation, and its buffer.
pub(super) type Done = (io::Result<usize>, Vec<u8>);

/// What an operation refers to.
struct Owned<S> {
    buffer: Vec<u8>,
    _object: Arc<S>,
}

struct Completed<S>(std::marker::PhantomData<fn() -> S>);

impl<S: 'static> OneshotOutputTransform for Completed<S> {
    type Output = Done;
    type StoredData = Owned<S>;

    fn transform_oneshot_output(self, owned: Owned<S>, entry: cqueue::Entry) -> Done {
        let result = entry.result();
        let result = usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
        (result, owned.buffer)
    }
}

/// Submits an operation, which tokio-uring keeps `owned` alive for until it completes, even if the
/// future is dropped.
///
/// # Safety
/// The operation refers to nothing but the heap of `owned`, which does not move with it.
unsafe fn submit<S: 'static>(
    owned: Owned<S>,
    operation: squeue::Entry,
) -> impl Future<Output = Done> + Unpin {
    UnsubmittedOneshot::new(owned, Completed(std::marker::PhantomData), operation).submit()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Watches a descriptor in the reactor that runs a ring's thread, for edges.
pub(super) fn watch(fd: BorrowedFd<'_>) -> io::Result<AsyncFd<BorrowedFd<'_>>> {
    // SAFETY: a borrowed descriptor is open as long as it is borrowed, and stays the same.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}

/// Runs an operation that does nothing, and returns its result.
pub(super) fn nop(ring: &mut IoUring) -> io::Result<i32> {
    complete(ring, &opcode::Nop::new().build())
}

/// Cancels what runs on the ring's own descriptor, which is nothing, and returns the result.
pub(super) fn cancel_nothing(ring: &mut IoUring) -> io::Result<i32> {
    let fd = types::Fd(ring.as_raw_fd());
    complete(ring, &opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd)).build())
}

fn complete(ring: &mut IoUring, operation: &squeue::Entry) -> io::Result<i32> {
    // SAFETY: the callers' operations refer to no memory.
    let pushed = unsafe { ring.submission().push(operation) };
    pushed.map_err(io::Error::other)?;
    uninterrupted(|| ring.submit_and_wait(1))?;
    let entry = ring.completion().next();
    entry.map(|entry| entry.result()).ok_or_else(|| io::Error::other("the ring is mute"))
}

/// Makes a call again for as long as a signal interrupts it.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
