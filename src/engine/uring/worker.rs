//! One worker: a thread, a ring, its registered buffers, and the connections on it.

use std::{cell::RefCell, fs::File, io, rc::Rc, sync::Arc, thread, time::Duration};

use crossbeam_channel::Sender;
use tokio::sync::{mpsc::UnboundedReceiver, oneshot};
use tokio_uring::buf::fixed::FixedBufPool;

use super::{
    super::Opening,
    io::{Buffer, Ring},
    uninterrupted,
};
use crate::link::Link;

/// What the connections of a worker share.
pub(super) struct Shared {
    pool: Option<FixedBufPool<Vec<u8>>>,
    buffer: usize,
    /// The part file as this ring knows it, and which one that is.
    file: RefCell<Option<(Arc<File>, Rc<tokio_uring::fs::File>)>>,
}

impl Shared {
    /// A buffer: a registered one if there is one left.
    pub(super) fn buffer(&self) -> Buffer {
        let fixed = self.pool.as_ref().and_then(|pool| pool.try_next(self.buffer));
        fixed.map_or_else(|| Buffer::Plain(vec![0; self.buffer]), Buffer::Fixed)
    }

    /// `file` as this ring knows it.
    ///
    /// # Errors
    /// No further descriptor.
    pub(super) fn file(&self, file: &Arc<File>) -> io::Result<Rc<tokio_uring::fs::File>> {
        let mut known = self.file.borrow_mut();
        if let Some((of, ring)) = known.as_ref()
            && Arc::ptr_eq(of, file)
        {
            return Ok(Rc::clone(ring));
        }
        let ring = Rc::new(tokio_uring::fs::File::from_std(uninterrupted(|| file.try_clone())?));
        *known = Some((Arc::clone(file), Rc::clone(&ring)));
        Ok(ring)
    }
}

/// Runs a worker until its inbox is closed. `ready` is told whether it could be set up, and what
/// is less than it could be.
pub(super) fn run(
    inbox: UnboundedReceiver<Opening>,
    buffer: usize,
    buffers: usize,
    ready: &Sender<io::Result<Option<String>>>,
) {
    let mut builder = tokio_uring::builder();
    builder.entries(ENTRIES);
    let runtime = match uninterrupted(|| tokio_uring::Runtime::new(&builder)) {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async move {
        let pool = FixedBufPool::new((0..buffers).map(|_| vec![0; buffer]));
        let (pool, note) = match pool.register() {
            Ok(()) => (Some(pool), None),
            Err(error) => (None, Some(format!("buffers are not registered ({error})"))),
        };
        let _ = ready.send(Ok(note));
        tokio_uring::spawn(pulse());
        serve(inbox, Rc::new(Shared { pool, buffer, file: RefCell::new(None) })).await;
    });
}

/// Wakes the thread now and then. Before it sleeps, tokio-uring hands the kernel what was queued,
/// and passes over an error (io_uring_enter(2): EAGAIN and EBUSY when the kernel is short of
/// something); without another occasion everybody would wait for what was never submitted.
async fn pulse() {
    loop {
        tokio::time::sleep(PULSE).await;
    }
}

/// Brings up connections as they come, and waits for the last to end.
async fn serve(mut inbox: UnboundedReceiver<Opening>, shared: Rc<Shared>) {
    let mut tasks = Vec::new();
    while let Some(opening) = inbox.recv().await {
        tasks.retain(|task: &tokio::task::JoinHandle<()>| !task.is_finished());
        tasks.push(tokio_uring::spawn(connection(opening, Rc::clone(&shared))));
    }
    for task in tasks {
        let _ = task.await;
    }
}

/// One connection from connect to close. Connecting blocks, on a thread of its own.
async fn connection(opening: Opening, shared: Rc<Shared>) {
    let Opening { open, stop, orders, reporter, limits } = opening;
    let (done, opened) = oneshot::channel();
    let connect = {
        let (stop, reporter) = (Arc::clone(&stop), reporter.clone());
        move || drop(done.send(Opening::connect(open, &stop, &reporter)))
    };
    if let Err(error) = thread::Builder::new().name("uget-connect".to_owned()).spawn(connect) {
        return reporter.failed_to_start(&error);
    }
    let Ok(Some(opened)) = opened.await else { return };
    let gate = Arc::clone(&stop.gate);
    let io = Ring::new(opened.stream, (Arc::clone(&stop), reporter), orders, shared);
    let mut link = Link::new(io, gate, limits, opened.secure);
    link.serve().await;
    stop.detach();
}

/// Submission queue entries: a few for each of the most connections that a worker may have.
const ENTRIES: u32 = 256;

/// Ten times a second costs nothing and is soon enough for what hardly ever happens.
const PULSE: Duration = Duration::from_millis(100);
