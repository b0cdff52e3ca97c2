//! What the fuzz targets do with their octets, as functions that a plain test can call too.

pub mod http;
pub mod manifest;
pub mod range;
pub mod transfer;
pub mod unpack;

#[cfg(test)]
mod tests {
    /// Every target survives octets made from a fixed seed, sprinkled with what its grammar uses.
    #[test]
    fn smoke() {
        const WORDS: [&[u8]; 12] = [
            b"HTTP/1.1 200 OK\r\n",
            b"\r\n",
            b"Content-Length: ",
            b"5",
            b"0",
            b";",
            b"bytes 0-",
            b"/",
            b"\"",
            b"W/",
            b"attachment; filename*=UTF-8''%",
            b"Sun, 06 Nov 1994 08:49:37 GMT",
        ];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        for _ in 0..20_000 {
            let mut data = Vec::new();
            for _ in 0..next() % 12 {
                match next() % 3 {
                    0 => data.push(next().to_le_bytes()[3]),
                    _ => data.extend(WORDS[next() as usize % WORDS.len()]),
                }
            }
            super::http::head(&data);
            super::http::body(&data);
            super::http::field(&data);
            super::range::range_set(&data);
        }
    }

    /// Checksum files, put together of what they are made of.
    #[test]
    fn checksums() {
        const MD5: &[u8] = b"900150983cd24fb0d6963f7d28e17f72";
        const WORDS: [&[u8]; 16] = [
            MD5,
            MD5,
            b"900150983cd24fb0d6963f7d28e17f72900150983cd24fb0d6963f7d28e17f72",
            b"MD5 (",
            b"SHA256(",
            b"RMD160 (",
            b") = ",
            b"  ",
            b" *",
            b"a.iso",
            b"\\",
            b"\\n",
            b"\n",
            b"\0",
            b"#",
            b"./",
        ];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 11) as usize
        };
        for _ in 0..20_000 {
            let words: Vec<&[u8]> = (0..next() % 12).map(|_| WORDS[next() % WORDS.len()]).collect();
            super::manifest::checksums(&words.concat());
        }
    }

    /// Archives from a fixed seed.
    #[test]
    fn archives() {
        let mut seed = 0xd134_2543_de82_ef95_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[3]
        };
        for number in 0..300 {
            let data: Vec<u8> = (0..number % 700).map(|_| next()).collect();
            super::unpack::members(&data);
        }
    }

    /// Sequences of events from a fixed seed.
    #[test]
    fn transfers() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[3]
        };
        for number in 0..3_000 {
            let data: Vec<u8> = (0..number % 400).map(|_| next()).collect();
            let run = || super::transfer::transfer(&data);
            if let Err(panic) = std::panic::catch_unwind(run) {
                eprintln!("of {data:?}");
                std::panic::resume_unwind(panic);
            }
        }
    }
}
