//! The question that finds out what there is, and what its answer means (HT-07).

use std::ops::Range;

use super::kin::{Kinship, kinship};
use crate::http::{
    body::Framing,
    field::{ContentRange, Validators},
    response::Head,
};
use crate::orders::{ChangedHow, Failure, Finished, RangeFault, expect};

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
    /// Its body is this range of an object of this length.
    Part {
        /// Where the body lies.
        range: Range<u64>,
        /// The complete length.
        total: u64,
    },
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

/// What `head` says about `known`. A server that takes no notice of the condition may still name
/// the same version.
pub(super) fn renew(known: &Finished, head: &Head) -> Renewal {
    let validators = head.validators();
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
        200 if same && head.content_length().is_none_or(|length| length == known.size) => {
            Renewal::Same
        }
        206 if same && matches!(expect::part(head), Ok((_, total)) if total == known.size) => {
            Renewal::Same
        }
        _ => Renewal::Other,
    }
}

/// What `head` means in answer to `question`; `asked` is the range that was asked for, and `total`
/// the complete length, if that is known already.
pub(super) fn judge(
    question: &Question,
    asked: &Range<u64>,
    total: Option<u64>,
    head: &Head,
) -> Ruling {
    if head.is_redirect() {
        return Ruling::Redirect;
    }
    match question {
        Question::Probe => probe(asked, head),
        Question::Whole(version) => whole(version, head),
        Question::Rest { version, over } => rest(version, *over, asked, total, head),
        Question::Confirm(strong) => confirm(strong, total.unwrap_or(0), head),
    }
}

fn probe(asked: &Range<u64>, head: &Head) -> Ruling {
    match head.status {
        206 => match expect::part(head) {
            Ok((range, total)) if range.start == 0 && range.end <= asked.end => {
                Ruling::Part { range, total }
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
        200 => body(head),
        416 => match head.content_range() {
            Some(ContentRange::Unsatisfied { total: 0 }) => Ruling::Complete { total: 0 },
            _ => Ruling::Plain("the server refuses the range"),
        },
        400 | 403 | 404 | 405 | 501 => Ruling::Plain("the server refuses ranges"),
        _ => Ruling::Fail(expect::status(head)),
    }
}

fn whole(version: &Version, head: &Head) -> Ruling {
    match head.status {
        200 if version.admits(head) => body(head),
        200 => Ruling::Fail(Failure::Changed(ChangedHow::Validator)),
        206 => Ruling::Fail(Failure::Range(RangeFault::Unreadable)),
        _ => Ruling::Fail(expect::status(head)),
    }
}

/// A 200. One that carries a Content-Range contradicts itself (HT-06): it is everything only if
/// its length is the complete length that it states.
fn body(head: &Head) -> Ruling {
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
    Ruling::Whole { framing, coded: head.content_coded() }
}

fn rest(
    version: &Version,
    over: bool,
    asked: &Range<u64>,
    known: Option<u64>,
    head: &Head,
) -> Ruling {
    let changed = |how| Ruling::Fail(Failure::Changed(how));
    let refused = |why| if over { Ruling::Plain(why) } else { Ruling::Fail(expect::status(head)) };
    match head.status {
        206 => match expect::part(head) {
            Ok((range, total)) => {
                if range.start != asked.start || range.end > asked.end {
                    Ruling::Fail(Failure::Range(RangeFault::Window(range)))
                } else if let Some(was) = known
                    && was != total
                {
                    changed(ChangedHow::Length { was, is: total })
                } else if !version.admits(head) {
                    changed(ChangedHow::Validator)
                } else {
                    Ruling::Part { range, total }
                }
            }
            Err(failure) => Ruling::Fail(failure),
        },
        200 if !version.admits(head) => changed(ChangedHow::Precondition),
        200 if over => match body(head) {
            Ruling::Plain(_) => Ruling::Fail(Failure::Range(RangeFault::Ignored)),
            ruling => ruling,
        },
        200 => Ruling::Fail(Failure::Range(RangeFault::Ignored)),
        412 => changed(ChangedHow::Precondition),
        416 => match (head.content_range(), known) {
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
