//! What becomes of records: written, tried again, dropped and counted, and never waited for.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use diagnostics::{
    Boxed, Destination, Destinations, Diagnostics, JobRecord, Kind, NotWritten, Options,
    default_prefix,
};
use faults::Fault;
use jiff::Timestamp;
use serde_json::Value;
use store::{Entry, Id, ResourceName, ServiceWrite, Store};
use telemetry::Telemetry;
use tokio::sync::Semaphore;

/// Far longer than anything takes that works.
const PATIENCE: Duration = Duration::from_secs(60);

/// How storage behaves now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Works,
    Fails,
    Refuses,
    /// Answers nothing until it works again.
    Hangs,
}

/// Storage in memory whose behaviour a test changes.
struct Storage {
    mood: Mutex<Mood>,
    gate: Semaphore,
    blobs: Mutex<Vec<(String, Bytes)>>,
    tried: Mutex<usize>,
}

#[derive(Clone)]
struct Place {
    storage: Arc<Storage>,
    name: String,
    prefixes: [String; 3],
}

impl Destination for Place {
    fn storage(&self) -> &str {
        &self.name
    }

    fn prefix(&self, kind: Kind) -> &str {
        match kind {
            Kind::Call => &self.prefixes[0],
            Kind::Start => &self.prefixes[1],
            Kind::Job => &self.prefixes[2],
        }
    }

    fn put(&self, name: String, content: Bytes) -> Boxed<Result<(), NotWritten>> {
        let storage = self.storage.clone();
        Box::pin(async move {
            *storage.tried.lock().unwrap() += 1;
            let mood = *storage.mood.lock().unwrap();
            let failed = |transient| NotWritten {
                transient,
                reason: "it is in no mood".to_owned(),
            };
            match mood {
                Mood::Works => {}
                Mood::Hangs => storage.gate.acquire().await.unwrap().forget(),
                Mood::Fails => return Err(failed(true)),
                Mood::Refuses => return Err(failed(false)),
            }
            storage.blobs.lock().unwrap().push((name, content));
            Ok(())
        })
    }

    fn get(&self, name: String) -> Boxed<Result<Option<Bytes>, String>> {
        let blobs = self.storage.blobs.lock().unwrap();
        let found = blobs.iter().find(|(there, _)| *there == name);
        let content = found.map(|(_, content)| content.clone());
        Box::pin(async move { Ok(content) })
    }
}

struct Places(Arc<Storage>);

impl Destinations for Places {
    fn of(&self, entry: Arc<Entry>) -> Boxed<Result<Arc<dyn Destination>, Fault>> {
        let of = |kind| default_prefix(&entry, kind);
        let place = Place {
            storage: self.0.clone(),
            name: "the storage".to_owned(),
            prefixes: [of(Kind::Call), of(Kind::Start), of(Kind::Job)],
        };
        Box::pin(async move { Ok(Arc::new(place) as Arc<dyn Destination>) })
    }
}

struct Bench {
    diagnostics: Diagnostics,
    store: Arc<Store>,
    telemetry: Telemetry,
    storage: Arc<Storage>,
    entry: Arc<Entry>,
    _dir: tempfile::TempDir,
}

impl Bench {
    async fn new(options: Options, definition: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(dir.path(), None).unwrap());
        let workspace = store.ledger.directory().default_workspace().unwrap().id;
        let write = ServiceWrite {
            service: Id::random(),
            endpoint: Id::random(),
            revision: Id::random(),
            expected: None,
            name: ResourceName {
                subscription: store::DEFAULT_SUBSCRIPTION.into(),
                resource_group: store::DEFAULT_RESOURCE_GROUP.into(),
                name: "census".into(),
            },
            location: "here".into(),
            tags: "{}".into(),
            workspace,
            read_only: false,
            max_concurrent_calls: 20,
            keys: None,
            definition: definition.into(),
            secrets: None,
            resources: Vec::new(),
            plan: None,
        };
        let entry = store.ledger.put_service(write, "test").await.unwrap();
        let telemetry = Telemetry::new();
        let storage = Arc::new(Storage {
            mood: Mutex::new(Mood::Works),
            gate: Semaphore::new(0),
            blobs: Mutex::default(),
            tried: Mutex::default(),
        });
        let places = Box::new(Places(storage.clone()));
        let diagnostics = Diagnostics::start(options, store.clone(), telemetry.clone(), places);
        Bench {
            diagnostics,
            store,
            telemetry,
            storage,
            entry,
            _dir: dir,
        }
    }

    async fn recording_all() -> Bench {
        Bench::new(Options::default(), ALL).await
    }

    /// A call from its head to its end.
    fn call(&self, id: &str, fault: Option<&Fault>) {
        let record = self.diagnostics.call(&self.entry, id, Instant::now());
        let mut record = record.expect("it is recorded");
        record.received();
        record.end(fault.map_or(200, |f| f.class().status()), fault, 3, 5);
    }

    fn mood(&self, mood: Mood) {
        *self.storage.mood.lock().unwrap() = mood;
    }

    fn blobs(&self) -> Vec<(String, Value)> {
        let blobs = self.storage.blobs.lock().unwrap();
        let read = |(name, content): &(String, Bytes)| {
            (name.clone(), serde_json::from_slice(content).expect("JSON"))
        };
        blobs.iter().map(read).collect()
    }

    fn written(&self) -> usize {
        self.storage.blobs.lock().unwrap().len()
    }

    fn tried(&self) -> usize {
        *self.storage.tried.lock().unwrap()
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.telemetry.encode_metrics();
        let line = text.lines().find_map(|l| l.strip_prefix(name));
        line.map_or(0, |count| count.trim().parse().unwrap())
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.metric(&format!("diagnostics_dropped_total{{reason=\"{reason}\"}}"))
    }

    async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < limit, "never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const ALL: &str = r#"{"diagnostics":{"level":"All"}}"#;

#[tokio::test]
async fn each_kind_has_its_place_and_says_what_happened() {
    let bench = Bench::recording_all().await;
    let fault = faults::bad_user_argument::input_parse_error(
        "row 3, column \"age\": \"P4yl0ad\" is not an Int32",
    )
    .at("input1/age")
    .because("private");
    bench.call("aa01", None);
    bench.call("aa02", Some(&fault));
    let now = Timestamp::now();
    let job = JobRecord {
        job: Id([7; 16]),
        state: "Failed",
        created: now,
        started: None,
        ended: now,
        rows: 11,
        rejected: 2,
        bytes_read: 99,
        chunks: 4,
        stages: vec![("read", Duration::from_micros(1500))],
        fault: Some(faults::bad_argument::blob_not_found(
            "c/b.csv",
            "BlobNotFound: gone",
        )),
        printed: Vec::new(),
    };
    bench.diagnostics.job(&bench.entry, job);
    bench.diagnostics.flush(PATIENCE).await;
    let blobs = bench.blobs();
    let of = |what: &str| {
        let found: Vec<_> = blobs
            .iter()
            .filter(|(name, _)| name.contains(what))
            .collect();
        assert_eq!(found.len(), 1, "{what}");
        found[0].clone()
    };
    let entry = &bench.entry;
    let ids = format!("{}-{}-{}", entry.workspace, entry.service, entry.endpoint);

    let (name, good) = of("aa01");
    assert!(
        name.starts_with(&format!("{ids}/score/requests/2")),
        "{name}"
    );
    assert!(name.ends_with("Z-aa01.json"), "{name}");
    assert_eq!(good["kind"], "call");
    assert_eq!(good["requestId"], "aa01");
    assert_eq!(good["level"], "All");
    assert_eq!(good["status"], 200);
    assert_eq!(
        (&good["bytesIn"], &good["bytesOut"]),
        (&3.into(), &5.into())
    );
    assert_eq!(good["endpoint"], "census/default");
    assert_eq!(good["revision"], 1);
    assert!(good.get("error").is_none());
    assert!(good["stagesMs"]["receive"].is_number());
    assert!(good["stdout"].is_array() && good["stderr"].is_array());
    good["started"]
        .as_str()
        .unwrap()
        .parse::<Timestamp>()
        .unwrap();

    let (_, bad) = of("aa02");
    assert_eq!(bad["status"], 400);
    assert_eq!(bad["error"]["code"], "BadUserArgument");
    let detail = &bad["error"]["details"][0];
    assert_eq!(detail["code"], "InputParseError");
    assert_eq!(detail["target"], "input1/age");
    let message = detail["message"].as_str().unwrap();
    assert!(message.contains("row 3, column \"age\": …"), "{message}");
    let text = bad.to_string();
    assert!(
        !text.contains("P4yl0ad") && !text.contains("private"),
        "{text}"
    );

    let read = bench
        .diagnostics
        .of_job(&bench.entry, Id([7; 16]), now)
        .await;
    assert!(read.unwrap().is_some());
    let other = bench
        .diagnostics
        .of_job(&bench.entry, Id([8; 16]), now)
        .await;
    assert_eq!(other, Ok(None));
    let (name, job) = of(&Id([7; 16]).to_string());
    assert!(name.starts_with(&format!("{ids}/batch/2")), "{name}");
    assert_eq!(job["state"], "Failed");
    assert_eq!(job["rows"], 11);
    assert_eq!(job["stagesMs"]["read"], 1.5);
    let message = job["error"]["details"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("c/b.csv") && message.contains("gone"),
        "{message}"
    );

    assert_eq!(bench.metric("diagnostics_written_total{kind=\"call\"}"), 2);
    assert_eq!(bench.metric("diagnostics_written_total{kind=\"job\"}"), 1);
    assert_eq!(bench.metric("diagnostics_queued"), 0);
}

#[tokio::test]
async fn starts_of_endpoints_that_ask_for_it_are_written_and_no_others() {
    let bench = Bench::recording_all().await;
    let host = {
        struct None;
        impl containers::RevisionSource for None {
            fn open(&self, _: [u8; 16], _: [u8; 16]) -> Result<containers::RevisionFiles, Fault> {
                Err(faults::not_found::web_service_not_found())
            }
        }
        let options = containers::HostOptions {
            cgroups: containers::Cgroups::Off,
            ..containers::HostOptions::default()
        };
        containers::Host::start(options, Arc::new(None), bench.telemetry.clone()).unwrap()
    };
    bench.diagnostics.listen(&host);
    let call = || containers::Call {
        operation: containers::Operation::ScoreV1,
        body: Bytes::new(),
        deadline: Instant::now() + PATIENCE,
    };
    let entry = &bench.entry;
    for endpoint in [entry.endpoint, Id::random()] {
        let fault = host
            .call(endpoint.0, entry.revision.0, "x/default", call())
            .await;
        assert_eq!(fault.unwrap_err().name(), "NotFound.WebServiceNotFound");
    }
    bench.diagnostics.flush(PATIENCE).await;
    let blobs = bench.blobs();
    assert_eq!(blobs.len(), 1);
    let (name, blob) = &blobs[0];
    assert!(
        name.contains("/score/init/2") && name.ends_with("-container-none.json"),
        "{name}"
    );
    assert_eq!(blob["kind"], "start");
    assert_eq!(blob["state"], "Failed");
    assert_eq!(blob["error"]["details"][0]["code"], "WebServiceNotFound");
    assert_eq!(blob["revisionId"], entry.revision.to_string());
    assert_eq!(bench.metric("diagnostics_queued"), 0);
}

#[tokio::test]
async fn nothing_is_recorded_unasked_nor_after_the_expiry() {
    for definition in [
        "{}",
        r#"{"diagnostics":{"level":"None"}}"#,
        r#"{"diagnostics":{"level":"All","expiry":"2001-01-01T00:00:00Z"}}"#,
    ] {
        let bench = Bench::new(Options::default(), definition).await;
        let record = bench.diagnostics.call(&bench.entry, "aa", Instant::now());
        assert!(record.is_none(), "{definition}");
    }
    // What was begun before it ended is not written after.
    let bench = Bench::recording_all().await;
    let record = bench.diagnostics.call(&bench.entry, "aa", Instant::now());
    let settings = store::EndpointSettings {
        diagnostics: Some(store::DiagnosticsLevel::All),
        diagnostics_expiry: Some(Timestamp::now()),
        ..store::EndpointSettings::default()
    };
    let ledger = &bench.store.ledger;
    ledger
        .set_endpoint(&bench.entry, settings, 20, "test")
        .await
        .unwrap();
    record.expect("it is recorded").end(200, None, 0, 0);
    bench.diagnostics.flush(PATIENCE).await;
    assert_eq!(bench.blobs().len(), 0);
    assert_eq!(bench.metric("diagnostics_queued"), 0);
}

#[tokio::test]
async fn at_the_level_error_standard_output_is_not_written() {
    let definition = r#"{"diagnostics":{"level":"Error"}}"#;
    let bench = Bench::new(Options::default(), definition).await;
    bench.call("aa", None);
    bench.diagnostics.flush(PATIENCE).await;
    let (_, blob) = &bench.blobs()[0];
    assert_eq!(blob["level"], "Error");
    assert!(blob.get("stdout").is_none() && blob["stderr"].is_array());
}

#[tokio::test]
async fn storage_that_fails_for_a_while_costs_no_record() {
    let bench = Bench::recording_all().await;
    bench.mood(Mood::Fails);
    let ids: Vec<String> = (0..20).map(|i| format!("{i:02}")).collect();
    ids.iter().for_each(|id| bench.call(id, None));
    bench
        .until("it was tried twice", || bench.tried() >= 2)
        .await;
    bench.mood(Mood::Works);
    bench
        .until("all are written", || bench.written() == 20)
        .await;
    let names: HashSet<_> = bench.blobs().into_iter().map(|(name, _)| name).collect();
    for id in ids {
        assert!(
            names
                .iter()
                .any(|name| name.ends_with(&format!("Z-{id}.json"))),
            "{id}"
        );
    }
    for reason in ["full", "failed", "refused", "shutdown"] {
        assert_eq!(bench.dropped(reason), 0, "{reason}");
    }
}

#[tokio::test]
async fn storage_that_hangs_fills_the_queue_and_what_is_beyond_is_dropped() {
    let options = Options {
        queue: 10,
        writers: 2,
    };
    let bench = Bench::new(options, ALL).await;
    bench.mood(Mood::Hangs);
    (0..25).for_each(|i| bench.call(&format!("{i:02}"), None));
    // The handing over itself waited for nothing, and nothing of it could be written yet.
    assert_eq!(bench.written(), 0);
    assert_eq!(bench.dropped("full"), 15);
    assert_eq!(bench.metric("diagnostics_queued"), 10);
    // Half of it one account may hold, beside the one that may be under way already.
    let held = || bench.metric("diagnostics_queued");
    bench.until("the rest is dropped", || held() <= 6).await;
    bench.mood(Mood::Works);
    bench.storage.gate.add_permits(100);
    bench.until("those are written", || held() == 0).await;
    let written = bench.written();
    assert!((5..=6).contains(&written), "{written}");
    assert_eq!(bench.dropped("full"), 25 - written as u64);
    assert_eq!(bench.metric("diagnostics_queued"), 0);
    bench.call("again", None);
    bench
        .until("there is room again", || bench.written() == written + 1)
        .await;
}

#[tokio::test]
async fn what_storage_refuses_is_not_tried_again() {
    let bench = Bench::recording_all().await;
    bench.mood(Mood::Refuses);
    bench.call("aa", None);
    bench
        .until("it is dropped", || bench.dropped("refused") == 1)
        .await;
    assert_eq!(bench.tried(), 1);
    bench.mood(Mood::Works);
    bench.call("bb", None);
    bench
        .until("the next is written", || bench.written() == 1)
        .await;
}

#[tokio::test]
async fn the_end_waits_for_what_is_held_and_not_for_storage_that_is_down() {
    let bench = Bench::recording_all().await;
    (0..50).for_each(|i| bench.call(&format!("{i:02}"), None));
    bench.diagnostics.flush(PATIENCE).await;
    assert_eq!(bench.written(), 50);

    let bench = Bench::recording_all().await;
    bench.mood(Mood::Fails);
    (0..50).for_each(|i| bench.call(&format!("{i:02}"), None));
    bench.diagnostics.flush(PATIENCE).await;
    assert_eq!((bench.written(), bench.dropped("failed")), (0, 50));

    let bench = Bench::recording_all().await;
    bench.mood(Mood::Hangs);
    (0..5).for_each(|i| bench.call(&format!("{i:02}"), None));
    bench.diagnostics.flush(Duration::from_millis(20)).await;
    assert_eq!((bench.written(), bench.dropped("shutdown")), (0, 5));
}
