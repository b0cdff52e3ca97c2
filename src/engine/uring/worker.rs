//! One worker: a thread, a ring, and the connections on it.

use std::{collections::BTreeMap, io, sync::Arc, thread, time::Duration};

use crossbeam_channel::{Sender, bounded};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::{
    super::{
        message::Order,
        post::{Connected, Mail, Post},
        raw::{self, uninterrupted},
        socket::LowWater,
    },
    io::{Inline, Ring},
};
use crate::{link::Link, orders::Conn};

/// Starts the thread of a worker that reads `post`, and waits until its ring is set up. `guard` is
/// dropped when the thread ends.
///
/// # Errors
/// Whatever the system says while a ring is set up, or no thread.
pub(in crate::engine) fn start(
    name: String,
    post: Post,
    guard: impl Send + 'static,
) -> io::Result<()> {
    let (ready, started) = bounded(1);
    thread::Builder::new().name(name).spawn(move || {
        let _guard = guard;
        let mut builder = tokio_uring::builder();
        builder.entries(ENTRIES);
        match uninterrupted(|| tokio_uring::Runtime::new(&builder)) {
            Ok(runtime) => runtime.block_on(run(post, ready)),
            Err(error) => drop(ready.send(Err(error))),
        }
    })?;
    let gone = |_| Err(io::Error::other("the worker ended while it was set up"));
    started.recv().unwrap_or_else(gone)
}

/// Reads mail until no more follows, and waits for the last connection to end.
async fn run(post: Post, ready: Sender<io::Result<()>>) {
    // No thread is woken through tokio from another thread: that writes to a descriptor of tokio's,
    // and panics where the write fails; such a panic is to end this thread and no other.
    let bell = match raw::watch(post.bell()) {
        Ok(bell) => bell,
        Err(error) => return drop(ready.send(Err(error))),
    };
    let _ = ready.send(Ok(()));
    let mut tasks: BTreeMap<Conn, Task> = BTreeMap::new();
    loop {
        for mail in post.take() {
            match mail {
                Mail::Connected(connected) => {
                    tasks.retain(|_, task| !task.link.is_finished());
                    tasks.insert(connected.conn, serve(*connected));
                }
                Mail::Order(conn, order) => {
                    if let Some(orders) = tasks.get(&conn).and_then(|task| task.orders.as_ref()) {
                        let _ = orders.send(order);
                    }
                }
                Mail::Close(conn) => {
                    if let Some(task) = tasks.get_mut(&conn) {
                        task.orders = None;
                    }
                }
                Mail::End => {
                    tasks.values_mut().for_each(|task| task.orders = None);
                    for task in std::mem::take(&mut tasks).into_values() {
                        let _ = task.link.await;
                    }
                    return;
                }
            }
        }
        // The pulse is for more than a bell that cannot be rung. Before it sleeps, tokio-uring
        // hands the kernel what was queued, and passes over an error (io_uring_enter(2): EAGAIN and
        // EBUSY when the kernel is short of something); without another occasion everybody would
        // wait for what was never submitted.
        if post.sleep()
            && let Ok(Ok(mut rung)) = tokio::time::timeout(PULSE, bell.readable()).await
        {
            rung.clear_ready();
        }
    }
}

/// One connection.
struct Task {
    /// Gone when no further order may follow.
    orders: Option<UnboundedSender<Order>>,
    link: JoinHandle<()>,
}

fn serve(connected: Connected) -> Task {
    let Connected { conn: _, stream, secure, stop, reporter, limits } = connected;
    let (sender, orders) = unbounded_channel();
    let io = Ring {
        stream,
        reporter,
        orders,
        buffer: vec![0; limits.buffer()],
        low_water: LowWater::new(),
        stall: limits.stall,
        inline: Inline::default(),
    };
    let mut link = Link::new(io, Arc::clone(&stop.gate), limits, secure);
    Task { orders: Some(sender), link: tokio_uring::spawn(async move { link.serve().await }) }
}

/// Submission queue entries: a few for each of the most connections that a worker may have.
const ENTRIES: u32 = 256;

/// Ten times a second costs nothing and is soon enough for what hardly ever happens.
const PULSE: Duration = Duration::from_millis(100);
