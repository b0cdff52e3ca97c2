//! `--via`: the command, as words, and the path at its far end.

use std::{env, path::Path};

use uget::Error;

use super::surroundings::{Surroundings, usage};

/// The words of a command, as a shell would make them of `text`. No shell runs it.
///
/// # Errors
/// [`uget::ErrorKind::Usage`]: quotes that do not close, no word, a program that is not there. The
/// text is not repeated: it may hold secrets.
pub(super) fn command(text: &str, around: &Surroundings<'_>) -> Result<Vec<String>, Error> {
    let words = shlex::split(text).ok_or_else(|| usage("--via: a quote that does not close"))?;
    let Some(program) = words.first().filter(|program| !program.is_empty()) else {
        return Err(usage("--via: there is no command").with_hint(EXAMPLE));
    };
    if words.iter().any(|word| word.contains('\0')) {
        return Err(usage("--via: a NUL in the command"));
    }
    let there = if program.contains('/') {
        Path::new(program).is_file()
    } else {
        let list = around.path("PATH").unwrap_or_default();
        env::split_paths(&list).any(|directory| directory.join(program).is_file())
    };
    if !there {
        return Err(usage(format!("--via: there is no program {program}")).with_hint(EXAMPLE));
    }
    Ok(words)
}

/// The path.
///
/// # Errors
/// [`uget::ErrorKind::Usage`] unless there is one, and one alone.
pub(super) fn path(paths: Vec<String>) -> Result<String, Error> {
    match <[String; 1]>::try_from(paths) {
        Ok([path]) if path.is_empty() || path.contains('\0') => {
            Err(usage("--via: an unusable path"))
        }
        Ok([path]) => Ok(path),
        Err(none) if none.is_empty() => Err(usage("no path given").with_hint(EXAMPLE)),
        Err(_) => Err(usage("several paths given, but --via takes one at a time")),
    }
}

const EXAMPLE: &str = "uget --via 'ssh HOST' /path/there, or uget --via 'sh -c' /path/here";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_shells() {
        let around = Surroundings { variable: &|_| Some("/usr/bin:/bin".into()) };
        let split = |text| command(text, &around).map_err(|error| error.to_string());
        assert_eq!(split("sh -c").unwrap(), ["sh", "-c"]);
        assert_eq!(split(r#"  /bin/sh 'a b'"c"\ d "#).unwrap(), ["/bin/sh", "a bc d"]);
        for (bad, why) in [
            ("", "no command"),
            ("'' x", "no command"),
            ("sh '", "does not close"),
            ("no-such-program-at-all x", "no program no-such-program-at-all"),
            ("/no/such x", "no program /no/such"),
        ] {
            assert!(split(bad).unwrap_err().contains(why), "{bad}");
        }
    }
}
