//! Score Model: a trained model's results for each row, with the row or alone.
//!
//! The columns that feed the model are found once a schema. A call then shares the input's
//! columns, runs the model and adds the columns that `score_columns` describes.
//!
//! A missing number would reach the model as a NaN, which most operators carry to the end without a
//! word; so it is refused unless the model says that it handles such values. A missing text is the
//! empty text: the model's encoder treats it as it does any text it does not know, by its own rule
//! (no category, a default), or the engine refuses it.

use std::sync::{Arc, PoisonError, RwLock};

use faults::{Class, Fault};
use graph::{
    Interface, Module, ParameterKind, ParameterSpec, PortKind, PortSpec, PortValue, RunContext,
    SchemaProblem, Settings, Shape, Step,
};
use models::{BindError, Binding, Element, Model};
use tables::{Bitmap, Column, Field, Schema, Table, Values};

use crate::input::{object, table};
use crate::refusal::{Number, Refusal, data, shown};
use crate::schema_cache::SchemaCache;
use crate::score_columns::{Part, arrange, declared, schema as scored_schema};

const APPEND: &str = "Append score columns to output";

static INTERFACE: Interface = Interface {
    name: "Score Model",
    family: "401b4f92e7244d5abe81d5b0ff9bdb33",
    aliases: &[],
    families: &[],
    inputs: &[
        PortSpec::new("Trained model", PortKind::Model),
        PortSpec::new("Dataset", PortKind::Table),
    ],
    outputs: &[PortSpec::new("Scored dataset", PortKind::Table)],
    parameters: &[ParameterSpec::new(APPEND, ParameterKind::Boolean).default("True")],
    row_wise: true,
};

/// The module.
pub(crate) struct ScoreModel;

impl Module for ScoreModel {
    fn interface(&self) -> &'static Interface {
        &INTERFACE
    }

    fn prepare(&self, settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(Score {
            append: settings.get_bool(APPEND).unwrap_or(true),
            bound: SchemaCache::default(),
        }))
    }
}

struct Score {
    append: bool,
    bound: SchemaCache<(Arc<Model>, Bound)>,
}

/// A model with the columns of one schema that feed it.
pub(crate) struct Bound {
    binding: Binding,
    /// Positions of columns without whose values the model cannot score a row.
    whole: Vec<usize>,
    /// The columns of the last table that came out.
    last: RwLock<Option<Arc<Schema>>>,
}

impl Bound {
    /// Finds the columns that feed the model.
    pub fn new(model: &Model, schema: &Schema) -> Result<Bound, BindError> {
        let binding = model.bind(schema)?;
        let inputs = model.inputs().iter().zip(binding.columns());
        let whole = inputs
            .filter(|(input, _)| !input.handles_missing && input.element != Element::Str)
            .flat_map(|(_, positions)| positions.iter().copied())
            .collect();
        Ok(Bound {
            binding,
            whole,
            last: RwLock::new(None),
        })
    }

    /// For each of the model's inputs the positions of its columns.
    pub fn columns(&self) -> &[Vec<usize>] {
        self.binding.columns()
    }

    /// The columns of a result for tables of this schema, without rows: from a trial with one row
    /// of zeros and blanks, else from what the model's file declares; `None` where neither tells.
    pub fn parts(&self, model: &Model, schema: &Arc<Schema>) -> Option<Vec<Part>> {
        let trial = trial_row(schema);
        match model.score(&self.binding, &trial, &|| false) {
            Ok(scores) => {
                let mut parts = arrange(model.task(), scores);
                for part in &mut parts {
                    part.column = Column::new(Values::with_capacity(part.data_type, 0));
                }
                Some(parts)
            }
            Err(_) => declared(model),
        }
    }

    /// The first place where a value is missing that the model cannot do without: row, from 0, and
    /// position of the column.
    fn gap(&self, table: &Table) -> Option<(usize, usize)> {
        let first = |validity: &Bitmap| (0..validity.len()).find(|&row| !validity.get(row));
        self.whole
            .iter()
            .filter_map(|&position| {
                let validity = table.column(position).validity.as_ref()?;
                first(validity).map(|row| (row, position))
            })
            .min()
    }

    /// Whether a row lacks a value that the model cannot do without.
    pub fn lacks(&self, table: &Table, row: usize) -> bool {
        self.whole
            .iter()
            .any(|&position| table.column(position).is_missing(row))
    }

    /// The schema of `base` and the parts, shared with the last table that had the same.
    fn schema(&self, base: &[Field], parts: &[Part]) -> Result<Arc<Schema>, Refusal> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.len() == base.len() + parts.len()
            && last.fields()[base.len()..]
                .iter()
                .zip(parts)
                .all(|(field, part)| part.is_described_by(field))
        {
            return Ok(Arc::clone(last));
        }
        drop(last);
        let schema = Arc::new(scored_schema(base, parts)?);
        let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
        *last = Some(Arc::clone(&schema));
        Ok(schema)
    }
}

/// One row that says nothing: zeros and blanks, of a categorical column its first category.
fn trial_row(schema: &Arc<Schema>) -> Table {
    let cell = |field: &Field| {
        let mut values = Values::with_capacity(field.data_type, 1);
        match (
            &mut values,
            field.categories.as_ref().and_then(|all| all.first()),
        ) {
            (Values::Str(texts), Some(category)) => texts.push(category),
            (values, _) => values.push_blank(),
        }
        Arc::new(Column::new(values))
    };
    let columns = schema.fields().iter().map(cell).collect();
    Table::with_rows(Arc::clone(schema), columns, 1)
}

/// What is wrong with the columns: the classic error number and a sentence.
pub(crate) fn explain(error: &BindError) -> (Number, String) {
    let number = match error {
        BindError::MissingColumn { .. } => Number::ColumnNotFound,
        BindError::ColumnType { .. } => Number::ColumnType,
        BindError::ColumnCount { .. } => Number::ColumnCount,
    };
    (
        number,
        format!("The dataset does not fit the model: {error}."),
    )
}

impl Score {
    fn bound(
        &self,
        model: &Arc<Model>,
        schema: &Arc<Schema>,
    ) -> Result<Arc<(Arc<Model>, Bound)>, BindError> {
        let make = |schema: &Schema| Ok((Arc::clone(model), Bound::new(model, schema)?));
        let kept = self.bound.get(schema, make)?;
        if Arc::ptr_eq(&kept.0, model) {
            return Ok(kept);
        }
        // The model is not the same in every call: another node made it.
        make(schema).map(Arc::new)
    }

    /// The input's columns, where they come out too.
    fn base<'a>(&self, schema: &'a Schema) -> &'a [Field] {
        if self.append { schema.fields() } else { &[] }
    }
}

/// A failure of the model as the node's: the place within the model goes into the sentence.
fn at_node(fault: Fault, context: &RunContext<'_>) -> Fault {
    if fault.class() != Class::LibraryExecutionError {
        return fault;
    }
    let (id, message) = match fault.details().first() {
        Some(detail) => {
            let message = detail.message.as_deref().unwrap_or("The model failed.");
            let message = match &detail.target {
                Some(place) => format!("{message} Place in the model: {place}."),
                None => message.to_owned(),
            };
            (detail.code.to_string(), message)
        }
        None => (
            "ModelEvaluationFailed".to_owned(),
            "The model failed.".to_owned(),
        ),
    };
    let named = Fault::module(Class::LibraryExecutionError, id, message, context.node);
    match fault.cause() {
        Some(cause) => named.because(cause),
        None => named,
    }
}

impl Step for Score {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let model: Arc<Model> = object(inputs, 0)?;
        let table = table(inputs, 1)?;
        let bound = self.bound(&model, table.schema()).map_err(|error| {
            let (number, sentence) = explain(&error);
            data(number, &sentence, context)
        })?;
        let bound = &bound.1;
        if let Some((row, position)) = bound.gap(&table) {
            let sentence = format!(
                "Row {}, column \"{}\": the value is missing, and the model has no way to handle that.",
                row + 1,
                shown(&table.schema().field(position).name)
            );
            return Err(data(Number::InvalidData, &sentence, context));
        }
        // Not every operator has a meaning for no rows.
        let known = match table.rows() {
            0 => bound.parts(&model, table.schema()),
            _ => None,
        };
        let parts = match known {
            Some(parts) => parts,
            None => {
                let scores = model
                    .score(&bound.binding, &table, context.cancelled)
                    .map_err(|fault| at_node(fault, context))?;
                arrange(model.task(), scores)
            }
        };
        let schema = bound.schema(self.base(table.schema()), &parts)?;
        let mut columns = Vec::with_capacity(schema.len());
        if self.append {
            columns.extend(table.columns().iter().cloned());
        }
        columns.extend(parts.into_iter().map(|part| Arc::new(part.column)));
        let scored = Table::with_rows(schema, columns, table.rows());
        Ok(vec![PortValue::Table(scored)])
    }

    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        let [model, dataset] = inputs else {
            return Ok(Vec::new());
        };
        let model = model
            .constant
            .as_ref()
            .and_then(PortValue::downcast::<Model>);
        let (Some(model), Some(schema)) = (model, &dataset.schema) else {
            return Ok(Vec::new());
        };
        let bound = self
            .bound(&model, schema)
            .map_err(|error| SchemaProblem::Refused(explain(&error).1))?;
        match bound.1.parts(&model, schema) {
            Some(parts) => Ok(vec![Some(bound.1.schema(self.base(schema), &parts)?)]),
            None => Ok(Vec::new()),
        }
    }
}
