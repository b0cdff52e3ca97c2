//! Every coding, whole, cut at many places, bent, and several times over.

use std::fs;

use super::{
    archive::{self, Archive, CODINGS},
    world::{Odd, World, staged, too_large},
};
use crate::{
    options::Unpack,
    orders::{ArchiveFault, Failure},
    unpack::{Gauge, Place, Trouble, unpack},
};

fn sample() -> Vec<u8> {
    let content: Vec<u8> = (0..3000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
    Archive::new().dir("d", 0o755).file("d/x", content).symlink("l", "d/x").end()
}

#[test]
fn whole() {
    for (name, coding) in CODINGS {
        let tree = World::new().accept(&coding(&sample()), &Unpack::default());
        assert_eq!(tree.len(), 4, "{name}: {tree:?}");
    }
}

#[test]
fn cut_anywhere() {
    let plain = sample();
    for (name, coding) in CODINGS {
        let whole = coding(&plain);
        let world = World::new();
        let step = (whole.len() / 97).max(1);
        let cuts =
            (0..whole.len()).filter(|at| at % step == 0 || *at < 40 || at + 40 > whole.len());
        for at in cuts {
            // Plain tar has its end before what pads it.
            if name.is_empty() && at >= plain.len() - 10240 + 1024 + 4096 {
                continue;
            }
            let end = last_member(&plain) + 1024;
            if name.is_empty() && at >= end {
                continue;
            }
            let failure = world.refuse(&whole[..at], &Unpack::default());
            assert!(matches!(failure, Failure::Archive(_)), "{name} cut at {at}: {failure}");
        }
    }
}

/// Where the end of the members is.
fn last_member(plain: &[u8]) -> usize {
    plain.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(512)
}

#[test]
fn any_byte_bent_is_noticed_or_harmless() {
    let plain = sample();
    for (name, coding) in CODINGS.into_iter().skip(1) {
        let whole = coding(&plain);
        let step = (whole.len() / 61).max(1);
        for at in (0..whole.len()).step_by(step) {
            let mut bent = whole.clone();
            bent[at] ^= 0x10;
            let world = World::new();
            match world.extract(&bent, &Unpack::default()) {
                // Bits that mean nothing: a time, a name, a system in gzip's header.
                Ok(_) => {
                    assert_eq!(fs::read_dir(world.target()).unwrap().count(), 2, "{name} {at}")
                }
                Err(failure) => {
                    assert!(matches!(failure, Failure::Archive(_)), "{name} {at}: {failure}");
                    assert!(!world.target().exists());
                }
            }
        }
    }
}

#[test]
fn one_after_the_other() {
    let plain = sample();
    let (front, back) = plain.split_at(700);
    for (name, coding) in CODINGS {
        let joined = [coding(front), coding(back)].concat();
        assert_eq!(World::new().accept(&joined, &Unpack::default()).len(), 4, "{name}");
        // Noise behind the end.
        let noisy = [coding(&plain), b"noise".to_vec()].concat();
        World::new().refuse(&noisy, &Unpack::default());
    }
    // Zeros behind the end are padding to some, and an error to others.
    for (name, coding) in CODINGS {
        let world = World::new();
        let padded = [coding(&plain), vec![0; 512]].concat();
        match world.extract(&padded, &Unpack::default()) {
            Ok(_) => assert!(world.target().join("d/x").exists(), "{name}"),
            Err(failure) => assert!(matches!(failure, Failure::Archive(_)), "{failure}"),
        }
    }
}

#[test]
fn frames_to_skip() {
    let plain = sample();
    let skip = [&[0x53, 0x2a, 0x4d, 0x18, 5, 0, 0, 0][..], b"hello"].concat();
    for coding in [archive::zst, archive::lz4] {
        let whole = [&skip[..], &coding(&plain), &skip].concat();
        assert_eq!(World::new().accept(&whole, &Unpack::default()).len(), 4);
        World::new().refuse(&whole[..whole.len() - 1], &Unpack::default());
        World::new().refuse(&whole[..whole.len() - 9], &Unpack::default());
    }
}

#[test]
fn windows_are_limited() {
    // A frame of zstd whose header asks for a window of 2 GiB.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    let failure = World::new().refuse(&frame, &Unpack::default());
    assert_eq!(failure, Failure::Archive(ArchiveFault::Window));
    let big = liblzma::stream::Stream::new_easy_encoder(9, liblzma::stream::Check::Crc64).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), big);
    std::io::Write::write_all(&mut encoder, &sample()).unwrap();
    let archive = encoder.finish().unwrap();
    let world = World::new();
    let place = || Place::directory(&world.target()).unwrap();
    let with =
        |memory| unpack(&archive[..], place(), &Unpack::default(), memory, &Gauge::default());
    let window =
        |trouble| matches!(trouble, Trouble::Unpacking(Failure::Archive(ArchiveFault::Window)));
    assert!(with(1 << 20).is_err_and(window) && with(80 << 20).is_ok());
}

#[test]
fn an_input_that_fails_is_not_the_archives_fault() {
    for (_, coding) in CODINGS {
        let whole = coding(&sample());
        let world = World::new();
        for at in [0, 1, 10, whole.len() / 2, whole.len()] {
            let place = Place::directory(&world.target()).unwrap();
            let result = staged(Odd::failing(&whole[..at]), place, &Unpack::default());
            assert_eq!(result.unwrap_err(), Failure::Cancelled { signal: 0 });
            assert_eq!(fs::read_dir(world.path("work")).unwrap().count(), 0);
        }
    }
}

#[test]
fn single_files() {
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, coding) in CODINGS.into_iter().skip(1) {
        let world = World::new();
        let target = world.path("work/file");
        let run = |bytes: &[u8], plan: &Unpack| {
            let place = Place::file(&target, true)?;
            staged(Odd::of(bytes), place, plan)?.publish(true)
        };
        let whole = coding(&content);
        run(&whole, &Unpack::default()).unwrap();
        assert_eq!(fs::read(&target).unwrap(), content, "{name}");
        fs::write(&target, "old").unwrap();
        for at in [0, 1, whole.len() / 2, whole.len() - 1] {
            let failure = run(&whole[..at], &Unpack::default()).unwrap_err();
            assert!(matches!(failure, Failure::Archive(_)), "{name} {at}: {failure}");
        }
        let small = Unpack { max_extracted: Some(799_999), ..Unpack::default() };
        assert_eq!(run(&whole, &small).unwrap_err(), too_large(799_999));
        assert!(matches!(run(&sample(), &small).unwrap_err(), Failure::Archive(_)));
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(world.path("work")).unwrap().count(), 1);
        assert!(Place::file(&target, false).is_err());
    }
}
