//! Decoding the bodies of scoring calls straight into typed columns.
//!
//! One pass over the body checks its JSON to the last byte and fills the columns meanwhile. The
//! faults it meets on the way are kept by kind, and one of them is chosen at the end: JSON, then
//! empty, then input names, then parameters, then columns, then cells, whatever the order of the
//! members in the body.
//!
//! What is taken (see `spec/data-plane.md` sections 0 and 1):
//!
//! - Each input is a table, `{"ColumnNames":[…],"Values":[[…],…]}`, or a list of row objects,
//!   `[{"column":value,…},…]`; its JSON says which. One bare row object is not taken: no client
//!   is known to send it. `ColumnNames` may be a bare string where there is one column, as an R
//!   client sends it.
//! - Columns come in any order and are matched by name, letter for letter, as inputs are. A
//!   column that is missing, extra or named twice is refused.
//! - `GlobalParameters` may be absent, `null` or `{}`. So may an input, which then is a missing
//!   one. Members that nobody knows are checked as JSON and ignored.
//! - A byte order mark at the start is skipped. `NaN`, `Infinity` and `-Infinity` may stand
//!   wherever a number may.
//! - A name that stands twice in one object is refused: in the body, in `Inputs`, an input,
//!   `GlobalParameters`, a v1 instance and row objects, but not inside ignored members.
//!
//! A cell is lax in form and strict in type:
//!
//! | column | takes |
//! |---|---|
//! | integers | numbers without a fraction (`5`, `5.0`, `50e-1`) within range, or such a text with blanks around it |
//! | `Float`, `Double` | numbers and numeric texts within range, `NaN`, `Infinity`, `-Infinity` bare or as texts |
//! | `Boolean` | `true`, `false`, or those words as text in any case; not `0` and `1`, which are numbers |
//! | `String` | texts; numbers by their JSON text; booleans as `True`, `False`. Categories restrict nothing: the model deals with unseen ones |
//! | `Char` | what gives a text of one Unicode scalar value |
//! | `DateTime`, `DateTimeOffset` | ISO 8601 or `M/d/yyyy h:mm:ss tt`, see [`crate::text::parse_date_time`] |
//! | `Duration` | `[-][d.]hh:mm:ss[.f]` or `PnDTnHnMnS`, see [`crate::text::parse_duration`] |
//!
//! Missing is `null`, and a text of nothing but blanks where the column is not of texts; it is
//! taken only where the column is nullable. `NaN` is a number.

mod input;
mod keys;

use std::sync::Arc;

use faults::{Fault, bad_argument, bad_user_argument, invalid_operation};

use crate::cells::shortened;
use crate::json::{Broken, Scanner};
use crate::limits::{Limits, Scalar};
use crate::schema::Schema;
use crate::table::Table;
use input::{Decoded, Mismatch, MismatchKind};
use keys::Keys;

/// An input of a service: its name on the wire and the columns it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputPort {
    /// The name in `Inputs`; compared letter for letter.
    pub name: String,
    /// The columns.
    pub schema: Arc<Schema>,
}

/// How many columns at fault a reply lists.
const LISTED_COLUMNS: usize = 16;

/// How many members an object may have that is not a row. What is kept of a member is larger than
/// its text can be, and no client comes near this.
const MEMBERS: usize = 4_096;

/// How many input names at fault a reply lists.
const LISTED_NAMES: usize = 16;

/// Decodes the body of a v2 call (`/execute`): one table a port, in the order of `ports`, and
/// what `check` makes of the parameters. `check` runs once every input name is known to be right,
/// and its fault comes before those of columns and cells.
///
/// # Errors
///
/// - `RequestBodyInvalid`: no body, not JSON, not of the expected shape, a repeated name, over a
///   limit. The cause says where and why; the target is the part of the body.
/// - `RequestIsEmpty`: `null`, `{}` or `[]` where the service has inputs, or where `check` does
///   not accept that there are no parameters.
/// - `MissingRequestInput`: no `Inputs`, or (target) a port that it lacks.
/// - `MultipleInputsNotAllowed`: several inputs for a service with one.
/// - `InvalidInputNames`: names that no port has.
/// - what `check` gives.
/// - `InputMismatchError`: columns missing, extra or repeated; one detail a column, the first 16,
///   target `input/column`.
/// - `InputParseError`: a row with too few or too many cells (target: the input), or a cell that is
///   not of its column's type (target: `input/column`); the first one of the first such input.
pub fn decode<P>(
    body: &[u8],
    ports: &[InputPort],
    limits: &Limits,
    check: impl FnOnce(&[(String, Scalar)]) -> Result<P, Fault>,
) -> Result<(Vec<Table>, P), Fault> {
    let text = match body_text(body)? {
        Some(text) => text,
        None => return nothing_said(Vec::new(), ports, check, no_body),
    };
    let mut reader = Reader::new(text, ports, limits);
    if reader.v2_body().map_err(|broken| reader.invalid(broken))? {
        return nothing_said(Vec::new(), ports, check, bad_argument::request_is_empty);
    }
    reader.verdict(check)
}

/// Decodes the body of a v1 call (`/score`): one row for the one port. `Id` is ignored, whatever
/// it is. That the service has one input and one table output is the caller's to check first.
///
/// # Errors
///
/// As [`decode`] does, except that there are no input names: `MissingRequestInput` is an absent,
/// `null` or empty `Instance` or `FeatureVector`.
pub fn decode_v1<P>(
    body: &[u8],
    port: &InputPort,
    limits: &Limits,
    check: impl FnOnce(&[(String, Scalar)]) -> Result<P, Fault>,
) -> Result<(Table, P), Fault> {
    let text = body_text(body)?.ok_or_else(no_body)?;
    let mut reader = Reader::new(text, std::slice::from_ref(port), limits);
    if reader.v1_body().map_err(|broken| reader.invalid(broken))? {
        return Err(bad_argument::request_is_empty());
    }
    let (mut tables, parameters) = reader.verdict(check)?;
    // The verdict gives a table for each port, of which there is one.
    let table = tables
        .pop()
        .ok_or_else(bad_argument::missing_request_input)?;
    Ok((table, parameters))
}

/// The body as text without its byte order mark; `None` where there is no body.
fn body_text(body: &[u8]) -> Result<Option<&str>, Fault> {
    if body.is_empty() {
        return Ok(None);
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    match std::str::from_utf8(body) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let cause = format!("byte {}: the body is not UTF-8", error.valid_up_to());
            Err(bad_argument::request_body_invalid().because(cause))
        }
    }
}

fn no_body() -> Fault {
    bad_argument::request_body_invalid().because("the request has no body")
}

/// A body that says nothing: right for a service without inputs whose parameters all have
/// defaults, else `refusal`.
fn nothing_said<P>(
    tables: Vec<Table>,
    ports: &[InputPort],
    check: impl FnOnce(&[(String, Scalar)]) -> Result<P, Fault>,
    refusal: fn() -> Fault,
) -> Result<(Vec<Table>, P), Fault> {
    if !ports.is_empty() {
        return Err(refusal());
    }
    match check(&[]) {
        Ok(parameters) => Ok((tables, parameters)),
        Err(fault) => Err(refusal().because(fault.name())),
    }
}

/// The part of the body that is being read, for the target of a fault.
#[derive(Debug, Clone, Copy)]
enum Part {
    Body,
    Inputs,
    Input(usize),
    ColumnNames(usize),
    Values(usize),
    Parameters,
    Instance,
    FeatureVector,
}

/// What is read of a body so far.
struct Reader<'a, 'p> {
    scanner: Scanner<'a>,
    ports: &'p [InputPort],
    limits: &'p Limits,
    part: Part,
    /// Where texts with escapes are resolved.
    scratch: String,
    /// By port; `None` where the body has none, or `null`.
    inputs: Vec<Option<Decoded>>,
    /// How many inputs the body names.
    named: usize,
    /// The names that no port has, the first of them.
    unknown: Vec<String>,
    parameters: Vec<(String, Scalar)>,
}

impl<'a, 'p> Reader<'a, 'p> {
    fn new(text: &'a str, ports: &'p [InputPort], limits: &'p Limits) -> Reader<'a, 'p> {
        Reader {
            scanner: Scanner::new(text, limits),
            ports,
            limits,
            part: Part::Body,
            scratch: String::new(),
            inputs: ports.iter().map(|_| None).collect(),
            named: 0,
            unknown: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// The fault of a body that is not as it should be, in the part that was being read.
    #[cold]
    fn invalid(&self, broken: Broken) -> Fault {
        let fault = bad_argument::request_body_invalid()
            .because(format_args!("byte {}: {}", broken.at, broken.what));
        let port = |i: usize| &self.ports[i].name;
        match self.part {
            Part::Body => fault,
            Part::Inputs => fault.at("Inputs"),
            Part::Input(i) => fault.at(format!("Inputs/{}", port(i))),
            Part::ColumnNames(i) => fault.at(format!("Inputs/{}/ColumnNames", port(i))),
            Part::Values(i) => fault.at(format!("Inputs/{}/Values", port(i))),
            Part::Parameters => fault.at("GlobalParameters"),
            Part::Instance => fault.at("Instance"),
            Part::FeatureVector => fault.at("Instance/FeatureVector"),
        }
    }

    /// Reads a whole v2 body; true where it says nothing.
    fn v2_body(&mut self) -> Result<bool, Broken> {
        self.body(|reader, name| match name {
            "Inputs" => reader.inputs(),
            "GlobalParameters" => reader.global_parameters(),
            _ => reader.scanner.skip(),
        })
    }

    /// Reads a whole v1 body; true where it says nothing.
    fn v1_body(&mut self) -> Result<bool, Broken> {
        self.body(|reader, name| match name {
            "Instance" => reader.instance(),
            _ => reader.scanner.skip(),
        })
    }

    /// Reads a body, giving each member's name and value to `member`; true where it is `null`,
    /// `{}` or `[]`.
    fn body(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), Broken>,
    ) -> Result<bool, Broken> {
        let says_nothing = match self.scanner.peek() {
            Some(b'{') => !self.object(&mut member)?,
            Some(b'[') => {
                self.scanner.enter()?;
                if self.scanner.more(true, b']')? {
                    return Err(self.scanner.broken("the body is an array"));
                }
                true
            }
            Some(b'n') => self.scanner.null()?,
            Some(_) => return Err(self.scanner.broken("the body is not an object")),
            None => return Err(self.scanner.broken("the body is blank")),
        };
        self.scanner.end()?;
        Ok(says_nothing)
    }

    /// Reads an object, giving each member's name and value to `member`; whether it had any. The
    /// part being read is this one again after each member.
    fn object(
        &mut self,
        member: &mut impl FnMut(&mut Self, &str) -> Result<(), Broken>,
    ) -> Result<bool, Broken> {
        if self.scanner.peek() != Some(b'{') {
            return Err(self.scanner.broken("this is not an object"));
        }
        let part = self.part;
        self.scanner.enter()?;
        let mut names = Keys::default();
        while self.scanner.more(names.is_empty(), b'}')? {
            if names.len() == MEMBERS {
                return Err(self
                    .scanner
                    .broken("an object has more members than the limit"));
            }
            let name = self.scanner.key()?;
            member(self, &name)?;
            self.part = part;
            if !names.insert(name) {
                return Err(self.scanner.broken("a name stands twice in an object"));
            }
        }
        Ok(!names.is_empty())
    }

    /// Reads the value of `Inputs`.
    fn inputs(&mut self) -> Result<(), Broken> {
        self.part = Part::Inputs;
        if self.scanner.null()? {
            return Ok(());
        }
        self.object(&mut |reader, name| {
            reader.named += 1;
            let Some(port) = reader.ports.iter().position(|port| port.name == name) else {
                if reader.unknown.len() < LISTED_NAMES {
                    reader.unknown.push(shortened(name));
                }
                return reader.scanner.skip();
            };
            if reader.scanner.null()? {
                return Ok(());
            }
            reader.part = Part::Input(port);
            let decoded = reader.input(port)?;
            reader.inputs[port] = Some(decoded);
            Ok(())
        })?;
        Ok(())
    }

    /// Reads the value of `GlobalParameters`.
    fn global_parameters(&mut self) -> Result<(), Broken> {
        self.part = Part::Parameters;
        if self.scanner.null()? {
            return Ok(());
        }
        self.object(&mut |reader, name| {
            let value = reader.scanner.scalar(&mut reader.scratch)?;
            reader.parameters.push((name.to_owned(), value));
            Ok(())
        })?;
        Ok(())
    }

    /// Reads the value of a v1 body's `Instance`.
    fn instance(&mut self) -> Result<(), Broken> {
        self.part = Part::Instance;
        if self.scanner.null()? {
            return Ok(());
        }
        self.object(&mut |reader, name| match name {
            "FeatureVector" => {
                if reader.scanner.null()? {
                    return Ok(());
                }
                reader.part = Part::FeatureVector;
                reader.inputs[0] = reader.feature_vector()?;
                Ok(())
            }
            "GlobalParameters" => reader.global_parameters(),
            _ => reader.scanner.skip(),
        })?;
        Ok(())
    }

    /// Chooses among the faults of a body that is JSON of the right shape and says something, or
    /// gives its tables.
    fn verdict<P>(
        self,
        check: impl FnOnce(&[(String, Scalar)]) -> Result<P, Fault>,
    ) -> Result<(Vec<Table>, P), Fault> {
        if self.ports.len() == 1 && self.named > 1 {
            return Err(invalid_operation::multiple_inputs_not_allowed());
        }
        if !self.unknown.is_empty() {
            return Err(bad_argument::invalid_input_names(self.unknown.join(", ")));
        }
        if let Some(missing) = self.inputs.iter().position(Option::is_none) {
            let fault = bad_argument::missing_request_input();
            // Without any input there is none in particular to point at.
            return Err(match self.named {
                0 => fault,
                _ => fault.at(&self.ports[missing].name),
            });
        }
        let parameters = check(&self.parameters)?;
        let inputs: Vec<Decoded> = self.inputs.into_iter().flatten().collect();
        let mismatches = self.ports.iter().zip(&inputs).flat_map(|(port, input)| {
            let mismatches = input.mismatches.iter();
            mismatches.map(move |mismatch| mismatch_fault(port, mismatch))
        });
        if let Some(fault) = mismatches.take(LISTED_COLUMNS).reduce(Fault::and) {
            let kinds = inputs.iter().flat_map(|input| &input.mismatches);
            return Err(fault.because(describe_mismatches(kinds)));
        }
        let tables = inputs.into_iter().map(|input| input.table);
        Ok((tables.collect::<Result<_, _>>()?, parameters))
    }
}

#[cold]
fn mismatch_fault(port: &InputPort, mismatch: &Mismatch) -> Fault {
    bad_user_argument::input_mismatch_error().at(format!("{}/{}", port.name, mismatch.column))
}

/// The private half of a mismatch: which columns are missing, extra and repeated.
#[cold]
fn describe_mismatches<'m>(mismatches: impl Iterator<Item = &'m Mismatch>) -> String {
    let parts = mismatches.take(LISTED_COLUMNS).map(|mismatch| {
        let kind = match mismatch.kind {
            MismatchKind::Missing => "missing",
            MismatchKind::Extra => "extra",
            MismatchKind::Repeated => "repeated",
        };
        format!("\"{}\" is {kind}", mismatch.column)
    });
    parts.collect::<Vec<_>>().join(", ")
}
