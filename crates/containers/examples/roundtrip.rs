//! What a call costs beyond HTTP: N callers against one container whose module does nothing.
//!
//! `cargo run --release -p containers --example roundtrip -- [CALLERS] [SECONDS] [BODY BYTES]
//! [CALLS PER CONTAINER] [COMPUTE THREADS]`
//! after `cargo build --release -p containers --bin test-container`. Prints calls per second and
//! the CPU time of both processes per call.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use containers::{
    Call, FormWire, Host, HostOptions, Operation, PoolLimits, RevisionFiles, RevisionSource,
};
use faults::Fault;
use telemetry::Telemetry;

struct Source;

const PACKAGE: &str = r#"{
    "packageType": "Graph",
    "assets": {"act": {"name": "Act", "type": "Module", "locationInfo": {"uri":
        "aml://module/506153734175476c4f62416c57734963.000000000000000000000000000000ac.v1"}}},
    "input": {"type": "object", "properties": {"input1": {"type": "object",
        "properties": {"do": {"type": "String"}}}}},
    "output": {"type": "object", "properties": {"output1": {"type": "object",
        "properties": {"said": {"type": "String"}}}}},
    "package": {
        "nodes": {"in": {"inputId": "input1"}, "act": {"assetId": "act"},
                  "out": {"outputId": "output1"}},
        "edges": [
            {"sourceNodeId": "in", "targetNodeId": "act", "targetPortId": "Dataset"},
            {"sourceNodeId": "act", "sourcePortId": "Results", "targetNodeId": "out"}]}}"#;

impl RevisionSource for Source {
    fn open(&self, _endpoint: [u8; 16], revision: [u8; 16]) -> Result<RevisionFiles, Fault> {
        Ok(RevisionFiles {
            revision,
            package: PACKAGE.as_bytes().to_vec(),
            resources: Vec::new(),
            limits: PoolLimits::default(),
        })
    }
}

/// User and system time of a process, in seconds.
fn cpu(pid: u32) -> (f64, f64) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .map_or("", |(_, rest)| rest)
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse().ok()).unwrap_or(0.0) / 100.0;
    (ticks(11), ticks(12))
}

fn switches(pid: u32) -> u64 {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let count = status
            .lines()
            .find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        sum += count
            .and_then(|c| c.trim().parse::<u64>().ok())
            .unwrap_or(0);
    }
    sum
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>().ok());
    let mut next = |default| arguments.next().flatten().unwrap_or(default);
    let (callers, seconds, size) = (next(32), next(3), next(600));
    let (calls_per_container, compute_threads) = (next(callers), next(2));
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.with_file_name("../test-container");
    let options = HostOptions {
        command: vec![program.into_os_string()],
        calls_per_container: calls_per_container as usize,
        compute_threads: compute_threads as usize,
        ..HostOptions::default()
    };
    let host = match Host::start(options, Arc::new(Source), Telemetry::new()) {
        Ok(host) => host,
        Err(fault) => return eprintln!("{}", fault.name()),
    };
    let text = "x".repeat(size as usize);
    let body =
        format!(r#"{{"Inputs":{{"input1":{{"ColumnNames":["do"],"Values":[["{text}"]]}}}}}}"#);
    let body = Bytes::from(body);
    let call = {
        let (host, body) = (host.clone(), body.clone());
        move || {
            let (host, body) = (host.clone(), body.clone());
            async move {
                let call = Call {
                    operation: Operation::Score {
                        form: FormWire::Table { details: false },
                    },
                    body,
                    deadline: Instant::now() + Duration::from_secs(60),
                };
                host.call([1; 16], [1; 16], "service/default", call).await
            }
        }
    };
    if let Err(fault) = call().await {
        return eprintln!("{}: {:?}", fault.name(), fault.cause());
    }
    let status = host.status();
    let container = status[0].containers[0].pid;
    let own = std::process::id();
    for round in 0..3 {
        let count = Arc::new(AtomicU64::new(0));
        let before = (cpu(own), cpu(container), switches(own), switches(container));
        let begin = Instant::now();
        let end = begin + Duration::from_secs(seconds);
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (call, count) = (call.clone(), count.clone());
                tokio::spawn(async move {
                    while Instant::now() < end {
                        if call().await.is_ok() {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            let _ = task.await;
        }
        let after = (cpu(own), cpu(container), switches(own), switches(container));
        let calls = count.load(Ordering::Relaxed) as f64;
        let micros = |from: (f64, f64), to: (f64, f64)| {
            ((to.0 - from.0) / calls * 1e6, (to.1 - from.1) / calls * 1e6)
        };
        let (gu, gs) = micros(before.0, after.0);
        let (cu, cs) = micros(before.1, after.1);
        println!(
            "round {round}: {:.0} calls/s, CPU a call {:.2} us = gateway {gu:.2} user + {gs:.2} \
             system, container {cu:.2} user + {cs:.2} system; waits a call {:.3} + {:.3}",
            calls / begin.elapsed().as_secs_f64(),
            gu + gs + cu + cs,
            (after.2 - before.2) as f64 / calls,
            (after.3 - before.3) as f64 / calls,
        );
    }
    let containers = host.status()[0].containers.len();
    println!("containers: {containers}");
    host.shutdown(Duration::ZERO).await;
}
