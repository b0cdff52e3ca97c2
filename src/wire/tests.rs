//! Both ends of a connection in memory: handshakes, records, what is refused.

use std::{
    io::{Read, Write},
    ops::Range,
    sync::Arc,
};

use proptest::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};

use super::{session::OpenedRecords, *};
use crate::orders::TlsFault;

mod certificates;

/// A certificate authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key.
struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let (params, key) = (ca_params(), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn intermediate(&self) -> Self {
        let (params, key) = (ca_params(), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { chain: vec![certificate.der().clone()], key }
    }

    fn roots(&self) -> Roots {
        let mut roots = Roots::new();
        assert!(roots.add_der(&self.certificate));
        roots
    }

    fn client(&self) -> Client {
        client(Trust::Roots(self.roots()), Vec::new())
    }
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let serial = KeyPair::generate().unwrap().public_key_raw()[..8].to_vec();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("authority {serial:?}"));
    params
}

fn client(trust: Trust, pins: Vec<[u8; 32]>) -> Client {
    Client::new(Setup { trust, identity: None, tls13_only: false, pins }).unwrap()
}

impl Leaf {
    fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    fn server(&self) -> ServerConfig {
        self.server_with(&[&TLS13, &TLS12])
    }

    fn server_with(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> ServerConfig {
        let mut config = ServerConfig::builder_with_protocol_versions(versions)
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key_der())
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

/// Both ends of a connection in memory.
struct Pair {
    session: Session,
    server: ServerConnection,
}

fn connect(client: &Client, host: &str, config: ServerConfig) -> Result<Pair, Error> {
    connect_to(client, host, &Arc::new(config))
}

fn connect_to(client: &Client, host: &str, config: &Arc<ServerConfig>) -> Result<Pair, Error> {
    let mut server = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut handshake = client.start(host)?;
    let mut incoming = Vec::new();
    loop {
        let progress = handshake.advance(&incoming);
        let _ = feed(&mut server, &progress.send);
        if progress.outcome? {
            return Ok(Pair { session: handshake.finish(), server });
        }
        incoming = drain(&mut server);
        assert!(!incoming.is_empty(), "the handshake hangs");
    }
}

/// Gives the server `bytes`; returns what it understood.
fn feed(server: &mut ServerConnection, mut bytes: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let mut heard = Vec::new();
    while !bytes.is_empty() {
        server.read_tls(&mut bytes).unwrap();
        server.process_new_packets()?;
        let _ = server.reader().read_to_end(&mut heard);
    }
    Ok(heard)
}

fn drain(server: &mut ServerConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while server.wants_write() {
        server.write_tls(&mut out).unwrap();
    }
    out
}

/// Opens `cipher` as a data plane does: received in pieces that end at `cuts`.
fn open_in_pieces(
    session: &mut Session,
    cipher: &[u8],
    cuts: &[usize],
    headroom: usize,
) -> Result<(Vec<u8>, OpenedRecords), Error> {
    let mut buffer = vec![0xaa; headroom + cipher.len() + 64 * 1024];
    let leftover = session.take_leftover();
    buffer[headroom..headroom + leftover.len()].copy_from_slice(&leftover);
    let mut rest = headroom..headroom + leftover.len();
    let (mut plain_end, mut at, mut last, mut send) = (0, 0, None, Vec::new());
    for cut in cuts.iter().copied().chain([cipher.len()]) {
        let cut = cut.clamp(at, cipher.len());
        let piece = &cipher[at..cut];
        buffer[rest.end..rest.end + piece.len()].copy_from_slice(piece);
        at = cut;
        let window: Range<usize> = rest.start..rest.end + piece.len();
        let opened = session.open(&mut buffer, plain_end, window)?;
        assert_eq!(opened.plain.start, plain_end, "plaintext has no gaps");
        plain_end = opened.plain.end;
        assert!(plain_end <= opened.rest.start, "plaintext never runs into ciphertext");
        rest = opened.rest.clone();
        send.extend_from_slice(&opened.send);
        last = Some(opened);
    }
    let last = OpenedRecords { send, ..last.unwrap() };
    Ok((buffer[..plain_end].to_vec(), last))
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

#[test]
fn both_versions_carry_a_request_and_its_answer() {
    let authority = Authority::new();
    let leaf = authority.leaf(|_| {});
    for (versions, name) in [(&[&TLS13], "TLS 1.3"), (&[&TLS12], "TLS 1.2")] {
        let Pair { mut session, mut server } =
            connect(&authority.client(), "a.test", leaf.server_with(versions)).unwrap();
        assert!(session.summary().starts_with(name), "{}", session.summary());
        assert_eq!(server.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(server.server_name(), Some("a.test"));
        let request = pattern(40_000);
        let sealed = session.seal(&request).unwrap();
        assert_eq!(feed(&mut server, &sealed).unwrap(), request);
        let body = pattern(70_000);
        let mut cipher = Vec::new();
        for chunk in body.chunks(50_000) {
            server.writer().write_all(chunk).unwrap();
            cipher.extend(drain(&mut server));
        }
        let (plain, last) = open_in_pieces(&mut session, &cipher, &[], 0).unwrap();
        assert_eq!(plain, body);
        assert!(last.rest.is_empty() && !last.closed);
    }
}

#[test]
fn post_quantum_and_aes_are_the_first_choice() {
    let authority = Authority::new();
    let server = authority.leaf(|_| {}).server();
    let session = connect(&authority.client(), "a.test", server).unwrap().session;
    let summary = session.summary();
    assert!(summary.contains("X25519MLKEM768"), "{summary}");
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("aes") {
        assert!(summary.contains("AES_128_GCM"), "{summary}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_records_cut_anywhere_come_out_whole(
        sizes in proptest::collection::vec(
            prop_oneof![Just(1_usize), 2..40_usize, 1000..20_000_usize], 1..12),
        cuts in proptest::collection::vec(0..150_000_usize, 0..24),
        headroom in prop_oneof![Just(0_usize), Just(HEADROOM), 0..HEADROOM],
        tls13: bool,
        updates in proptest::collection::vec(any::<bool>(), 12),
        close: bool,
    ) {
        let (authority, leaf) = &*FIXED;
        let versions: &[_] = if tls13 { &[&TLS13] } else { &[&TLS12] };
        let Pair { mut session, mut server } =
            connect(&authority.client(), "a.test", leaf.server_with(versions)).unwrap();
        let mut cipher = drain(&mut server);
        let mut body = Vec::new();
        for (size, update) in sizes.into_iter().zip(updates) {
            let chunk = pattern(size);
            server.writer().write_all(&chunk).unwrap();
            body.extend(chunk);
            if tls13 && update {
                server.refresh_traffic_keys().unwrap();
            }
            cipher.extend(drain(&mut server));
        }
        if close {
            server.send_close_notify();
            cipher.extend(drain(&mut server));
            cipher.extend(b"anything");
        }
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (plain, last) = open_in_pieces(&mut session, &cipher, &cuts, headroom).unwrap();
        prop_assert!(plain == body, "{} bytes of {}", plain.len(), body.len());
        prop_assert_eq!(last.closed, close);
        prop_assert!(last.rest.is_empty());
    }

    #[test]
    fn noise_is_an_error_and_never_a_panic(
        noise in proptest::collection::vec(any::<u8>(), 0..400),
        flip in 0..2000_usize,
    ) {
        let (authority, leaf) = &*FIXED;
        let Pair { mut session, mut server } =
            connect(&authority.client(), "a.test", leaf.server()).unwrap();
        server.writer().write_all(&pattern(1500)).unwrap();
        let mut cipher = drain(&mut server);
        let flip = flip % cipher.len();
        cipher[flip] ^= 0x40;
        cipher.extend(&noise);
        match open_in_pieces(&mut session, &cipher, &[], HEADROOM) {
            Err(error) => prop_assert_eq!(error.fault, TlsFault::Record),
            // A length that was made longer waits for the rest.
            Ok((plain, last)) => prop_assert!(plain.len() < 1500 && !last.rest.is_empty()),
        }
        let mut handshake = authority.client().start("a.test").unwrap();
        let _ = handshake.advance(&[]);
        if let Err(error) = handshake.advance(&noise).outcome {
            prop_assert_eq!(error.fault, TlsFault::Handshake);
        }
    }
}

static FIXED: std::sync::LazyLock<(Authority, Leaf)> = std::sync::LazyLock::new(|| {
    let authority = Authority::new();
    let leaf = authority.leaf(|_| {});
    (authority, leaf)
});

#[test]
fn a_ticket_in_fragments_neither_breaks_sealing_nor_opening() {
    let authority = Authority::new();
    let mut config = authority.leaf(|_| {}).server_with(&[&TLS13]);
    config.max_fragment_size = Some(64);
    let config = Arc::new(config);
    let mut split = 0;
    for cut in (1..400).step_by(13) {
        let Pair { mut session, mut server } =
            connect_to(&authority.client(), "a.test", &config).unwrap();
        let tickets = drain(&mut server);
        let cut = cut.min(tickets.len());
        let mut buffer = vec![0; 64 * 1024];
        buffer[..cut].copy_from_slice(&tickets[..cut]);
        let opened = session.open(&mut buffer, 0, 0..cut).unwrap();
        // rustls panics when it does not see again what it has looked at.
        let sealed = session.seal(b"request").unwrap();
        assert_eq!(feed(&mut server, &sealed).unwrap(), b"request");
        split += usize::from(opened.rest.len() > 100);
        let held = opened.rest.len();
        buffer.copy_within(opened.rest, 0);
        let whole = held + tickets.len() - cut;
        buffer[held..whole].copy_from_slice(&tickets[cut..]);
        let opened = session.open(&mut buffer, 0, 0..whole).unwrap();
        assert!(opened.rest.is_empty() && opened.plain.is_empty());
    }
    assert_ne!(split, 0, "no ticket was split");
}

#[test]
fn sessions_are_resumed_across_connections() {
    let authority = Authority::new();
    let leaf = authority.leaf(|_| {});
    for versions in [&[&TLS13], &[&TLS12]] {
        let mut config = leaf.server_with(versions);
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        let config = Arc::new(config);
        let client = authority.client();
        let mut first = connect_to(&client, "a.test", &config).unwrap();
        assert!(!first.session.resumed());
        let tickets = drain(&mut first.server);
        open_in_pieces(&mut first.session, &tickets, &[], 0).unwrap();
        assert!(connect_to(&client, "a.test", &config).unwrap().session.resumed());
        let stranger = authority.client();
        assert!(!connect_to(&stranger, "a.test", &config).unwrap().session.resumed());
    }
}

#[test]
fn close_notify_is_told_from_silence() {
    let authority = Authority::new();
    let Pair { mut session, mut server } =
        connect(&authority.client(), "a.test", authority.leaf(|_| {}).server()).unwrap();
    server.writer().write_all(b"body").unwrap();
    let cipher = drain(&mut server);
    let (plain, last) = open_in_pieces(&mut session, &cipher, &[], HEADROOM).unwrap();
    assert_eq!((plain.as_slice(), last.closed), (b"body".as_slice(), false));
    server.send_close_notify();
    let cipher = drain(&mut server);
    let (_, last) = open_in_pieces(&mut session, &cipher, &[], HEADROOM).unwrap();
    assert!(last.closed);
    let (_, last) = open_in_pieces(&mut session, b"more", &[], HEADROOM).unwrap();
    assert!(last.closed && last.rest.is_empty());
}

fn pem(der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let body = STANDARD.encode(der);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|l| str::from_utf8(l).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[test]
fn nothing_in_common_is_a_handshake_failure() {
    let authority = Authority::new();
    let leaf = authority.leaf(|_| {});
    let trust = Trust::Roots(authority.roots());
    let strict =
        Client::new(Setup { trust, identity: None, tls13_only: true, pins: Vec::new() }).unwrap();
    connect(&strict, "a.test", leaf.server()).unwrap();
    let error = connect(&strict, "a.test", leaf.server_with(&[&TLS12])).err().unwrap();
    assert_eq!(error.fault, TlsFault::Handshake);
    let mut handshake = strict.start("a.test").unwrap();
    handshake.advance(&[]).outcome.unwrap();
    let error = handshake.advance(b"HTTP/1.1 400 Bad Request\r\n\r\n").outcome.unwrap_err();
    assert_eq!(error.reason, "the server does not answer with TLS");
    assert!(strict.start("not a name").is_err());
}

#[test]
fn a_server_that_wants_to_know_us_is_told_or_says_so() {
    let authority = Authority::new();
    let (leaf, us) = (authority.leaf(|_| {}), authority.leaf(|_| {}));
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.clone()).unwrap();
    let asks = || {
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots.clone())).build().unwrap();
        ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(leaf.chain.clone(), leaf.key_der())
            .unwrap()
    };
    let text = pem(&us.chain[0]) + &us.key.serialize_pem();
    let identity = Identity::from_pem(text.as_bytes(), text.as_bytes()).unwrap();
    let trust = Trust::Roots(authority.roots());
    let setup = Setup { trust, identity: Some(identity), tls13_only: false, pins: Vec::new() };
    let known = Client::new(setup).unwrap();
    let server = connect(&known, "a.test", asks()).unwrap().server;
    assert_eq!(server.peer_certificates().unwrap()[0], us.chain[0]);

    let Pair { mut session, mut server } = connect(&authority.client(), "a.test", asks()).unwrap();
    let alert = drain(&mut server);
    let error = open_in_pieces(&mut session, &alert, &[], HEADROOM).unwrap_err();
    assert_eq!(error.fault, TlsFault::Handshake);
    assert!(error.reason.contains("wants a client certificate"), "{}", error.reason);

    assert!(Identity::from_pem(b"", text.as_bytes()).is_err());
    assert!(Identity::from_pem(text.as_bytes(), b"").is_err());
}

#[test]
fn a_chain_of_64_kib_ends_one_way_or_the_other() {
    let authority = Authority::new();
    for extra in [40, 200] {
        let mut leaf = authority.leaf(|_| {});
        leaf.chain.extend((0..extra).map(|_| Authority::new().certificate));
        // 40 fit into a message of 64 KiB, 200 do not.
        let result = connect(&authority.client(), "a.test", leaf.server());
        assert!(result.is_ok() || result.is_err_and(|e| e.fault == TlsFault::Handshake));
    }
}

#[test]
fn data_before_any_request_is_refused() {
    let authority = Authority::new();
    let config = Arc::new(authority.leaf(|_| {}).server_with(&[&TLS13]));
    let mut server = ServerConnection::new(config).unwrap();
    let mut handshake = authority.client().start("a.test").unwrap();
    let hello = handshake.advance(&[]).send;
    feed(&mut server, &hello).unwrap();
    server.writer().write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let early = drain(&mut server);
    match handshake.advance(&early).outcome {
        Err(error) => assert_eq!(error.reason, "data before any request"),
        // The server kept it back until our Finished.
        Ok(done) => assert!(done),
    }
}

#[test]
fn a_record_says_what_it_lacks() {
    assert_eq!(record_lacks(b""), 0);
    assert_eq!(record_lacks(b"\x17\x03\x03"), 2);
    assert_eq!(record_lacks(b"\x17\x03\x03\x01\x02"), 258);
    assert_eq!(record_lacks(b"\x17\x03\x03\x00\x02a"), 1);
    assert_eq!(record_lacks(b"\x17\x03\x03\x00\x02abc"), 0);
}
