//! `umpire batch submit` and `umpire batch wait`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use wire::bes_2_0::{BatchExecutionRequest, BatchExecutionStatus, BlobReference};

use super::follow::{not_finished, of_job, until_ended};
use super::references::{Place, by_port, file_name};
use super::{Common, Connect, Whose};
use crate::client::jobs::Jobs;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::part_file::PartFile;
use crate::progress::Progress;
use crate::term;

/// Score a file: upload it, run a job, and download what comes out.
///
/// An input or output is a file here, which goes through the server's own store; or, where the
/// server reads or writes it itself, blob:CONTAINER/NAME (a blob in that store) or a URL: s3://,
/// gs://, az://, https:// (with its signature), file:// (on the server, under a folder that its
/// operator allowed). The ending says the format: .csv, .tsv, .arff, .parquet, .nh.csv and .nh.tsv
/// (without a header), each also with .gz or .zst.
///
/// With --wait, Ctrl-C cancels the job. On a terminal a line shows how far it is; elsewhere, what
/// happens is told in JSON lines.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  umpire batch submit census --input rows.csv --output scored.csv --wait
  umpire batch submit census --input s3://bucket/in.parquet --output s3://bucket/out.parquet
  umpire batch submit pair --input left=l.csv --input right=r.csv --output both=out.csv --wait")]
pub(super) struct Submit {
    #[command(flatten)]
    whose: Whose,
    /// What is read; several times for a service with several inputs
    #[arg(long, value_name = "[NAME=]FILE|URL")]
    input: Vec<String>,
    /// Where what comes out goes; several times for several outputs [default: the server's store]
    #[arg(long, value_name = "[NAME=]FILE|URL")]
    output: Vec<String>,
    /// A web service parameter; several times for several
    #[arg(long = "param", alias = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// What becomes of a row that cannot be read: the job fails, or the row is left out and goes to
    /// the rejects with its reason [default: fail, or reject where --rejects is given]
    #[arg(long, value_name = "WHAT")]
    on_bad_row: Option<OnBadRow>,
    /// Where rejected rows go
    #[arg(long, value_name = "FILE|URL")]
    rejects: Option<String>,
    /// Wait until the job has ended, and download what comes out
    #[arg(long)]
    wait: bool,
    /// Tell what happens in JSON lines, on a terminal too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// Wait for a job and download what comes out.
///
/// Ctrl-C ends the waiting; the job goes on.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: umpire batch wait census 6f1d… --output scored.csv")]
pub(super) struct Wait {
    #[command(flatten)]
    whose: Whose,
    /// The job's id
    job: String,
    /// The file an output goes to; several times for several
    #[arg(long, value_name = "[NAME=]FILE")]
    output: Vec<String>,
    /// The file that rejected rows go to
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Tell what happens in JSON lines, on a terminal too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnBadRow {
    Fail,
    Reject,
}

impl Submit {
    pub(super) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let jobs = self.whose.jobs(&client)?;
        let inputs = by_port(&self.input, "--input", &jobs.inputs)?;
        let outputs = by_port(&self.output, "--output", &jobs.outputs)?;
        let rejects = match (self.on_bad_row, &self.rejects) {
            (Some(OnBadRow::Fail), Some(_)) => {
                return Err(Failure::Usage(
                    "--rejects is for rows that do not fail the job; leave out --on-bad-row fail"
                        .to_owned(),
                ));
            }
            (_, rejects) => rejects.as_deref().map(Place::parse).transpose()?,
        };
        let parameters = self.parameters()?;
        let interrupt = Interrupt::watch()?;
        let progress = Progress::new(self.json);

        // Whatever can be known to fail here fails before anything is sent.
        let mut sources = Vec::new();
        for (port, place) in &inputs {
            sources.push((port, Source::open(place)?));
        }
        let wanted = Wanted::of(&outputs, rejects.as_ref());
        let files = match self.wait {
            true => Some(wanted.create(&interrupt)?),
            false => None,
        };

        let run = Run {
            jobs: &jobs,
            progress: &progress,
            interrupt: &interrupt,
        };
        let mut ours = Vec::new();
        let mut finished = false;
        let result = (|| {
            let request = BatchExecutionRequest {
                inputs: run.inputs(&sources, &mut ours)?,
                outputs: run.outputs(&outputs, &mut ours)?,
                global_parameters: parameters,
                on_bad_row: match (self.on_bad_row, &rejects) {
                    (Some(OnBadRow::Reject), _) | (_, Some(_)) => Some("Reject".to_owned()),
                    _ => None,
                },
                rejects: run.rejects(rejects.as_ref(), &mut ours)?,
                ..BatchExecutionRequest::default()
            };
            interrupt.check()?;
            let job = jobs.submit(&request)?;
            let mut members = of_job(&job);
            members.insert("service".into(), json!(self.whose.service));
            progress.event("submitted", members);
            progress.say(&format!("{:<12} {job}", "job"));
            jobs.start(&job)?;
            let Some(files) = files else {
                self.say_how_to_wait(&job, &wanted, &progress);
                return Ok(());
            };
            let status = match until_ended(&jobs, &job, &progress, &interrupt) {
                Err(Failure::Interrupted) => {
                    progress.clear();
                    jobs.cancel(&job)?;
                    progress.event("cancelled", of_job(&job));
                    progress.say(&format!("{job} is cancelled"));
                    return Err(Failure::Interrupted);
                }
                other => other?,
            };
            finished = status.status_code == "Finished";
            run.finish(&job, &status, files)
        })();
        progress.clear();
        // What was made for this job alone is of no more use once it is here, or once nothing will
        // come. What stays is the server's to clear away.
        let is_of_use = match &result {
            Ok(()) => !self.wait,
            Err(Failure::Unreachable { .. }) => true,
            Err(_) => finished,
        };
        if !is_of_use {
            for blob in &ours {
                client.remove(blob);
            }
        }
        result
    }

    fn parameters(&self) -> Result<Map<String, Value>, Failure> {
        let pairs = self
            .parameters
            .iter()
            .map(|pair| match pair.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), value.into())),
                None => Err(Failure::Usage(format!("--param {pair}: NAME=VALUE"))),
            });
        pairs.collect()
    }

    fn say_how_to_wait(&self, job: &str, wanted: &Wanted, progress: &Progress) {
        let mut command = format!("umpire batch wait {} {job}", self.whose.written());
        for (port, path) in &wanted.outputs {
            command.push_str(&format!(" --output {port}={}", path.display()));
        }
        if let Some(path) = &wanted.rejects {
            command.push_str(&format!(" --rejects {}", path.display()));
        }
        progress.say(&format!("then         {command}"));
    }
}

impl Wait {
    pub(super) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let jobs = self.whose.jobs(&client)?;
        let outputs = by_port(&self.output, "--output", &jobs.outputs)?;
        if let Some((port, _)) = outputs.iter().find(|(_, at)| matches!(at, Place::Blob(_))) {
            return Err(Failure::Usage(format!(
                "--output {port}: where a job writes is said when it is submitted; this is the file \
                 to download to"
            )));
        }
        let rejects = self.rejects.clone().map(Place::File);
        let interrupt = Interrupt::watch()?;
        let progress = Progress::new(self.json);
        let files = Wanted::of(&outputs, rejects.as_ref()).create(&interrupt)?;
        let status = until_ended(&jobs, &self.job, &progress, &interrupt)?;
        let run = Run {
            jobs: &jobs,
            progress: &progress,
            interrupt: &interrupt,
        };
        run.finish(&self.job, &status, files)
    }
}

/// An input.
enum Source<'p> {
    /// A file here, open, and its size.
    File(&'p Path, File, u64),
    /// The server's to read.
    Blob(&'p BlobReference),
}

impl Source<'_> {
    fn open(place: &Place) -> Result<Source<'_>, Failure> {
        match place {
            Place::Blob(blob) => Ok(Source::Blob(blob)),
            Place::File(path) => {
                let unreadable = |problem: &dyn std::fmt::Display| {
                    Failure::Local(format!("{} cannot be read: {problem}", path.display()))
                };
                let file = File::open(path).map_err(|e| unreadable(&e))?;
                let about = file.metadata().map_err(|e| unreadable(&e))?;
                match about.is_file() {
                    true => Ok(Source::File(path, file, about.len())),
                    false => Err(unreadable(&"it is no file")),
                }
            }
        }
    }
}

/// The files that are wanted of a job.
struct Wanted {
    outputs: Vec<(String, PathBuf)>,
    rejects: Option<PathBuf>,
}

/// Those files, begun.
struct Files {
    outputs: Vec<(String, PartFile)>,
    rejects: Option<PartFile>,
}

impl Wanted {
    fn of(outputs: &[(String, Place)], rejects: Option<&Place>) -> Wanted {
        let local = |place: &Place| match place {
            Place::File(path) => Some(path.clone()),
            Place::Blob(_) => None,
        };
        let outputs = outputs.iter();
        Wanted {
            outputs: outputs
                .filter_map(|(port, place)| Some((port.clone(), local(place)?)))
                .collect(),
            rejects: rejects.and_then(local),
        }
    }

    fn create(&self, interrupt: &Interrupt) -> Result<Files, Failure> {
        let mut outputs = Vec::new();
        for (port, path) in &self.outputs {
            outputs.push((port.clone(), PartFile::create(path, interrupt)?));
        }
        let rejects = self.rejects.as_deref();
        Ok(Files {
            outputs,
            rejects: rejects
                .map(|path| PartFile::create(path, interrupt))
                .transpose()?,
        })
    }
}

/// What the steps of a command need.
struct Run<'r> {
    jobs: &'r Jobs<'r>,
    progress: &'r Progress,
    interrupt: &'r Interrupt,
}

impl Run<'_> {
    /// A place in the server's own store, as a job names it.
    fn place(&self, name: &str, ours: &mut Vec<BlobReference>) -> Result<BlobReference, Failure> {
        let place = self.jobs.place(name)?;
        let relative = BlobReference {
            relative_location: place.relative_location.clone(),
            ..BlobReference::default()
        };
        ours.push(place);
        Ok(relative)
    }

    /// The inputs' blobs, uploaded where they are files.
    fn inputs(
        &self,
        sources: &[(&String, Source<'_>)],
        ours: &mut Vec<BlobReference>,
    ) -> Result<Option<BTreeMap<String, BlobReference>>, Failure> {
        let mut inputs = BTreeMap::new();
        for (port, source) in sources {
            let blob = match source {
                Source::Blob(blob) => (*blob).clone(),
                Source::File(path, file, size) => {
                    let place = self.place(&file_name(path)?, ours)?;
                    self.upload(ours, path, (file, *size))?;
                    place
                }
            };
            inputs.insert((*port).clone(), blob);
        }
        Ok((!inputs.is_empty()).then_some(inputs))
    }

    /// Uploads a file to the place that was made last.
    fn upload(
        &self,
        ours: &[BlobReference],
        path: &Path,
        (file, size): (&File, u64),
    ) -> Result<(), Failure> {
        let Some(at) = ours.last() else {
            return Ok(());
        };
        let told = |sent: u64| {
            self.transfer("uploading", "upload", path, sent, Some(size));
        };
        told(0);
        self.jobs
            .client()
            .upload(at, path, (file, size), self.interrupt, &told)?;
        self.progress.clear();
        Ok(())
    }

    /// The outputs' blobs.
    fn outputs(
        &self,
        outputs: &[(String, Place)],
        ours: &mut Vec<BlobReference>,
    ) -> Result<Option<BTreeMap<String, BlobReference>>, Failure> {
        let mut named = BTreeMap::new();
        for (port, place) in outputs {
            let blob = match place {
                Place::Blob(blob) => blob.clone(),
                Place::File(path) => self.place(&file_name(path)?, ours)?,
            };
            named.insert(port.clone(), blob);
        }
        Ok((!named.is_empty()).then_some(named))
    }

    /// The blob of the rejected rows.
    fn rejects(
        &self,
        rejects: Option<&Place>,
        ours: &mut Vec<BlobReference>,
    ) -> Result<Option<BlobReference>, Failure> {
        match rejects {
            Some(Place::Blob(blob)) => Ok(Some(blob.clone())),
            Some(Place::File(path)) => Ok(Some(self.place(&file_name(path)?, ours)?)),
            None => Ok(None),
        }
    }

    /// Downloads what a finished job wrote, and tells where everything is.
    fn finish(
        &self,
        job: &str,
        status: &BatchExecutionStatus,
        files: Files,
    ) -> Result<(), Failure> {
        let rows = &status.more.progress;
        if let Some(failure) = not_finished(job, status) {
            let mut members = of_job(job);
            members.insert("error".into(), json!(status.more.error));
            members.insert("details".into(), json!(status.details));
            let event = status.status_code.to_lowercase();
            self.progress.event(&event, members);
            return Err(failure);
        }
        let mut places = Map::new();
        for (name, at) in status.results.iter().flatten() {
            places.insert(name.clone(), json!(joined(at)));
        }
        for (port, file) in files.outputs {
            let at = status.results.as_ref().and_then(|all| all.get(&port));
            let at =
                at.ok_or_else(|| Failure::Local(format!("the job has no output named {port}")))?;
            places.insert(port, json!(file.wanted().display().to_string()));
            self.download(at, file)?;
        }
        let mut members = of_job(job);
        members.insert("rows".into(), json!(rows.rows));
        members.insert("rejected".into(), json!(rows.rejected));
        let mut rejects = status.more.rejects.as_ref().map(joined);
        if let Some(file) = files.rejects {
            rejects = Some(file.wanted().display().to_string());
            match &status.more.rejects {
                Some(at) => self.download(at, file)?,
                // None was rejected: the file says so, whatever it held before.
                None => file.finish()?,
            }
        }
        self.progress.clear();
        let mut told = format!("{} rows are scored", term::count(rows.rows));
        if rows.rejected > 0 {
            told.push_str(&format!(", {} rejected", term::count(rows.rejected)));
        }
        self.progress.say(&told);
        for (name, place) in &places {
            self.progress.say(&format!(
                "{name:<12} {}",
                place.as_str().unwrap_or_default()
            ));
        }
        if let Some(rejects) = rejects.as_ref().filter(|_| rows.rejected > 0) {
            self.progress.say(&format!("{:<12} {rejects}", "rejects"));
        }
        members.insert("outputs".into(), places.into());
        members.insert("rejects".into(), json!(rejects));
        self.progress.event("finished", members);
        Ok(())
    }

    fn download(&self, at: &BlobReference, mut file: PartFile) -> Result<(), Failure> {
        let path = file.wanted().to_owned();
        let told = |done: u64, total: Option<u64>| {
            self.transfer("downloading", "download", &path, done, total);
        };
        self.jobs
            .client()
            .fetch(at, &mut file, self.interrupt, &told)?;
        file.finish()
    }

    fn transfer(
        &self,
        label: &str,
        event: &'static str,
        path: &Path,
        done: u64,
        total: Option<u64>,
    ) {
        let share = total.filter(|total| *total > 0);
        let share = share.map(|total| done as f64 / total as f64);
        let name = path.file_name().unwrap_or(path.as_os_str());
        let text = format!("{}  {}", term::bytes(done), name.to_string_lossy());
        self.progress.at(false, label, share, &text, || {
            let members = [
                ("file".to_owned(), json!(path.display().to_string())),
                ("bytes".to_owned(), json!(done)),
                ("total".to_owned(), json!(total)),
            ];
            (event, Map::from_iter(members))
        });
    }
}

/// A blob's three strings as one URL.
pub(super) fn joined(at: &BlobReference) -> String {
    [&at.base_location, &at.relative_location, &at.sas_blob_token]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect()
}
