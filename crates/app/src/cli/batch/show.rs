//! `umpire batch list`, `status`, `cancel` and `logs`.

use clap::{Args, ValueEnum};
use wire::bes_2_0::BatchExecutionStatus;

use super::{Common, Connect, Whose, print_json};
use crate::exit::Failure;
use crate::term;

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    /// Jobs in this state alone
    #[arg(long)]
    state: Option<State>,
    /// How many at most
    #[arg(long, short = 'n', default_value_t = 20)]
    number: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    NotStarted,
    Queued,
    Running,
    Finished,
    Failed,
    Cancelled,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::NotStarted => "NotStarted",
            State::Queued => "Queued",
            State::Running => "Running",
            State::Finished => "Finished",
            State::Failed => "Failed",
            State::Cancelled => "Cancelled",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    whose: Whose,
    /// The job's id
    job: String,
    /// Print the reply as it came
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    whose: Whose,
    /// The job's id
    job: String,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The server keeps the newest lines of each endpoint. What is kept for longer, and of each job by
itself, are its diagnostics, where the endpoint records them: they follow the lines.")]
pub(super) struct Logs {
    #[command(flatten)]
    whose: Whose,
    /// The job's id
    job: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

impl List {
    pub(super) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let jobs = self.whose.jobs(&client)?;
        let list = jobs.list(self.state.map(State::name), self.number.max(1))?;
        if self.json {
            return print_json(&list);
        }
        let rows: Vec<Vec<String>> = list
            .iter()
            .map(|job| {
                let more = &job.status.more;
                vec![
                    job.id.clone(),
                    more.state.clone(),
                    done(&job.status),
                    term::count(more.progress.rows),
                    term::count(more.progress.rejected),
                    more.created_at.clone(),
                    more.end_time.clone().unwrap_or_default(),
                ]
            })
            .collect();
        term::table(
            &[
                "JOB", "STATE", "DONE", "ROWS", "REJECTED", "CREATED", "ENDED",
            ],
            &rows,
        );
        Ok(())
    }
}

/// How much of its inputs a job has read.
fn done(status: &BatchExecutionStatus) -> String {
    let percent = status.more.progress.percent;
    percent.map_or(String::new(), |percent| format!("{}%", percent.floor()))
}

impl Status {
    pub(super) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let status = self.whose.jobs(&client)?.status(&self.job)?;
        match self.json {
            true => print_json(&status),
            false => {
                print(&self.job, &status);
                Ok(())
            }
        }
    }
}

fn print(job: &str, status: &BatchExecutionStatus) {
    let more = &status.more;
    let rows = &more.progress;
    let mut lines = vec![
        ("job", job.to_owned()),
        ("state", more.state.clone()),
        ("created", more.created_at.clone()),
        ("started", more.start_time.clone().unwrap_or_default()),
        ("ended", more.end_time.clone().unwrap_or_default()),
        ("done", done(status)),
        ("rows", term::count(rows.rows)),
        ("rejected", term::count(rows.rejected)),
    ];
    let of = |total: Option<u64>| {
        total.map_or(String::new(), |total| format!(" of {}", term::bytes(total)))
    };
    lines.push((
        "read",
        format!("{}{}", term::bytes(rows.bytes_read), of(rows.bytes_total)),
    ));
    if let Some(rate) = rows.rows_per_second {
        lines.push(("rate", format!("{} rows/s", term::count(rate as u64))));
    }
    if let Some(left) = rows.seconds_left {
        lines.push(("left", term::seconds(left.ceil() as u64)));
    }
    if let Some(details) = &status.details {
        lines.push(("failure", details.clone()));
    }
    for (name, at) in status.results.iter().flatten() {
        lines.push((name, super::submit::joined(at)));
    }
    if let Some(at) = &more.rejects {
        lines.push(("rejects", super::submit::joined(at)));
    }
    for (label, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        if !term::line(&format!("{label:<12} {value}")) {
            break;
        }
    }
}

impl Cancel {
    pub(super) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let jobs = self.whose.jobs(&client)?;
        jobs.cancel(&self.job)?;
        let state = jobs.status(&self.job)?.more.state;
        term::line(&format!("{} is {state}", self.job));
        Ok(())
    }
}

impl Logs {
    pub(super) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let jobs = self.whose.jobs(&client)?;
        let logs = jobs.logs(&self.job)?;
        if self.json {
            return print_json(&logs);
        }
        for line in &logs.lines {
            if !term::line(&format!("{}  {:<6}  {}", line.time, line.level, line.text)) {
                return Ok(());
            }
        }
        let status = jobs.status(&self.job)?;
        if let (Some(ended), Some(details)) = (status.more.end_time, status.details) {
            term::line(&format!("{ended}  error   {details}"));
        }
        if let Some(diagnostics) = &logs.diagnostics {
            print_json(diagnostics)?;
        }
        if let Some(problem) = &logs.problem {
            term::note("diagnostics", &format!("cannot be read: {problem}"));
        }
        Ok(())
    }
}
