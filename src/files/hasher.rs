//! Digest algorithms at work, behind one face.

use crate::options::Algorithm;

/// A digest that was computed: its algorithm and lower-case hex.
pub(crate) type Computed = (Algorithm, String);

/// One algorithm at work.
pub(crate) enum Hasher {
    Rust(Box<dyn digest::DynDigest + Send>),
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Rust(Box::<sha2::Sha256>::default()),
            Algorithm::Sha512 => Self::Rust(Box::<sha2::Sha512>::default()),
            Algorithm::Sha384 => Self::Rust(Box::<sha2::Sha384>::default()),
            Algorithm::Sha224 => Self::Rust(Box::<sha2::Sha224>::default()),
            Algorithm::Sha1 => Self::Rust(Box::<sha1::Sha1>::default()),
            Algorithm::Md5 => Self::Rust(Box::<md5::Md5>::default()),
            Algorithm::Blake3 => Self::Blake3(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Rust(hasher) => hasher.update(bytes),
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
        }
    }

    pub(crate) fn finish(self) -> String {
        match self {
            Self::Rust(hasher) => hex::encode(hasher.finalize()),
            Self::Blake3(hasher) => hasher.finalize().to_hex().to_string(),
        }
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests_of_abc() {
        let of_abc = |algorithm| {
            let mut hasher = Hasher::new(algorithm);
            hasher.update(b"a");
            hasher.update(b"bc");
            hasher.finish()
        };
        assert_eq!(of_abc(Algorithm::Md5), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(of_abc(Algorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            of_abc(Algorithm::Sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            of_abc(Algorithm::Blake3),
            "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
        );
        assert!(of_abc(Algorithm::Sha384).starts_with("cb00753f45a35e8bb5a03d699ac65007"));
        assert_eq!(
            of_abc(Algorithm::Sha224),
            "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"
        );
        assert!(of_abc(Algorithm::Sha512).starts_with("ddaf35a193617abacc417349ae204131"));
    }
}
