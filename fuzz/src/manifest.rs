//! Checksum files.

use uget::manifest::{Entry, List, beside, parse};

/// Whatever is understood has names and digests, each once, and says the same when it is written
/// again.
pub fn checksums(data: &[u8]) {
    for name in [&b"a.iso.sha256"[..], b"B3SUMS"] {
        let Ok(list) = parse(data, name, beside(name)) else { continue };
        assert!(!list.entries.is_empty());
        let again = written(&list);
        let entries = match parse(&again, b"SUMS", None) {
            Ok(list) => list.entries,
            Err(why) => {
                assert!(again.is_empty(), "{why}: {again:?}");
                continue;
            }
        };
        let known: Vec<&Entry<'_>> =
            list.entries.iter().filter(|entry| !entry.digests.is_empty()).collect();
        assert_eq!(entries.iter().collect::<Vec<_>>(), known);
        for entry in known {
            assert!(!entry.name.is_empty());
            // It is listed; another name that ends like it may say something else.
            let _ = list.digests(&[&entry.name]);
        }
    }
}

fn written(list: &List<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    for entry in &list.entries {
        for digest in &entry.digests {
            text.extend(format!("{} (", digest.algorithm.name()).bytes());
            text.extend(&*entry.name);
            text.extend(format!(") = {}", digest.hex).bytes());
            text.push(0);
        }
    }
    text
}
