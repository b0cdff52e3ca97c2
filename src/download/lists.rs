//! What checksum lists demand of a download, learnt before the object is asked for.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, Instant},
};

use percent_encoding::percent_decode_str;
use url::Url;

use super::Download;
use crate::{
    error::{Error, ErrorKind},
    event::{Event, Observer},
    files::{name, output},
    http,
    manifest::{self, List, Unlisted},
    options::{
        ChecksumList, Connections, Credentials, Digest, Fsync, MEMORY_MIN, Options, Secret, Target,
        Unpack,
    },
};

impl Download {
    /// Adds to the digests that are demanded what lists say of this object. Those on this machine
    /// are read first: what is wrong there is found before anything is asked.
    ///
    /// # Errors
    /// [`ErrorKind::Digest`]: it is not listed, or what is listed cannot all be true, or a list
    /// that was fetched is none. [`ErrorKind::Usage`]: a file is none. Whatever fails a download,
    /// where a list is fetched.
    pub(super) fn learn(
        &mut self,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let options = &self.options;
        let (mut lists, suffix) = (options.checksums.clone(), options.checksum_suffix.clone());
        if options.range.is_some() && !(lists.is_empty() && suffix.is_none()) {
            let what = "checksum lists are about whole objects, and a range was asked for";
            return Err(Error::new(ErrorKind::Usage, what));
        }
        if self.source.is_some() && suffix.is_some() {
            let what = "a suffix asks a server for a list, and there is none";
            return Err(Error::new(ErrorKind::Usage, what).with_hint("--checksums takes a file"));
        }
        lists.sort_by_key(|list| matches!(list, ChecksumList::Url(_)));
        let mut listed = lists.is_empty();
        for list in &lists {
            listed |= self.look_up(list, started, observer)?;
        }
        if !listed {
            let lists: Vec<String> = lists.iter().map(shown).collect();
            let what = format!("{} is not listed in {}", self.called(), lists.join(", "));
            return Err(Error::new(ErrorKind::Digest, what));
        }
        if let Some(suffix) = &suffix {
            self.look_beside(suffix, started, observer)?;
        }
        if self.options.require_digest && self.options.digests.is_empty() {
            let what = format!("no digest of {} is known", self.called());
            return Err(Error::new(ErrorKind::Digest, what));
        }
        Ok(())
    }

    /// Looks the object up in a list. Whether it is there.
    fn look_up(
        &mut self,
        list: &ChecksumList,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        let (text, name, kind) = match list {
            ChecksumList::File(path) => {
                (read(path)?, path.as_os_str().as_bytes().to_vec(), ErrorKind::Usage)
            }
            ChecksumList::Url(url) => {
                (self.fetch(url, started, observer)?, decoded(url), ErrorKind::Digest)
            }
        };
        let parsed = manifest::parse(&text, &name, manifest::beside(&name));
        let shown = shown(list);
        let parsed = parsed.map_err(|fault| Error::new(kind, format!("{shown}: {fault}")))?;
        self.take(&parsed, &shown, observer)
    }

    /// Asks for the list beside the object, if there is one.
    fn look_beside(
        &mut self,
        suffix: &str,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<(), Error> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{suffix}", self.url.path()));
        let shown = http::redact(&url);
        let text = match self.fetch(&url, started, observer) {
            Err(error) if matches!(error.kind(), ErrorKind::Status(404 | 410)) => {
                if !self.options.require_digest {
                    let what = format!("there is no {shown}: the object is not checked by it");
                    observer.on(&Event::Warning(what));
                }
                return Ok(());
            }
            text => text?,
        };
        let (name, beside) = (decoded(&url), decoded(&self.url));
        let beside = beside.rsplit(|&octet| octet == b'/').next();
        let wrong = |what: String| Error::new(ErrorKind::Digest, format!("{shown}: {what}"));
        let list = manifest::parse(&text, &name, beside).map_err(|why| wrong(why.to_string()))?;
        if self.take(&list, &shown, observer)? {
            return Ok(());
        }
        Err(wrong(format!("{} is not listed in it", self.called())))
    }

    /// Demands what a list says of the object. Whether it is there.
    fn take(
        &mut self,
        list: &List<'_>,
        shown: &str,
        observer: &mut dyn Observer,
    ) -> Result<bool, Error> {
        if list.signed {
            observer.on(&Event::Warning(format!("{shown}: its signature is not checked")));
        }
        let paths = self.paths();
        let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
        let wrong = |what: String| Error::new(ErrorKind::Digest, format!("{shown}: {what}"));
        let digests = match list.digests(&paths) {
            Ok(digests) => digests,
            Err(Unlisted::Absent) => return Ok(false),
            Err(Unlisted::Unknown) => {
                let what = format!("{} has no digest there that uget knows", self.called());
                return Err(wrong(what));
            }
            Err(Unlisted::Ambiguous(one, other)) => {
                let what = format!("{one} or {other} may be meant, and they differ");
                return Err(wrong(what).with_hint("-o FILE with the path that is listed tells"));
            }
        };
        for digest in &digests {
            if !manifest::add(&mut self.options.digests, digest) {
                let name = digest.algorithm.name();
                let what = format!("it has another {name} of {} than is given", self.called());
                return Err(wrong(what));
            }
            let Digest { algorithm, hex } = digest;
            observer.on(&Event::Note(format!("{shown} demands {} {hex}", algorithm.name())));
        }
        Ok(true)
    }

    /// The paths under which the object may be listed: its URL's, and its target's.
    fn paths(&self) -> Vec<Vec<u8>> {
        let bytes = |path: &Path| path.as_os_str().as_bytes().to_vec();
        let inside = |path: &Path| bytes(&output::inside(path, name::from_url(&self.url)));
        let target = match &self.options.target {
            Target::File(path) if !path.is_dir() => Some(bytes(path)),
            Target::File(path) | Target::Directory(path) => Some(inside(path)),
            Target::Stdout | Target::Extract(_) => None,
        };
        [decoded(&self.url)].into_iter().chain(target).collect()
    }

    /// The object, for messages.
    fn called(&self) -> String {
        http::escape(name::from_url(&self.url).as_bytes(), SHOWN)
    }

    /// Fetches a list into memory: by the same rules as the object, except that what only the
    /// object's origin may see goes nowhere else.
    fn fetch(
        &self,
        url: &Url,
        started: Instant,
        observer: &mut dyn Observer,
    ) -> Result<Vec<u8>, Error> {
        observer.on(&Event::Note(format!("looking at {}", http::redact(url))));
        let mut text = Vec::new();
        let mut options = self.aside(url);
        let left = |limit: Duration| limit.saturating_sub(started.elapsed());
        options.max_time = options.max_time.map(left);
        let download = Self::new(url.as_str(), options)?;
        self.canceller.turn_to(&download.inbox)?;
        let fetched = download.to_writer(&mut text);
        self.canceller.turn_to(&self.inbox)?;
        match fetched {
            Ok(_) => Ok(text),
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                Err(error.with_hint("a checksum list has at most 16 MiB"))
            }
            Err(error) => Err(error),
        }
    }

    /// What a list is fetched with.
    fn aside(&self, url: &Url) -> Options {
        let mut options = Options {
            connections: Connections::Exactly(1),
            digests: Vec::new(),
            print_digests: Vec::new(),
            checksums: Vec::new(),
            checksum_suffix: None,
            require_digest: false,
            mirrors: Vec::new(),
            max_size: Some(MOST),
            dump_header: None,
            unpack: Unpack::default(),
            memory: Some(MEMORY_MIN),
            fsync: Fsync::Never,
            ..self.options.clone()
        };
        if url.origin() != self.url.origin() {
            options.headers.clear();
            options.referer = None;
            options.network.zone = None;
            let given = options.credentials;
            // What is looked up by the host is that host's own.
            let cookie = given.cookie.filter(|Secret(cookie)| !cookie.contains('='));
            options.credentials = Credentials { user: None, bearer: None, cookie, ..given };
        }
        options
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(manifest::MOST as u64 + 1).read_to_end(&mut text));
    read.map(|_| text).map_err(|error: io::Error| {
        let path = http::escape(path.as_os_str().as_bytes(), SHOWN);
        let why = error.to_string();
        let why = why.split(" (os error").next().unwrap_or_default().to_lowercase();
        Error::new(ErrorKind::Usage, format!("cannot read the checksums {path}: {why}"))
    })
}

/// The path of a URL, percent-decoded.
fn decoded(url: &Url) -> Vec<u8> {
    percent_decode_str(url.path()).collect()
}

/// A list, for messages.
fn shown(list: &ChecksumList) -> String {
    match list {
        ChecksumList::File(path) => http::escape(path.as_os_str().as_bytes(), SHOWN),
        ChecksumList::Url(url) => http::redact(url),
    }
}

/// The most bytes of a list that is fetched.
const MOST: u64 = 16 << 20;
/// Characters of a name that are shown.
const SHOWN: usize = 200;
