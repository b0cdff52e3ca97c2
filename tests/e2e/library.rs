//! The library's reader and what is made of it: the object in order, errors where they belong, and
//! nothing left when it is dropped.

use std::{
    fs,
    io::{self, Read as _},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use uget::{Connections, Digest, Download, EngineChoice, ErrorKind, Options, WriteAt};

use crate::{MIB, e2e_test, support::*};

fn options(t: &Test, connections: usize) -> Options {
    let engine = match t.engine {
        Engine::Uring => EngineChoice::Uring,
        Engine::Epoll => EngineChoice::Epoll,
    };
    let connections = Connections::Exactly(connections);
    Options { connections, engine, ..Options::default() }
}

fn download(t: &Test, origin: &Origin) -> Download {
    Download::new(&origin.url(), options(t, 4)).unwrap()
}

/// The threads of this process that are uget's, by name.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let name =
        |task: io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("comm")).ok();
    let names = tasks.filter_map(name).map(|name| name.trim().to_owned());
    names.filter(|name| name == "uget" || name.starts_with("uget-")).collect()
}

#[derive(Default)]
struct Memory(Mutex<Vec<u8>>);

impl WriteAt for Memory {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut memory = self.0.lock().unwrap();
        let end = offset as usize + bytes.len();
        let length = memory.len().max(end);
        memory.resize(length, 0);
        memory[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }
}

e2e_test!(grx08_what_it_is_is_known_before_its_bytes, |t| {
    let object = Object::random(941, 12 * MIB);
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::of(&object)
        .bend(move |request, reply| {
            if request.number > 0 {
                held.pass();
            } else {
                reply.set("Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT");
            }
        })
        .start();
    let (info, mut reader) = download(t, &origin).open().unwrap();
    assert_eq!(info.size, Some(object.len()));
    assert_eq!(info.etag.as_deref(), Some("\"v1\""));
    assert_eq!(info.final_url, origin.url());
    assert!(info.last_modified.is_some());
    // GRX-07: of the object, not of the part that was asked for first.
    let field = |name| info.headers.all(name).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(field("content-length"), [object.len().to_string().into_bytes()]);
    assert_eq!(field("etag"), [b"\"v1\"".to_vec()]);
    assert!(field("content-range").is_empty());
    let mut first = [0; 1000];
    reader.read_exact(&mut first).unwrap();
    assert!(reader.report().is_none());
    gate.open();
    let mut all = first.to_vec();
    reader.read_to_end(&mut all).unwrap();
    assert!(object.difference(&all).is_none());
    assert_eq!(reader.read(&mut first).unwrap(), 0, "the end stays the end");
    let report = reader.report().unwrap();
    assert_eq!(report.size, object.len());
    assert!(report.connections > 1);
});

e2e_test!(pg19_one_engine_and_every_sink, |t| {
    for size in [0, 1, 300_000, 9 * MIB + 1] {
        let object = Object::random(942, size);
        let origin = Origin::of(&object).start();
        let mut vec = Vec::new();
        let report = download(t, &origin).to_writer(&mut vec).unwrap();
        assert!(object.difference(&vec).is_none(), "{size}");
        assert_eq!((report.size, report.path), (object.len(), None));
        let memory = Memory::default();
        download(t, &origin).to_writer_at(&memory).unwrap();
        assert!(object.difference(&memory.0.lock().unwrap()).is_none(), "{size}");
        let file = fs::File::create(t.path("at")).unwrap();
        download(t, &origin).to_writer_at(&file).unwrap();
        assert!(object.difference(&fs::read(t.path("at")).unwrap()).is_none(), "{size}");
        let report = download(t, &origin).to_file(t.path("file")).unwrap();
        assert_eq!(report.path.as_deref(), Some(t.path("file")).as_deref());
        assert!(object.difference(&fs::read(t.path("file")).unwrap()).is_none(), "{size}");
        fs::remove_file(t.path("file")).unwrap();
    }
    let object = Object::random(942, 1000);
    let origin = Origin::of(&object).start();
    uget::download(&origin.url(), t.path("simply")).unwrap();
    assert!(object.difference(&fs::read(t.path("simply")).unwrap()).is_none());
});

e2e_test!(pg16_what_came_in_order_and_then_the_error, |t| {
    let object = Object::random(943, 8 * MIB);
    let origin = Origin::of(&object).mode(Mode::StatusAt { k: 5, times: 999, status: 403 }).start();
    let mut options = options(t, 2);
    options.part_size = Some(MIB as u64);
    let (_, mut reader) = Download::new(&origin.url(), options).unwrap().open().unwrap();
    let mut all = Vec::new();
    let error = reader.read_to_end(&mut all).unwrap_err();
    let error = error.downcast::<uget::Error>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Status(403));
    assert!(all.len() >= MIB, "{} bytes came in order", all.len());
    assert_eq!(object.bytes().get(..all.len()), Some(&all[..]));
    assert!(reader.read(&mut [0]).is_err(), "a gap is never the end");
});

e2e_test!(pg18_what_a_digest_does_not_prove_is_an_error, |t| {
    let object = Object::random(944, 3 * MIB);
    let origin = Origin::of(&object).start();
    for right in [true, false] {
        let mut options = options(t, 4);
        let hex = if right { object.sha256() } else { Object::random(945, 1).sha256() };
        options.digests = vec![Digest::new(uget::Algorithm::Sha256, &hex).unwrap()];
        let mut vec = Vec::new();
        let result = Download::new(&origin.url(), options).unwrap().to_writer(&mut vec);
        match result {
            Ok(report) => assert!(right && report.verified()),
            Err(error) => assert!(!right && error.kind() == ErrorKind::Digest, "{error}"),
        }
        assert!(object.difference(&vec).is_none(), "it is out by then");
    }
});

e2e_test!(a_writer_that_fails_is_the_error, |t| {
    struct Full(u64);
    impl io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len() as u64).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let origin = Origin::of(&Object::random(946, 8 * MIB)).start();
    let error = download(t, &origin).to_writer(&mut Full(MIB as u64)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Write);
    t.write("plain", "");
    let error = download(t, &origin).to_file(t.path("plain/file")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Write);
});

e2e_test!(an_error_before_anything_is_known, |t| {
    let origin = Origin::of(&Object::random(947, MIB)).mode(Mode::Status(404)).start();
    let error = download(t, &origin).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Status(404));
});

e2e_test!(what_is_announced_does_not_change, |t| {
    let object = Object::random(948, 24 * MIB);
    let other = Version::strong(Object::random(949, 24 * MIB), "v2");
    let origin = Origin::of(&object).mode(Mode::Flips { after: 3, to: other }).start();
    let mut options = options(t, 4);
    options.restart_on_change = true;
    let (info, mut reader) = Download::new(&origin.url(), options).unwrap().open().unwrap();
    assert_eq!(info.etag.as_deref(), Some("\"v1\""));
    let mut all = Vec::new();
    let error = reader.read_to_end(&mut all).unwrap_err();
    assert_eq!(error.downcast::<uget::Error>().unwrap().kind(), ErrorKind::Changed);
    assert_eq!(object.bytes().get(..all.len()), Some(&all[..]));
});

e2e_test!(grx09_a_reader_that_is_dropped_leaves_nothing, |t| {
    // Many are silent, or none is; some bytes were read, or none; the window is full, or not.
    for (silent, memory, read) in
        [(true, 128, 1000), (true, 128, 0), (false, 128, 0), (false, 2, 100_000)]
    {
        let origin = Origin::of(&Object::random(950, 24 * MIB))
            .bend(move |request, reply| {
                if silent && request.number > 0 {
                    reply.cut = Some((1000, End::Stall));
                }
            })
            .start();
        let mut options = options(t, 8);
        options.memory = Some(memory * MIB as u64);
        let (_, mut reader) = Download::new(&origin.url(), options).unwrap().open().unwrap();
        reader.read_exact(&mut vec![0; read]).unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(!threads().is_empty());
        let began = Instant::now();
        drop(reader);
        let took = began.elapsed();
        let allowed = if is_long() { Duration::from_millis(100) } else { Duration::from_secs(2) };
        assert!(took < allowed, "{took:?}");
        // Where tests share a process, the others have threads, too.
        if std::env::var_os("NEXTEST").is_some() {
            assert_eq!(threads(), [""; 0], "its threads are joined");
        }
        assert!(origin.log().wait_closed(), "its connections are closed");
    }
});

e2e_test!(grx10_a_tiny_object_two_hundred_times, |t| {
    let object = Object::random(951, 11);
    let origin = Origin::of(&object).start();
    for round in 0..200 {
        let mut all = Vec::new();
        let (info, mut reader) = download(t, &origin).open().unwrap();
        reader.read_to_end(&mut all).unwrap();
        assert!(object.difference(&all).is_none(), "round {round}: {} bytes", all.len());
        assert_eq!(info.size, Some(11));
    }
});
