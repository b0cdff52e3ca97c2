//! What a benchmark says in the end: a table for people, an object for machines. Pure.

use std::{fmt, fmt::Write, path::PathBuf, time::Duration};

use serde_json::{Value, json};

use super::super::text;

/// Everything that was measured.
pub(super) struct Bench {
    pub(super) size: u64,
    /// Over TLS.
    pub(super) tls: bool,
    pub(super) directory: PathBuf,
    /// The origin's object lay in memory; else the origin computed it on the way.
    pub(super) in_memory: bool,
    /// Why there is no row for uring.
    pub(super) uring_refused: Option<String>,
    pub(super) rows: Vec<Row>,
}

/// What one row measures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) engine: &'static str,
    pub(super) connections: u16,
    pub(super) digest: bool,
}

/// The runs of one case.
pub(super) struct Row {
    pub(super) case: Case,
    pub(super) runs: Vec<Run>,
}

/// One download.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The engine that did it.
    pub(super) engine: String,
    /// From before the process was started until after it had ended.
    pub(super) wall: Duration,
    pub(super) client_cpu: Duration,
    pub(super) server_cpu: Duration,
    pub(super) peak_rss: u64,
    /// Connections that the origin accepted.
    pub(super) connections: u64,
    /// Requests that it answered.
    pub(super) requests: u64,
    /// Body bytes that it sent.
    pub(super) bytes: u64,
    /// Where the file differs from the object.
    pub(super) difference: Option<u64>,
}

impl Row {
    pub(super) fn new(case: Case) -> Self {
        Self { case, runs: Vec::new() }
    }

    fn median(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        match figures.get(middle) {
            None => f64::NAN,
            Some(upper) if figures.len() % 2 == 1 => *upper,
            Some(upper) => f64::midpoint(figures[middle - 1], *upper),
        }
    }

    fn best(&self) -> f64 {
        self.runs.iter().map(|run| run.wall.as_secs_f64()).fold(f64::INFINITY, f64::min)
    }

    fn peak_rss(&self) -> u64 {
        self.runs.iter().map(|run| run.peak_rss).max().unwrap_or(0)
    }

    fn whole(&self) -> bool {
        self.runs.iter().all(|run| run.difference.is_none())
    }

    /// The engine, and what it was chosen by if that says more.
    fn engine(&self) -> String {
        match (self.case.engine, self.runs.first()) {
            ("auto", Some(run)) => format!("{} (auto)", run.engine),
            (engine, _) => engine.to_owned(),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--engine {} -j{}", self.engine, self.connections)?;
        if self.digest { f.write_str(" --sha256") } else { Ok(()) }
    }
}

impl Bench {
    pub(super) fn table(&self) -> String {
        let gib = self.size as f64 / GIB;
        let mut table = format!(
            "{} over {} on loopback into {}; medians, best wall, largest RSS; runs: {}\n\n\
             {:<15} {:>4} {:>6}  {:>7} {:>7} {:>8}  {:>10} {:>10} {:>8}  {}\n",
            text::bytes(self.size),
            if self.tls { "https" } else { "http" },
            text::escape(&self.directory.to_string_lossy()),
            self.rows.first().map_or(0, |row| row.runs.len()),
            "engine",
            "conn",
            "check",
            "wall s",
            "best s",
            "MiB/s",
            "client CPU",
            "server CPU",
            "peak RSS",
            "file",
        );
        let _ = writeln!(
            table,
            "{:<15} {:>4} {:>6}  {:>7} {:>7} {:>8}  {:>10} {:>10} {:>8}",
            "", "", "", "", "", "", "s/GiB", "s/GiB", "MiB"
        );
        for row in &self.rows {
            let wall = row.median(|run| run.wall.as_secs_f64());
            let _ = writeln!(
                table,
                "{:<15} {:>4} {:>6}  {:>7.3} {:>7.3} {:>8.0}  {:>10.3} {:>10.3} {:>8.1}  {}",
                row.engine(),
                row.case.connections,
                if row.case.digest { "sha256" } else { "-" },
                wall,
                row.best(),
                self.size as f64 / MIB / wall,
                row.median(|run| run.client_cpu.as_secs_f64()) / gib,
                row.median(|run| run.server_cpu.as_secs_f64()) / gib,
                row.peak_rss() as f64 / MIB,
                if row.whole() { "ok" } else { "WRONG" },
            );
        }
        if let Some(reason) = &self.uring_refused {
            let _ = writeln!(table, "\nno uring: this system refuses io_uring ({reason})");
        }
        if !self.in_memory {
            table.push_str(
                "\nthe object does not fit into memory: the origin computes it while it serves, \
                 and its share is larger\n",
            );
        }
        table
    }

    pub(super) fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(|row| self.row_json(row)).collect();
        json!({
            "schema": SCHEMA,
            "size": self.size,
            "tls": self.tls,
            "directory": self.directory.to_string_lossy(),
            "object_in_memory": self.in_memory,
            "uring_refused": self.uring_refused,
            "rows": rows,
        })
    }

    fn row_json(&self, row: &Row) -> Value {
        let gib = self.size as f64 / GIB;
        let wall = row.median(|run| run.wall.as_secs_f64());
        let runs: Vec<Value> = row.runs.iter().map(run_json).collect();
        json!({
            "requested_engine": row.case.engine,
            "engine": row.runs.first().map(|run| run.engine.as_str()),
            "connections": row.case.connections,
            "sha256": row.case.digest,
            "wall_s": wall,
            "best_wall_s": row.best(),
            "mib_per_s": self.size as f64 / MIB / wall,
            "client_cpu_s_per_gib": row.median(|run| run.client_cpu.as_secs_f64()) / gib,
            "server_cpu_s_per_gib": row.median(|run| run.server_cpu.as_secs_f64()) / gib,
            "peak_rss_bytes": row.peak_rss(),
            "ok": row.whole(),
            "runs": runs,
        })
    }
}

fn run_json(run: &Run) -> Value {
    json!({
        "wall_s": run.wall.as_secs_f64(),
        "client_cpu_s": run.client_cpu.as_secs_f64(),
        "server_cpu_s": run.server_cpu.as_secs_f64(),
        "peak_rss_bytes": run.peak_rss,
        "connections": run.connections,
        "requests": run.requests,
        "body_bytes": run.bytes,
        "first_difference": run.difference,
    })
}

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;
const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn bench() -> Bench {
        let run = |wall: u64, difference| Run {
            engine: "uring".to_owned(),
            wall: Duration::from_millis(wall),
            client_cpu: Duration::from_millis(wall / 2),
            server_cpu: Duration::from_millis(100),
            peak_rss: 20 << 20,
            connections: 16,
            requests: 2048,
            bytes: 2 << 30,
            difference,
        };
        let case = Case { engine: "uring", connections: 16, digest: false };
        let auto = Case { engine: "auto", connections: 1, digest: true };
        Bench {
            size: 2 << 30,
            tls: false,
            directory: PathBuf::from("/tmp/\u{1b}x"),
            in_memory: false,
            uring_refused: Some("permission denied".to_owned()),
            rows: vec![
                Row { case, runs: vec![run(600, None), run(500, None), run(900, None)] },
                Row { case: auto, runs: vec![run(600, None), run(800, Some(7))] },
            ],
        }
    }

    #[test]
    fn the_table() {
        expect_test::expect![[r#"
            2.00 GiB over http on loopback into /tmp/\u{1b}x; medians, best wall, largest RSS; runs: 3

            engine          conn  check   wall s  best s    MiB/s  client CPU server CPU peak RSS  file
                                                                        s/GiB      s/GiB      MiB
            uring             16      -    0.600   0.500     3413       0.150      0.050     20.0  ok
            uring (auto)       1 sha256    0.700   0.600     2926       0.175      0.050     20.0  WRONG

            no uring: this system refuses io_uring (permission denied)

            the object does not fit into memory: the origin computes it while it serves, and its share is larger
        "#]].assert_eq(&bench().table());
    }

    #[test]
    fn the_object() {
        let value = bench().json();
        assert_eq!(value["rows"][0]["wall_s"], 0.6);
        assert_eq!(value["rows"][0]["best_wall_s"], 0.5);
        assert_eq!(value["rows"][0]["client_cpu_s_per_gib"], 0.15);
        assert_eq!(value["rows"][0]["ok"], true);
        assert_eq!(value["rows"][1]["ok"], false);
        assert_eq!(value["rows"][1]["wall_s"], 0.7);
        assert_eq!(value["rows"][1]["runs"][1]["first_difference"], 7);
    }
}
