//! An exchange over optional TLS, in place. The only module that names rustls.
#![forbid(unsafe_code)]
