//! A script about connections that lag: how often one may be replaced.

use super::{waits::asked, *};

/// A connection at work: its number, its attempt, the part, and how much of that is there.
struct Work(u64, u64, Range<u64>, u64);

#[test]
fn what_lags_for_ever_is_not_replaced_for_ever() {
    let mut script = Script::new(Policy { part_size: Some(64 * MIB), ..policy(4) });
    let mut commands = script.commands();
    commands.extend(script.opened(0));
    script.answer(0, 0, part(0..MIB, 64 << 30));
    commands.extend(script.prepared());
    let mut crew = vec![Work(0, 0, 0..MIB, 0)];
    let (mut replaced, mut done) = (0, 0);
    for _ in 0..1200 {
        for command in std::mem::take(&mut commands) {
            match command {
                Command::Open { conn, .. } => commands.extend(script.opened(conn.0)),
                Command::Close { conn } => {
                    let Some(at) = crew.iter().position(|work| work.0 == conn.0) else { continue };
                    replaced += 1;
                    let over = Err(Failure::Cancelled { signal: 0 });
                    let Work(conn, attempt, ..) = crew.remove(at);
                    commands.extend(script.ended(conn, attempt, over, false));
                }
                _ => {
                    for (conn, attempt, part) in asked(&[command]) {
                        crew.push(Work(conn, attempt, part.clone(), part.start));
                    }
                }
            }
        }
        // The three that are there longest bring a MiB each second, and the fourth nothing.
        crew.sort_by_key(|work| work.0);
        script.now += Duration::from_secs(1);
        for Work(conn, attempt, part, at) in crew.iter_mut().take(3) {
            commands.extend(script.wrote(*conn, *attempt, *at..*at + MIB));
            (*at, done) = (*at + MIB, done + MIB);
            if *at == part.end {
                commands.extend(script.ended(*conn, *attempt, Ok(()), true));
            }
        }
        crew.retain(|work| work.3 < work.2.end);
        commands.extend(script.until(script.now));
    }
    let most = 2 * 4 + (done >> 26);
    assert!((8..=most).contains(&replaced), "{replaced} replaced, at most {most}");
}
