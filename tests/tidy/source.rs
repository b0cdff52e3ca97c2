//! A source file as the rules see it: lines, tokens without comments and strings, paths, functions.

use std::path::{Path, PathBuf};

/// One file.
pub(crate) struct Source {
    /// From the root of the repository, with slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    tokens: Vec<Token>,
}

/// An identifier, `::`, or a single other character; no comment, no literal.
#[derive(Clone, Debug, PartialEq)]
struct Token {
    text: String,
    line: usize,
    test: bool,
}

/// `a::b::c` as written, groups of a `use` spelt out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PathUse {
    pub(crate) parts: Vec<String>,
    pub(crate) line: usize,
    /// In a `#[cfg(test)]` module.
    pub(crate) test: bool,
}

/// A function with a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    /// From its name to its closing brace.
    pub(crate) lines: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: String) -> Self {
        let mut tokens = tokenize(&text);
        mark_tests(&mut tokens);
        Self { path: path.to_owned(), text, tokens }
    }

    /// The room: `http` for `src/http/field.rs`, `range` for `src/range.rs`.
    pub(crate) fn room(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        Some(inside.split('/').next()?.trim_end_matches(".rs"))
    }

    /// Holds nothing but tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.contains("/tests/")
            || !self.path.starts_with("src/")
    }

    /// A line of a test.
    pub(crate) fn is_test_line(&self, line: usize) -> bool {
        let mut lines = self.tokens.iter().filter(|t| t.test).map(|t| t.line);
        let first = lines.next().unwrap_or(usize::MAX);
        self.is_test() || (first..=lines.next_back().unwrap_or(first)).contains(&line)
    }

    /// Identifiers with their lines.
    pub(crate) fn identifiers(&self) -> impl Iterator<Item = (&str, usize, bool)> {
        self.tokens.iter().filter(|t| is_identifier(&t.text)).map(|t| (&*t.text, t.line, t.test))
    }

    /// Whether a word of the code (not of a comment or string) is `word`.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.tokens.iter().any(|t| t.text == word)
    }

    /// Has a module of this name, which goes before a crate's.
    pub(crate) fn declares(&self, module: &str) -> bool {
        self.tokens.windows(2).any(|pair| pair[0].text == "mod" && pair[1].text == module)
    }

    /// All paths with at least two parts.
    pub(crate) fn paths(&self) -> Vec<PathUse> {
        let mut paths = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let starts = is_identifier(&self.tokens[at].text)
                && (at == 0 || !matches!(&*self.tokens[at - 1].text, "::" | "."));
            if starts {
                at = self.path_at(at, Vec::new(), &mut paths);
            } else {
                at += 1;
            }
        }
        paths.retain(|p| p.parts.len() > 1);
        paths
    }

    /// Reads one path from `at`, behind `prefix`; returns where it ends.
    fn path_at(&self, mut at: usize, mut prefix: Vec<String>, out: &mut Vec<PathUse>) -> usize {
        let line = self.tokens.get(at).map_or(0, |t| t.line);
        let test = self.tokens.get(at).is_some_and(|t| t.test);
        loop {
            match self.word(at) {
                "{" => {
                    at += 1;
                    while !matches!(self.word(at), "}" | "") {
                        at = self.path_at(at, prefix.clone(), out).max(at + 1);
                        while self.word(at) == "," {
                            at += 1;
                        }
                    }
                    return at + 1;
                }
                word if is_identifier(word) || word == "*" => {
                    prefix.push(word.to_owned());
                    at += 1;
                }
                _ => break,
            }
            // `a as b` within a group.
            if self.word(at) == "as" && prefix.len() > 1 {
                at += 2;
            }
            if self.word(at) != "::" {
                break;
            }
            at += 1;
            // `Vec::<u8>::new`: what is between the brackets is found on its own.
            if self.word(at) == "<" {
                break;
            }
        }
        out.push(PathUse { parts: prefix, line, test });
        at
    }

    fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |t| &t.text)
    }

    /// Structs with named fields: name, line, and how many fields.
    pub(crate) fn structs(&self) -> Vec<(String, usize, usize)> {
        let mut structs = Vec::new();
        for at in 0..self.tokens.len() {
            if self.word(at) != "struct" || !is_identifier(self.word(at + 1)) {
                continue;
            }
            let open = (at..self.tokens.len()).find(|at| matches!(self.word(*at), "{" | ";" | "("));
            let Some(open) = open.filter(|open| self.word(*open) == "{") else { continue };
            let (mut depth, mut fields, mut end) = (0_i32, 0, open);
            loop {
                match self.word(end) {
                    "{" | "(" | "[" => depth += 1,
                    "}" | ")" | "]" => depth -= 1,
                    ":" if depth == 1 => fields += 1,
                    _ => {}
                }
                end += 1;
                if depth == 0 || end >= self.tokens.len() {
                    break;
                }
            }
            structs.push((self.word(at + 1).to_owned(), self.tokens[at].line, fields));
        }
        structs
    }

    /// Functions with bodies, closures not.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for at in 0..self.tokens.len() {
            let name = self.word(at + 1);
            if self.word(at) != "fn" || !is_identifier(name) {
                continue;
            }
            let mut depth = 0_i32;
            for end in at..self.tokens.len() {
                match self.word(end) {
                    ";" if depth == 0 => break,
                    "{" | "(" | "[" => depth += 1,
                    "}" | ")" | "]" => {
                        depth -= 1;
                        if depth == 0 && self.word(end) == "}" {
                            let line = self.tokens[at].line;
                            let lines = self.tokens[end].line - line + 1;
                            functions.push(Function { name: name.to_owned(), line, lines });
                            break;
                        }
                    }
                    _ => {}
                }
            }
        }
        functions
    }
}

/// Every file below `directory` that `wanted` takes, sorted.
pub(crate) fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return found };
    for entry in entries.map(|e| e.expect("a readable directory")) {
        let path = entry.path();
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() {
            let skip = ["target", ".git", "corpus", "artifacts"];
            if !skip.iter().any(|name| path.ends_with(name)) {
                found.extend(files(&path, wanted));
            }
        } else if kind.is_file() && wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Marks what lies in `#[cfg(test)] mod … { … }`.
fn mark_tests(tokens: &mut [Token]) {
    let pattern = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    for at in 0..tokens.len() {
        let here = tokens[at..].iter().take(pattern.len()).map(|t| &*t.text);
        if !here.eq(pattern) {
            continue;
        }
        let mut depth = 0;
        for token in &mut tokens[at..] {
            token.test = true;
            match &*token.text {
                "{" => depth += 1,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
            if token.text == "}" && depth == 0 {
                break;
            }
        }
    }
}

fn tokenize(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let start = at;
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().take_while(|c| **c != '\n').count(),
            ['/', '*', ..] => block_comment(rest),
            ['r', '#' | '"', ..] | ['b', 'r', '#' | '"', ..] if raw_string(rest).is_some() => {
                raw_string(rest).unwrap_or(1)
            }
            ['"', ..] => string(rest, 0),
            ['b' | 'c', '"', ..] => string(rest, 1),
            ['\'', '\\', ..] => 3 + rest[3..].iter().take_while(|c| **c != '\'').count(),
            ['\'', _, '\'', ..] => 3,
            [':', ':', ..] => {
                tokens.push(Token { text: "::".into(), line, test: false });
                2
            }
            [c, ..] if c.is_alphanumeric() || *c == '_' => {
                let word: String =
                    rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                let length = word.chars().count();
                tokens.push(Token { text: word, line, test: false });
                length
            }
            [c, ..] => {
                if !c.is_whitespace() {
                    tokens.push(Token { text: c.to_string(), line, test: false });
                }
                1
            }
            [] => 1,
        };
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The length of a block comment; they nest.
fn block_comment(text: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] if depth == 1 => return at + 2,
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    at
}

/// The length of a string with escapes that starts at `quote`.
fn string(text: &[char], quote: usize) -> usize {
    let mut at = quote + 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// The length of a raw string, if this is one.
fn raw_string(text: &[char]) -> Option<usize> {
    let prefix = text.iter().take_while(|c| matches!(c, 'b' | 'r')).count();
    let hashes = text[prefix..].iter().take_while(|c| **c == '#').count();
    let open = prefix + hashes;
    if text.get(open) != Some(&'"') {
        return None;
    }
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let body = &text[open + 1..];
    let length = body.windows(close.len()).position(|w| w == close)?;
    Some(open + 1 + length + close.len())
}
