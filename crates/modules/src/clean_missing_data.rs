//! Clean Missing Data (once Missing Values Scrubber).
//!
//! A selected column is cleaned where its share of missing values is within the two ratios. The
//! second output is the cleaning transformation: what was fitted here, for Apply Transformation.
//!
//! - *Custom substitution value*: the value must fit each column that can have gaps.
//! - *Mean*, *median*, *mode*: of the values that are there. Whole numbers are rounded to the
//!   nearest, halves away from 0; of equally common values the first counts. Mean and median take
//!   numbers and Booleans only.
//! - *MICE*: chained linear regressions over the selected columns (`mice.rs`), which must hold
//!   numbers or Booleans.
//! - *Remove entire row*: rows with a gap in a cleaned column.
//! - *Remove entire column*: cleaned columns with at least one gap.
//!
//! A column without any value to fit to is removed, or kept with its gaps (`Propagate`).
//! Indicator columns come last, one for each cleaned column that stays.

use std::sync::{Arc, Mutex, PoisonError};

use faults::{Fault, bad_user_argument, web_service_package_error};
use graph::{
    ColumnPicker, Interface, Module, ParameterKind, ParameterSpec, PortKind, PortSpec, PortValue,
    RunContext, SchemaProblem, Settings, Shape, Step,
};
use serde_json::Value;
use tables::{Column, DataType, Schema, Table};

use crate::cell::Cell;
use crate::cleaning::{Bound, can_predict};
use crate::column_picker::select;
use crate::input::{picker, table};
use crate::mice;
use crate::refusal::{Refusal, names, shown};
use crate::schema_cache::SchemaCache;
use crate::statistics::{mean, median, mode, nearest, value_at};
use crate::transform::{Cleaning, MAX_PREDICTED, Replacement, Transform};

const COLUMNS: &str = "Columns to be cleaned";
const LEAST: &str = "Minimum missing value ratio";
const MOST: &str = "Maximum missing value ratio";
const MODE: &str = "Cleaning mode";
const VALUE: &str = "Replacement value";
const ALL_MISSING: &str = "Cols with all missing values";
const INDICATORS: &str = "Generate missing value indicator column";
const ITERATIONS: &str = "Number of Iterations";
const PCA_ITERATIONS: &str = "Number of Iterations for PCA Prediction";

static INTERFACE: Interface = Interface {
    name: "Clean Missing Data",
    family: "d2c5ca2f732341a39b7eda917c99f0c4",
    aliases: &["Missing Values Scrubber"],
    families: &[],
    inputs: &[PortSpec::new("Dataset", PortKind::Table)],
    outputs: &[
        PortSpec::new("Cleaned dataset", PortKind::Table),
        PortSpec::new("Cleaning transformation", PortKind::Transform),
    ],
    parameters: &[
        ParameterSpec::new(COLUMNS, ParameterKind::ColumnPicker)
            .default(r#"{"isFilter":true,"rules":[{"ruleType":"AllColumns","exclude":false}]}"#),
        ParameterSpec::new(LEAST, ParameterKind::Float)
            .default("0")
            .range(0.0, 1.0),
        ParameterSpec::new(MOST, ParameterKind::Float)
            .default("1")
            .range(0.0, 1.0),
        ParameterSpec::mode(
            MODE,
            &[
                "ReplaceUsingMICE",
                "ReplaceWithValue",
                "ReplaceWithMean",
                "ReplaceWithMedian",
                "ReplaceWithMode",
                "RemoveRow",
                "RemoveColumn",
                "ReplaceUsingProbabilisticPca",
            ],
            "ReplaceWithValue",
        )
        .synonyms(&[
            ("Replace using MICE", "ReplaceUsingMICE"),
            ("Custom substitution value", "ReplaceWithValue"),
            ("Replace with mean", "ReplaceWithMean"),
            ("Replace with median", "ReplaceWithMedian"),
            ("Replace with mode", "ReplaceWithMode"),
            ("Remove entire row", "RemoveRow"),
            ("Remove entire column", "RemoveColumn"),
            (
                "Replace using Probabilistic PCA",
                "ReplaceUsingProbabilisticPca",
            ),
        ]),
        ParameterSpec::new(VALUE, ParameterKind::String)
            .default("0")
            .optional()
            .child_of(MODE, &["ReplaceWithValue"]),
        ParameterSpec::mode(ALL_MISSING, &["Propagate", "Remove"], "Remove").child_of(
            MODE,
            &[
                "ReplaceUsingMICE",
                "ReplaceWithMean",
                "ReplaceWithMedian",
                "ReplaceWithMode",
            ],
        ),
        ParameterSpec::new(INDICATORS, ParameterKind::Boolean)
            .default("False")
            .child_of(
                MODE,
                &[
                    "ReplaceUsingMICE",
                    "ReplaceUsingProbabilisticPca",
                    "ReplaceWithMean",
                    "ReplaceWithMedian",
                    "ReplaceWithMode",
                    "ReplaceWithValue",
                ],
            ),
        ParameterSpec::new(ITERATIONS, ParameterKind::Int)
            .default("5")
            .range(1.0, 10.0)
            .child_of(MODE, &["ReplaceUsingMICE"]),
        ParameterSpec::new(PCA_ITERATIONS, ParameterKind::Int)
            .default("10")
            .range(1.0, 50.0)
            .child_of(MODE, &["ReplaceUsingProbabilisticPca"]),
    ],
    // Some settings are; see Clean::row_wise.
    row_wise: false,
};

/// The module.
pub(crate) struct CleanMissingData;

impl Module for CleanMissingData {
    fn interface(&self) -> &'static Interface {
        &INTERFACE
    }

    fn prepare(&self, settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        let policy = match settings.get_option(MODE) {
            Some("ReplaceUsingMICE") => Policy::Predict {
                iterations: settings
                    .get_i64(ITERATIONS)
                    .and_then(|n| u32::try_from(n).ok())
                    .unwrap_or(5),
            },
            Some("ReplaceWithMean") => Policy::Mean,
            Some("ReplaceWithMedian") => Policy::Median,
            Some("ReplaceWithMode") => Policy::Mode,
            Some("RemoveRow") => Policy::RemoveRow,
            Some("RemoveColumn") => Policy::RemoveColumn,
            Some("ReplaceUsingProbabilisticPca") => {
                return Err(web_service_package_error::runtimes_error(
                    "Clean Missing Data with cleaning mode \"Replace using Probabilistic PCA\", which this installation does not have.",
                ));
            }
            _ => Policy::Value(settings.get_str(VALUE).unwrap_or_default().to_owned()),
        };
        let least = settings.get_f64(LEAST).unwrap_or(0.0);
        let most = settings.get_f64(MOST).unwrap_or(1.0);
        if least > most {
            return Err(bad_user_argument::user_parameter_invalid(format!(
                "Parameter \"{LEAST}\" is {least} and exceeds \"{MOST}\", which is {most}."
            )));
        }
        let removes = matches!(policy, Policy::RemoveRow | Policy::RemoveColumn);
        Ok(Box::new(Clean {
            picker: picker(settings, COLUMNS)?,
            policy,
            least,
            most,
            propagate: settings.get_option(ALL_MISSING) == Some("Propagate"),
            indicators: !removes && settings.get_bool(INDICATORS).unwrap_or(false),
            planned: SchemaCache::default(),
            last: Mutex::new(None),
        }))
    }
}

/// What becomes of missing values.
enum Policy {
    Value(String),
    Mean,
    Median,
    Mode,
    Predict { iterations: u32 },
    RemoveRow,
    RemoveColumn,
}

struct Clean {
    picker: Arc<ColumnPicker>,
    policy: Policy,
    least: f64,
    most: f64,
    propagate: bool,
    indicators: bool,
    planned: SchemaCache<Planned>,
    /// The schema of the last table that came out: where the next one says the same, it is shared,
    /// so that those behind find what they know of it.
    last: Mutex<Option<Arc<Schema>>>,
}

/// What is known for one schema.
struct Planned {
    /// The selected columns.
    positions: Vec<usize>,
    /// The cleaning, where it does not depend on the data.
    fixed: Option<Fitted>,
    /// The columns that come out, where they can be told.
    told: Option<Arc<Schema>>,
}

struct Fitted {
    transform: Arc<Transform>,
    bound: Bound,
}

impl Fitted {
    fn new(cleaning: Cleaning, schema: &Schema) -> Result<Fitted, Refusal> {
        let bound = Bound::new(&cleaning, schema)?;
        Ok(Fitted {
            transform: Arc::new(Transform::Cleaning(cleaning)),
            bound,
        })
    }

    fn run(&self, table: Table, context: &RunContext<'_>) -> Result<Vec<PortValue>, Fault> {
        let cleaned = self.bound.apply(table, context)?;
        let transform = Arc::clone(&self.transform);
        Ok(vec![
            PortValue::Table(cleaned),
            PortValue::Object(transform),
        ])
    }
}

impl Clean {
    /// Whether every selected column is cleaned, whatever the data.
    fn always(&self) -> bool {
        self.least <= 0.0 && self.most >= 1.0
    }

    /// Whether what is done to a row depends on that row alone.
    fn by_row(&self) -> bool {
        self.always() && matches!(self.policy, Policy::Value(_) | Policy::RemoveRow)
    }

    fn planned(&self, schema: &Arc<Schema>) -> Result<Arc<Planned>, Refusal> {
        self.planned.get(schema, |schema| self.plan(schema))
    }

    fn plan(&self, schema: &Schema) -> Result<Planned, Refusal> {
        let positions = select(&self.picker, COLUMNS, schema)?;
        let of = |wanted: &dyn Fn(usize) -> bool| {
            let found = positions.iter().filter(|&&i| wanted(i));
            names(found.map(|&i| schema.field(i).name.as_str()))
        };
        if let Policy::Value(value) = &self.policy {
            let misfits = of(&|i| {
                let field = schema.field(i);
                field.nullable && Cell::parse(value, field.data_type).is_none()
            });
            if !misfits.is_empty() {
                return Err(Refusal::parameter(format!(
                    "Parameter \"{VALUE}\", \"{}\", is not a value of columns {misfits}.",
                    shown(value)
                )));
            }
        }
        if matches!(
            self.policy,
            Policy::Mean | Policy::Median | Policy::Predict { .. }
        ) {
            let misfits = of(&|i| !can_predict(schema.field(i).data_type));
            if !misfits.is_empty() {
                return Err(Refusal::parameter(format!(
                    "Parameter \"{COLUMNS}\" selects columns that are neither numbers nor Booleans, which the cleaning mode does not take: {misfits}."
                )));
            }
        }
        if matches!(self.policy, Policy::Predict { .. }) && positions.len() > MAX_PREDICTED {
            return Err(Refusal::parameter(format!(
                "Parameter \"{COLUMNS}\" selects {} columns; MICE takes at most {MAX_PREDICTED}.",
                positions.len()
            )));
        }
        let fixed = match (self.by_row(), &self.policy) {
            (true, Policy::Value(value)) => {
                let cleaning = self.replacing(schema, &positions, value);
                Some(Fitted::new(cleaning, schema)?)
            }
            (true, Policy::RemoveRow) => {
                let cleaning = Cleaning {
                    remove_rows: column_names(schema, &positions),
                    ..Cleaning::default()
                };
                Some(Fitted::new(cleaning, schema)?)
            }
            _ => None,
        };
        let told = match &fixed {
            Some(fixed) => Some(Arc::clone(&fixed.bound.schema)),
            None => self.told(schema, &positions)?,
        };
        Ok(Planned {
            positions,
            fixed,
            told,
        })
    }

    /// The columns that come out whatever the data, where that can be told.
    fn told(&self, schema: &Schema, positions: &[usize]) -> Result<Option<Arc<Schema>>, Refusal> {
        let may_lack = positions.iter().any(|&i| schema.field(i).nullable);
        let may_remove = match self.policy {
            Policy::Value(_) | Policy::RemoveRow => false,
            Policy::RemoveColumn => may_lack,
            _ => may_lack && !self.propagate,
        };
        if may_remove || (self.indicators && !self.always()) {
            return Ok(None);
        }
        let mut cleaning = Cleaning::default();
        if self.indicators {
            cleaning.indicators = column_names(schema, positions);
        }
        Ok(Some(Bound::new(&cleaning, schema)?.schema))
    }

    /// A cleaning with one value for all these columns. Where it is no value of a column's type,
    /// the column cannot have gaps, which was checked.
    fn replacing(&self, schema: &Schema, positions: &[usize], value: &str) -> Cleaning {
        let fields = positions.iter().map(|&i| schema.field(i));
        let fitting = fields.filter(|field| Cell::parse(value, field.data_type).is_some());
        Cleaning {
            replace: fitting
                .map(|field| Replacement {
                    column: field.name.clone(),
                    value: value.into(),
                })
                .collect(),
            indicators: match self.indicators {
                true => column_names(schema, positions),
                false => Vec::new(),
            },
            ..Cleaning::default()
        }
    }

    /// Fits the cleaning to the data.
    fn fit(
        &self,
        table: &Table,
        selected: &[usize],
        context: &RunContext<'_>,
    ) -> Result<Cleaning, Fault> {
        let schema = table.schema();
        let missing = |i: usize| table.column(i).missing_count();
        let is_cleaned = |&i: &usize| {
            let ratio = match table.rows() {
                0 => 0.0,
                rows => missing(i) as f64 / rows as f64,
            };
            (self.least..=self.most).contains(&ratio)
        };
        let cleaned: Vec<usize> = selected.iter().copied().filter(is_cleaned).collect();
        let mut cleaning = Cleaning::default();
        // Columns with gaps and nothing to fit to.
        let mut hopeless: Vec<usize> = Vec::new();
        match &self.policy {
            Policy::Value(value) => cleaning = self.replacing(schema, &cleaned, value),
            Policy::RemoveRow => cleaning.remove_rows = column_names(schema, &cleaned),
            Policy::RemoveColumn => {
                let lacking: Vec<usize> = cleaned
                    .iter()
                    .copied()
                    .filter(|&i| missing(i) > 0)
                    .collect();
                cleaning.remove_columns = column_names(schema, &lacking);
            }
            Policy::Predict { iterations } => {
                let sources: Vec<mice::Source<'_>> = selected
                    .iter()
                    .filter(|&&i| mean(table.column(i)).is_some())
                    .map(|&i| mice::Source {
                        name: &schema.field(i).name,
                        column: table.column(i),
                        fill: cleaned.contains(&i),
                    })
                    .collect();
                hopeless.extend(cleaned.iter().filter(|&&i| mean(table.column(i)).is_none()));
                if !sources.is_empty() {
                    cleaning.predict = Some(mice::fit(&sources, *iterations, context)?);
                }
            }
            Policy::Mean | Policy::Median | Policy::Mode => {
                for &i in &cleaned {
                    context.check()?;
                    match self.statistic(table.column(i), schema.field(i).data_type) {
                        Some(value) => cleaning.replace.push(Replacement {
                            column: schema.field(i).name.clone(),
                            value,
                        }),
                        None => hopeless.push(i),
                    }
                }
            }
        }
        if !self.propagate {
            hopeless.retain(|&i| missing(i) > 0);
            cleaning
                .remove_columns
                .extend(column_names(schema, &hopeless));
        }
        if self.indicators {
            let staying = column_names(schema, &cleaned).into_iter();
            cleaning.indicators = staying
                .filter(|name| !cleaning.remove_columns.contains(name))
                .collect();
        }
        Ok(cleaning)
    }

    /// The value that stands for a column's missing ones.
    fn statistic(&self, column: &Column, data_type: DataType) -> Option<Value> {
        match self.policy {
            Policy::Mean => mean(column).map(|number| nearest(number, data_type)),
            Policy::Median => median(column).map(|number| nearest(number, data_type)),
            _ => mode(column).and_then(|row| value_at(column, data_type, row)),
        }
    }
}

fn column_names(schema: &Schema, positions: &[usize]) -> Vec<String> {
    positions
        .iter()
        .map(|&i| schema.field(i).name.clone())
        .collect()
}

impl Step for Clean {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let table = table(inputs, 0)?;
        let planned = self.planned(table.schema())?;
        if let Some(fixed) = &planned.fixed {
            return fixed.run(table, context);
        }
        let cleaning = self.fit(&table, &planned.positions, context)?;
        let mut fitted = Fitted::new(cleaning, table.schema())?;
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = &*last {
                fitted.bound.share_schema(last);
            }
            *last = Some(Arc::clone(&fitted.bound.schema));
        }
        fitted.run(table, context)
    }

    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        let Some(schema) = inputs.first().and_then(|shape| shape.schema.as_ref()) else {
            return Ok(Vec::new());
        };
        let planned = self.planned(schema)?;
        Ok(vec![planned.told.clone(), None])
    }

    fn row_wise(&self) -> Option<bool> {
        Some(self.by_row())
    }

    fn keeps_rows(&self) -> bool {
        !matches!(self.policy, Policy::RemoveRow)
    }
}

#[cfg(test)]
mod tests {
    use faults::rows::BadUserArgument::UserParameterInvalid;
    use faults::rows::WebServicePackageError::RuntimesError;
    use tables::{Bitmap, Strings, Values};

    use super::*;
    use crate::testing::{doubles, ints, prepare, run_one, table_of, texts, texts_of, told};

    const NUMBERS: &str = r#"{"rules":[{"ruleType":"ColumnTypes","columnTypes":["Numeric"]}]}"#;

    fn data() -> Table {
        table_of(vec![
            (
                "n",
                DataType::Int32,
                ints(&[Some(1), None, Some(2), Some(2)]),
            ),
            (
                "x",
                DataType::Double,
                doubles(&[Some(0.5), Some(1.5), None, None]),
            ),
            (
                "t",
                DataType::String,
                texts(&[Some("a"), Some("b"), Some("b"), None]),
            ),
        ])
    }

    fn clean(values: &[(&str, &str)], table: Table) -> Result<Table, Fault> {
        let step = prepare(&CleanMissingData, values)?;
        run_one(&*step, vec![PortValue::Table(table)])
    }

    fn cleaned(values: &[(&str, &str)]) -> Table {
        clean(values, data()).unwrap()
    }

    #[test]
    fn gaps_are_replaced_by_the_mode_in_force() {
        for (mode, n, x) in [
            ("Replace with mean", "2", "1"),
            ("replacewithmedian", "2", "1"),
            ("Replace with mode", "2", "0.5"),
        ] {
            let table = cleaned(&[(COLUMNS, NUMBERS), (MODE, mode)]);
            assert_eq!(texts_of(&table, "n"), ["1", n, "2", "2"], "{mode}");
            assert_eq!(texts_of(&table, "x"), ["0.5", "1.5", x, x], "{mode}");
            assert_eq!(texts_of(&table, "t"), ["a", "b", "b", "-"], "{mode}");
            let nullable: Vec<bool> = table.schema().fields().iter().map(|f| f.nullable).collect();
            assert_eq!(nullable, [false, false, true]);
        }
        let table = cleaned(&[(MODE, "ReplaceWithMode")]);
        assert_eq!(texts_of(&table, "t"), ["a", "b", "b", "b"]);
        let table = cleaned(&[]);
        assert_eq!(
            texts_of(&table, "t"),
            ["a", "b", "b", "0"],
            "the default value is 0"
        );
        let table = cleaned(&[(COLUMNS, NUMBERS), (MODE, "Replace using MICE")]);
        assert_eq!(
            table.column(0).missing_count() + table.column(1).missing_count(),
            0
        );
    }

    #[test]
    fn rows_and_columns_with_gaps_are_removed() {
        let table = cleaned(&[(COLUMNS, NUMBERS), (MODE, "Remove entire row")]);
        assert_eq!(texts_of(&table, "t"), ["a"]);
        let table = cleaned(&[(MODE, "RemoveRow")]);
        assert_eq!(table.rows(), 1);
        let table = cleaned(&[(COLUMNS, NUMBERS), (MODE, "Remove entire column")]);
        assert_eq!(table.schema().names().collect::<Vec<_>>(), ["t"]);
        assert_eq!(table.rows(), 4);
    }

    #[test]
    fn only_columns_within_the_ratios_are_cleaned() {
        // n and t lack a quarter, x a half.
        let table = cleaned(&[(MOST, "0.25"), (VALUE, "9")]);
        assert_eq!(texts_of(&table, "n")[1], "9");
        assert_eq!(texts_of(&table, "x")[2], "-");
        let table = cleaned(&[(LEAST, "0.5"), (VALUE, "9")]);
        assert_eq!(texts_of(&table, "n")[1], "-");
        assert_eq!(texts_of(&table, "x")[2], "9");
        let table = cleaned(&[(LEAST, "0.3"), (MODE, "RemoveColumn")]);
        assert_eq!(table.schema().names().collect::<Vec<_>>(), ["n", "t"]);
        let fault = clean(&[(LEAST, "0.5"), (MOST, "0.4")], data()).unwrap_err();
        assert!(fault.is(&UserParameterInvalid));
    }

    #[test]
    fn a_column_without_values_goes_or_stays() {
        let hopeless = || {
            table_of(vec![
                ("gone", DataType::Double, doubles(&[None, None])),
                ("x", DataType::Double, doubles(&[Some(1.0), None])),
            ])
        };
        for mode in [
            "ReplaceWithMean",
            "ReplaceWithMedian",
            "ReplaceWithMode",
            "ReplaceUsingMICE",
        ] {
            let settings = [(MODE, mode), (INDICATORS, "True")];
            let table = clean(&settings, hopeless()).unwrap();
            assert_eq!(
                table.schema().names().collect::<Vec<_>>(),
                ["x", "x_IsMissing"],
                "{mode}"
            );
            assert_eq!(texts_of(&table, "x"), ["1", "1"], "{mode}");
            let settings = [(MODE, mode), (ALL_MISSING, "Propagate")];
            let table = clean(&settings, hopeless()).unwrap();
            assert_eq!(texts_of(&table, "gone"), ["-", "-"], "{mode}");
        }
    }

    #[test]
    fn indicators_come_last() {
        let table = cleaned(&[(INDICATORS, "True")]);
        let columns: Vec<&str> = table.schema().names().skip(3).collect();
        assert_eq!(columns, ["n_IsMissing", "x_IsMissing", "t_IsMissing"]);
        assert_eq!(
            texts_of(&table, "x_IsMissing"),
            ["False", "False", "True", "True"]
        );
        let table = cleaned(&[(INDICATORS, "True"), (MODE, "RemoveRow")]);
        assert_eq!(table.schema().len(), 3, "removing modes have none");
    }

    #[test]
    fn the_value_must_fit_columns_that_may_have_gaps() {
        let step = prepare(&CleanMissingData, &[(VALUE, "unknown")]).unwrap();
        let fault = run_one(&*step, vec![PortValue::Table(data())]).unwrap_err();
        assert!(fault.is(&UserParameterInvalid));
        let text = &fault.details()[0].args[0];
        assert!(
            text.contains("\"unknown\"") && text.contains("\"n\", \"x\""),
            "{text}"
        );
        assert!(told(&*step, data().schema()).is_err());
        // A column that has none may be of any type.
        let whole = table_of(vec![
            ("n", DataType::Int32, Column::from(vec![1])),
            ("t", DataType::String, texts(&[None])),
        ]);
        assert_eq!(
            texts_of(
                &run_one(&*step, vec![PortValue::Table(whole)]).unwrap(),
                "t"
            ),
            ["unknown"]
        );
    }

    #[test]
    fn means_and_predictions_take_no_texts() {
        for mode in ["ReplaceWithMean", "ReplaceWithMedian", "ReplaceUsingMICE"] {
            let fault = clean(&[(MODE, mode)], data()).unwrap_err();
            assert!(fault.is(&UserParameterInvalid));
            assert!(fault.details()[0].args[0].contains("\"t\""), "{fault:?}");
        }
    }

    #[test]
    fn the_absent_mode_is_refused_by_name() {
        let fault = clean(&[(MODE, "Replace using Probabilistic PCA")], data()).unwrap_err();
        assert!(fault.is(&RuntimesError));
        assert!(fault.details()[0].args[0].contains("Probabilistic PCA"));
    }

    #[test]
    fn what_comes_out_is_told_where_it_can_be() {
        let told = |values: &[(&str, &str)]| {
            let step = prepare(&CleanMissingData, values).unwrap();
            let schemas = told(&*step, data().schema()).unwrap();
            assert_eq!(step.keeps_rows(), !values.contains(&(MODE, "RemoveRow")));
            (schemas[0].clone(), step.row_wise())
        };
        for (values, row_wise) in [
            (vec![], true),
            (vec![(INDICATORS, "True")], true),
            (vec![(MODE, "RemoveRow")], true),
            (vec![(MODE, "RemoveRow"), (LEAST, "0.1")], false),
        ] {
            let (schema, by_row) = told(&values);
            assert_eq!(by_row, Some(row_wise), "{values:?}");
            let names = |schema: &Schema| schema.names().map(str::to_owned).collect::<Vec<_>>();
            let came = clean(&values, data()).unwrap();
            assert_eq!(names(&schema.unwrap()), names(came.schema()), "{values:?}");
        }
        for values in [
            vec![(MODE, "RemoveColumn")],
            vec![(MODE, "ReplaceWithMode")],
            vec![(INDICATORS, "True"), (MOST, "0.5")],
        ] {
            assert_eq!(told(&values), (None, Some(false)), "{values:?}");
        }
    }

    #[test]
    fn tables_of_one_kind_share_their_schema() {
        let step = prepare(&CleanMissingData, &[(MODE, "ReplaceWithMode")]).unwrap();
        let first = run_one(&*step, vec![PortValue::Table(data())]).unwrap();
        let second = run_one(&*step, vec![PortValue::Table(data())]).unwrap();
        assert!(Arc::ptr_eq(first.schema(), second.schema()));
    }

    #[test]
    fn no_rows_are_no_reason_to_remove_columns() {
        for mode in [
            "ReplaceWithValue",
            "ReplaceWithMode",
            "RemoveRow",
            "RemoveColumn",
        ] {
            let empty = Table::empty(Arc::clone(data().schema()));
            let table = clean(&[(MODE, mode)], empty).unwrap();
            assert_eq!((table.rows(), table.schema().len()), (0, 3), "{mode}");
        }
        let empty = Table::empty(Arc::clone(data().schema()));
        let settings = [(COLUMNS, NUMBERS), (MODE, "ReplaceUsingMICE")];
        assert_eq!(clean(&settings, empty).unwrap().schema().len(), 3);
    }

    #[test]
    fn the_mode_keeps_every_bit() {
        let validity = || -> Bitmap { [true, false].into_iter().collect() };
        let micros = Column::with_validity(Values::I64(vec![1_234_567, 0]), validity());
        let float = Column::with_validity(Values::F32(vec![0.1, 0.0]), validity());
        let big = Column::with_validity(Values::I64(vec![i64::MAX, 0]), validity());
        let text: Strings = ["0012", ""].into_iter().collect();
        let data = table_of(vec![
            ("d", DataType::DateTime, micros),
            ("f", DataType::Float, float),
            ("b", DataType::Int64, big),
            (
                "t",
                DataType::String,
                Column::with_validity(Values::Str(text), validity()),
            ),
        ]);
        let table = clean(&[(MODE, "ReplaceWithMode")], data).unwrap();
        assert_eq!(table.column(0).values, Values::I64(vec![1_234_567; 2]));
        assert_eq!(table.column(1).values, Values::F32(vec![0.1; 2]));
        assert_eq!(table.column(2).values, Values::I64(vec![i64::MAX; 2]));
        assert_eq!(texts_of(&table, "t"), ["0012", "0012"]);
    }
}
