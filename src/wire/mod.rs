//! An exchange over optional TLS, in place. The only module that names rustls.
#![forbid(unsafe_code)]

/// An established TLS connection, without its socket.
#[derive(Debug)]
pub(crate) struct Session {}
