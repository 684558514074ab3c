//! A request that a service takes: its own sample rows where they may be shown, else made-up ones.
//! The Swagger document and the help pages show the same.

use faults::{Fault, internal_error};
use graph::{Package, ParameterKind as Kind, Port};
use serde_json::{Map, Value, json};
use tables::{DataType, Field};

/// Sample rows of a package that are shown.
const SAMPLE_ROWS: usize = 2;

/// A request, before it has one of the two forms.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Example {
    /// Each input's name, its columns' names and its rows, in the order of the package.
    pub(crate) inputs: Vec<Input>,
    /// Values of web service parameters by name.
    pub(crate) parameters: Map<String, Value>,
    /// Whether the rows are the package's own.
    pub(crate) own_rows: bool,
}

/// What one input gets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
}

impl Example {
    /// The package's own rows where it shows them, else one made-up row for each input; and a value
    /// for each parameter that must have one.
    ///
    /// Fails with `SwaggerGeneration` where the package's example does not match its inputs.
    pub(crate) fn of(package: &Package) -> Result<Example, Fault> {
        let shown = package
            .example
            .as_ref()
            .filter(|_| package.expose_sample_data);
        let mut own_rows = false;
        let mut inputs = Vec::with_capacity(package.inputs.len());
        for port in &package.inputs {
            let rows = shown
                .and_then(|e| e.inputs.iter().find(|(name, _)| *name == port.name))
                .map(|(_, rows)| rows)
                .filter(|rows| !rows.is_empty());
            let rows = match rows {
                Some(rows) => {
                    own_rows = true;
                    let rows = rows.iter().take(SAMPLE_ROWS);
                    rows.map(|cells| sample_row(port, cells))
                        .collect::<Result<_, Fault>>()?
                }
                None => vec![made_up_row(port)],
            };
            inputs.push(Input::new(port, rows));
        }
        if let Some(example) = shown {
            for (name, _) in &example.inputs {
                if !package.inputs.iter().any(|port| port.name == *name) {
                    return Err(internal_error::swagger_generation(format!(
                        "the example has an input \"{name}\" that the service does not have"
                    ))
                    .at(name));
                }
            }
        }
        let mut parameters: Map<String, Value> = shown
            .map(|e| e.global_parameters.iter().cloned().collect())
            .unwrap_or_default();
        add_required(package, &mut parameters);
        Ok(Example {
            inputs,
            parameters,
            own_rows,
        })
    }

    /// One made-up row for each input, whatever the package has.
    pub(crate) fn made_up(package: &Package) -> Example {
        let inputs = package.inputs.iter();
        let mut parameters = Map::new();
        add_required(package, &mut parameters);
        Example {
            inputs: inputs
                .map(|port| Input::new(port, vec![made_up_row(port)]))
                .collect(),
            parameters,
            own_rows: false,
        }
    }

    /// The body with a row an object.
    pub(crate) fn as_rows(&self) -> Value {
        let of_input = |input: &Input| -> Value {
            let row = |cells: &Vec<Value>| -> Value {
                let pairs = input.columns.iter().cloned().zip(cells.iter().cloned());
                Value::Object(pairs.collect())
            };
            input.rows.iter().map(row).collect()
        };
        self.body(of_input)
    }

    /// The body with names and values apart.
    pub(crate) fn as_table(&self) -> Value {
        self.body(|input| json!({ "ColumnNames": input.columns, "Values": input.rows }))
    }

    fn body(&self, of_input: impl Fn(&Input) -> Value) -> Value {
        let inputs = self.inputs.iter();
        let inputs: Map<String, Value> = inputs
            .map(|input| (input.name.clone(), of_input(input)))
            .collect();
        json!({ "Inputs": inputs, "GlobalParameters": self.parameters })
    }
}

impl Input {
    fn new(port: &Port, rows: Vec<Vec<Value>>) -> Input {
        Input {
            name: port.name.clone(),
            columns: port.schema.names().map(str::to_owned).collect(),
            rows,
        }
    }
}

/// A text as a value of the column's type, where it reads as one.
pub(crate) fn typed(text: &str, data_type: DataType) -> Value {
    let read = match data_type.spec().0 {
        "integer" | "number" => serde_json::from_str(text)
            .ok()
            .filter(serde_json::Value::is_number),
        "boolean" if text.eq_ignore_ascii_case("true") => Some(true.into()),
        "boolean" if text.eq_ignore_ascii_case("false") => Some(false.into()),
        _ => None,
    };
    read.unwrap_or_else(|| text.into())
}

fn sample_row(port: &Port, cells: &[Value]) -> Result<Vec<Value>, Fault> {
    if port.schema.len() == cells.len() {
        return Ok(cells.to_vec());
    }
    Err(internal_error::swagger_generation(format!(
        "a row of the example has {} cells and the input \"{}\" {} columns",
        cells.len(),
        port.name,
        port.schema.len(),
    ))
    .at(&port.name))
}

fn made_up_row(port: &Port) -> Vec<Value> {
    port.schema.fields().iter().map(made_up_cell).collect()
}

/// A value that the column takes.
pub(crate) fn made_up_cell(field: &Field) -> Value {
    if let Some(first) = field.categories.as_ref().and_then(|c| c.first()) {
        return typed(first, field.data_type);
    }
    match field.data_type {
        DataType::Boolean => false.into(),
        DataType::String => "value".into(),
        DataType::Char => "v".into(),
        DataType::DateTime | DataType::DateTimeOffset => "2000-01-01T00:00:00Z".into(),
        DataType::Duration => "0:00:01".into(),
        _ => 1.into(),
    }
}

/// Gives a value to each parameter that a call must give one.
fn add_required(package: &Package, parameters: &mut Map<String, Value>) {
    for (name, parameter) in &package.graph_parameters {
        if package.default_of(name).is_some() || parameters.contains_key(name) {
            continue;
        }
        let (value, may_show) = match parameter.kind {
            Some(Kind::Int) => (json!(1), true),
            Some(Kind::Float | Kind::Double) => (json!(1.0), true),
            Some(Kind::Boolean) => (json!(true), true),
            Some(Kind::Credential) | None => (json!("value"), false),
            Some(_) => (json!("value"), true),
        };
        // What a node has now is a value that its module takes.
        let of_node = parameter.links.iter().find_map(|link| {
            let (_, node) = package.nodes.iter().find(|(id, _)| *id == link.node)?;
            let (_, value) = node.parameters.iter().find(|(n, _)| *n == link.parameter)?;
            let plain = value.certificate_thumbprint.is_none();
            value
                .value
                .as_deref()
                .filter(|text| plain && !text.is_empty())
        });
        let value = match of_node.filter(|_| may_show) {
            Some(text) => typed(text, parameter_type(parameter.kind)),
            None => value,
        };
        parameters.insert(name.clone(), value);
    }
}

/// The type of a column that such a parameter would be.
pub(crate) fn parameter_type(kind: Option<Kind>) -> DataType {
    match kind {
        Some(Kind::Int) => DataType::Int32,
        Some(Kind::Float) => DataType::Float,
        Some(Kind::Double) => DataType::Double,
        Some(Kind::Boolean) => DataType::Boolean,
        _ => DataType::String,
    }
}

/// A parameter's default, where a reader may see it: a credential is the owner's, and a value
/// without a known kind may be one.
pub(crate) fn shown_default<'p>(
    package: &'p Package,
    name: &str,
    kind: Option<Kind>,
) -> Option<&'p str> {
    let may_show = !matches!(kind, Some(Kind::Credential) | None);
    package.default_of(name).filter(|_| may_show)
}
