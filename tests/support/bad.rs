//! Places that are of no use, each in its own way.

use std::{
    io::Write as _,
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use super::{
    mode::{Lie, Mode},
    object::Object,
    origin::{Origin, Setup},
    reply::Version,
    script::Script,
};

/// A way to be of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Every answer has this status.
    Status(u16),
    /// Nothing listens there.
    Refused,
    /// Every connection is reset, before or after the request was read.
    Reset {
        early: bool,
    },
    /// Every connection is closed without a word.
    Closed,
    /// Connections are accepted, and then nothing happens.
    Hang,
    /// What comes is no HTTP.
    Garbage,
    /// What comes is no TLS.
    Tls,
    /// Its name does not exist.
    Nameless,
    /// It leads to itself.
    Loop,
    /// It leads to a scheme that is not for downloads.
    Astray,
    /// A 206 that is wrong in this way.
    Lie(Lie),
    /// No ranges: always the whole of another object.
    NoRanges,
    /// Every range is refused as if the object had changed.
    Precondition,
    /// Every range comes in several parts, or coded.
    Multipart,
    Coded,
    /// An object of another length, with the same validators.
    Longer,
    Shorter,
    /// Nothing comes after the head, or after some bytes.
    Stall {
        at: u64,
    },
    /// The connection ends after some bytes, every time.
    Cut {
        at: u64,
    },
}

/// Such a place.
pub struct BadPlace {
    pub url: String,
    /// What runs there, where that is something that keeps a log.
    pub origin: Option<Origin>,
    _script: Option<Script>,
}

impl Bad {
    /// Those that bring nothing at all.
    pub const SILENT: [Self; 7] = [
        Self::Refused,
        Self::Reset { early: true },
        Self::Reset { early: false },
        Self::Closed,
        Self::Garbage,
        Self::Tls,
        Self::Nameless,
    ];

    /// Those that answer, and should not have.
    pub const ANSWERING: [Self; 9] = [
        Self::Status(404),
        Self::Status(403),
        Self::Status(401),
        Self::Status(410),
        Self::Status(500),
        Self::Status(503),
        Self::Status(429),
        Self::Loop,
        Self::Astray,
    ];

    /// Those that answer with something that is not what was asked for.
    pub const LYING: [Self; 11] = [
        Self::Lie(Lie::Earlier),
        Self::Lie(Lie::Elsewhere),
        Self::Lie(Lie::Longer),
        Self::Lie(Lie::Total),
        Self::Lie(Lie::Unit),
        Self::NoRanges,
        Self::Precondition,
        Self::Multipart,
        Self::Coded,
        Self::Longer,
        Self::Shorter,
    ];

    /// Sets it up. Where it sends bytes, they are of `other`, but say that they are of the version
    /// `"v1"`.
    pub fn start(self, other: &Object) -> BadPlace {
        match self {
            Self::Refused => BadPlace::at(refused()),
            Self::Nameless => BadPlace::at("http://nowhere.invalid/object.bin".to_owned()),
            Self::Tls => {
                let script = Script::new(|stream, _| {
                    drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
                });
                BadPlace::run(script.url().replace("http://", "https://"), script)
            }
            Self::Garbage => {
                let script = Script::answer("\u{1}garbage\r\n\r\n");
                BadPlace::run(script.url(), script)
            }
            Self::Hang => {
                let script = Script::new(|_, _| thread::sleep(Duration::from_secs(120)));
                BadPlace::run(script.url(), script)
            }
            Self::Closed => {
                let script = Script::new(|_, _| {});
                BadPlace::run(script.url(), script)
            }
            Self::Reset { early } => {
                let script = Script::new(move |stream: &mut TcpStream, _| {
                    if !early {
                        Script::head(stream);
                    }
                    drop(socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO)));
                });
                BadPlace::run(script.url(), script)
            }
            _ => self.origin(other),
        }
    }

    fn origin(self, other: &Object) -> BadPlace {
        let setup = Origin::of(other);
        let every = usize::MAX;
        let setup: Setup = match self {
            Self::Status(status) => setup.mode(Mode::Status(status)),
            Self::Loop => setup.bend(|_, reply| {
                *reply = super::reply::Reply::redirect(302, "/object.bin");
            }),
            Self::Astray => setup.bend(|_, reply| {
                *reply = super::reply::Reply::redirect(302, "file:///etc/passwd");
            }),
            Self::Lie(lie) => setup.mode(Mode::Lie { k: 0, lie }),
            Self::NoRanges => setup.mode(Mode::IgnoreRange),
            Self::Precondition => setup.mode(Mode::Status(412)),
            Self::Multipart => setup.mode(Mode::Multipart),
            Self::Coded => setup.mode(Mode::Coded),
            Self::Longer | Self::Shorter => {
                let mut bytes = other.bytes().to_vec();
                let length = bytes.len();
                bytes.resize(if self == Self::Longer { length + 1 } else { length - 1 }, b'!');
                let to = Version::strong(Object::from_bytes(bytes), "v1");
                setup.mode(Mode::FlipsBlindly { after: 0, to })
            }
            Self::Stall { at } => setup.mode(Mode::Stall { from: 0, times: every, at }),
            Self::Cut { at } => {
                let end = super::reply::End::Fin;
                setup.mode(Mode::Cut { from: 0, times: every, at, end })
            }
            _ => setup,
        };
        let origin = setup.start();
        BadPlace { url: origin.url(), origin: Some(origin), _script: None }
    }
}

impl BadPlace {
    fn at(url: String) -> Self {
        Self { url, origin: None, _script: None }
    }

    fn run(url: String, script: Script) -> Self {
        Self { url, origin: None, _script: Some(script) }
    }
}

/// A URL at which nothing listens.
pub fn refused() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/object.bin", listener.local_addr().unwrap())
}
