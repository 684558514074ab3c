//! The gateway is killed at random moments of a mixed workload, again and again. After each start
//! every service stands as it was last answered, or as the change that was under way would have
//! left it, whole; and nothing is left behind.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::support::{Reply, Request, Server, one_x, onnx, packages, sha256};

/// Clients at work, each with services of its own, so that it knows what they must be.
const CLIENTS: usize = 3;
/// Services of a client.
const SERVICES: usize = 2;
/// The most that a round lasts before the kill.
const ROUND: Duration = Duration::from_millis(700);

/// xorshift64*: a seed gives the same choices again (not the same moments: those are the
/// machine's).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// What a client knows of a service.
#[derive(Debug, Clone, PartialEq)]
struct State {
    /// The model is `y = weight · x + 1`.
    weight: u64,
    title: String,
    /// `None` for one that was made anew when nobody was told.
    primary: Option<String>,
    secondary: Option<String>,
}

/// A change as it was asked for.
#[derive(Debug, Clone)]
enum Change {
    Deploy { weight: u64 },
    Title(String),
    PrimaryKey(String),
    RotateSecondary,
    Delete,
}

impl Change {
    /// What the change makes of a service, when nobody heard the answer.
    fn applied(&self, before: Option<&State>) -> Option<State> {
        match (self, before) {
            (Change::Delete, _) => None,
            (Change::Deploy { weight }, Some(before)) => Some(State {
                weight: *weight,
                title: packages_title(*weight),
                ..before.clone()
            }),
            (Change::Deploy { weight }, None) => Some(State {
                weight: *weight,
                title: packages_title(*weight),
                primary: None,
                secondary: None,
            }),
            (_, None) => None,
            (Change::Title(title), Some(before)) => Some(State {
                title: title.clone(),
                ..before.clone()
            }),
            (Change::PrimaryKey(key), Some(before)) => Some(State {
                primary: Some(key.clone()),
                ..before.clone()
            }),
            (Change::RotateSecondary, Some(before)) => Some(State {
                secondary: None,
                ..before.clone()
            }),
        }
    }
}

fn packages_title(weight: u64) -> String {
    format!("Deployed with {weight}")
}

/// One service of one client.
struct Owned {
    name: String,
    state: Option<State>,
    /// The change that was asked for and not seen to end.
    pending: Option<Change>,
}

/// A client of the management APIs; every call may fail because the gateway is gone.
struct Client {
    address: SocketAddr,
    token: String,
}

/// The gateway is gone, or answered what it answers on its way out.
struct Gone;

impl Client {
    fn send(&self, request: Request) -> Result<Reply, Gone> {
        request
            .bearer(&self.token)
            .try_send(self.address)
            .map_err(|_| Gone)
    }

    fn path(name: &str, more: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/default/providers/Microsoft.MachineLearning/webServices/{name}{more}?api-version=2017-01-01",
            crate::support::SUBSCRIPTION
        )
    }

    /// Follows a change to its end. `Err` where that was not seen.
    fn follow(&self, reply: Reply) -> Result<(), Gone> {
        assert!(
            (200..300).contains(&reply.status),
            "a change was refused: {} {}",
            reply.status,
            reply.text()
        );
        let Some(operation) = reply.header("azure-asyncoperation") else {
            return Ok(());
        };
        let path = path_of(operation);
        loop {
            let status = self.send(Request::new("GET", &path))?;
            assert_eq!(status.status, 200, "{}", status.text());
            match status.json()["status"].as_str() {
                Some("Succeeded") => return Ok(()),
                Some("Failed" | "Canceled") => panic!("an operation failed: {}", status.text()),
                _ => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    fn keys(&self, name: &str) -> Result<[String; 2], Gone> {
        let reply = self.send(Request::new("GET", &Client::path(name, "/listKeys")))?;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let keys = reply.json();
        let key = |which: &str| keys[which].as_str().expect("a key").to_owned();
        Ok([key("primary"), key("secondary")])
    }

    /// Makes the change and hears that it is made; then the service's state is known.
    fn make(&self, owned: &mut Owned, change: Change) -> Result<(), Gone> {
        let name = owned.name.clone();
        owned.pending = Some(change.clone());
        let patch = |properties: Value| {
            Request::new("PATCH", &Client::path(&name, "")).json(&json!({"properties": properties}))
        };
        match &change {
            Change::Deploy { weight } => {
                let model = onnx::linear(&[*weight as f32], 1.0);
                let hash = sha256(&model);
                let blob = Request::new("PUT", &format!("/umpire/v1/blobs/{hash}")).body(model);
                self.send(blob)?;
                let mut package = packages::regression(&format!("umpire:sha256:{hash}"), &["x"]);
                package["properties"]["title"] = packages_title(*weight).into();
                let put = Request::new("PUT", &Client::path(&name, "")).json(&package);
                self.follow(self.send(put)?)?;
            }
            Change::Title(title) => self.follow(self.send(patch(json!({"title": title})))?)?,
            Change::PrimaryKey(key) => {
                self.follow(self.send(patch(json!({"keys": {"primary": key}})))?)?;
            }
            Change::RotateSecondary => {
                let rotate = Request::new("POST", &format!("/umpire/v1/services/{name}/keys"))
                    .json(&json!({"key": "secondary"}));
                self.follow(self.send(rotate)?)?;
            }
            Change::Delete => {
                self.follow(self.send(Request::new("DELETE", &Client::path(&name, "")))?)?;
            }
        }
        let mut state = change.applied(owned.state.as_ref());
        // Done and answered; now the keys that were made anew are asked for.
        if let Some(state) = &mut state {
            owned.state = Some(state.clone());
            let [primary, secondary] = self.keys(&name)?;
            if let Some(known) = &state.primary {
                assert_eq!(known, &primary, "{name}: an answered key is not the key");
            }
            if !matches!(change, Change::RotateSecondary)
                && let Some(known) = &state.secondary
            {
                assert_eq!(known, &secondary, "{name}: an answered key is not the key");
            }
            (state.primary, state.secondary) = (Some(primary), Some(secondary));
        }
        owned.state = state;
        owned.pending = None;
        Ok(())
    }

    /// Changes its services until the gateway is gone.
    fn work(&self, services: &mut [Owned], random: &mut Random, round: u64) {
        for step in 0.. {
            let owned = &mut services[random.below(SERVICES as u64) as usize];
            let mark = round * 1000 + step + 2;
            let change = match (&owned.state, random.below(10)) {
                (None, _) | (_, 0..=3) => Change::Deploy { weight: mark },
                (_, 4..=5) => Change::Title(format!("Title {mark}")),
                (_, 6) => Change::PrimaryKey(format!("chosen {mark}")),
                (_, 7) => Change::RotateSecondary,
                _ => Change::Delete,
            };
            if self.make(owned, change).is_err() {
                return;
            }
        }
    }

    /// Compares a service with what it may be, and takes what it is as known.
    fn check(&self, workspace: &str, owned: &mut Owned) {
        let what = format!("{}: {:?} then {:?}", owned.name, owned.state, owned.pending);
        let found = self.observe(workspace, owned);
        let before = owned.state.take();
        let mut allowed = vec![before.clone()];
        if let Some(change) = owned.pending.take() {
            allowed.push(change.applied(before.as_ref()));
        }
        // What nobody was told may be anything.
        let fits = |allowed: &Option<State>| match (allowed, &found) {
            (None, None) => true,
            (Some(allowed), Some(found)) => {
                let key = |a: &Option<String>, b: &Option<String>| a.is_none() || a == b;
                allowed.weight == found.weight
                    && allowed.title == found.title
                    && key(&allowed.primary, &found.primary)
                    && key(&allowed.secondary, &found.secondary)
            }
            _ => false,
        };
        assert!(allowed.iter().any(fits), "{what}: found {found:?}");
        owned.state = found;
    }

    /// What a service is: its definition, its keys, and what it answers to both of them.
    fn observe(&self, workspace: &str, owned: &Owned) -> Option<State> {
        let name = &owned.name;
        let shown = self.must(Request::new("GET", &Client::path(name, "")));
        if shown.status == 404 {
            return None;
        }
        assert_eq!(shown.status, 200, "{}", shown.text());
        let shown = shown.json();
        // A service whose first deploy the crash broke off says so, and never scored.
        if shown["properties"]["provisioningState"] == "Failed" {
            assert!(owned.state.is_none(), "{name}: {shown}");
            return None;
        }
        assert_eq!(
            shown["properties"]["provisioningState"], "Succeeded",
            "{shown}"
        );
        let keys = self
            .keys(name)
            .unwrap_or_else(|Gone| panic!("{name}: no keys"));
        let view = self.must(Request::new("GET", &format!("/umpire/v1/services/{name}")));
        let endpoint = view.json()["endpoint_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let path = format!("/workspaces/{workspace}/services/{endpoint}/execute?api-version=2.0");
        let mut answers = Vec::new();
        for key in &keys {
            let score = Request::new("POST", &path).bearer(key).json(&one_x(1.0));
            let reply = score.send(self.address);
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            answers.push(reply.json()["Results"]["output1"]["value"]["Values"][0][1].clone());
        }
        let y: f64 = answers[0]
            .as_str()
            .and_then(|y| y.parse().ok())
            .expect("a number");
        assert_eq!(answers[0], answers[1]);
        let [primary, secondary] = keys;
        Some(State {
            weight: (y - 1.0) as u64,
            title: shown["properties"]["title"]
                .as_str()
                .expect("a title")
                .to_owned(),
            primary: Some(primary),
            secondary: Some(secondary),
        })
    }

    fn must(&self, request: Request) -> Reply {
        request.bearer(&self.token).send(self.address)
    }
}

/// The path and query of an absolute URL.
fn path_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/')
        .map_or_else(String::new, |(_, path)| format!("/{path}"))
}

/// The id of the installation's first workspace.
fn default_workspace(server: &Server) -> String {
    let listed = Request::new("GET", "/umpire/v1/workspaces")
        .bearer(&server.token())
        .send(server.address);
    listed.json()["workspaces"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned()
}

/// Makes every blob older than a sweep spares.
fn age_blobs(data: &Path) {
    let old = SystemTime::now() - Duration::from_secs(14 * 24 * 3600);
    for entry in std::fs::read_dir(data.join("blobs"))
        .expect("the blobs")
        .flatten()
    {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let file = std::fs::File::open(entry.path()).expect("a blob");
            file.set_modified(old).expect("its time is set");
        }
    }
}

/// What must hold of the data directory right after a start: the ledger is sound, no operation is
/// under way for ever, and the blobs are those that it names, each with its own bytes.
fn check_data(data: &Path) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let ledger = rusqlite::Connection::open_with_flags(data.join("ledger.sqlite"), flags)
        .expect("the ledger opens");
    let sound: String = ledger
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("a check");
    assert_eq!(sound, "ok");
    let mut dangling = ledger.prepare("PRAGMA foreign_key_check").expect("a check");
    assert!(
        !dangling.exists([]).expect("a check"),
        "a row without its parent"
    );
    let mut statement = ledger
        .prepare("SELECT DISTINCT lower(hex(sha256)) FROM resources")
        .expect("a query");
    let named: BTreeSet<String> = statement
        .query_map([], |row| row.get(0))
        .expect("a query")
        .collect::<Result<_, _>>()
        .expect("rows");
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(data.join("blobs"))
        .expect("the blobs")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.len() == 64 {
            let bytes = std::fs::read(entry.path()).expect("a blob");
            assert_eq!(
                sha256(&bytes),
                name,
                "a blob has other bytes than its name says"
            );
            there.insert(name);
        }
    }
    let lost: Vec<_> = named.difference(&there).collect();
    assert!(
        lost.is_empty(),
        "blobs that the ledger names are gone: {lost:?}"
    );
    let orphans: Vec<_> = there.difference(&named).collect();
    assert!(orphans.is_empty(), "orphans outlived a sweep: {orphans:?}");
    let incoming = std::fs::read_dir(data.join("blobs/incoming")).expect("a folder");
    assert_eq!(incoming.count(), 0, "broken-off uploads stay");
}

#[test]
fn kills_in_the_middle_of_everything_leave_old_or_new_and_nothing_behind() {
    let kills: u64 = match std::env::var_os("UMPIRE_TEST_FULL") {
        Some(_) => 200,
        None => 40,
    };
    let seed: u64 = std::env::var("UMPIRE_TEST_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(20_261_128);
    println!("seed {seed}, {kills} kills");
    let mut random = Random(seed.max(1));
    let mut server = Server::start();
    let workspace = default_workspace(&server);
    let mut clients: Vec<(Random, Vec<Owned>)> = (0..CLIENTS)
        .map(|client| {
            let services = (0..SERVICES).map(|number| Owned {
                name: format!("client{client}-service{number}"),
                state: None,
                pending: None,
            });
            (Random(random.next().max(1)), services.collect())
        })
        .collect();
    let mut cut = 0;
    for round in 0..kills {
        let delay = Duration::from_micros(random.below(ROUND.as_micros() as u64));
        let client = || Client {
            address: server.address,
            token: server.token(),
        };
        let pid = server.child.id() as i32;
        std::thread::scope(|scope| {
            for (random, services) in &mut clients {
                let client = client();
                scope.spawn(move || client.work(services, random, round));
            }
            std::thread::sleep(delay);
            // SAFETY: our own child, waited for only after this.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        });
        server.child.wait().expect("the killed gateway");
        age_blobs(&server.data());
        server.start_again();
        check_data(&server.data());
        let client = Client {
            address: server.address,
            token: server.token(),
        };
        for owned in clients.iter_mut().flat_map(|(_, services)| services) {
            cut += u64::from(owned.pending.is_some());
            client.check(&workspace, owned);
        }
    }
    println!("{cut} changes were cut off");
    // A test whose kills hit nothing would say nothing.
    assert!(
        cut >= kills / 2,
        "only {cut} changes were under way at {kills} kills"
    );
}
