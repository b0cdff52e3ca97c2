//! Archives of any members, and anything for an archive: what is beside the directory stays as it
//! is, and nothing is left of what is refused.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uget::{
    Unpack,
    unpack::{Gauge, Place, unpack},
};

/// The octets as an archive; and as a list of members: a kind, a mode, the lengths of name and
/// target and content, then those.
pub fn members(data: &[u8]) {
    attempt(data);
    attempt(&archive(data));
}

/// Where all of it takes place, one directory for each process.
fn world() -> PathBuf {
    let root = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/var/tmp" };
    let world = Path::new(root).join(format!("uget-fuzz-unpack-{}", std::process::id()));
    if !world.exists() {
        fs::create_dir_all(world.join("canary/below")).expect("a directory");
        fs::write(world.join("canary/below/file"), "unharmed").expect("a file");
        fs::create_dir(world.join("work")).expect("a directory");
    }
    world
}

fn attempt(archive: &[u8]) {
    let world = world();
    let target = world.join("work/dir");
    let place = Place::directory(&target).expect("a place");
    let rules = Unpack { max_extracted: Some(1 << 20), ..Unpack::default() };
    let staged = unpack(archive, place, &rules, 1 << 22, &Gauge::default());
    if let Ok(staged) = staged {
        // Dropped, it is removed, whatever is in it.
        drop(staged);
    }
    let names = |path: &str| -> Vec<_> {
        let entries = fs::read_dir(world.join(path)).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    };
    assert_eq!(names("work"), Vec::<std::ffi::OsString>::new());
    assert_eq!(names("canary"), ["below"]);
    assert_eq!(names("canary/below"), ["file"]);
    assert_eq!(fs::read(world.join("canary/below/file")).expect("a file"), b"unharmed");
    assert_eq!(names("").len(), 2);
}

/// A tar archive, whose members are as the octets say.
fn archive(mut data: &[u8]) -> Vec<u8> {
    const KINDS: &[u8] = b"0000511222225xgLK7S36";
    let mut all = Vec::new();
    let mut octet = || {
        let (first, rest) = data.split_first()?;
        data = rest;
        Some(*first)
    };
    while let Some(kind) = octet() {
        let kind = KINDS[usize::from(kind) % KINDS.len()];
        let mode = octet().unwrap_or(0o7);
        let mut text = |most: u8| -> Vec<u8> {
            let length = octet().unwrap_or(0) % most;
            (0..length).map_while(|_| octet()).map(letter).collect()
        };
        let (name, link, content) = (text(24), text(24), text(64));
        all.extend(member(kind, mode, &name, &link, &content));
    }
    all.extend([0; 1024]);
    all
}

/// Few letters, so that names meet.
fn letter(octet: u8) -> u8 {
    match octet {
        0..=0x2f => b'/',
        0x30..=0x6f => b'.',
        0x70..=0x9f => b'a',
        0xa0..=0xbf => b'b',
        other => other,
    }
}

fn member(kind: u8, mode: u8, name: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut head = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, format!("{:07o}\0", u32::from(mode) * 16).as_bytes());
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link);
    put(257, b"ustar\x0000");
    let sum: u32 = head.iter().map(|octet| u32::from(*octet)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    head.extend(content);
    head.resize(head.len().next_multiple_of(512), 0);
    head
}
