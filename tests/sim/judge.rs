//! What a run owes: one version of one object, and success where a good place was left.

use std::{collections::BTreeSet, time::Duration};

use uget::{
    fleet::TransferId,
    http::field::RangeSpec,
    orders::{Extent, Pin, Policy, Trouble},
};

use crate::{
    file::Source,
    origin::PAGE,
    site::{Edition, Host, Later, Place, Ranges, Site, Wrong},
    stream::PART_LEAST,
    world::{Kind, Member, World},
};

impl World {
    /// The end of a run: what was delivered is right, and without faults nothing was wasted.
    pub(crate) fn judge(&mut self) -> Result<(), String> {
        for index in 0..self.members.len() {
            let id = TransferId(index as u32);
            let transfer = self.fleet.transfer(id);
            let outcome = transfer.outcome().ok_or("over without an outcome")?;
            self.say(|| format!("{index} ends: {outcome:?}"));
            let (site, member) = (&self.sites[index], &self.members[index]);
            match &outcome {
                Ok(()) if !member.published => return Err("a success without a file".into()),
                Ok(()) => whole(site, member)?,
                Err(_) if member.published => return Err("a failure with a file".into()),
                Err(trouble) if self.kind == Kind::Calm => {
                    return Err(format!("failed: {trouble:?}"));
                }
                Err(trouble) => {
                    self.witness.root_cause(id, trouble, member, self.kind == Kind::Faults)?;
                }
            }
            self.owes(index, &outcome)?;
            if self.kind == Kind::Calm {
                let site = site.clone();
                // The span that a consumer waits for is divided when it is late.
                let part = if self.is_stream(id) { PART_LEAST / 2 } else { 1 << 15 };
                let (fleet, skipped) = (&self.fleet, self.skipped_closed);
                self.witness.thrift(id, fleet, &site, &self.hosts, skipped, part)?;
            }
        }
        Ok(())
    }

    /// One good place is enough, in good time; the others cost no more than that.
    fn owes(&self, index: usize, outcome: &Result<(), Trouble>) -> Result<(), String> {
        // What was handed on of one version is in the way of another.
        let stream = self.is_stream(TransferId(index as u32));
        if self.kind != Kind::Places || self.faults || self.members.len() > 1 || stream {
            return Ok(());
        }
        let (site, member) = (&self.sites[index], &self.members[index]);
        let Some(bound) = owed(site, &self.hosts, member) else { return Ok(()) };
        match outcome {
            Err(trouble) => Err(format!("failed although a good place was left: {trouble:?}")),
            Ok(()) if self.now > bound => {
                Err(format!("took {:?} although a good place was left", self.now))
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Whether what is wanted of an edition is so many bytes, which lie so far on in the object.
fn is_of(slice: Option<RangeSpec>, edition: &Edition, total: u64, shift: Option<i64>) -> bool {
    Extent::of(slice, edition.length).is_some_and(|extent| {
        let at = shift.is_none_or(|shift| u64::try_from(shift) == Ok(extent.wanted.start));
        at && extent.length() == total
    })
}

/// Whether the part file is what the digest names.
pub(crate) fn is_right(site: &Site, member: &Member, total: u64) -> bool {
    let part = &member.disk.part;
    let slice = member.policy.slice;
    let right = |edition: &Edition| edition.content == 0 && is_of(slice, edition, total, None);
    let inside = part.sources().all(|source| {
        let at = Some(source.shift);
        let edition = site.edition(source.version).filter(|edition| edition.content == 0);
        edition.is_some_and(|edition| is_of(slice, edition, total, at))
    });
    let mut all = site.places.iter().flat_map(|place| &place.editions);
    inside && all.any(|(_, edition)| right(edition))
}

/// Whether a finished file is one version of one object, as far as anybody could have told.
///
/// Bytes of two editions may meet only where what is said of them makes them one object
/// ([`Edition::is_one_with`]) although they are two: no client can see that without a digest. Each
/// pair is judged by itself: a third that goes with both excuses nothing.
pub(crate) fn whole(site: &Site, member: &Member) -> Result<(), String> {
    let total = member.disk.part.written();
    let sources: Vec<_> = member.disk.part.sources().collect();
    if member.policy.digest {
        let right = is_right(site, member, total);
        return if right { Ok(()) } else { Err("a wrong file passed its digest".to_owned()) };
    }
    let slice = member.policy.slice;
    let misplaced = |source: &&Source| match site.edition(source.version) {
        Some(edition) => !is_of(slice, edition, total, Some(source.shift)),
        None => source.shift != 0,
    };
    if let Some(source) = sources.iter().find(misplaced) {
        return Err(format!("bytes of another place in the object, of {total}: {source:?}"));
    }
    let numbers: BTreeSet<u32> = sources.iter().map(|source| source.version).collect();
    if numbers.contains(&PAGE) {
        let alone = numbers.len() == 1 && total == 4096;
        return if alone { Ok(()) } else { Err("a page for people in the file".to_owned()) };
    }
    let mut used = Vec::new();
    for number in numbers {
        used.push(site.edition(number).ok_or("bytes of nothing")?);
    }
    if member.policy.pin == Pin::None {
        return Ok(());
    }
    for (index, one) in used.iter().enumerate() {
        let two = |other: &&&Edition| other.content != one.content && !one.is_one_with(other);
        if let Some(other) = used[index..].iter().find(two) {
            let all: Vec<_> = sources.iter().map(|source| source.version).collect();
            return Err(format!("two objects in one file: {one:?} and {other:?}, of {all:?}"));
        }
    }
    Ok(())
}

/// Whether a run cannot fail, whatever else happens: a good place is left, and nothing that another
/// place may have said first speaks against it. Then it is also over by the time that is returned.
pub(crate) fn owed(site: &Site, hosts: &[Host], member: &Member) -> Option<Duration> {
    let good = |road: &usize| is_good(site, hosts, *road, &member.policy);
    let first = Some(0)
        .filter(good)
        .filter(|_| member.policy.retries > 0 || hosts[site.first_place().host].limit.is_none());
    let second = || {
        let road = (1..site.roads.len()).filter(|_| member.policy.retries > 0).find(good)?;
        let place = &site.places[site.roads[road].ends[0].1];
        let ranged = matches!(place.ranges, Ranges::Yes | Ranges::Capped(_));
        let edition = &place.editions[0].1;
        let agrees = |other: &Place| {
            // A page, or a length, that it says first is the object until somebody says otherwise:
            // no lie can be told from a version that the good place does not have.
            let misleads = |mood: &crate::site::Mood| {
                mood.ways.iter().any(|wrong| matches!(wrong, Wrong::Page | Wrong::Total))
            };
            let same = |(_, e): &(Duration, Edition)| {
                e.content == edition.content && e.is_one_with(edition)
            };
            other.editions.iter().all(same) && !other.mood.as_ref().is_some_and(misleads)
        };
        (ranged && site.places.iter().all(agrees)).then_some(road)
    };
    let road = first.or_else(second)?;
    let place = &site.places[site.roads[road].ends[0].1];
    let host = &hosts[place.host];
    let rate = host.capped.unwrap_or(u64::MAX).min(host.rate) / 4;
    let alone = Duration::from_millis(place.editions[0].1.length.saturating_mul(1000) / rate);
    Some(alone * 2 + Duration::from_secs(120 + 240 * site.roads.len() as u64))
}

fn is_good(site: &Site, hosts: &[Host], road: usize, policy: &Policy) -> bool {
    let way = &site.roads[road];
    let place = &site.places[way.ends[0].1];
    let edition = &place.editions[0].1;
    let shared = |other: &Place| other.host == place.host && !std::ptr::eq(other, place);
    // Who shares its host takes of its connections, and makes it wait.
    let waits = |other: &Place| {
        let mood = other.mood.iter().flat_map(|mood| &mood.ways);
        let cursed = other.cursed.iter().map(|(_, wrong)| wrong);
        mood.chain(cursed).any(|wrong| match wrong {
            Wrong::Status(_, later) => *later != Later::Unsaid,
            _ => false,
        })
    };
    let crowded = hosts[place.host].limit.is_some() && site.places.iter().any(shared);
    let held = site.places.iter().filter(|place| shared(place)).any(waits);
    let hops = way.hops.iter().all(|hop| hosts[*hop].limit.is_none());
    let steady = way.ends.len() == 1 && (way.hops.is_empty() || site.expires_at.is_none());
    let right = !policy.digest || edition.content == 0;
    let sliced = policy.slice.is_none() || place.serves(policy.slice);
    place.is_good() && !place.coded && right && sliced && !crowded && !held && hops && steady
}
