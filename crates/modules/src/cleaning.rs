//! What a cleaning transformation does to the columns of one schema.

use std::sync::Arc;

use faults::Fault;
use graph::RunContext;
use tables::{Bitmap, Column, DataType, DuplicateName, Field, Schema, Table, Values};

use crate::cell::{Cell, fill};
use crate::refusal::{Number, Refusal, data, names};
use crate::transform::{Cleaning, Prediction};

/// Why a transformation does not go with a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// The columns are not what it needs.
    Columns(Number, String),
    /// Two output columns would have this name.
    Duplicate(String),
}

impl Mismatch {
    /// Columns that the data does not have.
    pub fn lacks<'a>(columns: impl IntoIterator<Item = &'a str>) -> Mismatch {
        Mismatch::Columns(
            Number::ColumnNotFound,
            format!(
                "The dataset lacks columns that the transformation needs: {}.",
                names(columns)
            ),
        )
    }

    /// Columns of a type that the transformation cannot take.
    pub fn types(sentence: String) -> Mismatch {
        Mismatch::Columns(Number::ColumnType, sentence)
    }

    /// The fault of a call.
    pub fn into_fault(self, context: &RunContext<'_>) -> Fault {
        match self {
            Mismatch::Columns(number, sentence) => data(number, &sentence, context),
            Mismatch::Duplicate(name) => Refusal::Duplicate(name).into(),
        }
    }
}

impl From<DuplicateName> for Mismatch {
    fn from(duplicate: DuplicateName) -> Mismatch {
        Mismatch::Duplicate(duplicate.0)
    }
}

/// Where the transformation follows from a node's parameters, they are what does not fit.
impl From<Mismatch> for Refusal {
    fn from(mismatch: Mismatch) -> Refusal {
        match mismatch {
            Mismatch::Columns(_, sentence) => Refusal::Parameter(sentence),
            Mismatch::Duplicate(name) => Refusal::Duplicate(name),
        }
    }
}

/// A cleaning with names turned into positions and values into those of the columns' types.
#[derive(Debug)]
pub(crate) struct Bound {
    rows: Vec<usize>,
    fills: Vec<(usize, Cell)>,
    predict: Option<BoundPrediction>,
    indicators: Vec<usize>,
    /// The positions that stay, where some go.
    keep: Option<Vec<usize>>,
    /// The columns that come out.
    pub schema: Arc<Schema>,
}

#[derive(Debug)]
struct BoundPrediction {
    iterations: u32,
    columns: Vec<BoundPredicted>,
}

#[derive(Debug)]
struct BoundPredicted {
    position: usize,
    data_type: DataType,
    start: f64,
    /// Intercept and weights.
    fill: Option<(f64, Vec<f64>)>,
}

/// The name of the column that says where values of another were missing.
fn indicator(column: &str) -> String {
    format!("{column}_IsMissing")
}

impl Bound {
    /// Finds the columns of a cleaning in a schema.
    pub fn new(cleaning: &Cleaning, schema: &Schema) -> Result<Bound, Mismatch> {
        let predicted = cleaning.predict.iter().flat_map(|p| &p.columns);
        let needed = (cleaning.remove_rows.iter())
            .chain(&cleaning.remove_columns)
            .chain(cleaning.replace.iter().map(|r| &r.column))
            .chain(predicted.map(|c| &c.column))
            .chain(&cleaning.indicators);
        let mut lacking: Vec<&str> = needed
            .map(String::as_str)
            .filter(|name| schema.position(name).is_none())
            .collect();
        lacking.sort_unstable();
        lacking.dedup();
        if !lacking.is_empty() {
            return Err(Mismatch::lacks(lacking));
        }
        let positions = |names: &[String]| -> Vec<usize> {
            names
                .iter()
                .filter_map(|name| schema.position(name))
                .collect()
        };
        let rows = positions(&cleaning.remove_rows);
        let indicators = positions(&cleaning.indicators);
        let mut fields = schema.fields().to_vec();
        let mut fills = Vec::with_capacity(cleaning.replace.len());
        for replacement in &cleaning.replace {
            let Some(position) = schema.position(&replacement.column) else {
                continue;
            };
            let data_type = fields[position].data_type;
            let cell = Cell::of(&replacement.value, data_type).ok_or_else(|| {
                Mismatch::types(format!(
                    "The replacement value {} of column \"{}\" is not {}.",
                    replacement.value,
                    replacement.column,
                    data_type.name_with_article()
                ))
            })?;
            fills.push((position, cell));
            fields[position].nullable = false;
        }
        let predict = match &cleaning.predict {
            Some(prediction) => Some(BoundPrediction::new(prediction, schema)?),
            None => None,
        };
        for column in predict.iter().flat_map(|p| &p.columns) {
            fields[column.position].nullable &= column.fill.is_none();
        }
        for &position in &rows {
            fields[position].nullable = false;
        }
        let removed = positions(&cleaning.remove_columns);
        let keep = (!removed.is_empty()).then(|| {
            let mut stays = vec![true; fields.len()];
            for position in removed {
                stays[position] = false;
            }
            (0..fields.len()).filter(|&i| stays[i]).collect::<Vec<_>>()
        });
        let mut out: Vec<Field> = match &keep {
            Some(keep) => keep.iter().map(|&i| fields[i].clone()).collect(),
            None => fields,
        };
        for &position in &indicators {
            let name = indicator(&schema.field(position).name);
            out.push(Field::new(name, DataType::Boolean));
        }
        let schema = Schema::new(out)?;
        Ok(Bound {
            rows,
            fills,
            predict,
            indicators,
            keep,
            schema: Arc::new(schema),
        })
    }

    /// Lets tables that come out share a schema with earlier ones, where it says the same.
    pub fn share_schema(&mut self, earlier: &Arc<Schema>) {
        if &self.schema == earlier {
            self.schema = Arc::clone(earlier);
        }
    }

    /// Cleans a table of the schema that this was made for.
    pub fn apply(&self, table: Table, context: &RunContext<'_>) -> Result<Table, Fault> {
        let table = self.without_rows(table);
        let mut columns = table.columns().to_vec();
        let missing = |&position: &usize| {
            let column: &Column = &columns[position];
            let flags = (0..column.len())
                .map(|row| column.is_missing(row))
                .collect();
            Arc::new(Column::new(Values::Bool(flags)))
        };
        let indicators: Vec<Arc<Column>> = self.indicators.iter().map(missing).collect();
        for (position, cell) in &self.fills {
            if columns[*position].missing_count() > 0 {
                let filled = fill(&columns[*position], cell).ok_or_else(|| {
                    let name = &table.schema().field(*position).name;
                    let sentence = format!(
                        "Column \"{name}\" does not hold so many replacement values: its texts pass 2 GiB."
                    );
                    data(Number::InvalidData, &sentence, context)
                })?;
                columns[*position] = Arc::new(filled);
            }
        }
        if let Some(predict) = &self.predict {
            predict.apply(&mut columns, context)?;
        }
        if let Some(keep) = &self.keep {
            columns = keep.iter().map(|&i| Arc::clone(&columns[i])).collect();
        }
        columns.extend(indicators);
        Ok(Table::with_rows(
            Arc::clone(&self.schema),
            columns,
            table.rows(),
        ))
    }

    fn without_rows(&self, table: Table) -> Table {
        let watched: Vec<&Bitmap> = self
            .rows
            .iter()
            .filter_map(|&position| table.column(position).validity.as_ref())
            .collect();
        if watched.is_empty() {
            return table;
        }
        let whole: Vec<usize> = (0..table.rows())
            .filter(|&row| watched.iter().all(|validity| validity.get(row)))
            .collect();
        match whole.len() == table.rows() {
            true => table,
            false => table.take(&whole),
        }
    }
}

impl BoundPrediction {
    fn new(prediction: &Prediction, schema: &Schema) -> Result<BoundPrediction, Mismatch> {
        let mut columns = Vec::with_capacity(prediction.columns.len());
        let mut wrong = Vec::new();
        for column in &prediction.columns {
            let Some(position) = schema.position(&column.column) else {
                continue;
            };
            let data_type = schema.field(position).data_type;
            if !can_predict(data_type) {
                wrong.push(column.column.as_str());
            }
            columns.push(BoundPredicted {
                position,
                data_type,
                start: column.start,
                fill: column
                    .fill
                    .as_ref()
                    .map(|f| (f.intercept, f.weights.clone())),
            });
        }
        if !wrong.is_empty() {
            return Err(Mismatch::types(format!(
                "Columns that are predicted must hold numbers or Booleans: {}.",
                names(wrong)
            )));
        }
        Ok(BoundPrediction {
            iterations: prediction.iterations,
            columns,
        })
    }

    /// Replaces missing values by predicted ones.
    fn apply(&self, columns: &mut [Arc<Column>], context: &RunContext<'_>) -> Result<(), Fault> {
        let gaps: Vec<bool> = self
            .columns
            .iter()
            .map(|c| c.fill.is_some() && columns[c.position].missing_count() > 0)
            .collect();
        if !gaps.contains(&true) {
            return Ok(());
        }
        let originals: Vec<Arc<Column>> = self
            .columns
            .iter()
            .map(|c| Arc::clone(&columns[c.position]))
            .collect();
        let rows = originals.first().map_or(0, |column| column.len());
        let mut predicted: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.columns.len()];
        let mut current = vec![0.0; self.columns.len()];
        for row in 0..rows {
            let is_gap = |i: usize| gaps[i] && originals[i].is_missing(row);
            if !(0..self.columns.len()).any(is_gap) {
                continue;
            }
            // A row costs up to 100 × 256² steps, enough to ask at each one.
            context.check()?;
            for (i, column) in self.columns.iter().enumerate() {
                let number = originals[i].number(row).filter(|x| x.is_finite());
                current[i] = number.unwrap_or(column.start);
            }
            for _ in 0..self.iterations {
                for (i, column) in self.columns.iter().enumerate() {
                    if let Some((intercept, weights)) = &column.fill
                        && is_gap(i)
                    {
                        let terms = current.iter().zip(weights).map(|(x, w)| x * w);
                        let value = intercept + terms.sum::<f64>();
                        // Weights that run away give no number.
                        current[i] = if value.is_finite() {
                            value
                        } else {
                            column.start
                        };
                    }
                }
            }
            for i in (0..self.columns.len()).filter(|&i| is_gap(i)) {
                predicted[i].push((row, current[i]));
            }
        }
        for (i, column) in self.columns.iter().enumerate() {
            if gaps[i] {
                let target = &mut columns[column.position];
                let put = put_numbers(&originals[i], column.data_type, &predicted[i]);
                *target = Arc::new(put);
            }
        }
        Ok(())
    }
}

/// Whether a column's values are such that a regression can predict them.
pub(crate) fn can_predict(data_type: DataType) -> bool {
    data_type.is_numeric() || data_type == DataType::Boolean
}

/// The column with numbers at some rows, all its missing ones among them; each becomes the nearest
/// value that the type has.
fn put_numbers(column: &Column, data_type: DataType, numbers: &[(usize, f64)]) -> Column {
    let mut values = column.values.clone();
    // Bounds of 64 bits are rounded here, and the conversions below saturate.
    let (least, most) = match data_type.integer_bounds() {
        Some((least, most)) => (least as f64, most as f64),
        None => (f64::from(f32::MIN), f64::from(f32::MAX)),
    };
    for &(row, number) in numbers {
        let whole = || number.round().clamp(least, most);
        match &mut values {
            Values::Bool(v) => v[row] = number >= 0.5,
            Values::I32(v) => v[row] = whole() as i32,
            Values::I64(v) => v[row] = whole() as i64,
            Values::U64(v) => v[row] = whole() as u64,
            Values::F32(v) => v[row] = number.clamp(least, most) as f32,
            Values::F64(v) => v[row] = number,
            Values::Str(_) => {}
        }
    }
    Column::new(values)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{doubles, ints, schema_of, table_of, texts, texts_of};
    use crate::transform::{Predicted, Regression, Replacement};

    fn context() -> RunContext<'static> {
        RunContext {
            cancelled: &|| false,
            node: "node1",
        }
    }

    fn clean(cleaning: &Cleaning, table: Table) -> Result<Table, Fault> {
        let bound = Bound::new(cleaning, table.schema()).unwrap();
        bound.apply(table, &context())
    }

    fn replace(column: &str, value: Value) -> Cleaning {
        Cleaning {
            replace: vec![Replacement {
                column: column.to_owned(),
                value,
            }],
            ..Cleaning::default()
        }
    }

    #[test]
    fn missing_values_are_replaced_in_each_layout() {
        use DataType as T;
        let gap =
            |values: Values| Column::with_validity(values, [true, false].into_iter().collect());
        for (data_type, values, value, expected) in [
            (
                T::Boolean,
                Values::Bool(vec![true, false]),
                json!("1"),
                ["True", "True"],
            ),
            (T::Int16, Values::I32(vec![1, 0]), json!(-2), ["1", "-2"]),
            (T::Int64, Values::I64(vec![1, 0]), json!(2), ["1", "2"]),
            (T::Uint64, Values::U64(vec![1, 0]), json!(2), ["1", "2"]),
            (
                T::Float,
                Values::F32(vec![1.0, 0.0]),
                json!(0.1),
                ["1", "0.1"],
            ),
            (
                T::Double,
                Values::F64(vec![1.0, 0.0]),
                json!(0.1),
                ["1", "0.1"],
            ),
            (
                T::String,
                Values::Str(["a", ""].into_iter().collect()),
                json!("é"),
                ["a", "é"],
            ),
        ] {
            let cleaned = clean(
                &replace("x", value),
                table_of(vec![("x", data_type, gap(values))]),
            )
            .unwrap();
            assert_eq!(texts_of(&cleaned, "x"), expected, "{data_type:?}");
            assert!(!cleaned.schema().field(0).nullable);
        }
    }

    #[test]
    fn texts_that_would_pass_the_arena_are_refused_before_they_are_made() {
        let long = "x".repeat(1 << 20);
        let many = texts(&vec![None; 1 << 11]);
        let fault = clean(
            &replace("x", long.into()),
            table_of(vec![("x", DataType::String, many)]),
        )
        .unwrap_err();
        assert!(
            fault.details()[0]
                .message
                .as_deref()
                .unwrap()
                .contains("2 GiB"),
            "{fault:?}"
        );
    }

    #[test]
    fn rows_and_columns_are_removed_and_marked() {
        let data = table_of(vec![
            ("a", DataType::Int32, ints(&[Some(1), None, Some(3)])),
            ("b", DataType::String, texts(&[None, Some("x"), Some("y")])),
            ("c", DataType::Double, doubles(&[None, None, Some(0.5)])),
        ]);
        let cleaning = Cleaning {
            remove_rows: vec!["a".to_owned()],
            remove_columns: vec!["c".to_owned()],
            indicators: vec!["b".to_owned(), "c".to_owned()],
            ..Cleaning::default()
        };
        let cleaned = clean(&cleaning, data).unwrap();
        let columns: Vec<&str> = cleaned.schema().names().collect();
        assert_eq!(columns, ["a", "b", "b_IsMissing", "c_IsMissing"]);
        assert_eq!(texts_of(&cleaned, "a"), ["1", "3"]);
        assert_eq!(texts_of(&cleaned, "b_IsMissing"), ["True", "False"]);
        assert_eq!(texts_of(&cleaned, "c_IsMissing"), ["True", "False"]);
    }

    #[test]
    fn chained_regressions_fill_what_is_missing() {
        // y = 2x, x = y/2; z is their guide where both are missing.
        let line = |column: &str, start, intercept, weights: [f64; 3]| Predicted {
            column: column.to_owned(),
            start,
            fill: Some(Regression {
                intercept,
                weights: weights.to_vec(),
            }),
        };
        let cleaning = Cleaning {
            predict: Some(Prediction {
                iterations: 1,
                columns: vec![
                    line("x", 10.0, 0.0, [0.0, 0.0, 1.0]),
                    line("y", 20.0, 1.0, [2.0, 0.0, 0.0]),
                    Predicted {
                        column: "z".to_owned(),
                        start: 5.0,
                        fill: None,
                    },
                ],
            }),
            ..Cleaning::default()
        };
        let data = table_of(vec![
            (
                "x",
                DataType::Double,
                doubles(&[Some(1.0), None, None, None]),
            ),
            ("y", DataType::Int32, ints(&[None, Some(8), None, None])),
            (
                "z",
                DataType::Double,
                doubles(&[Some(0.0), Some(4.0), Some(3.3), None]),
            ),
        ]);
        let cleaned = clean(&cleaning, data).unwrap();
        assert_eq!(texts_of(&cleaned, "x"), ["1", "4", "3.3", "5"]);
        assert_eq!(texts_of(&cleaned, "y"), ["3", "8", "8", "11"]);
        assert_eq!(texts_of(&cleaned, "z"), ["0", "4", "3.3", "-"]);
        let nullable: Vec<bool> = cleaned
            .schema()
            .fields()
            .iter()
            .map(|f| f.nullable)
            .collect();
        assert_eq!(nullable, [false, false, true]);
    }

    #[test]
    fn a_prediction_that_runs_away_falls_back_and_stays_in_the_type() {
        let predict = |start, intercept| Cleaning {
            predict: Some(Prediction {
                iterations: 3,
                columns: vec![Predicted {
                    column: "x".to_owned(),
                    start,
                    fill: Some(Regression {
                        intercept,
                        weights: vec![f64::MAX],
                    }),
                }],
            }),
            ..Cleaning::default()
        };
        let narrow = || table_of(vec![("x", DataType::Int8, ints(&[None]))]);
        assert_eq!(
            texts_of(&clean(&predict(2.0, f64::MAX), narrow()).unwrap(), "x"),
            ["2"]
        );
        assert_eq!(
            texts_of(&clean(&predict(0.0, 1e9), narrow()).unwrap(), "x"),
            ["127"]
        );
        assert_eq!(
            texts_of(&clean(&predict(0.0, 0.0), narrow()).unwrap(), "x"),
            ["0"]
        );
    }

    #[test]
    fn what_does_not_go_with_the_columns_is_named() {
        let input = schema_of(&[
            ("a", DataType::Int32),
            ("a_IsMissing", DataType::Int32),
            ("t", DataType::String),
        ]);
        let refuse = |cleaning: &Cleaning| Bound::new(cleaning, &input).unwrap_err();
        let columns = |cleaning: &Cleaning, number, part: &str| match refuse(cleaning) {
            Mismatch::Columns(given, sentence) => {
                assert_eq!(given, number);
                assert!(sentence.contains(part), "{sentence}");
            }
            other => panic!("{other:?}"),
        };
        columns(
            &replace("nope", json!(1)),
            Number::ColumnNotFound,
            "\"nope\"",
        );
        columns(
            &replace("a", json!("x")),
            Number::ColumnType,
            "\"a\" is not an Int32",
        );
        let twice = refuse(&Cleaning {
            indicators: vec!["a".to_owned()],
            ..Cleaning::default()
        });
        assert_eq!(twice, Mismatch::Duplicate("a_IsMissing".to_owned()));
        let text = Cleaning {
            predict: Some(Prediction {
                iterations: 1,
                columns: vec![Predicted {
                    column: "t".to_owned(),
                    start: 0.0,
                    fill: None,
                }],
            }),
            ..Cleaning::default()
        };
        columns(&text, Number::ColumnType, "\"t\"");
    }
}
