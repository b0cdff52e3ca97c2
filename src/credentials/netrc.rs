//! The netrc format, as ftp(1) and curl read it. Pure.

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) name: Vec<u8>,
    pub(super) password: Vec<u8>,
}

/// What a netrc file says about `host`: the first `machine` of that name, or the `default` entry,
/// which matches every host. With `wanted`, an entry for another user does not count, and one
/// without a user stands for this one.
pub(super) fn find(text: &[u8], host: &str, wanted: Option<&[u8]>) -> Option<Login> {
    let mut tokens = Tokens { rest: text };
    let mut entry: Option<Entry> = None;
    loop {
        let token = tokens.next();
        let key = token.as_deref();
        let ends = matches!(key, None | Some(b"machine" | b"default"));
        if ends && let Some(login) = entry.take().and_then(|e| e.login(wanted)) {
            return Some(login);
        }
        match key? {
            b"machine" => {
                let ours = tokens.next()?.eq_ignore_ascii_case(host.as_bytes());
                entry = ours.then(Entry::default);
            }
            b"default" => entry = Some(Entry::default()),
            b"login" => {
                let value = tokens.next();
                if let Some(entry) = &mut entry {
                    entry.name = value;
                }
            }
            b"password" => {
                let value = tokens.next();
                if let Some(entry) = &mut entry {
                    entry.password = value;
                }
            }
            b"account" => drop(tokens.next()),
            b"macdef" => tokens.skip_macro(),
            // Nobody knows what it means, so it means nothing.
            _ => {}
        }
    }
}

#[derive(Default)]
struct Entry {
    name: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
}

impl Entry {
    fn login(self, wanted: Option<&[u8]>) -> Option<Login> {
        let name = match (self.name, wanted) {
            (Some(name), Some(wanted)) if name != wanted => return None,
            (Some(name), _) => name,
            (None, Some(wanted)) => wanted.to_vec(),
            (None, None) => return None,
        };
        Some(Login { name, password: self.password.unwrap_or_default() })
    }
}

struct Tokens<'a> {
    rest: &'a [u8],
}

impl Tokens<'_> {
    /// The next word: plain, or in double quotes, in which `\"`, `\\`, `\n`, `\r` and `\t` are
    /// escapes. A word that begins with `#` makes the rest of its line a comment.
    fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            self.rest = self.rest.trim_ascii_start();
            match self.rest.first()? {
                b'#' => self.skip_line(),
                b'"' => return Some(self.quoted()),
                _ => {
                    let end = self.rest.iter().position(u8::is_ascii_whitespace);
                    let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                    self.rest = rest;
                    return Some(word.to_vec());
                }
            }
        }
    }

    fn quoted(&mut self) -> Vec<u8> {
        let mut word = Vec::new();
        let mut octets = self.rest.get(1..).unwrap_or_default().iter();
        while let Some(octet) = octets.next() {
            match octet {
                b'"' => break,
                b'\\' => match octets.next() {
                    Some(b'n') => word.push(b'\n'),
                    Some(b'r') => word.push(b'\r'),
                    Some(b't') => word.push(b'\t'),
                    Some(other) => word.push(*other),
                    None => break,
                },
                other => word.push(*other),
            }
        }
        self.rest = octets.as_slice();
        word
    }

    fn skip_line(&mut self) {
        let end = self.rest.iter().position(|octet| *octet == b'\n');
        self.rest = end.and_then(|end| self.rest.get(end + 1..)).unwrap_or_default();
    }

    /// A macro goes on to the next empty line.
    fn skip_macro(&mut self) {
        loop {
            self.skip_line();
            let line = self.rest.split(|octet| *octet == b'\n').next().unwrap_or_default();
            if line.trim_ascii().is_empty() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(text: &str, host: &str) -> Option<(String, String)> {
        find(text.as_bytes(), host, None).map(|login| {
            (String::from_utf8(login.name).unwrap(), String::from_utf8(login.password).unwrap())
        })
    }

    fn some(name: &str, password: &str) -> Option<(String, String)> {
        Some((name.to_owned(), password.to_owned()))
    }

    #[test]
    fn machines_are_found_by_name() {
        let text = "machine a.test login alice password one\n\
                    machine b.test\n\tlogin bob\n\tpassword two\n\taccount x\n";
        assert_eq!(pair(text, "a.test"), some("alice", "one"));
        assert_eq!(pair(text, "B.TEST"), some("bob", "two"));
        assert_eq!(pair(text, "c.test"), None);
        assert_eq!(pair(text, "x.a.test"), None);
    }

    #[test]
    fn default_is_for_everybody_and_the_first_match_counts() {
        let text = "machine a.test login alice password one default login any password all";
        assert_eq!(pair(text, "a.test"), some("alice", "one"));
        assert_eq!(pair(text, "b.test"), some("any", "all"));
    }

    #[test]
    fn quotes_and_escapes() {
        let text = r#"machine a.test login "a l" password "q\"b\\s\tt # no comment""#;
        assert_eq!(pair(text, "a.test"), some("a l", "q\"b\\s\tt # no comment"));
        assert_eq!(pair("machine a.test login \"open", "a.test"), some("open", ""));
        let plain = "machine a.test login a\"b password c\\d#e";
        assert_eq!(pair(plain, "a.test"), some("a\"b", "c\\d#e"));
    }

    #[test]
    fn comments_and_macros_are_skipped() {
        let text = "# machine a.test login no password no\n\
                    machine x.test login x password x\nmacdef init\n\
                    machine a.test login macro password macro\n\n\
                    machine a.test # the real one\nlogin alice password one";
        assert_eq!(pair(text, "a.test"), some("alice", "one"));
        assert_eq!(pair("macdef init\nmachine a.test login m", "a.test"), None);
    }

    #[test]
    fn words_that_look_like_keys_are_values_in_their_place() {
        let text = "machine machine login password password login";
        assert_eq!(pair(text, "machine"), some("password", "login"));
    }

    #[test]
    fn a_wanted_user_selects() {
        let text = b"machine a.test login alice password one machine a.test login bob password two";
        let find = |wanted: &str| find(text, "a.test", Some(wanted.as_bytes())).map(|l| l.password);
        assert_eq!(find("bob"), Some(b"two".to_vec()));
        assert_eq!(find("carol"), None);
    }

    #[test]
    fn an_entry_without_a_user_is_no_login() {
        assert_eq!(pair("machine a.test password one", "a.test"), None);
        let login = find(b"machine a.test password one", "a.test", Some(b"me")).unwrap();
        assert_eq!((login.name, login.password), (b"me".to_vec(), b"one".to_vec()));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "(machine|default|login|macdef|\"|\\\\|#|a|\n| ){0,40}") {
            let _ = find(text.as_bytes(), "a", None);
        }
    }
}
