//! Bodies that arrive in awkward pieces: octet by octet, in odd segments around the borders of the
//! buffers, their last octets late, and cut by a reset.

use std::{io::Write as _, thread, time::Duration};

use crate::{KIB, MIB, e2e_test, support::*};

/// An origin that sends the last `tail` octets of every body one by one.
fn reluctant(object: &Object, tail: usize) -> Script {
    let version = Version::strong(object.clone(), "v1");
    Script::new(move |stream, _| {
        drop(stream.set_nodelay(true));
        loop {
            let head = Script::head(stream);
            if head.is_empty() {
                return;
            }
            let reply = Reply::honest(&request::Request::parse(&head), &version);
            let body = reply.body.bytes();
            let (most, last) = body.split_at(body.len().saturating_sub(tail));
            let most = [&reply.head(), most].concat();
            let mut sent = stream.write_all(&most);
            for octet in last {
                thread::sleep(Duration::from_millis(3));
                sent = sent.and_then(|()| stream.write_all(&[*octet]));
            }
            if sent.is_err() {
                return;
            }
        }
    })
}

// A receive waits for much; never for more than is still to come.
e2e_test!(the_last_octets_of_every_span_come_one_by_one, |t| {
    let object = Object::random(310, 3 * MIB + 1);
    for (part, tail) in [(256 * KIB, 1), (512 * KIB - 1, 2), (512 * KIB, 5), (512 * KIB + 1, 7)] {
        let origin = reluctant(&object, tail);
        let part = part.to_string();
        let args = ["-j4", "--chunk-size", &part, "-o", "object.bin", &origin.url()];
        let output = t.uget(args).run();
        output.check(output.status.success(), &format!("parts of {part}, {tail} octets late"));
        t.delivers(&output, "object.bin", &object);
        t.clear();
    }
});

e2e_test!(octets_come_one_by_one, |t| {
    let object = Object::random(311, 300);
    let drip = Mode::Drip { size: 1, pause: Duration::from_millis(1) };
    for framing in [Framing::Length, Framing::Chunked(Chunked { size: 7, ..Chunked::default() })] {
        let origin = Origin::of(&object)
            .mode(drip.clone())
            .bend(move |_, reply| reply.framing = framing.clone())
            .start();
        let output = t.uget(["-o", "object.bin", &origin.url()]).run();
        output.succeeds();
        t.delivers(&output, "object.bin", &object);
        t.clear();
    }
});

e2e_test!(odd_segments_around_the_borders_of_the_buffers, |t| {
    let object = Object::random(312, 3 * MIB + 3);
    for size in [1447, 16 * KIB - 1, 64 * KIB + 1, MIB - 1, MIB + 64 * KIB + 1] {
        for chunk in [None, Some(10_007), Some(MIB + 1)] {
            let origin = Origin::of(&object)
                .mode(Mode::Drip { size, pause: Duration::from_micros(10) })
                .bend(move |_, reply| {
                    if let Some(size) = chunk {
                        reply.framing = Framing::Chunked(Chunked { size, ..Chunked::default() });
                    }
                })
                .start();
            let output = t.uget(["-j2", "-o", "object.bin", &origin.url()]).run();
            output.check(output.status.success(), &format!("segments of {size}, {chunk:?}"));
            t.delivers(&output, "object.bin", &object);
            t.clear();
        }
    }
});

e2e_test!(a_reset_at_an_awkward_octet, |t| {
    let object = Object::random(313, 3 * MIB + 3);
    for at in [0, 1, 16 * KIB, 512 * KIB - 1, 512 * KIB + 1, MIB - 1] {
        let cut = Mode::Cut { from: 1, times: 2, at: at as u64, end: End::Rst };
        let origin = Origin::of(&object).mode(cut).start();
        let output = t.uget(["-j2", "-o", "object.bin", &origin.url()]).run();
        output.check(output.status.success(), &format!("cut at {at}"));
        t.delivers(&output, "object.bin", &object);
        t.clear();
    }
});
