//! One request and its answer on one connection: interim answers, the head, then the body.

use super::{
    Error,
    body::{Decoder, Framing},
    response::Head,
};

/// The most interim (1xx) answers before the final one.
pub const INTERIM_MAX: usize = 20;

/// The receiving half of an exchange, after the request was sent.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    interim: usize,
}

/// The final head of an exchange and what follows from it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The final head.
    pub head: Head,
    /// Finds the body.
    pub body: Decoder,
    /// The connection may be used again once the body is complete and nothing follows it
    /// (HTTP/1.1 or explicit keep-alive, no `Connection: close`, not close-delimited).
    pub keep_alive: bool,
}

impl Exchange {
    /// Looks for the final head at the front of `input`, passing over interim answers (101 is
    /// refused: nothing here asks for an upgrade). Returns how many octets are used up either
    /// way, and the caller drops them; `None` asks for more.
    ///
    /// # Errors
    /// Any of [`Head::parse`], [`Head::framing`], [`Error::TooManyInterim`].
    pub fn head(&mut self, input: &[u8]) -> Result<(usize, Option<Answer>), Error> {
        let mut used = 0;
        while let Some((head, length)) = Head::parse(input.get(used..).unwrap_or_default())? {
            used += length;
            match head.status {
                101 => return Err(Error::BadHead("it switches protocols, which nobody asked for")),
                100..=199 => {
                    self.interim += 1;
                    if self.interim > INTERIM_MAX {
                        return Err(Error::TooManyInterim);
                    }
                }
                _ => return Ok((used, Some(Answer::new(head)?))),
            }
        }
        Ok((used, None))
    }
}

impl Answer {
    fn new(head: Head) -> Result<Self, Error> {
        let framing = head.framing()?;
        let keep_alive = head.keep_alive() && framing != Framing::Close;
        Ok(Self { head, body: Decoder::new(framing), keep_alive })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINAL: &[u8] = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\n";
    const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";

    #[test]
    fn interim_answers_are_passed_over() {
        let input = [&INTERIM.repeat(INTERIM_MAX), FINAL, b"abcHTTP"].concat();
        let (used, answer) = Exchange::default().head(&input).unwrap();
        let answer = answer.unwrap();
        assert_eq!(used, input.len() - 7);
        assert_eq!((answer.head.status, answer.body.remaining()), (206, Some(3)));
        assert!(answer.keep_alive);
    }

    #[test]
    fn one_interim_answer_too_many_is_refused_however_they_arrive() {
        let input = [&INTERIM.repeat(INTERIM_MAX + 1), FINAL].concat();
        assert_eq!(Exchange::default().head(&input).unwrap_err(), Error::TooManyInterim);
        let mut exchange = Exchange::default();
        for _ in 0..INTERIM_MAX {
            let (used, answer) = exchange.head(INTERIM).unwrap();
            assert_eq!((used, answer.is_none()), (INTERIM.len(), true));
        }
        assert_eq!(exchange.head(INTERIM).unwrap_err(), Error::TooManyInterim);
    }

    #[test]
    fn octets_may_come_one_by_one() {
        let input = [INTERIM, INTERIM, FINAL].concat();
        let (mut exchange, mut kept) = (Exchange::default(), Vec::new());
        for (index, octet) in input.iter().enumerate() {
            kept.push(*octet);
            let (used, answer) = exchange.head(&kept).unwrap();
            kept.drain(..used);
            assert_eq!(answer.is_some(), index + 1 == input.len());
        }
        assert!(kept.is_empty());
    }

    #[test]
    fn an_upgrade_is_refused() {
        let input = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n";
        assert!(matches!(Exchange::default().head(input), Err(Error::BadHead(_))));
    }

    #[test]
    fn reuse_needs_both_sides_and_a_known_end() {
        for (head, keep_alive) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ] {
            let (_, answer) = Exchange::default().head(head.as_bytes()).unwrap();
            assert_eq!(answer.unwrap().keep_alive, keep_alive, "{head}");
        }
    }
}
