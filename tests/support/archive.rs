//! Tar archives, made block by block, so that they can be wrong in any way.

/// An archive that is being put together.
#[derive(Clone, Default)]
pub struct Archive(Vec<u8>);

/// The fields of a header; what is not set is as for a regular file of nobody in particular.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub owner: (u32, u32),
    pub mtime: i64,
    pub link: Vec<u8>,
    /// What the header says; the content's length unless set.
    pub size: Option<Vec<u8>>,
    pub device: (u32, u32),
    pub content: Vec<u8>,
    /// Changes the header before its checksum is made.
    pub bend: fn(&mut [u8]),
}

impl Entry {
    pub fn new(kind: u8, name: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode: if kind == b'5' { 0o755 } else { 0o644 },
            owner: (0, 0),
            mtime: 1_600_000_000,
            link: Vec::new(),
            size: None,
            device: (0, 0),
            content: Vec::new(),
            bend: |_| {},
        }
    }

    /// The header, and the content in whole blocks.
    pub fn blocks(&self) -> Vec<u8> {
        let mut head = vec![0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| head[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(100)]);
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, format!("{:07o}\0", self.owner.0).as_bytes());
        put(116, format!("{:07o}\0", self.owner.1).as_bytes());
        match &self.size {
            Some(field) => put(124, field),
            None => put(124, format!("{:011o}\0", self.content.len()).as_bytes()),
        }
        if self.mtime < 0 {
            put(136, &[0xff; 4]);
            put(140, &self.mtime.to_be_bytes());
        } else {
            put(136, format!("{:011o}\0", self.mtime).as_bytes());
        }
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, format!("{:07o}\0", self.device.1).as_bytes());
        (self.bend)(&mut head);
        sum(&mut head);
        head.extend(&self.content);
        head.resize(head.len().next_multiple_of(512), 0);
        head
    }
}

/// Sets a header's checksum.
pub fn sum(head: &mut [u8]) {
    head[148..156].fill(b' ');
    let sum: u32 = head[..512].iter().map(|octet| u32::from(*octet)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

impl Archive {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn entry(mut self, entry: &Entry) -> Self {
        self.0.extend(entry.blocks());
        self
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn file(self, name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        self.entry(&Entry { content, ..Entry::new(b'0', name) })
    }

    pub fn dir(self, name: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entry(&Entry { mode, ..Entry::new(b'5', name) })
    }

    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(&Entry { link: target.as_ref().to_vec(), ..Entry::new(b'2', name) })
    }

    pub fn hardlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(&Entry { link: target.as_ref().to_vec(), ..Entry::new(b'1', name) })
    }

    /// An extended header of pax, for the next member (`x`) or for all (`g`).
    pub fn pax(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let content = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.entry(&Entry { content, ..Entry::new(kind, "pax") })
    }

    /// A long name (`L`) or target (`K`), as GNU tar has it.
    pub fn long(self, kind: u8, text: impl AsRef<[u8]>) -> Self {
        let content = [text.as_ref(), b"\0"].concat();
        self.entry(&Entry { content, ..Entry::new(kind, "././@LongLink") })
    }

    /// What there is, without an end.
    pub fn open(self) -> Vec<u8> {
        self.0
    }

    /// With the two blocks of zeros, padded as tar(1) does.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0.resize(self.0.len().next_multiple_of(10240), 0);
        self.0
    }
}

/// `LENGTH KEY=VALUE\n`, whose length counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let length = (rest.len()..).find(|n| n.to_string().len() + rest.len() == *n).unwrap_or(0);
    [length.to_string().as_bytes(), &rest].concat()
}

/// Content that a sink made smaller.
macro_rules! squeeze {
    ($encoder:expr, $content:expr) => {{
        use std::io::Write as _;
        let mut encoder = $encoder;
        encoder.write_all($content).unwrap();
        encoder.finish().unwrap()
    }};
}

/// How content is coded.
pub type Coder = fn(&[u8]) -> Vec<u8>;

/// Every coding by its usual suffix, and how it is done.
pub const CODINGS: [(&str, Coder); 6] = [
    ("", |plain| plain.to_vec()),
    ("gz", gzip),
    ("zst", zst),
    ("xz", xz),
    ("bz2", bz2),
    ("lz4", lz4),
];

pub fn gzip(plain: &[u8]) -> Vec<u8> {
    squeeze!(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()), plain)
}

/// With a checksum at its end.
pub fn zst(plain: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    squeeze!(encoder, plain)
}

pub fn xz(plain: &[u8]) -> Vec<u8> {
    squeeze!(liblzma::write::XzEncoder::new(Vec::new(), 0), plain)
}

pub fn bz2(plain: &[u8]) -> Vec<u8> {
    squeeze!(bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast()), plain)
}

/// With checksums.
pub fn lz4(plain: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
    squeeze!(lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new()), plain)
}
