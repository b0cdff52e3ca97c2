//! What must be sure of an object before its name is published.

use super::{hasher::Computed, reread::ReadBack};
use crate::{
    options::{Algorithm, Digest},
    orders::Failure,
};

/// The digests that an object is checked against, those that are only told, and whether it is to
/// outlast a power cut.
#[derive(Clone, Debug)]
pub(crate) struct Checks {
    /// The digests that the user demands.
    pub(crate) demanded: Vec<Digest>,
    /// The digests that the server states.
    pub(crate) stated: Vec<Digest>,
    /// Digests to report.
    pub(crate) printed: Vec<Algorithm>,
    /// Sync data and directory before the name is published.
    pub(crate) sync: bool,
    /// How bytes are read back to be hashed.
    pub(crate) read_back: ReadBack,
}

/// A digest of an object that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Of which kind.
    pub(crate) algorithm: Algorithm,
    /// Its value.
    pub(crate) hex: String,
    /// It was demanded or stated, and matched.
    pub(crate) verified: bool,
}

impl Checks {
    /// The digests that the object is checked against: what the user demands goes before what the
    /// server says of itself.
    fn expected(&self) -> &[Digest] {
        if self.demanded.is_empty() { &self.stated } else { &self.demanded }
    }

    /// Every algorithm that is needed, once; those that are checked first.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms = Vec::new();
        let checked = self.expected().iter().map(|digest| digest.algorithm);
        for algorithm in checked.chain(self.printed.iter().copied()) {
            if !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// The digests of an object that [`Self::verify`] passed, and which of them were checked.
    pub(crate) fn checked(&self, computed: Vec<Computed>) -> Vec<Checked> {
        let is_checked = |of| self.expected().iter().any(|digest| digest.algorithm == of);
        let checked = |(of, hex)| Checked { algorithm: of, hex, verified: is_checked(of) };
        computed.into_iter().map(checked).collect()
    }

    /// Whether an object with these digests is the right one.
    ///
    /// # Errors
    /// [`Failure::Digest`] for the first one that differs.
    pub(crate) fn verify(&self, computed: &[Computed]) -> Result<(), Failure> {
        for expected in self.expected() {
            let found = computed.iter().find(|(of, _)| *of == expected.algorithm);
            let actual = found.map(|(_, hex)| hex.clone()).unwrap_or_default();
            if actual != expected.hex {
                return Err(Failure::Digest {
                    algorithm: expected.algorithm.name(),
                    expected: expected.hex.clone(),
                    actual,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{super::reread::pread, *};

    fn digest(algorithm: Algorithm, digit: &str) -> Digest {
        Digest::new(algorithm, &digit.repeat(algorithm.hex_len())).unwrap()
    }

    #[test]
    fn every_digest_that_is_demanded_must_match() {
        let (sha256, md5) = (digest(Algorithm::Sha256, "1"), digest(Algorithm::Md5, "2"));
        let computed = |digest: &Digest| (digest.algorithm, digest.hex.clone());
        let checks = Checks {
            demanded: vec![sha256.clone(), md5.clone()],
            stated: vec![digest(Algorithm::Sha512, "3")],
            printed: vec![Algorithm::Blake3, Algorithm::Md5, Algorithm::Blake3],
            sync: false,
            read_back: pread,
        };
        assert_eq!(checks.algorithms(), [Algorithm::Sha256, Algorithm::Md5, Algorithm::Blake3]);
        assert_eq!(checks.verify(&[computed(&sha256), computed(&md5)]), Ok(()));
        let other = digest(Algorithm::Md5, "4");
        assert_eq!(
            checks.verify(&[computed(&sha256), computed(&other)]),
            Err(Failure::Digest { algorithm: "md5", expected: md5.hex.clone(), actual: other.hex })
        );
        assert!(checks.verify(&[computed(&sha256)]).is_err(), "one that nobody computed");
        let told = checks.checked(vec![computed(&md5), (Algorithm::Blake3, "5".into())]);
        assert_eq!(told.iter().map(|of| of.verified).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn what_the_server_states_counts_where_nothing_is_demanded() {
        let stated = digest(Algorithm::Sha512, "3");
        let checks = Checks {
            demanded: Vec::new(),
            stated: vec![stated.clone()],
            printed: vec![Algorithm::Md5],
            sync: false,
            read_back: pread,
        };
        assert_eq!(checks.algorithms(), [Algorithm::Sha512, Algorithm::Md5]);
        let computed = vec![(Algorithm::Sha512, stated.hex), (Algorithm::Md5, "4".into())];
        assert!(checks.verify(&computed).is_ok());
        let told = checks.checked(computed);
        assert_eq!(told.iter().map(|of| of.verified).collect::<Vec<_>>(), [true, false]);
    }
}
