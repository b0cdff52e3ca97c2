//! Netscape cookie files, as browsers export and curl reads them. Pure.

use url::{Host, Url};

/// The value of a `Cookie` field for `url` at `now` (seconds since 1970): the file's cookies whose
/// domain, path and scheme fit and that have not expired; the longer path first (RFC 6265 section
/// 5.4). `None` when there are none.
pub(super) fn for_url(file: &[u8], url: &Url, now: u64) -> Option<Vec<u8>> {
    let mut fitting: Vec<Cookie<'_>> = file
        .split(|octet| *octet == b'\n')
        .filter_map(Cookie::parse)
        .filter(|cookie| cookie.fits(url, now))
        .collect();
    fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
    let pairs: Vec<Vec<u8>> =
        fitting.iter().map(|cookie| [cookie.name, b"=", cookie.value].concat()).collect();
    (!pairs.is_empty()).then(|| pairs.join(&b"; "[..]))
}

/// A line: domain, whether subdomains count, path, https only, expiry, name, value.
struct Cookie<'a> {
    domain: &'a str,
    subdomains: bool,
    path: &'a str,
    secure: bool,
    /// Seconds since 1970; 0 for the end of the session, which is not over.
    expires: u64,
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Cookie<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // The prefix is of no importance to a program without scripts.
        let line = line.strip_prefix(b"#HttpOnly_").unwrap_or(line);
        if line.starts_with(b"#") {
            return None;
        }
        let mut columns = line.splitn(7, |octet| *octet == b'\t');
        let mut text = || columns.next().and_then(|column| str::from_utf8(column).ok());
        let (domain, subdomains, path) = (text()?, text()?, text()?);
        let (secure, expires) = (text()?, text()?);
        let name = columns.next().filter(|name| !name.is_empty())?;
        let value = columns.next().unwrap_or_default();
        Some(Self {
            domain: domain.strip_prefix('.').unwrap_or(domain),
            subdomains: subdomains.eq_ignore_ascii_case("TRUE"),
            path,
            secure: secure.eq_ignore_ascii_case("TRUE"),
            // A date before 1970 has passed.
            expires: if expires.starts_with('-') { 1 } else { expires.parse().ok()? },
            name,
            value,
        })
    }

    fn fits(&self, url: &Url, now: u64) -> bool {
        (self.expires == 0 || self.expires > now)
            && (!self.secure || url.scheme() == "https")
            && self.is_for_host(url)
            && self.is_for_path(url.path())
    }

    /// RFC 6265 section 5.1.3. An address has no subdomains.
    fn is_for_host(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.eq_ignore_ascii_case(self.domain) {
            return true;
        }
        let below = || {
            let front = host.len().checked_sub(self.domain.len())?;
            let (front, end) = host.split_at_checked(front)?;
            Some(front.ends_with('.') && end.eq_ignore_ascii_case(self.domain))
        };
        self.subdomains
            && !self.domain.is_empty()
            && matches!(url.host(), Some(Host::Domain(_)))
            && below().unwrap_or(false)
    }

    /// RFC 6265 section 5.1.4.
    fn is_for_path(&self, path: &str) -> bool {
        match path.strip_prefix(self.path) {
            Some(rest) => rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &[u8] = b"# Netscape HTTP Cookie File\n\
        a.test\tFALSE\t/\tFALSE\t0\thost\t1\n\
        .a.test\tTRUE\t/\tFALSE\t2000\tdomain\t2\r\n\
        a.test\tFALSE\t/deep\tFALSE\t0\tdeep\t3\n\
        #HttpOnly_a.test\tFALSE\t/\tTRUE\t0\tsecure\t4\n\
        .a.test\tTRUE\t/\tFALSE\t999\told\t5\n\
        a.test\tFALSE\t/\tFALSE\t-1\tolder\t6\n\
        b.test\tFALSE\t/\tFALSE\t0\tempty\n\
        192.0.2.1\tTRUE\t/\tFALSE\t0\tip\t7\n\
        too\tfew\n\n";

    fn sent(url: &str) -> String {
        let value = for_url(FILE, &Url::parse(url).unwrap(), 1000).unwrap_or_default();
        String::from_utf8(value).unwrap()
    }

    #[test]
    fn cookies_go_where_they_belong() {
        assert_eq!(sent("http://a.test/"), "host=1; domain=2");
        assert_eq!(sent("https://a.test/"), "host=1; domain=2; secure=4");
        assert_eq!(sent("http://x.a.test/"), "domain=2");
        assert_eq!(sent("http://xa.test/"), "");
        assert_eq!(sent("http://a.test/deep/er"), "deep=3; host=1; domain=2");
        assert_eq!(sent("http://a.test/deeper"), "host=1; domain=2");
        assert_eq!(sent("http://b.test/"), "empty=");
        assert_eq!(sent("http://192.0.2.1/"), "ip=7");
        assert_eq!(sent("http://c.test/"), "");
    }

    proptest! {
        #[test]
        fn nothing_panics(file in "([a.#\t\n\r0-]|TRUE|\u{e4}){0,60}") {
            let _ = for_url(file.as_bytes(), &Url::parse("http://a.a/a").unwrap(), 5);
        }
    }
}
