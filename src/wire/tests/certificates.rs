//! Which certificates are believed, and what is said of the others.

use super::*;

fn refusal(client: &Client, host: &str, leaf: &Leaf) -> (TlsFault, String) {
    let error = connect(client, host, leaf.server()).err().expect("must be refused");
    (error.fault, error.reason)
}

#[test]
fn certificates_that_are_not_to_be_believed_say_why() {
    let authority = Authority::new();
    let client = authority.client();
    let why = |host: &str, leaf: &Leaf| {
        let (fault, reason) = refusal(&client, host, leaf);
        assert_eq!(fault, TlsFault::Certificate, "{reason}");
        reason
    };
    let expired = authority.leaf(|p| {
        p.not_before = date_time_ymd(2019, 1, 1);
        p.not_after = date_time_ymd(2020, 1, 1);
    });
    assert_eq!(why("a.test", &expired), "the certificate expired on 2020-01-01 00:00:00 UTC");
    let future = authority.leaf(|p| p.not_before = date_time_ymd(4001, 1, 1));
    assert!(why("a.test", &future).contains("is not valid before 4001-01-01"));
    let good = authority.leaf(|_| {});
    assert_eq!(why("b.test", &good), "the certificate is issued for a.test, not for b.test");
    assert!(why("127.0.0.1", &good).ends_with("not for 127.0.0.1"));
    let stranger = Authority::new().leaf(|_| {});
    assert!(why("a.test", &stranger).contains("issuer is unknown"));
    let below = authority.intermediate();
    let mut orphan = below.leaf(|_| {});
    assert!(why("a.test", &orphan).contains("intermediate"));
    orphan.chain.push(below.certificate.clone());
    connect(&client, "a.test", orphan.server()).unwrap();
}

#[test]
fn addresses_and_wildcards_are_names() {
    let authority = Authority::new();
    let names = ["127.0.0.1", "::1", "*.w.test"].map(str::to_owned).to_vec();
    let leaf = authority
        .leaf(|p| p.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names);
    let client = authority.client();
    for host in ["127.0.0.1", "::1", "x.w.test"] {
        connect(&client, host, leaf.server()).unwrap();
    }
    for host in ["127.0.0.2", "::2", "w.test", "x.y.w.test"] {
        assert_eq!(refusal(&client, host, &leaf).0, TlsFault::Certificate, "{host}");
    }
}

/// What `openssl req -x509` makes: signed by itself, and marked as an authority.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let chain = vec![params.self_signed(&key).unwrap().der().clone()];
    Leaf { chain, key }
}

fn naming(leaf: &Leaf) -> Client {
    let mut roots = Roots::new();
    assert_eq!(roots.add_pem(pem(&leaf.chain[0]).as_bytes()), 1);
    client(Trust::Roots(roots), Vec::new())
}

#[test]
fn a_self_signed_certificate_is_believed_where_it_is_named() {
    let leaf = self_signed(|_| {});
    connect(&naming(&leaf), "a.test", leaf.server()).unwrap();
    assert!(refusal(&naming(&leaf), "b.test", &leaf).1.contains("not for b.test"));
    let expired = self_signed(|p| p.not_after = date_time_ymd(2020, 1, 1));
    assert!(refusal(&naming(&expired), "a.test", &expired).1.contains("expired on 2020-01-01"));
    let future = self_signed(|p| p.not_before = date_time_ymd(4001, 1, 1));
    assert!(refusal(&naming(&future), "a.test", &future).1.contains("not valid before"));
    let other = self_signed(|_| {});
    let (fault, reason) = refusal(&naming(&leaf), "a.test", &other);
    assert_eq!(fault, TlsFault::Certificate);
    assert!(reason.contains("self-signed"), "{reason}");
}

#[test]
fn pins_hold_with_and_without_trust() {
    let authority = Authority::new();
    let leaf = authority.leaf(|_| {});
    let key = rcgen::PublicKeyData::subject_public_key_info(&leaf.key);
    let pin: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(key).into();
    for trust in [Trust::Roots(authority.roots()), Trust::Anything] {
        connect(&client(trust.clone(), vec![[0; 32], pin]), "a.test", leaf.server()).unwrap();
        let (fault, reason) = refusal(&client(trust, vec![[0; 32]]), "a.test", &leaf);
        assert_eq!(fault, TlsFault::Certificate);
        assert!(reason.contains("public key is not the pinned one"), "{reason}");
    }
    let anything = client(Trust::Anything, Vec::new());
    connect(&anything, "b.test", Authority::new().leaf(|_| {}).server()).unwrap();
}
