//! rustls' errors in words that say what is wrong with what.

use std::fmt::Write;

use rustls::{
    AlertDescription, CertificateError, Error as Tls, InvalidMessage,
    pki_types::{ServerName, UnixTime},
};

use super::error::Error;
use crate::{http::field::HttpDate, orders::TlsFault};

/// Classifies an error met while handshaking ([`TlsFault::Handshake`]) or later
/// ([`TlsFault::Record`]).
pub(super) fn explain(error: &Tls, when: TlsFault) -> Error {
    match error {
        Tls::InvalidCertificate(why) => Error::new(TlsFault::Certificate, certificate(why)),
        Tls::NoCertificatesPresented => {
            Error::new(TlsFault::Certificate, "the server shows no certificate")
        }
        Tls::AlertReceived(alert) => {
            let fault = if about_us(*alert) { TlsFault::Handshake } else { when };
            Error::new(fault, format!("the server says {}", alert_words(*alert)))
        }
        Tls::InvalidMessage(InvalidMessage::InvalidContentType)
        | Tls::InvalidMessage(InvalidMessage::UnknownProtocolVersion)
            if when == TlsFault::Handshake =>
        {
            Error::new(when, "the server does not answer with TLS")
        }
        Tls::PeerIncompatible(why) => {
            Error::new(when, format!("nothing in common with the server: {}", spaced(why)))
        }
        Tls::PeerMisbehaved(why) => {
            Error::new(when, format!("the server breaks the protocol: {}", spaced(why)))
        }
        Tls::DecryptError => Error::new(when, "a record that cannot be decrypted"),
        other => Error::new(when, other.to_string().to_lowercase()),
    }
}

/// What is wrong with a certificate.
fn certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate expired on {}", date(*not_after))
        }
        CertificateError::Expired => "the certificate has expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", date(*not_before))
        }
        CertificateError::NotValidYet => "the certificate is not valid yet".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            wrong_name(expected, presented)
        }
        CertificateError::NotValidForName => "the certificate is for another name".to_owned(),
        CertificateError::UnknownIssuer => {
            "the certificate's issuer is unknown: it is self-signed, its authority is not trusted \
             here, or the server does not send its intermediate certificates"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "the certificate's signature is not its issuer's".to_owned()
        }
        CertificateError::Revoked => "the certificate is revoked".to_owned(),
        CertificateError::BadEncoding => "the certificate cannot be read".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not for servers".to_owned()
        }
        CertificateError::Other(other)
            if other.0.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            "the server shows an authority's certificate as its own, self-signed perhaps, and it \
             is not trusted here"
                .to_owned()
        }
        CertificateError::Other(other) => format!("the certificate is refused: {}", other.0),
        other => format!("the certificate is refused: {}", other.to_string().to_lowercase()),
    }
}

fn wrong_name(expected: &ServerName<'_>, presented: &[String]) -> String {
    let mut names = String::new();
    for name in presented.iter().take(NAMES_SHOWN) {
        let comma = if names.is_empty() { "" } else { ", " };
        let _ = write!(names, "{comma}{}", bare_name(name));
    }
    if presented.len() > NAMES_SHOWN {
        let _ = write!(names, " and {} more", presented.len() - NAMES_SHOWN);
    }
    if names.is_empty() {
        names.push_str("no name at all");
    }
    format!("the certificate is issued for {names}, not for {}", expected.to_str())
}

/// rustls presents names as `DnsName("a.example")` and `IpAddress(127.0.0.1)`. They come from the
/// peer: nothing that is not a name's character is repeated.
fn bare_name(name: &str) -> String {
    let inner = name
        .split_once('(')
        .map_or(name, |(_, rest)| rest.strip_suffix(')').unwrap_or(rest))
        .trim_matches('"');
    inner.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.*:".contains(*c)).collect()
}

/// Whether an alert is about our certificate, which TLS 1.3 servers look at when the handshake is
/// over for us.
fn about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired => {
            "that it wants a client certificate (--cert)".to_owned()
        }
        AlertDescription::UnrecognisedName => "that it does not serve this name".to_owned(),
        AlertDescription::ProtocolVersion => "that it speaks another TLS version".to_owned(),
        AlertDescription::HandshakeFailure => "handshake failure".to_owned(),
        other => spaced(&other),
    }
}

/// `CamelCase` as words.
fn spaced(value: &impl std::fmt::Debug) -> String {
    let mut words = String::new();
    let mut previous = ' ';
    for c in format!("{value:?}").chars() {
        if c.is_ascii_uppercase() && previous.is_ascii_lowercase() {
            words.push(' ');
        }
        words.push(c.to_ascii_lowercase());
        previous = c;
    }
    words
}

fn date(at: UnixTime) -> String {
    HttpDate(i64::try_from(at.as_secs()).unwrap_or(i64::MAX)).utc()
}

/// Names of a certificate that are worth a line.
const NAMES_SHOWN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_the_peer_are_cleaned() {
        assert_eq!(bare_name("DnsName(\"*.a.example\")"), "*.a.example");
        assert_eq!(bare_name("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(bare_name("DnsName(\"\u{1b}[31mx\")"), "31mx");
        let expected = ServerName::try_from("b.test").unwrap();
        assert_eq!(
            wrong_name(&expected, &["DnsName(\"a.test\")".to_owned()]),
            "the certificate is issued for a.test, not for b.test"
        );
    }
}
