//! Pieces of batch jobs for the test container: a column of things to do in, what was said out.
#![allow(dead_code)]

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use containers::batch::{
    BatchCall, Piece, Work, WorkDone, WorkFailed, WorkInput, WorkOutput, WorkProgress,
};
use serde_json::Map;
use tables::files::FileType;

use super::Bench;

/// A file that holds this.
pub fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// All that a file holds.
pub fn text(mut file: File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// Work over one input of the column `do` without a head, from these pieces.
pub fn work(pieces: Vec<Piece>) -> Work {
    let csv = FileType::of_name(".csv").unwrap();
    Work {
        inputs: vec![WorkInput {
            port: "input1".to_owned(),
            file: csv,
            names: vec!["do".to_owned()],
            first_line: 2,
            pieces,
        }],
        outputs: vec![WorkOutput {
            name: "output1".to_owned(),
            file: csv,
            head: true,
        }],
        rejects: false,
        rejects_head: false,
        parameters: Map::new(),
        whole: false,
    }
}

/// A call of it.
pub fn call(work: Work, descriptors: Vec<OwnedFd>) -> BatchCall {
    BatchCall {
        work,
        descriptors,
        deadline: None,
        progress: None,
    }
}

impl Bench {
    pub async fn batch(&self, endpoint: u8, call: BatchCall) -> Result<WorkDone, WorkFailed> {
        self.batch_revision(endpoint, 1, call).await
    }

    pub async fn batch_revision(
        &self,
        endpoint: u8,
        revision: u8,
        call: BatchCall,
    ) -> Result<WorkDone, WorkFailed> {
        let label = format!("service{endpoint}/default");
        let (endpoint, revision) = ([endpoint; 16], [revision; 16]);
        let done = self.host.batch(endpoint, revision, &label, call).await;
        if let Err(failed) = &done {
            // Shown only where the test fails.
            let fault = &failed.fault;
            println!("{:?}: {} ({:?})", failed.end, fault.name(), fault.cause());
            for note in self.telemetry.notes(endpoint, 50) {
                println!("  {}: {}", note.level.name(), note.text);
            }
        }
        done
    }

    /// Has these lines done, and gives what came out.
    pub async fn done(&self, endpoint: u8, lines: &str) -> Result<(WorkDone, String), WorkFailed> {
        let target = tempfile::tempfile().unwrap();
        let call = whole_file(lines, &target);
        Ok((self.batch(endpoint, call).await?, text(target)))
    }
}

/// A call that does these lines and writes into that file.
pub fn whole_file(lines: &str, target: &File) -> BatchCall {
    let (offset, len) = (0, lines.len() as u64);
    let descriptors = vec![
        file(lines.as_bytes()).into(),
        target.try_clone().unwrap().into(),
    ];
    call(work(vec![Piece::File { offset, len }]), descriptors)
}

/// The same call, watched.
pub fn watched(mut call: BatchCall) -> (BatchCall, Arc<WorkProgress>) {
    let progress = Arc::<WorkProgress>::default();
    call.progress = Some(progress.clone());
    (call, progress)
}
