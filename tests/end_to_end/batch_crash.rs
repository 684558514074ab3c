//! The gateway and its containers are killed at random moments of many batch jobs. Each job ends
//! Finished with exactly the rows that it must have, or Cancelled where that was asked for; an
//! output is under its name whole or not at all, and nothing else is left behind.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::support::batch::fetch;
use crate::support::{Reply, Request, Server, Service, Setup, until};

/// Jobs that are unfinished at once.
const AT_ONCE: usize = 4;
/// The most that passes between two kills.
const BETWEEN_KILLS: u64 = 400;

/// xorshift64*: a seed gives the same choices again (not the same moments: those are the
/// machine's).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }
}

/// Where a job's output goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// A file below the allowed root.
    File,
    /// A blob of the workspace's own, under a name that the job gives.
    Own,
    /// Nowhere in particular: the default place.
    Default,
}

/// A job as its client knows it.
struct Job {
    number: usize,
    rows: u64,
    target: Target,
    id: String,
    cancelled: bool,
}

struct Client<'a> {
    service: &'a Service,
    files: &'a Path,
}

impl Client<'_> {
    /// A call; `None` where the gateway went away meanwhile, or is on its way up.
    fn send(
        &self,
        server: &Server,
        method: &str,
        more: &str,
        body: Option<&Value>,
    ) -> Option<Reply> {
        let path = format!(
            "/workspaces/{}/services/{}/jobs{more}?api-version=2.0",
            self.service.workspace, self.service.endpoint
        );
        let mut request = Request::new(method, &path)
            .header("Host", &server.address.to_string())
            .bearer(&self.service.primary);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.try_send(server.address).ok()
    }

    fn input(&self, number: usize) -> PathBuf {
        self.files.join(format!("in{number}.csv"))
    }

    fn output(&self, number: usize) -> PathBuf {
        self.files.join(format!("out{number}.csv"))
    }

    /// Submits a job and starts it. `None` where that was not seen to work: what it left is
    /// cancelled by [`Client::cancel_strays`].
    fn begin(&self, server: &Server, number: usize, random: &mut Random) -> Option<Job> {
        let rows = 20_000 + random.below(180_000);
        let target = match random.below(3) {
            0 => Target::File,
            1 => Target::Own,
            _ => Target::Default,
        };
        std::fs::write(self.input(number), input(number, rows)).expect("an input");
        let url = |path: PathBuf| format!("file://{}", path.display());
        let mut body = json!({"Inputs": {"input1": {"RelativeLocation": url(self.input(number))}}});
        match target {
            Target::File => {
                body["Outputs"]["output1"]["RelativeLocation"] = url(self.output(number)).into();
            }
            Target::Own => {
                body["Outputs"]["output1"]["RelativeLocation"] =
                    format!("results/out{number}.csv").into();
            }
            Target::Default => {}
        }
        let reply = self.send(server, "POST", "", Some(&body))?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let id = reply.json().as_str().expect("an id").to_owned();
        let job = Job {
            number,
            rows,
            target,
            id,
            cancelled: false,
        };
        let started = self.send(server, "POST", &format!("/{}/start", job.id), None)?;
        assert_eq!(started.status, 204, "{}", started.text());
        Some(job)
    }

    /// Cancels the jobs that nobody knows of: their submission or start was cut off.
    fn cancel_strays(&self, server: &Server, known: &BTreeSet<&str>) {
        let listed = self.send(server, "GET", "", None).expect("a list");
        assert_eq!(listed.status, 200, "{}", listed.text());
        for job in listed.json()["Jobs"].as_array().expect("jobs") {
            let id = job["Id"].as_str().expect("an id");
            if !known.contains(id) {
                let reply = self.send(server, "DELETE", &format!("/{id}"), None);
                assert!(reply.is_some_and(|reply| reply.status < 300));
            }
        }
    }

    fn status(&self, server: &Server, job: &Job) -> Option<Value> {
        let reply = self.send(server, "GET", &format!("/{}", job.id), None)?;
        assert_eq!(reply.status, 200, "job {}: {}", job.number, reply.text());
        Some(reply.json())
    }

    /// What an ended job came to is what it may be.
    fn check(&self, job: &Job, status: &Value) {
        let what = format!("job {} to {:?}: {status}", job.number, job.target);
        let state = status["StatusCode"].as_str().expect("a state");
        if state == "Cancelled" {
            assert!(job.cancelled, "{what}");
            assert!(!self.output(job.number).exists(), "{what}");
            return;
        }
        assert_eq!(state, "Finished", "{what}");
        let found = match job.target {
            Target::File => std::fs::read(self.output(job.number)).expect("the output"),
            Target::Own | Target::Default => {
                let reply = fetch(&status["Results"]["output1"]);
                assert_eq!(reply.status, 200, "{what}: {}", reply.text());
                reply.body
            }
        };
        assert!(
            found == output(job.number, job.rows),
            "{what}: {} bytes are not the {} rows",
            found.len(),
            job.rows
        );
    }
}

/// The first value of a job's rows. The model computes in single precision, which holds whole numbers
/// below 2^24.
fn first(number: usize) -> u64 {
    number as u64 % 40 * 200_000
}

/// Rows that hardly another job has.
fn input(number: usize, rows: u64) -> String {
    let mut text = String::from("x\n");
    for row in 0..rows {
        let _ = writeln!(text, "{}", first(number) + row);
    }
    text
}

/// What [`input`] is scored to by `y = 2x + 1`.
fn output(number: usize, rows: u64) -> Vec<u8> {
    let mut text = String::from("x,Scored Labels\n");
    for row in 0..rows {
        let x = first(number) + row;
        let _ = writeln!(text, "{x},{}", 2 * x + 1);
    }
    text.into_bytes()
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files_below(&entry.path())),
            _ => found.push(entry.path()),
        }
    }
    found
}

#[test]
fn jobs_outlive_kills_of_gateway_and_containers() {
    let full = std::env::var_os("UMPIRE_TEST_FULL").is_some();
    let seed = std::env::var("UMPIRE_TEST_SEED").ok();
    let seed = seed
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_128);
    let total = if full { 100 } else { 20 };
    println!("{total} jobs, seed {seed}");
    let mut random = Random(seed);
    let files = tempfile::tempdir().expect("a folder");
    let mut server = Setup::default()
        .config(&format!(
            "[batch]\nchunk_size = \"64KiB\"\nattempts = 100\n[batch.storage]\nroots = [\"file://{}\"]",
            files.path().display()
        ))
        .start();
    let service = server.deploy_linear("crashed");
    let client = Client {
        service: &service,
        files: files.path(),
    };
    let mut open: Vec<Job> = Vec::new();
    let mut known: Vec<String> = Vec::new();
    let (mut begun, mut finished, mut cancelled) = (0, 0, 0);
    let (mut gateways, mut containers) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(if full { 1500 } else { 240 });
    while begun < total || !open.is_empty() {
        assert!(
            Instant::now() < deadline,
            "{} jobs do not end: {:?}",
            open.len(),
            open.iter()
                .map(|job| client.status(&server, job))
                .collect::<Vec<_>>()
        );
        while open.len() < AT_ONCE && begun < total {
            begun += 1;
            if let Some(job) = client.begin(&server, begun, &mut random) {
                known.push(job.id.clone());
                open.push(job);
            }
        }
        if !open.is_empty() && random.below(8) == 0 {
            let at = random.below(open.len() as u64) as usize;
            let job = &mut open[at];
            let reply = client.send(&server, "DELETE", &format!("/{}", job.id), None);
            assert!(reply.is_some_and(|reply| reply.status < 300));
            job.cancelled = true;
        }
        std::thread::sleep(Duration::from_millis(random.below(BETWEEN_KILLS)));
        match random.below(3) {
            0 => {
                server.restart();
                gateways += 1;
            }
            1 => {
                for pid in server.containers() {
                    // SAFETY: a process of the server under test; one that is gone is no harm.
                    unsafe { libc::kill(pid, libc::SIGKILL) };
                    containers += 1;
                }
            }
            _ => {}
        }
        open.retain(|job| {
            let status = client.status(&server, job).expect("a status");
            match status["StatusCode"].as_str() {
                Some("NotStarted" | "Running") => return true,
                Some("Finished") => finished += 1,
                _ => cancelled += 1,
            }
            client.check(job, &status);
            false
        });
    }
    println!(
        "{finished} finished, {cancelled} cancelled; killed {gateways} gateways and {containers} containers"
    );
    assert!(gateways > 0 && containers > 0 && finished > 0);
    client.cancel_strays(&server, &known.iter().map(String::as_str).collect());
    nothing_is_left(&mut server, files.path());
}

/// The root has inputs and outputs alone; of our own there are those files alone that blobs are made
/// of, and no job, chunk or upload is half done.
fn nothing_is_left(server: &mut Server, root: &Path) {
    let ledger = server.data().join("ledger.sqlite");
    let count = |what: &str| -> i64 {
        let ledger = Connection::open_with_flags(&ledger, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let ledger = ledger.expect("the ledger");
        let sql = format!("SELECT count(*) FROM {what}");
        ledger
            .query_row(&sql, [], |row| row.get(0))
            .expect("a count")
    };
    until("everything is tidied up", || {
        count("jobs WHERE untidy = 1") == 0
    });
    assert_eq!(count("jobs WHERE ended IS NULL"), 0);
    assert_eq!(count("chunks"), 0);
    assert_eq!(count("upload_blocks"), 0);
    assert_eq!(
        files_below(&server.data().join("spool")),
        Vec::<PathBuf>::new()
    );
    for file in files_below(root) {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let stem = name.strip_suffix(".csv").unwrap_or("no");
        let number = stem.strip_prefix("in").or_else(|| stem.strip_prefix("out"));
        let plain = number.is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
        assert!(plain, "left behind: {}", file.display());
    }
    // What a killed attempt wrote is swept once it is too old to be of one that goes on.
    let objects = server.data().join("objects");
    let old = SystemTime::now() - Duration::from_secs(30 * 24 * 3600);
    for file in files_below(&objects) {
        let file = std::fs::File::options()
            .append(true)
            .open(file)
            .expect("an object");
        file.set_modified(old).expect("its time");
    }
    server.restart();
    let named = count("blob_segments");
    until("objects that nothing names are gone", || {
        files_below(&objects).len() as i64 == named
    });
}
