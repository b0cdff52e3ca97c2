//! Who names whom among the files of the library and the program, and where that goes round.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Source;

/// Which file names which, by module path: `net::dial` names `net::budget`.
pub(crate) struct Arrows(BTreeMap<String, BTreeSet<String>>);

/// The modules and what each re-exports: `net` gives `Budget` from `net::budget`.
struct Modules {
    names: BTreeSet<String>,
    gives: BTreeMap<(String, String), String>,
}

impl Arrows {
    /// Reads them from the sources, tests left out. A name that a parent only re-exports is named
    /// where it is defined; one that it defines itself is the parent's.
    pub(crate) fn of(sources: &[Source]) -> Self {
        let modules = Modules::of(sources);
        let mut arrows = BTreeMap::<String, BTreeSet<String>>::new();
        for source in sources.iter().filter(|source| !source.is_test()) {
            let Some(own) = module(&source.path) else { continue };
            let targets = arrows.entry(own.clone()).or_default();
            for path in source.paths().iter().filter(|path| !path.test) {
                targets.extend(modules.target(&own, &path.parts));
            }
            targets.remove(&own);
        }
        Self(arrows)
    }

    /// Every circle among the files of one room, as the list of its files; a list is exact: each
    /// file of it reaches all others.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let mut circles = BTreeSet::new();
        for start in self.0.keys() {
            let forth = self.reached(start);
            let round: Vec<String> =
                forth.iter().filter(|other| self.reached(other).contains(start)).cloned().collect();
            if !round.is_empty() {
                circles.insert(round);
            }
        }
        circles.into_iter().collect()
    }

    fn reached(&self, start: &str) -> BTreeSet<String> {
        let room = start.split("::").next().unwrap_or_default();
        let mut reached = BTreeSet::new();
        let mut next = vec![start.to_owned()];
        while let Some(file) = next.pop() {
            for target in self.0.get(&file).into_iter().flatten() {
                let inside = target.split("::").next() == Some(room);
                if inside && reached.insert(target.clone()) {
                    next.push(target.clone());
                }
            }
        }
        reached
    }
}

impl Modules {
    fn of(sources: &[Source]) -> Self {
        let names = sources.iter().filter_map(|source| module(&source.path)).collect();
        let mut modules = Self { names, gives: BTreeMap::new() };
        for source in sources.iter().filter(|source| !source.is_test()) {
            let Some(own) = module(&source.path) else { continue };
            for path in source.paths().iter().filter(|path| !path.test) {
                let Some((name, head)) = path.parts.split_last() else { continue };
                if let Some(from) = modules.absolute(&own, head).filter(|from| *from != own) {
                    let below = from.starts_with(&format!("{own}::"));
                    if below && modules.names.contains(&from) {
                        modules.gives.insert((own.clone(), name.clone()), from);
                    }
                }
            }
        }
        modules
    }

    /// The file that a path written in `own` leads to, if it is one of ours.
    fn target(&self, own: &str, parts: &[String]) -> Option<String> {
        for length in (1..=parts.len()).rev() {
            let Some(found) = self.absolute(own, &parts[..length]) else { continue };
            if !self.names.contains(&found) {
                continue;
            }
            let name = parts.get(length)?;
            let given = self.gives.get(&(found.clone(), name.clone()));
            return Some(given.cloned().unwrap_or(found));
        }
        None
    }

    /// The module that the words of a path name, from the root; `None` for other crates.
    fn absolute(&self, own: &str, parts: &[String]) -> Option<String> {
        let mut at: Vec<&str> = own.split("::").collect();
        let mut rest = parts;
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
            }
            child if self.names.contains(&format!("{own}::{child}")) => {}
            _ => return None,
        }
        at.extend(rest.iter().map(String::as_str));
        Some(at.join("::"))
    }
}

/// `net::dial` for `src/net/dial.rs`, `net` for `src/net/mod.rs`.
fn module(path: &str) -> Option<String> {
    let inside = path.strip_prefix("src/")?.trim_end_matches(".rs");
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    Some(inside.replace('/', "::"))
}
