//! The question that finds out what there is, and what its answer means (HT-07).

use std::ops::Range;

use super::kin::{Kinship, kinship};
use crate::http::{
    body::Framing,
    field::{ContentRange, RangeSpec, Validators},
    response::Head,
};
use crate::orders::{ChangedHow, Extent, Failure, Finished, RangeFault, expect};

/// What is asked while it is not known what to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// The first part, by range: its answer tells everything.
    Probe,
    /// Everything, without a range. Another version than this one is a change.
    Whole(Version),
    /// A range of an object of which some is there. `over` allows to start over with a whole
    /// answer of the same version.
    Rest {
        /// What is known of the version.
        version: Version,
        /// A whole answer, or a refusal of ranges, may start the object over.
        over: bool,
    },
    /// Whether what is there completely is still what there is.
    Confirm(String),
}

/// What ties an answer to bytes that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// Nothing.
    Any,
    /// A strong validator, out of a journal ([`Validators::pin`]).
    Strong(String),
    /// The fields of the answer of this place that was believed first.
    Same(Validators),
    /// The fields of an answer of another place.
    Kin(Validators),
}

impl Version {
    /// The value of `If-Range`.
    pub(super) fn if_range(&self) -> Option<String> {
        match self {
            // What one place calls a version is no word of another's.
            Self::Any | Self::Kin(_) => None,
            Self::Strong(pin) => Some(pin.clone()).filter(|pin| !pin.starts_with("W/")),
            Self::Same(validators) => validators.if_range().map(str::to_owned),
        }
    }

    fn admits(&self, head: &Head) -> bool {
        match self {
            Self::Any => true,
            Self::Strong(pin) => head.validators().pin().as_ref() == Some(pin),
            Self::Same(validators) => expect::same_version(validators, head),
            Self::Kin(validators) => kinship(validators, &head.validators()) == Kinship::Same,
        }
    }
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// Its body is this range of what is wanted.
    Part {
        /// Where the body lies.
        range: Range<u64>,
        /// The complete length, and what of it is wanted.
        extent: Extent,
    },
    /// Its body is the last byte of a slice that is counted from there.
    Placed(Extent),
    /// Its body is everything.
    Whole {
        /// How the body ends.
        framing: Framing,
        /// It is coded: bytes as they come, no ranges of it.
        coded: bool,
    },
    /// There is nothing more than what is there already, `total` bytes.
    Complete {
        /// The complete length.
        total: u64,
    },
    /// Ask elsewhere.
    Redirect,
    /// Ask for everything, without a range. Holds why.
    Plain(&'static str),
    /// No answer at all.
    Fail(Failure),
}

/// What an answer says about a finished file, when it was asked for only if that is of another
/// version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// It is up to date.
    Same,
    /// Whatever the answer is, it does not speak for the file.
    Other,
    /// It says "not modified" and names another version.
    Absurd,
}

/// What of the object is wanted, as far as that is known when an answer comes.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) slice: Option<RangeSpec>,
    /// From an answer that was believed, or an earlier run.
    pub(super) extent: Option<&'a Extent>,
    /// It was the last byte that was asked for, to find out where the slice is.
    pub(super) unplaced: bool,
}

impl Wanted<'_> {
    /// Where the body of a 206 lies.
    fn part(&self, head: &Head) -> Result<(Range<u64>, Extent), Failure> {
        let (range, complete) = expect::part(head)?;
        let window = || Failure::Range(RangeFault::Window(range.clone()));
        let extent = Extent::of(self.slice, complete).ok_or_else(window)?;
        let inside = extent.inside(&range).ok_or_else(window)?;
        Ok((inside, extent))
    }

    /// How an object that has this extent differs from the one that was met before.
    fn changed(&self, extent: &Extent) -> Option<ChangedHow> {
        let (was, is) = (self.extent?.complete, extent.complete);
        (was != is).then_some(ChangedHow::Length { was, is })
    }

    /// Whether a 416 says that no byte of the slice is there.
    fn beyond(&self, head: &Head) -> Option<Ruling> {
        self.slice?;
        let complete = match head.content_range() {
            Some(ContentRange::Unsatisfied { total }) => Some(total),
            _ => None,
        };
        // A server that says so of bytes that it has does not like how it was asked.
        let there = complete.is_some_and(|total| Extent::of(self.slice, total).is_some());
        (!there).then_some(Ruling::Fail(Failure::Range(RangeFault::Beyond(complete))))
    }
}

/// What `head` says about `known`, which is this slice of the object. A server that takes no notice
/// of the condition may still name the same version.
pub(super) fn renew(known: &Finished, slice: Option<RangeSpec>, head: &Head) -> Renewal {
    let validators = head.validators();
    let fits = |complete| Extent::of(slice, complete).is_some_and(|of| of.length() == known.size);
    let same = validators.pin().as_ref() == Some(&known.validator);
    match head.status {
        304 => match &validators.etag {
            Some(tag) if known.validator.starts_with('"') && tag.opaque != known.validator => {
                Renewal::Absurd
            }
            Some(tag)
                if known.validator.starts_with("W/")
                    && !known.validator.starts_with(&format!("W/{} ", tag.opaque)) =>
            {
                Renewal::Absurd
            }
            _ => Renewal::Same,
        },
        200 if same && head.content_length().is_none_or(fits) => Renewal::Same,
        206 if same && expect::part(head).is_ok_and(|(_, complete)| fits(complete)) => {
            Renewal::Same
        }
        _ => Renewal::Other,
    }
}

/// What `head` means in answer to `question`; `asked` is the range that was asked for, of what is
/// wanted.
pub(super) fn judge(
    question: &Question,
    asked: &Range<u64>,
    wanted: &Wanted<'_>,
    head: &Head,
) -> Ruling {
    if head.is_redirect() {
        return Ruling::Redirect;
    }
    if wanted.unplaced && head.status == 206 {
        return placed(wanted, head);
    }
    match question {
        Question::Probe => probe(asked, wanted, head),
        Question::Whole(version) => whole(version, wanted, head),
        Question::Rest { version, over } => rest(version, *over, asked, wanted, head),
        Question::Confirm(strong) => confirm(strong, wanted.extent.map_or(0, Extent::length), head),
    }
}

/// A 206 for the last byte.
fn placed(wanted: &Wanted<'_>, head: &Head) -> Ruling {
    match wanted.part(head) {
        Ok((range, extent)) if range == (extent.length() - 1..extent.length()) => {
            Ruling::Placed(extent)
        }
        Ok((range, extent)) => {
            Ruling::Fail(Failure::Range(RangeFault::Window(extent.locate(&range))))
        }
        Err(failure) => Ruling::Fail(failure),
    }
}

fn probe(asked: &Range<u64>, wanted: &Wanted<'_>, head: &Head) -> Ruling {
    match head.status {
        206 => match wanted.part(head).map(|(range, of)| (range, wanted.changed(&of), of)) {
            Ok((_, Some(how), _)) => Ruling::Fail(Failure::Changed(how)),
            Ok((range, None, extent)) if range.start == 0 && range.end <= asked.end => {
                Ruling::Part { range, extent }
            }
            Ok(_) => Ruling::Plain("the server answered with another range"),
            Err(Failure::Range(RangeFault::Multipart)) => {
                Ruling::Plain("the server answered with several ranges")
            }
            Err(Failure::Range(RangeFault::Coded)) => {
                Ruling::Plain("the server codes the content of ranges")
            }
            Err(_) => Ruling::Plain("the server names no usable range"),
        },
        200 => body(wanted, head),
        416 => match head.content_range() {
            _ if wanted.slice.is_some() => wanted.beyond(head).unwrap_or(REFUSED),
            Some(ContentRange::Unsatisfied { total: 0 }) => Ruling::Complete { total: 0 },
            _ => REFUSED,
        },
        400 | 403 | 404 | 405 | 501 => Ruling::Plain("the server refuses ranges"),
        _ => Ruling::Fail(expect::status(head)),
    }
}

fn whole(version: &Version, wanted: &Wanted<'_>, head: &Head) -> Ruling {
    match head.status {
        200 if version.admits(head) => body(wanted, head),
        200 => Ruling::Fail(Failure::Changed(ChangedHow::Validator)),
        206 if wanted.slice.is_some() => match wanted.part(head) {
            Ok((range, extent)) if range != (0..extent.length()) => {
                Ruling::Fail(Failure::Range(RangeFault::Window(extent.locate(&range))))
            }
            Ok(_) if !version.admits(head) => Ruling::Fail(Failure::Changed(ChangedHow::Validator)),
            Ok((range, extent)) => Ruling::Part { range, extent },
            Err(failure) => Ruling::Fail(failure),
        },
        206 => Ruling::Fail(Failure::Range(RangeFault::Unreadable)),
        416 => wanted.beyond(head).unwrap_or_else(|| Ruling::Fail(expect::status(head))),
        _ => Ruling::Fail(expect::status(head)),
    }
}

/// A 200. One that carries a Content-Range contradicts itself (HT-06): it is everything only if
/// its length is the complete length that it states. Of a slice it is one only if that is all.
fn body(wanted: &Wanted<'_>, head: &Head) -> Ruling {
    let framing = match head.framing() {
        Ok(framing) => framing,
        Err(error) => return Ruling::Fail(Failure::Http(error)),
    };
    if let Framing::Length(size) = framing
        && size > expect::LENGTH_MAX
    {
        return Ruling::Fail(Failure::TooLarge { limit: expect::LENGTH_MAX, size: Some(size) });
    }
    if head.all("content-range").next().is_some() {
        let stated = match head.content_range() {
            Some(ContentRange::Part { total: Some(total), .. }) => Some(Framing::Length(total)),
            _ => None,
        };
        if stated != Some(framing) {
            return Ruling::Plain("the server answered 200 with a range");
        }
    }
    let coded = head.content_coded();
    if wanted.slice.is_some() {
        let fault = match framing {
            _ if coded => RangeFault::Coded,
            Framing::Length(complete) => match Extent::of(wanted.slice, complete) {
                Some(extent) if extent.is_all() => return Ruling::Whole { framing, coded },
                Some(_) => RangeFault::Unsliced,
                None => RangeFault::Beyond(Some(complete)),
            },
            Framing::Chunked | Framing::Close => RangeFault::Unsliced,
        };
        return Ruling::Fail(Failure::Range(fault));
    }
    Ruling::Whole { framing, coded }
}

fn rest(
    version: &Version,
    over: bool,
    asked: &Range<u64>,
    wanted: &Wanted<'_>,
    head: &Head,
) -> Ruling {
    let changed = |how| Ruling::Fail(Failure::Changed(how));
    let refused = |why| if over { Ruling::Plain(why) } else { Ruling::Fail(expect::status(head)) };
    match head.status {
        206 => match wanted.part(head) {
            Ok((range, extent)) => {
                if range.start != asked.start || range.end > asked.end {
                    Ruling::Fail(Failure::Range(RangeFault::Window(extent.locate(&range))))
                } else if let Some(how) = wanted.changed(&extent) {
                    changed(how)
                } else if !version.admits(head) {
                    changed(ChangedHow::Validator)
                } else {
                    Ruling::Part { range, extent }
                }
            }
            Err(failure) => Ruling::Fail(failure),
        },
        200 if !version.admits(head) => changed(ChangedHow::Precondition),
        200 if over => match body(wanted, head) {
            Ruling::Plain(_) => Ruling::Fail(Failure::Range(RangeFault::Ignored)),
            ruling => ruling,
        },
        200 => Ruling::Fail(Failure::Range(RangeFault::Ignored)),
        412 => changed(ChangedHow::Precondition),
        416 => match (head.content_range(), wanted.extent.map(|extent| extent.complete)) {
            (Some(ContentRange::Unsatisfied { total }), None) if total == asked.start => {
                Ruling::Complete { total }
            }
            (Some(ContentRange::Unsatisfied { total }), Some(was)) if total != was => {
                changed(ChangedHow::Length { was, is: total })
            }
            _ => refused("the server refuses the range"),
        },
        400 | 403 | 404 | 405 | 501 => refused("the server refuses ranges"),
        _ => Ruling::Fail(expect::status(head)),
    }
}

/// A range was refused: everything may be asked for.
const REFUSED: Ruling = Ruling::Plain("the server refuses the range");

fn confirm(strong: &str, total: u64, head: &Head) -> Ruling {
    match head.status {
        304 => Ruling::Complete { total },
        200 if head.validators().pin().as_deref() == Some(strong) => Ruling::Complete { total },
        200 => Ruling::Fail(Failure::Changed(ChangedHow::Validator)),
        412 => Ruling::Fail(Failure::Changed(ChangedHow::Precondition)),
        _ => Ruling::Fail(expect::status(head)),
    }
}

#[cfg(test)]
mod tests;
