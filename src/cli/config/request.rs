//! Fields and credentials to send. Values are checked here, where they are typed, and never
//! repeated in a message.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use uget::{Error, Header, Options, Secret};

use super::{
    super::args::RequestArgs,
    surroundings::{Surroundings, usage},
};

/// Applies the flags of the request group.
///
/// # Errors
/// [`uget::ErrorKind::Usage`].
pub(super) fn apply(
    args: RequestArgs,
    around: &Surroundings<'_>,
    options: &mut Options,
) -> Result<(), Error> {
    for text in &args.headers {
        match text.strip_prefix('@') {
            Some(path) => options.headers.extend(headers_of_file(Path::new(path))?),
            None => options.headers.push(header(text, "-H")?),
        }
    }
    for text in &args.header_env {
        options.headers.push(header_of_variable(text, around)?);
    }
    options.compressed = args.compressed;
    let agent =
        around.or_variable(args.user_agent, "UGET_USER_AGENT", |text| Ok(text.to_owned()))?;
    options.user_agent = checked(agent, "--user-agent")?;
    options.referer = checked(args.referer, "--referer")?;
    let credentials = &mut options.credentials;
    credentials.user = args.user.map(user).transpose()?;
    credentials.bearer = checked(args.oauth2_bearer, "--oauth2-bearer")?.map(Secret);
    credentials.cookie = checked(args.cookie, "--cookie")?.map(Secret);
    credentials.netrc_required = args.netrc_file.is_some();
    credentials.netrc = match (args.netrc_file, args.netrc) {
        (Some(path), _) => Some(path),
        (None, true) => netrc(around),
        (None, false) => None,
    };
    if let Some(hops) = args.max_redirs {
        options.max_redirects = hops;
    }
    options.allow_downgrade = args.allow_downgrade;
    Ok(())
}

/// `Name: value`, or `Name;` for a field that is empty. `origin` is what a message calls it.
fn header(text: &str, origin: &str) -> Result<Header, Error> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) if !value.trim().is_empty() => (name, value.trim()),
        Some((name, _)) if is_token(name) => {
            return Err(usage(format!("{origin}: the field {name} has no value"))
                .with_hint(format!("'{name};' sends it empty")));
        }
        Some((name, _)) => (name, ""),
        None => match text.trim_end().strip_suffix(';') {
            Some(name) => (name, ""),
            None => {
                let error = usage(format!("{origin}: a field without a colon"));
                return Err(error.with_hint("a field looks like 'Name: value'"));
            }
        },
    };
    named(name, value, origin)
}

fn named(name: &str, value: &str, origin: &str) -> Result<Header, Error> {
    if !is_token(name) {
        return Err(usage(format!("{origin}: what precedes the colon is not a field name")));
    }
    if OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return Err(usage(format!("{origin}: {name} is uget's own to send")).with_hint(
            "ranges, preconditions, framing and content coding decide what the bytes mean",
        ));
    }
    if !is_value(value) {
        return Err(usage(format!("{origin}: control characters in the value of {name}")));
    }
    Ok(Header { name: name.to_owned(), value: Secret(value.to_owned()) })
}

/// The fields of a file, one a line; `-` is standard input.
fn headers_of_file(path: &Path) -> Result<Vec<Header>, Error> {
    let origin = format!("-H @{}", path.display());
    let text = read(path).map_err(|why| usage(format!("{origin}: {}", lower(&why.to_string()))))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| header(line, &origin)).collect()
}

fn read(path: &Path) -> io::Result<String> {
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path)?),
    };
    let mut bytes = Vec::new();
    source.take(MOST_FIELD_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_FIELD_BYTES {
        return Err(io::Error::other("more than 64 KiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

/// `NAME=ENVVAR`.
fn header_of_variable(text: &str, around: &Surroundings<'_>) -> Result<Header, Error> {
    let Some((name, variable)) = text.split_once('=') else {
        return Err(usage("--header-env: expected NAME=ENVVAR")
            .with_hint("the value comes from the variable, so that it shows in no process list"));
    };
    match around.text(variable)? {
        Some(value) => named(name, &value, "--header-env"),
        None => Err(usage(format!("--header-env: {variable} is not set"))),
    }
}

fn user(text: String) -> Result<Secret, Error> {
    if !text.contains(':') {
        return Err(usage("-u: no password").with_hint("'USER:' sends an empty one"));
    }
    if text.chars().any(char::is_control) {
        return Err(usage("-u: control characters"));
    }
    Ok(Secret(text))
}

/// Where curl looks: `$NETRC`, else `~/.netrc`. Nowhere is not an error, as a missing file is not.
fn netrc(around: &Surroundings<'_>) -> Option<PathBuf> {
    around.path("NETRC").or_else(|| Some(around.path("HOME")?.join(".netrc")))
}

fn checked(text: Option<String>, flag: &str) -> Result<Option<String>, Error> {
    match text {
        Some(text) if !is_value(&text) => Err(usage(format!("{flag}: control characters"))),
        text => Ok(text),
    }
}

/// A token (RFC 9110 section 5.6.2).
fn is_token(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(ok)
}

/// A field value (RFC 9110 section 5.5): no CR, LF, NUL nor other control character but TAB.
fn is_value(value: &str) -> bool {
    value.bytes().all(|b| b == b'\t' || !b.is_ascii_control())
}

/// A message that begins in lower case, as all of ours do.
pub(super) fn lower(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Two of these in one request, or one that uget did not choose, and the bytes mean something else.
const OWN_FIELDS: [&str; 15] = [
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "accept-encoding",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
];
const MOST_FIELD_BYTES: u64 = 64 << 10;
