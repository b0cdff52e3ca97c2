//! What the far shell is told to do: texts for `sh -c`.
//!
//! The text is POSIX shell without arithmetic on offsets, which may be 32 bits wide there. Its
//! marks are put together by the far shell, so that a shell or a terminal that echoes the text does
//! not print them.

use std::ops::Range;

/// What marks the lines of one command: a word that nothing else on its output has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark(String);

/// How stat(1) is told what to print there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stat {
    /// GNU, BusyBox and toybox.
    Gnu,
    /// BSD and macOS.
    Bsd,
    /// It is not there.
    None,
}

/// What gives a range there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cutter {
    /// `dd`, which moves the offset of its standard input for whoever reads next.
    Dd,
    /// `tail` and `head`, started anew for every block.
    Tail,
    /// Nothing: all there is is `cat`.
    None,
}

/// A range as blocks: so many of one size, and what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) start: u64,
    pub(super) size: u32,
    pub(super) count: u32,
    pub(super) rest: u32,
}

impl Mark {
    pub(super) fn new(nonce: String) -> Self {
        Self(nonce)
    }

    /// As it stands in the far command's output, before what the line says.
    pub(super) fn text(&self) -> String {
        format!("uget:{}", self.0)
    }
}

impl Blocks {
    /// The beginning of `range` in blocks of `size`, at most `most` of them.
    pub(super) fn of(range: &Range<u64>, size: u32, most: u32) -> Self {
        let length = range.end.saturating_sub(range.start);
        let whole = length / u64::from(size.max(1));
        let count = u32::try_from(whole).unwrap_or(u32::MAX).min(most);
        let left = length - u64::from(count) * u64::from(size);
        let rest = if count < most { u32::try_from(left).unwrap_or(0) } else { 0 };
        Self { start: range.start, size, count, rest }
    }

    /// Where they end.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.size) * u64::from(self.count) + u64::from(self.rest)
    }

    /// How long each is.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u32> + use<> {
        let whole = std::iter::repeat_n(self.size, self.count as usize);
        whole.chain(Some(self.rest).filter(|rest| *rest > 0))
    }
}

/// Finds out what there is: the kind of file, what stat says of it, and what gives ranges, which is
/// tried out on the file itself, at its end.
pub(super) fn probe(mark: &Mark, path: &str) -> String {
    let (head, gnu, bsd) = (head(mark, path), stat(Stat::Gnu), stat(Stat::Bsd));
    format!(
        r#"{head}
echo "uget:$n hello"
if [ -d "$p" ]; then echo "uget:$n directory"
elif [ ! -e "$p" ]; then ls -d "$p" >/dev/null; echo "uget:$n missing"
elif [ ! -f "$p" ]; then echo "uget:$n special"
elif [ ! -r "$p" ]; then cat <"$p" >/dev/null; echo "uget:$n unreadable"
else
 s=
 if a=$({gnu} 2>/dev/null); then s=$(stat -L -c %s "$p"); echo "uget:$n gnu $a"
 elif a=$({bsd} 2>/dev/null); then s=$(stat -L -f %z "$p"); echo "uget:$n bsd $a"
 elif a=$(wc -c <"$p" 2>/dev/null); then echo "uget:$n size $a"
 fi
 if [ -s "$p" ] && [ -n "$s" ]; then
  if [ $({{ dd bs=1 skip=$s count=0 && dd bs=1 count=1 && echo; }} <"$p" | wc -c) -eq 1 ]
  then echo "uget:$n dd"
  elif [ $(tail -c +$s <"$p" | head -c 9 | wc -c) -eq 1 ]
  then echo "uget:$n tail"
  fi 2>/dev/null
 fi
fi
echo "uget:$n end""#
    )
}

/// Gives blocks of the file, a line behind each. What stat says is told before the file is opened
/// and after it was read, so that a change in between is seen.
pub(super) fn blocks(mark: &Mark, path: &str, by: (Stat, Cutter), blocks: &Blocks) -> String {
    let (head, stat) = (head(mark, path), told(by.0));
    let Blocks { start, size, count, rest } = blocks;
    let body = match by.1 {
        Cutter::Tail => {
            let mut at = *start;
            let mut text = String::new();
            for size in blocks.sizes() {
                let from = at + 1;
                text += &format!(
                    "tail -c +{from} <\"$p\" | head -c {size} && echo \"uget:$n more\" || exit\n"
                );
                at += u64::from(size);
            }
            text
        }
        Cutter::Dd | Cutter::None => format!(
            r#"{{ dd bs=1 skip={start} count=0 || exit
i=0
while [ $i -lt {count} ]; do dd bs={size} count=1 || exit; echo "uget:$n more"; i=$((i+1)); done
if [ {rest} -gt 0 ]; then dd bs={rest} count=1 || exit; echo "uget:$n more"; fi; }} <"$p" || exit
"#
        ),
    };
    format!("{head}\necho \"uget:$n at {stat}\"\n{body}echo \"uget:$n end {stat}\"")
}

/// Gives the whole file.
pub(super) fn whole(mark: &Mark, path: &str, stat: Stat) -> String {
    let (head, stat) = (head(mark, path), told(stat));
    format!("{head}\necho \"uget:$n at {stat}\"\ncat <\"$p\" && echo \"uget:$n end {stat}\"")
}

fn head(mark: &Mark, path: &str) -> String {
    format!("LC_ALL=C TZ=UTC0; export LC_ALL TZ; n={}; p={}", mark.0, quote(path))
}

/// What stat says, within a line of the shell.
fn told(form: Stat) -> String {
    if form == Stat::None { String::new() } else { format!("$({})", stat(form)) }
}

/// Mode, length, inode, and when data and inode were changed, as finely as there is.
fn stat(form: Stat) -> &'static str {
    match form {
        Stat::Bsd => r#"stat -L -f '%Xp %z %i %m %Fm %c %Fc' "$p""#,
        Stat::Gnu | Stat::None => r#"stat -L -c '%f %s %i %Y %y %Z %z' "$p""#,
    }
}

/// One word of the shell: in single quotes, and no option.
fn quote(path: &str) -> String {
    let here = if path.starts_with('-') { "./" } else { "" };
    format!("'{here}{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_one_word() {
        for (path, word) in [
            ("/a b", "'/a b'"),
            ("-rf", "'./-rf'"),
            ("it's", r"'it'\''s'"),
            ("a\n$(id)`x`\\", "'a\n$(id)`x`\\'"),
        ] {
            assert_eq!(quote(path), word);
        }
    }

    #[test]
    fn blocks_cover_a_range_once() {
        for (range, size, most) in
            [(0..1, 4, 9), (5..105, 10, 64), (5..108, 10, 64), (0..99, 10, 3)]
        {
            let blocks = Blocks::of(&range, size, most);
            let sum: u64 = blocks.sizes().map(u64::from).sum();
            assert_eq!(blocks.end(), range.start + sum);
            let all = range.end == blocks.end();
            assert!(all || sum == u64::from(size) * u64::from(most), "{blocks:?}");
        }
    }

    #[test]
    fn the_text_does_not_hold_its_own_marks() {
        let mark = Mark::new("0123abcd".to_owned());
        let by = (Stat::Gnu, Cutter::Tail);
        let part = blocks(&mark, "/x", by, &Blocks::of(&(0..10), 4, 9));
        for text in [probe(&mark, "/x"), part, whole(&mark, "/x", Stat::Bsd)] {
            assert!(!text.contains(&mark.text()), "{text}");
        }
    }
}
