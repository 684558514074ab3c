//! A model's run over a table.

use std::sync::Arc;

use faults::{Class, Fault};
use tables::{Column, DataType, Table};

use super::columns::{gather, scatter};
use super::signature::{InputForm, OutputKind};
use super::{Binding, Model};
use crate::engine::Stop;
use crate::engine::program::{Failure, Scratch};
use crate::engine::tensor::{Classes, Data, Maps, Shape, Tensor, Value};

/// One column of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoredColumn {
    /// The class that the column is about, or the output's name, with `.1`, `.2`, … behind it
    /// where the output has several columns.
    pub name: String,
    /// The type of the values.
    pub data_type: DataType,
    /// The values, one a row, none missing.
    pub column: Column,
}

/// What a model gives for a table, as long as the table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// A classifier's labels (`Int64` or `String`), or a clusterer's assignments.
    pub labels: Option<ScoredColumn>,
    /// A classifier's scores, one column a class in the order of [`Model::classes`]; the columns
    /// have the classes' names.
    pub probabilities: Vec<ScoredColumn>,
    /// Every other output.
    pub values: Vec<ScoredColumn>,
}

impl Model {
    /// Scores a table of the schema that the binding was made for.
    ///
    /// What the model refuses (a value it was not trained for, a missing whole number) is
    /// `LibraryExecutionError`, whose detail says why; where `cancelled` turns true the run ends
    /// with `RequestTimeout.RequestCanceled` between operators or blocks of rows.
    pub fn score(
        &self,
        binding: &Binding,
        table: &Table,
        cancelled: &(dyn Fn() -> bool + Sync),
    ) -> Result<Scores, Fault> {
        let mut scratch = self.scratch();
        let mut outputs = Vec::with_capacity(self.outputs().len());
        let result = self.run(binding, table, cancelled, &mut scratch, &mut outputs);
        for value in outputs {
            scratch.pool.recycle(value);
        }
        self.keep(scratch);
        result
    }

    fn run(
        &self,
        binding: &Binding,
        table: &Table,
        cancelled: &(dyn Fn() -> bool + Sync),
        scratch: &mut Scratch,
        outputs: &mut Vec<Value>,
    ) -> Result<Scores, Fault> {
        let rows = table.rows();
        let inputs = self.matrices(binding, table, scratch)?;
        self.program
            .run(inputs.into_iter(), scratch, cancelled, outputs)
            .map_err(|Failure { step, stop }| fault(&step, stop))?;
        let mut scores = Scores::default();
        for (output, value) in self.outputs().iter().zip(outputs.iter()) {
            let at = |stop| fault(&format!("output \"{}\"", output.name), stop);
            let tensor = match value {
                Value::Tensor(tensor) => tensor,
                Value::Maps(maps) => {
                    if output.kind == OutputKind::Probabilities {
                        scores.probabilities = named(&maps.keys, &maps.values, rows).map_err(at)?;
                    }
                    continue;
                }
            };
            match output.kind {
                OutputKind::Labels => {
                    let mut columns = scatter(tensor, rows).map_err(at)?;
                    if columns.len() != 1 {
                        return Err(at(Stop::failed("the labels are not one column")));
                    }
                    scores.labels = columns.pop().map(|(data_type, column)| ScoredColumn {
                        name: output.name.clone(),
                        data_type,
                        column,
                    });
                }
                OutputKind::Probabilities
                    if tensor.len() == rows.saturating_mul(self.classes().len()) =>
                {
                    scores.probabilities = named(self.classes(), tensor, rows).map_err(at)?;
                }
                _ => {
                    let columns = scatter(tensor, rows).map_err(at)?;
                    let several = columns.len() > 1;
                    for (i, (data_type, column)) in columns.into_iter().enumerate() {
                        scores.values.push(ScoredColumn {
                            name: if several {
                                format!("{}.{}", output.name, i + 1)
                            } else {
                                output.name.clone()
                            },
                            data_type,
                            column,
                        });
                    }
                }
            }
        }
        Ok(scores)
    }

    /// The program's inputs: a tensor for each of the model's, or one for all of them.
    fn matrices(
        &self,
        binding: &Binding,
        table: &Table,
        scratch: &mut Scratch,
    ) -> Result<Vec<Value>, Fault> {
        let mut gathered = |positions: &[usize], element, vector, place: &dyn Fn() -> String| {
            let columns: Vec<&Column> = positions
                .iter()
                .map(|&p| table.column(p).as_ref())
                .collect();
            let names = |c: usize| table.schema().field(positions[c]).name.clone();
            let pool = &mut scratch.pool;
            gather(&columns, &names, table.rows(), element, vector, pool)
                .map_err(|stop| fault(&place(), stop))
        };
        if let Some(element) = self.together {
            let positions = binding.inputs.concat();
            let all = gathered(&positions, element, false, &|| "the inputs".to_owned())?;
            return Ok(vec![Value::Tensor(all)]);
        }
        let inputs = self.inputs().iter().zip(&binding.inputs);
        inputs
            .map(|(input, positions)| {
                let vector = input.form == InputForm::Vector;
                let place = || format!("input \"{}\"", input.name);
                let tensor = gathered(positions, input.element, vector, &place)?;
                match &input.form {
                    InputForm::Map => {}
                    InputForm::Vector | InputForm::Matrix => return Ok(Value::Tensor(tensor)),
                    InputForm::Deep(inner) => {
                        let dims: Vec<usize> = std::iter::once(table.rows())
                            .chain(inner.iter().copied())
                            .collect();
                        let deep = Shape::new(&dims).and_then(|shape| tensor.reshaped(shape));
                        return deep
                            .map(Value::Tensor)
                            .map_err(|stop| fault(&place(), stop));
                    }
                }
                let values = absent_as_zero(table, positions, tensor)
                    .map_err(|stop| fault(&place(), stop))?;
                let keys = match &input.keys {
                    Some(keys) => keys.clone(),
                    None => Arc::new(Classes::Int((0..positions.len() as i64).collect())),
                };
                Ok(Value::Maps(Maps { keys, values }))
            })
            .collect()
    }
}

/// A missing value is a key that a map does not have, and those count as 0.
fn absent_as_zero(table: &Table, positions: &[usize], tensor: Tensor) -> Result<Tensor, Stop> {
    let width = positions.len();
    let (shape, mut data) = tensor.into_parts();
    for (c, &position) in positions.iter().enumerate() {
        let column = table.column(position);
        if column.validity.is_none() {
            continue;
        }
        for row in (0..table.rows()).filter(|&row| column.is_missing(row)) {
            match &mut data {
                Data::F32(v) => v[row * width + c] = 0.0,
                Data::F64(v) => v[row * width + c] = 0.0,
                _ => {}
            }
        }
    }
    Tensor::new(shape, data)
}

/// One column a class.
fn named(classes: &Classes, tensor: &Tensor, rows: usize) -> Result<Vec<ScoredColumn>, Stop> {
    let columns = scatter(tensor, rows)?;
    Ok(classes
        .names()
        .into_iter()
        .zip(columns)
        .map(|(name, (data_type, column))| ScoredColumn {
            name,
            data_type,
            column,
        })
        .collect())
}

/// The fault of a run that ended early.
fn fault(place: &str, stop: Stop) -> Fault {
    match stop {
        Stop::Cancelled => faults::request_timeout::request_canceled()
            .because(format!("the model stopped before {place}")),
        Stop::Failed(reason) => Fault::module(
            Class::LibraryExecutionError,
            "ModelEvaluationFailed",
            format!("The model cannot score this data: {reason}."),
            place,
        )
        .because(format!("{place}: {reason}")),
    }
}
