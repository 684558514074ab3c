//! How far something is: a line that changes on a terminal, JSON lines elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::term;

/// The bar's width in characters.
const WIDTH: usize = 24;
/// The least time between two states of the line.
const REDRAWN: Duration = Duration::from_millis(100);
/// The least time between two JSON lines about the same thing.
const TOLD: Duration = Duration::from_secs(1);

/// Shows what goes on.
pub(crate) struct Progress {
    json: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When something was shown last.
    shown: Option<Instant>,
    /// Whether the cursor stands behind the line that changes.
    drawn: bool,
}

impl Progress {
    /// JSON lines where they are wanted, or where nobody looks at a terminal.
    pub(crate) fn new(json: bool) -> Progress {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        Progress {
            json: json || !terminal,
            state: Mutex::default(),
        }
    }

    /// Something happened: a JSON line, with the event's name first. On a terminal it is not shown.
    pub(crate) fn event(&self, name: &str, members: Map<String, Value>) {
        if self.json {
            let mut line = Map::new();
            line.insert("event".into(), name.into());
            line.extend(members);
            term::line(&Value::from(line).to_string());
        }
    }

    /// How far something is, `share` of 1 where that is known. Too much to show is left out; `now`
    /// is a state that must not be.
    pub(crate) fn at(
        &self,
        now: bool,
        label: &str,
        share: Option<f64>,
        text: &str,
        members: impl FnOnce() -> (&'static str, Map<String, Value>),
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = if self.json { TOLD } else { REDRAWN };
        if !now && state.shown.is_some_and(|shown| shown.elapsed() < pause) {
            return;
        }
        state.shown = Some(Instant::now());
        if self.json {
            drop(state);
            let (name, members) = members();
            self.event(name, members);
        } else {
            state.drawn = true;
            // Nothing is left to do when standard error is closed.
            let _ = write!(io::stderr().lock(), "\r\x1b[2K{}", line(label, share, text));
        }
    }

    /// Takes the line away, for text that stays.
    pub(crate) fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.shown = None;
        if std::mem::take(&mut state.drawn) {
            let _ = write!(io::stderr().lock(), "\r\x1b[2K");
        }
    }

    /// A line that stays, on a terminal alone.
    pub(crate) fn say(&self, text: &str) {
        if !self.json {
            self.clear();
            term::line(text);
        }
    }
}

fn line(label: &str, share: Option<f64>, text: &str) -> String {
    match share {
        Some(share) => {
            let share = share.clamp(0.0, 1.0);
            let full = (share * WIDTH as f64) as usize;
            let percent = (share * 100.0).floor();
            format!(
                "{label:<11} [{}{}] {percent:>3}%  {text}",
                "#".repeat(full),
                "-".repeat(WIDTH - full)
            )
        }
        None => format!("{label:<11} {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_bar_where_the_end_is_known() {
        assert_eq!(
            line("scoring", Some(0.5), "x"),
            "scoring     [############------------]  50%  x"
        );
        assert_eq!(line("waiting", None, "x"), "waiting     x");
        assert!(line("scoring", Some(7.0), "").contains("100%"));
    }
}
