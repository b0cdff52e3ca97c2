//! What happens between a handshake and the last octet of a body.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use rustls::version::{TLS12, TLS13};

use crate::{KIB, MIB, e2e_test, support::*};

fn ca() -> String {
    TRUSTED.file().to_str().unwrap().to_owned()
}

fn front(origin: &Origin, manners: Manners) -> Front {
    Front::start(LOCAL.server(&[]), origin.address(), manners)
}

fn get(t: &Test, front: &Front, more: &[&str]) -> Output {
    let url = front.at("/object.bin");
    t.uget(["--cacert", &ca(), &url]).args(more).run()
}

e2e_test!(new_keys_in_the_middle_of_bodies, |t| {
    let object = Object::random(710, 3 * MIB + 3);
    let origin = Origin::of(&object).start();
    let manners = Manners { update_every: Some(100_000), ..Manners::default() };
    let front = Front::start(LOCAL.server(&[&TLS13]), origin.address(), manners);
    let output = get(t, &front, &["-j4", "--chunk-size", "524288"]);
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(small_records, |t| {
    let object = Object::random(711, 300 * KIB + 1);
    let origin = Origin::of(&object).start();
    for version in [&TLS13, &TLS12] {
        let mut config = LOCAL.server(&[version]);
        config.max_fragment_size = Some(64);
        let front = Front::start(config, origin.address(), Manners::default());
        let output = get(t, &front, &["-j3", "--chunk-size", "65536", "-o", "object.bin"]);
        t.delivers(&output, "object.bin", &object);
    }
});

e2e_test!(octets_that_are_no_record, |t| {
    let object = Object::random(712, MIB);
    let origin = Origin::of(&object).start();
    for after in [1, 100 * KIB] {
        let manners = Manners { garbage_after: Some(after), ..Manners::default() };
        let front = front(&origin, manners);
        let output = get(t, &front, &["-j1", "--retries", "0"]);
        t.refuses_with(&output, &[56, 18]);
    }
});

e2e_test!(a_body_that_ends_with_the_connection_needs_close_notify, |t| {
    let object = Object::random(713, 200 * KIB);
    let origin = Origin::of(&object)
        .bend(|_, reply| {
            reply.framing = Framing::Bare;
            reply.end = End::Fin;
        })
        .start();
    let polite = front(&origin, Manners::default());
    let output = get(t, &polite, &["-j1"]);
    t.delivers(&output, "object.bin", &object);
    std::fs::remove_file(t.path("object.bin")).unwrap();
    let rude = front(&origin, Manners { rude_end: true, ..Manners::default() });
    let output = get(t, &rude, &["-j1", "--retries", "0"]);
    t.refuses_with(&output, &[18, 56, 8]);
});

e2e_test!(a_body_of_known_length_does_not, |t| {
    let object = Object::random(714, 200 * KIB);
    let origin = Origin::of(&object)
        .bend(|_, reply| {
            reply.fields.push(("Connection".to_owned(), "close".to_owned()));
            reply.end = End::Fin;
        })
        .start();
    let rude = front(&origin, Manners { rude_end: true, ..Manners::default() });
    let output = get(t, &rude, &["-j2", "--chunk-size", "65536"]);
    t.delivers(&output, "object.bin", &object);
});

e2e_test!(sessions_are_resumed, |t| {
    let object = Object::random(715, 8 * MIB);
    let origin = Origin::of(&object).start();
    for (version, name) in [(&TLS13, "13"), (&TLS12, "12")] {
        let front = Front::start(LOCAL.server(&[version]), origin.address(), Manners::default());
        let output = get(t, &front, &["-j8", "--chunk-size", "65536", "-o", name]);
        output.succeeds();
        t.holds(&output, name, &object);
        let (full, resumed) = front.handshakes();
        assert!(resumed > 0, "{full} full handshakes, none resumed");
    }
});

e2e_test!(a_plain_server_is_not_spoken_to, |t| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/object.bin", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            drop(client.read(&mut [0; 16]));
            drop(client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));
            drop(client.read_to_end(&mut Vec::new()));
        }
    });
    let output = t.uget([&url, "--cacert", &ca(), "--retries", "0"]).run();
    t.refuses(&output, 35);
    output.check(output.stderr.contains("does not answer with TLS"), "it says what is wrong");
});
