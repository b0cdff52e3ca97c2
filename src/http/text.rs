//! Text from the other side, made safe for a terminal.

/// `text` with every control character (C0, DEL, C1), bidirectional override and line separator
/// written as an escape (`\n`, `\u{1b}`), cut after `max` characters with `…`.
///
/// Everything a server says passes through here before it reaches a terminal or a log.
#[must_use]
pub fn escape(text: &[u8], max: usize) -> String {
    let _ = (text, max);
    todo!()
}
