//! `umpire score`.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::{Common, Connect, print_json};
use crate::client::Client;
use crate::exit::Failure;
use crate::term;

/// Score rows of a CSV or JSON file.
///
/// A CSV file has a header with the columns' names; an empty cell is a missing value. A JSON file
/// holds an array of row objects, a table {"ColumnNames", "Values"}, or a whole request body with
/// "Inputs". The scored rows are printed as CSV.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  umpire score census --input rows.csv
  umpire score census --input request.json --json")]
pub(crate) struct Score {
    /// The service's name or id
    name: String,
    /// ROWS.csv, ROWS.json, or - for JSON on standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// The form of requests and replies: tables, or one object a row
    #[arg(long, default_value = "table")]
    form: Form,
    /// Rows per call of a CSV file
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    chunk: u32,
    /// A web service parameter; several times for several
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// The key to score with; without it, the service's primary key
    #[arg(long)]
    key: Option<String>,
    /// Print the reply as it came
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The two forms of tables on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    Table,
    Rows,
}

impl Form {
    /// What the scoring URL says for a reply of this form.
    pub(super) fn query(self) -> &'static str {
        match self {
            Form::Table => "&details=true",
            Form::Rows => "&format=swagger",
        }
    }
}

impl Score {
    pub(crate) fn run(&self, common: &Common) -> Result<(), Failure> {
        let (_, client) = common.connect(&self.connect)?;
        let view = client.service(&self.name)?;
        let key = match &self.key {
            Some(key) => key.clone(),
            None => client.keys(&self.name)?.primary,
        };
        let url = format!("{}{}", view.scoring_url, self.form.query());
        let input = first_input(&view.inputs);
        let parameters = self.parameters()?;
        let is_csv = self
            .input
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        let requests = if is_csv {
            let rows = read_csv(&self.input)?;
            rows.chunks(self.chunk as usize)
                .map(|chunk| request(&input, chunk.as_value(self.form), &parameters))
                .collect()
        } else {
            vec![self.json_request(&input, &parameters)?]
        };
        let mut printer = Printer::new(self.json);
        for body in &requests {
            let reply = score(&client, &url, &key, body)?;
            printer.print(&reply)?;
        }
        Ok(())
    }

    fn parameters(&self) -> Result<Map<String, Value>, Failure> {
        let mut parameters = Map::new();
        for pair in &self.parameters {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(Failure::Usage(format!("--parameter {pair}: NAME=VALUE")));
            };
            parameters.insert(name.to_owned(), value.into());
        }
        Ok(parameters)
    }

    fn json_request(&self, input: &str, parameters: &Map<String, Value>) -> Result<Value, Failure> {
        let unreadable = |e: &dyn std::fmt::Display| {
            Failure::Local(format!("{} cannot be read: {e}", self.input.display()))
        };
        let mut text = Vec::new();
        if self.input == Path::new("-") {
            std::io::stdin()
                .read_to_end(&mut text)
                .map_err(|e| unreadable(&e))?;
        } else {
            text = std::fs::read(&self.input).map_err(|e| unreadable(&e))?;
        }
        let value: Value = serde_json::from_slice(&text)
            .map_err(|e| Failure::Local(format!("{} is not JSON: {e}", self.input.display())))?;
        let is_request = value
            .as_object()
            .is_some_and(|o| o.keys().any(|k| k == "Inputs" || k == "GlobalParameters"));
        Ok(match is_request {
            true => value,
            false => request(input, value, parameters),
        })
    }
}

/// Scores one request.
fn score(client: &Client, url: &str, key: &str, body: &Value) -> Result<Value, Failure> {
    client.score(url, key, body)
}

/// The name of a service's only input, or the first.
pub(super) fn first_input(inputs: &Value) -> String {
    inputs
        .as_object()
        .and_then(|ports| ports.keys().next().cloned())
        .unwrap_or_else(|| "input1".to_owned())
}

/// A request body around the rows of one input.
pub(super) fn request(input: &str, rows: Value, parameters: &Map<String, Value>) -> Value {
    json!({ "Inputs": { input: rows }, "GlobalParameters": parameters })
}

/// Rows as text, as a CSV file has them.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    header: Vec<String>,
    rows: Vec<Vec<Value>>,
}

impl Rows {
    /// Reads CSV with a header; an empty cell is null.
    pub(super) fn read(reader: impl std::io::Read) -> Result<Rows, csv::Error> {
        let mut reader = csv::Reader::from_reader(reader);
        let mut header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
        if let Some(first) = header.first_mut()
            && let Some(rest) = first.strip_prefix('\u{feff}')
        {
            *first = rest.to_owned();
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let cells = record?
                .iter()
                .map(|cell| match cell {
                    "" => Value::Null,
                    cell => cell.into(),
                })
                .collect();
            rows.push(cells);
        }
        Ok(Rows { header, rows })
    }

    /// Parts of at most `size` rows; one empty part where there are no rows.
    fn chunks(&self, size: usize) -> impl Iterator<Item = Rows> {
        let count = self.rows.len().div_ceil(size).max(1);
        (0..count).map(move |i| {
            let start = i * size;
            let end = (start + size).min(self.rows.len());
            Rows {
                header: self.header.clone(),
                rows: self.rows[start..end].to_vec(),
            }
        })
    }

    /// The first `count` rows without gaps.
    pub(super) fn first_whole(&self, count: usize) -> Rows {
        let whole = |row: &&Vec<Value>| row.iter().all(|cell| !cell.is_null());
        Rows {
            header: self.header.clone(),
            rows: self
                .rows
                .iter()
                .filter(whole)
                .take(count)
                .cloned()
                .collect(),
        }
    }

    /// The rows in a form of requests.
    pub(super) fn as_value(&self, form: Form) -> Value {
        match form {
            Form::Table => json!({ "ColumnNames": self.header, "Values": self.rows }),
            Form::Rows => self
                .rows
                .iter()
                .map(|row| {
                    let row = self.header.iter().cloned().zip(row.iter().cloned());
                    Value::from(row.collect::<Map<String, Value>>())
                })
                .collect(),
        }
    }
}

fn read_csv(path: &Path) -> Result<Rows, Failure> {
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::Local(format!("{} cannot be read: {e}", path.display()))
    };
    let file = File::open(path).map_err(|e| wrong(&e))?;
    Rows::read(BufReader::new(file)).map_err(|e| wrong(&e))
}

/// Prints replies, all as if they were one.
struct Printer {
    json: bool,
    /// The output and header printed last.
    last: Option<(String, Vec<String>)>,
}

impl Printer {
    fn new(json: bool) -> Printer {
        Printer { json, last: None }
    }

    fn print(&mut self, reply: &Value) -> Result<(), Failure> {
        if self.json {
            return print_json(reply);
        }
        let results = reply.get("Results").and_then(Value::as_object);
        let many = results.is_some_and(|r| r.len() > 1);
        for (output, value) in results.into_iter().flatten() {
            let (header, rows) = table_of(value);
            let this = (output.clone(), header);
            let mut lines = Vec::new();
            if self.last.as_ref() != Some(&this) {
                if many {
                    lines.push(format!("# {output}"));
                }
                lines.push(csv_line(this.1.iter().map(String::as_str))?);
                self.last = Some(this);
            }
            for row in &rows {
                let cells = row.iter().map(|cell| match cell {
                    Value::String(text) => text.as_str(),
                    _ => "",
                });
                lines.push(csv_line(cells)?);
            }
            if !lines.iter().all(|line| term::line(line)) {
                break;
            }
        }
        Ok(())
    }
}

/// Header and rows of an output in either form.
fn table_of(value: &Value) -> (Vec<String>, Vec<Vec<Value>>) {
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_array().into_iter().flatten();
        names
            .filter_map(|n| n.as_str().map(str::to_owned))
            .collect()
    };
    if let Some(rows) = value.as_array() {
        let header: Vec<String> = rows
            .first()
            .and_then(Value::as_object)
            .map(|row| row.keys().cloned().collect())
            .unwrap_or_default();
        let cells = |row: &Value| {
            header
                .iter()
                .map(|name| row.get(name).cloned().unwrap_or_default())
                .collect()
        };
        let rows = rows.iter().map(cells).collect();
        return (header, rows);
    }
    let table = value.get("value").unwrap_or(&Value::Null);
    let rows = table.get("Values").and_then(Value::as_array);
    let rows = rows
        .into_iter()
        .flatten()
        .filter_map(|row| row.as_array().cloned())
        .collect();
    (
        names(table.get("ColumnNames").unwrap_or(&Value::Null)),
        rows,
    )
}

fn csv_line<'c>(cells: impl Iterator<Item = &'c str>) -> Result<String, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::Local(format!("a row cannot be printed: {e}"));
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    writer.write_record(cells).map_err(|e| wrong(&e))?;
    let bytes = writer.into_inner().map_err(|e| wrong(&e))?;
    Ok(String::from_utf8_lossy(&bytes)
        .trim_end_matches('\n')
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_becomes_either_form_and_gaps_are_null() {
        let rows = Rows::read("\u{feff}a,b\n1,x\n,\"y, z\"\n".as_bytes()).unwrap();
        assert_eq!(
            rows.as_value(Form::Table),
            json!({"ColumnNames": ["a", "b"], "Values": [["1", "x"], [null, "y, z"]]})
        );
        assert_eq!(
            rows.as_value(Form::Rows),
            json!([{"a": "1", "b": "x"}, {"a": null, "b": "y, z"}])
        );
        assert_eq!(rows.chunks(1).count(), 2);
        let none = Rows::read("a,b\n".as_bytes()).unwrap();
        assert_eq!(none.chunks(10).count(), 1);
    }

    #[test]
    fn both_forms_of_a_reply_read_alike() {
        let table = json!({"type": "table", "value": {
            "ColumnNames": ["a"], "ColumnTypes": ["Int32"], "Values": [["1"], [null]]
        }});
        let rows = json!([{"a": "1"}, {"a": null}]);
        assert_eq!(table_of(&table), table_of(&rows));
        assert_eq!(csv_line(["1", "x, y"].into_iter()).unwrap(), "1,\"x, y\"");
    }
}
