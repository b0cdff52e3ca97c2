//! A raw TCP server: every connection is handed to a closure, which reads and writes what it likes.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// A running script; it takes no more connections once dropped.
pub struct Script {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Script {
    /// Runs `play` for every connection, on a thread of its own, with the connection's number.
    pub fn new(play: impl Fn(&mut TcpStream, usize) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let play = Arc::new(play);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut stream) = stream else { continue };
                let play = Arc::clone(&play);
                thread::spawn(move || play(&mut stream, number));
            }
        });
        Self { address, stop }
    }

    /// Answers the first request on every connection with just these bytes, then closes in order.
    pub fn answer(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::new(move |stream, _| {
            Self::head(stream);
            drop(stream.write_all(&bytes));
            drop(stream.shutdown(std::net::Shutdown::Write));
            Self::drain(stream);
        })
    }

    pub fn url(&self) -> String {
        format!("http://{}/object.bin", self.address)
    }

    /// Reads one head and returns it; what came before the end of the connection otherwise.
    pub fn head(stream: &mut TcpStream) -> Vec<u8> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        head
    }

    /// Waits until the other side closes, ten seconds at most.
    pub fn drain(stream: &mut TcpStream) {
        let mut sink = [0; 4096];
        drop(stream.set_read_timeout(Some(Duration::from_secs(10))));
        while matches!(stream.read(&mut sink), Ok(1..)) {}
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}
