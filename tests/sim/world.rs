//! The world of one seed: clock, network, disks, and the shell that drives the fleet.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use uget::{
    fleet::{Fleet, Limits, TransferId},
    http::{field::Validators, request::Request},
    journal::{Claim, Held},
    orders::{Command, Conn, ConnEvent, Extent, Failure, Policy, StoreEvent, StoreOp},
    transfer::Transfer,
};

use crate::{
    check::Witness,
    disk::{Crash, Disk},
    judge, lottery,
    origin::{Reaction, Server},
    port::Mood,
    rng::Rng,
    site::{Host, Refusal, Site, Stop},
    stream::{Stream, Streams},
    worker::{self, Sock, Step},
};

/// Everything.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: Duration,
    pub(crate) hosts: Vec<Host>,
    pub(crate) sites: Vec<Site>,
    pub(crate) members: Vec<Member>,
    /// Those that are no files.
    pub(crate) streams: Streams,
    /// How much a link writes at a time.
    pub(crate) write: usize,
    pub(crate) socks: BTreeMap<Conn, Sock>,
    pub(crate) fleet: Fleet,
    pub(crate) witness: Witness,
    /// How long a message between coordinator and worker takes.
    pub(crate) cross: Duration,
    /// What may go wrong under the links.
    pub(crate) mood: Mood,
    pub(crate) skipped_closed: u64,
    /// Connections of a host are all alike.
    pub(crate) even: bool,
    /// By which factor they may differ otherwise, and a little more.
    pub(crate) unevenness: u64,
    /// The process was killed.
    crashed: bool,
    /// Nothing goes wrong from then on.
    pub(crate) heals: Duration,
    limits: Limits,
    pub(crate) kind: Kind,
    /// Anything may go wrong anywhere.
    pub(crate) faults: bool,
    agenda: BTreeMap<(Duration, u64), What>,
    sequence: u64,
    verbose: bool,
}

/// One transfer and its place on the disk.
pub(crate) struct Member {
    pub(crate) policy: Policy,
    pub(crate) disk: Disk,
    pub(crate) kept: bool,
    pub(crate) published: bool,
    pub(crate) store_time: Duration,
}

/// Something that will happen.
pub(crate) enum What {
    Event(Conn, ConnEvent),
    Store(TransferId, StoreEvent),
    Order(TransferId, Box<Command>),
    Step(Conn, u64, Step),
    Stop(Failure),
    Expire(usize),
    Crash(Crash),
    /// The consumer of a stream is done with everything below.
    Consumed(TransferId, u64),
    /// It has gone away.
    Leave(TransferId, Failure),
}

/// What kind of world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing goes wrong.
    Calm,
    /// Anything goes wrong anywhere, until it heals; mirrors do as the first place does.
    Faults,
    /// Every place goes its own way, and some err or lie; in some of them anything goes wrong too.
    Places,
}

impl World {
    pub(crate) fn new(seed: u64, kind: Kind, verbose: bool) -> Self {
        let mut rng = Rng::new(seed);
        let faults = kind == Kind::Faults || kind == Kind::Places && rng.one_in(4);
        let mut hosts = lottery::hosts(&mut rng, kind != Kind::Calm);
        if kind == Kind::Places {
            hosts.iter_mut().for_each(|host| host.lame = None);
            let crawl = rng.pick(0..9) as usize;
            hosts.iter_mut().skip(crawl).take(1).for_each(|host| host.rate = 40_000);
        }
        let count = if rng.one_in(8) { rng.pick(2..5) as usize } else { 1 };
        let site = |id| match kind {
            Kind::Places => lottery::places(&mut rng, id),
            _ => lottery::site(&mut rng, id, faults),
        };
        let sites: Vec<_> = (0..count).map(site).collect();
        let mut editions = sites.iter().flat_map(|site| &site.places);
        let mut editions = editions.by_ref().flat_map(|place| &place.editions);
        let small = editions.all(|(_, edition)| edition.length <= 1 << 20);
        let policies = (0..count).map(|_| lottery::policy(&mut rng, kind != Kind::Calm));
        let policies = policies
            .map(|policy| Policy { max_time: policy.max_time.filter(|_| faults), ..policy });
        let mut policies: Vec<_> = policies.collect();
        // Of their own luck, so that the worlds without slices are the same as ever.
        let mut luck = Rng::new(seed ^ 0x511c_e511_ce51_1ce5);
        for (site, policy) in sites.iter().zip(&mut policies) {
            let slice = lottery::slice(&mut luck, site.first_place().editions[0].1.length);
            let served = || site.places.iter().all(|place| place.serves(slice));
            policy.slice = slice.filter(|_| kind != Kind::Calm || served());
        }
        let limits =
            Limits { total: *rng.one_of(&[64, 16, 4]), per_host: *rng.one_of(&[64, 16, 3]) };
        let member = |policy: Policy| Member {
            policy,
            disk: Disk::default(),
            kept: false,
            published: false,
            store_time: Duration::ZERO,
        };
        // From numbers of its own: worlds of files are what they were before there were streams.
        let mut own = Rng::new(seed ^ 0x57_2e_a3);
        let is_stream = own.one_in(4);
        let drawn = sites.iter().zip(&policies);
        let streams = drawn.map(|(site, policy)| Stream::draw(&mut own, site, policy, faults));
        let streams: Vec<_> = streams.map(|stream| Some(stream).filter(|_| is_stream)).collect();
        let windows = streams.iter().flatten().map(|stream| stream.window);
        let write = windows.min().map_or(1 << 20, |window| (window / 4).min(1 << 20) as usize);
        let mut world = Self {
            now: Duration::ZERO,
            hosts,
            sites,
            streams: Rc::new(RefCell::new(streams)),
            write,
            members: policies.into_iter().map(member).collect(),
            socks: BTreeMap::new(),
            fleet: Fleet::new(limits),
            witness: Witness::new(count, limits.total),
            cross: Duration::from_micros(rng.magnitude(8)),
            mood: worker::mood(&mut rng, faults, small),
            skipped_closed: 0,
            even: false,
            unevenness: if faults { 6 } else { 2 },
            crashed: false,
            heals: if faults { rng.millis(1_000..120_000) } else { Duration::ZERO },
            limits,
            kind,
            faults,
            agenda: BTreeMap::new(),
            sequence: 0,
            verbose,
            rng,
        };
        world.schedule_troubles();
        world.start(vec![None; count]);
        world
    }

    /// Honest hosts, one object, nothing by chance.
    pub(crate) fn scene(hosts: Vec<Host>, site: Site, policy: Policy) -> Self {
        let mut world = Self::new(0, Kind::Calm, false);
        world.agenda.clear();
        world.hosts = hosts;
        world.sites = vec![site];
        world.members.truncate(1);
        world.streams.borrow_mut().truncate(1);
        world.streams.borrow_mut()[0] = None;
        world.write = 1 << 20;
        world.members[0].policy = policy;
        world.limits = Limits { total: 64, per_host: 64 };
        world.cross = Duration::from_micros(20);
        world.even = true;
        // Its links look up so often that rates can be measured.
        let nap = Duration::from_millis(100);
        world.mood = Mood { lump: 256 << 10, nap, ..Mood::default() };
        world.witness = Witness::new(1, 64);
        world.start(vec![None]);
        world
    }

    fn schedule_troubles(&mut self) {
        for id in 0..self.sites.len() {
            if let Some(at) = self.sites[id].expires_at {
                self.after(at, What::Expire(id));
            }
        }
        if self.faults && self.rng.one_in(6) {
            let delay = self.rng.millis(0..3_000);
            self.after(delay, What::Stop(Failure::Cancelled { signal: 2 }));
        }
    }

    /// A new process: nothing is left of the last one but what is on its disk.
    fn start(&mut self, held: Vec<Option<Held>>) {
        self.fleet = Fleet::new(self.limits);
        self.socks.clear();
        self.witness.restart(&held);
        self.agenda
            .retain(|_, what| matches!(what, What::Expire(_) | What::Stop(_) | What::Crash(_)));
        for site in &mut self.sites {
            if self.now > Duration::ZERO && self.rng.one_in(3) {
                site.age();
            }
        }
        for (index, held) in held.into_iter().enumerate() {
            let url = self.sites[index].url(&self.hosts, 0);
            let mut policy = self.members[index].policy.clone();
            let site = &self.sites[index];
            let mirrors = 1..site.roads.len();
            policy.mirrors = mirrors.clone().map(|road| site.url(&self.hosts, road)).collect();
            policy.mirror_fields = mirrors.map(|road| site.own_fields(road)).collect();
            self.members[index].kept = false;
            if let Some(stream) = &mut self.streams.borrow_mut()[index] {
                *stream = stream.anew();
                policy.window = Some(stream.window);
                policy.first_part = policy.first_part.min(stream.window / 4);
            }
            let transfer = Transfer::new(url, policy, held, self.now);
            self.fleet.add(transfer);
        }
    }

    /// Runs to the end, and again as long as something was kept that can be built on.
    ///
    /// # Errors
    /// What was violated.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        for round in 0..6 {
            self.run_once()?;
            if std::mem::take(&mut self.crashed) {
                if self.members[0].published {
                    // What a power cut leaves of a name that was not synced is not promised.
                    return Ok(());
                }
                let held = self.what_is_held()?;
                self.say(|| format!("---- after a crash, with {held:?}"));
                self.start(held);
                continue;
            }
            self.judge()?;
            let again =
                self.kind != Kind::Calm && self.members.len() == 1 && !self.members[0].published;
            if !again || round > 3 {
                break;
            }
            let held = self.what_is_held()?;
            if held.iter().all(Option::is_none) {
                break;
            }
            self.say(|| format!("---- again, with {held:?}"));
            self.start(held);
        }
        Ok(())
    }

    fn what_is_held(&mut self) -> Result<Vec<Option<Held>>, String> {
        let mut all = Vec::new();
        for member in &mut self.members {
            if member.kept && self.faults && self.rng.one_in(4) {
                member.disk.damage(&mut self.rng);
            }
            let held = if member.kept { member.disk.held()? } else { None };
            match &held {
                Some(held) => member.disk.trust_only(&held.done),
                None => member.disk.forget(),
            }
            all.push(held);
        }
        Ok(all)
    }

    pub(crate) fn run_once(&mut self) -> Result<(), String> {
        let begun = self.now;
        for _ in 0..STEPS_MAX {
            while let Some((id, command)) = self.fleet.poll() {
                self.say(|| format!("    {} -> {command:?}", id.0));
                self.witness.command(self.now, id, &command)?;
                let cross = self.cross;
                self.after(cross, What::Order(id, Box::new(command)));
            }
            if self.fleet.is_done() {
                self.last_orders()?;
                return self.witness.done(self.now);
            }
            let timeout = self.fleet.next_timeout();
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            match (timeout, next) {
                (None, None) => return Err("nothing will ever happen".into()),
                (Some(due), next) if next.is_none_or(|at| due <= at) => {
                    // What an event has overtaken is handled late, and not again.
                    let due = due.max(self.now);
                    self.now = due;
                    self.say(|| "timeout".to_owned());
                    self.fleet.handle_timeout(due);
                    if self.fleet.next_timeout().is_some_and(|again| again <= due) {
                        return Err("a timeout that is not over when it was handled".into());
                    }
                }
                _ => self.happen()?,
            }
            if self.crashed {
                return Ok(());
            }
            let late = self.now - begun.min(self.now);
            // Where places lie each may lead twice, and fail as often as is allowed each time.
            let latest = if self.kind == Kind::Places { LATEST * 2 } else { LATEST };
            if late > self.heals + latest {
                return Err(format!("not over after {late:?}, faults ended at {:?}", self.heals));
            }
            self.witness.progress(&self.fleet)?;
        }
        Err("not over after very many steps".into())
    }

    /// The shell carries out what it was told last before it goes.
    fn last_orders(&mut self) -> Result<(), String> {
        for ((at, number), what) in std::mem::take(&mut self.agenda) {
            match what {
                What::Order(id, command) => self.order(id, *command)?,
                what => drop(self.agenda.insert((at, number), what)),
            }
        }
        Ok(())
    }

    fn happen(&mut self) -> Result<(), String> {
        let Some(((at, _), what)) = self.agenda.pop_first() else { return Ok(()) };
        self.now = at;
        match what {
            What::Event(conn, event) => {
                self.say(|| format!("{conn:?} {event:?}"));
                self.record(conn, &event);
                self.witness.event(self.now, conn, &event)?;
                self.fleet.handle_conn(at, conn, event);
            }
            What::Store(id, event) => {
                self.say(|| format!("{} store {event:?}", id.0));
                self.witness.store(self.now, id, &event);
                self.fleet.handle_store(at, id, event);
            }
            What::Order(id, command) => self.order(id, *command)?,
            What::Step(conn, generation, step) => self.step(conn, generation, step),
            What::Stop(failure) => {
                self.say(|| "stop".to_owned());
                self.witness.stop(self.now, &failure);
                self.fleet.stop(at, failure);
            }
            What::Crash(how) => {
                self.say(|| format!("{how:?}"));
                for member in &mut self.members {
                    member.disk.crash(how, &mut self.rng);
                    member.kept = true;
                }
                self.crashed = true;
            }
            What::Consumed(id, to) => {
                self.say(|| format!("{} consumed {to}", id.0));
                self.consumed(id, to);
            }
            What::Leave(id, failure) => {
                self.say(|| format!("{} left", id.0));
                self.witness.stop(self.now, &failure);
                self.fleet.stop_one(at, id, failure);
            }
            What::Expire(id) => {
                self.say(|| "expired".to_owned());
                self.sites[id].signature += 1;
            }
        }
        self.witness.violations.pop().map_or(Ok(()), Err)
    }

    /// A command arrives where it is carried out.
    fn order(&mut self, id: TransferId, command: Command) -> Result<(), String> {
        match command {
            Command::Open { conn, url, .. } => {
                let name = url.host_str().unwrap_or_default();
                let host = self.hosts.iter().position(|host| host.name == name);
                self.worker_open(conn, host.ok_or("a connection to nowhere")?);
            }
            Command::Request { conn, attempt, request, accept } => {
                self.worker_request(id, conn, attempt, &request, accept);
            }
            Command::Receive { conn, attempt, span } => self.receive(conn, attempt, span),
            Command::Skip { conn, attempt } => self.worker_skip(conn, attempt),
            Command::Shrink { conn, attempt, end } => self.worker_shrink(conn, attempt, end),
            Command::Close { conn } => self.worker_close(conn),
            Command::Prepare { extent, validators, resume, .. } => {
                self.prepare(id, extent.as_ref(), &validators, resume);
            }
            Command::Refetch { .. } if self.is_stream(id) => {
                let result = Err(handed_on());
                self.after(self.cross, What::Store(id, StoreEvent::Prepared(result)));
            }
            Command::Refetch { lost } => {
                self.members[id.0 as usize].disk.refetch(&lost);
                let delay = Duration::from_micros(self.rng.magnitude(19));
                self.members[id.0 as usize].store_time = delay;
                self.after(delay, What::Store(id, StoreEvent::Prepared(Ok(()))));
            }
            Command::Publish { total } => return self.publish(id, total),
            Command::Keep => return Err("kept what was never there".into()),
            Command::Abandon { keep } => {
                let keep = !self.break_stream(id) && keep;
                self.members[id.0 as usize].kept = keep;
                if keep {
                    self.members[id.0 as usize].disk.close();
                } else {
                    self.members[id.0 as usize].disk.forget();
                }
            }
            Command::Withhold => self.withhold(id),
            Command::Note(_) => {}
        }
        Ok(())
    }

    /// What the coordinator does with its own journal.
    fn record(&mut self, conn: Conn, event: &ConnEvent) {
        let ConnEvent::Wrote { range, .. } = event else { return };
        let Some(owner) = self.witness.owner(conn) else { return };
        let now = self.now;
        let (early, sync) = (self.rng.one_in(2), self.faults && self.rng.one_in(4));
        let disk = &mut self.members[owner.0 as usize].disk;
        // The bytes of a simulated body are only samples, so what it sums up to is the model's.
        let crc = disk.part.crc(range);
        disk.wrote(Claim { range: range.clone(), crc }, now, early);
        if sync {
            disk.sync();
        }
    }

    fn prepare(
        &mut self,
        id: TransferId,
        extent: Option<&Extent>,
        version: &Validators,
        resume: bool,
    ) {
        let fails = self.fault_in(80);
        let delay = Duration::from_micros(self.rng.magnitude(19));
        if !self.restart_stream(id) {
            let result = Err(handed_on());
            return self.after(delay, What::Store(id, StoreEvent::Prepared(result)));
        }
        let is_stream = self.is_stream(id);
        let member = &mut self.members[id.0 as usize];
        member.disk.prepare(extent, version, resume);
        let length = extent.map_or(1 << 22, Extent::length);
        member.store_time = delay;
        if self.faults && self.members.len() == 1 && !is_stream && self.rng.one_in(4) {
            // Somewhere in the time that the download may take.
            let host = self.sites[0].first_place().host;
            let micros = length.saturating_mul(1_000_000) / self.hosts[host].rate;
            let when = Duration::from_micros(self.rng.pick(0..micros + 1000));
            let how = if self.rng.one_in(2) { Crash::Kill } else { Crash::Power };
            self.after(when, What::Crash(how));
        }
        let result = if fails { Err(store_failure(StoreOp::Preallocate)) } else { Ok(()) };
        self.after(delay, What::Store(id, StoreEvent::Prepared(result)));
    }

    fn publish(&mut self, id: TransferId, total: u64) -> Result<(), String> {
        let fails = self.fault_in(60);
        let delay = Duration::from_micros(self.rng.magnitude(19));
        let is_stream = self.is_stream(id);
        let site = &self.sites[id.0 as usize];
        let member = &mut self.members[id.0 as usize];
        member.store_time = delay;
        if !member.disk.part.covers(total) {
            return Err("published before every byte was written".into());
        }
        if is_stream {
            self.finish_stream(id, total);
            return Ok(());
        }
        let right = judge::is_right(site, member, total);
        let result = if fails {
            Err(store_failure(StoreOp::Publish))
        } else if member.policy.digest && !right {
            Err(Failure::Digest { algorithm: "sha256", expected: "a".into(), actual: "b".into() })
        } else {
            member.published = true;
            Ok(())
        };
        self.after(delay, What::Store(id, StoreEvent::Published(result)));
        Ok(())
    }

    pub(crate) fn react(
        &mut self,
        owner: TransferId,
        host: usize,
        surplus: Option<Refusal>,
        request: &Request,
    ) -> Reaction {
        let faults = self.faulty().then_some(12);
        let site = &self.sites[owner.0 as usize];
        if request.if_range.as_ref().is_some_and(|value| value.starts_with("W/")) {
            self.witness.violations.push("a weak tag was sent in If-Range".into());
        }
        let _ = request.encode();
        debug_assert!(host < self.hosts.len());
        let mut server = Server {
            hosts: &self.hosts,
            site,
            rng: &mut self.rng,
            now: self.now,
            chaos: faults,
            surplus,
            road: 0,
            stop: Stop::Hop(0),
            edition: 0,
        };
        server.react(request).unwrap_or_else(|violation| {
            self.witness.violations.push(violation);
            Reaction::Silence
        })
    }

    pub(crate) fn after(&mut self, delay: Duration, what: What) {
        self.sequence += 1;
        self.agenda.insert((self.now + delay, self.sequence), what);
    }

    pub(crate) fn faulty(&self) -> bool {
        self.faults && self.now < self.heals
    }

    /// Once in `n` times while things go wrong.
    pub(crate) fn fault_in(&mut self, n: u64) -> bool {
        self.faulty() && self.rng.one_in(n)
    }

    pub(crate) fn say(&self, what: impl Fn() -> String) {
        if self.verbose {
            println!("{:>12.6} {}", self.now.as_secs_f64(), what());
        }
    }
}

fn handed_on() -> Failure {
    Failure::CannotResume { reason: "bytes were handed on already".to_owned() }
}

fn store_failure(op: StoreOp) -> Failure {
    Failure::Store { op, path: "part".to_owned(), errno: 28, reason: "no space".to_owned() }
}

/// More steps than any download here takes.
const STEPS_MAX: usize = 400_000;

/// How long after the last fault a download may take.
const LATEST: Duration = Duration::from_secs(3_600);
