//! Apply Transformation: what was fitted elsewhere, applied to new data. The documents stand in
//! `transform.rs`.

use std::sync::Arc;

use faults::Fault;
use graph::{
    Interface, Module, PortKind, PortSpec, PortValue, RunContext, SchemaProblem, Settings, Shape,
    Step,
};
use tables::{Column, DataType, Schema, Table, Values};

use crate::cleaning::{Bound, Mismatch};
use crate::input::{object, table};
use crate::refusal::{Refusal, names};
use crate::schema_cache::SchemaCache;
use crate::transform::{Normalization, Transform};

static INTERFACE: Interface = Interface {
    name: "Apply Transformation",
    family: "805e592d0f1f48eb97c9688ed0c1dc70",
    aliases: &[],
    families: &[],
    inputs: &[
        PortSpec::new("Transformation", PortKind::Transform),
        PortSpec::new("Dataset", PortKind::Table),
    ],
    outputs: &[PortSpec::new("Transformed dataset", PortKind::Table)],
    parameters: &[],
    row_wise: true,
};

/// The module.
pub(crate) struct ApplyTransformation;

impl Module for ApplyTransformation {
    fn interface(&self) -> &'static Interface {
        &INTERFACE
    }

    fn prepare(&self, _settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(Apply {
            ready: SchemaCache::default(),
        }))
    }
}

struct Apply {
    ready: SchemaCache<(Arc<Transform>, Ready)>,
}

/// A transformation whose columns were found in a schema.
enum Ready {
    Cleaning(Bound),
    Normalization {
        /// Position, scale and shift.
        columns: Vec<(usize, f64, f64)>,
        schema: Arc<Schema>,
    },
}

impl Ready {
    fn new(transform: &Transform, schema: &Schema) -> Result<Ready, Mismatch> {
        match transform {
            Transform::Cleaning(cleaning) => Bound::new(cleaning, schema).map(Ready::Cleaning),
            Transform::Normalization(normalization) => Ready::scaling(normalization, schema),
        }
    }

    fn scaling(normalization: &Normalization, schema: &Schema) -> Result<Ready, Mismatch> {
        let all = &normalization.columns;
        let lacking = all.iter().filter(|c| schema.position(&c.column).is_none());
        let lacking: Vec<&str> = lacking.map(|c| c.column.as_str()).collect();
        if !lacking.is_empty() {
            return Err(Mismatch::lacks(lacking));
        }
        let mut fields = schema.fields().to_vec();
        let mut columns = Vec::with_capacity(all.len());
        let mut wrong = Vec::new();
        for scaling in all {
            let Some(position) = schema.position(&scaling.column) else {
                continue;
            };
            let field = &mut fields[position];
            if !field.data_type.is_numeric() {
                wrong.push(scaling.column.as_str());
            } else if field.data_type != DataType::Float {
                field.data_type = DataType::Double;
            }
            columns.push((position, scaling.scale, scaling.shift));
        }
        if !wrong.is_empty() {
            return Err(Mismatch::types(format!(
                "Columns whose scale is changed must hold numbers: {}.",
                names(wrong)
            )));
        }
        Ok(Ready::Normalization {
            columns,
            schema: Arc::new(Schema::new(fields)?),
        })
    }

    fn schema(&self) -> &Arc<Schema> {
        match self {
            Ready::Cleaning(bound) => &bound.schema,
            Ready::Normalization { schema, .. } => schema,
        }
    }

    fn apply(&self, table: Table, context: &RunContext<'_>) -> Result<Table, Fault> {
        match self {
            Ready::Cleaning(bound) => bound.apply(table, context),
            Ready::Normalization { columns, schema } => {
                let mut all = table.columns().to_vec();
                for &(position, scale, shift) in columns {
                    context.check()?;
                    all[position] = Arc::new(scaled(&all[position], scale, shift));
                }
                Ok(Table::with_rows(Arc::clone(schema), all, table.rows()))
            }
        }
    }
}

/// The column's numbers times `scale` plus `shift`; missing values stay so.
fn scaled(column: &Column, scale: f64, shift: f64) -> Column {
    let values = match &column.values {
        Values::F32(v) => Values::F32(
            v.iter()
                .map(|&x| (f64::from(x) * scale + shift) as f32)
                .collect(),
        ),
        _ => Values::F64(
            (0..column.len())
                .map(|row| column.number(row).map_or(0.0, |x| x * scale + shift))
                .collect(),
        ),
    };
    Column {
        values,
        validity: column.validity.clone(),
    }
}

impl Apply {
    fn ready(
        &self,
        transform: &Arc<Transform>,
        schema: &Arc<Schema>,
    ) -> Result<Arc<(Arc<Transform>, Ready)>, Mismatch> {
        let make = |schema: &Schema| {
            let ready = Ready::new(transform, schema)?;
            Ok((Arc::clone(transform), ready))
        };
        let kept = self.ready.get(schema, make)?;
        // A stored transformation is the same in every call; one that another node fits is not.
        if Arc::ptr_eq(&kept.0, transform) {
            return Ok(kept);
        }
        make(schema).map(Arc::new)
    }
}

impl Step for Apply {
    fn keeps_rows(&self) -> bool {
        // A stored cleaning may remove them, and which transformation comes is not known here.
        false
    }

    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let transform: Arc<Transform> = object(inputs, 0)?;
        let table = table(inputs, 1)?;
        let ready = self
            .ready(&transform, table.schema())
            .map_err(|mismatch| mismatch.into_fault(context))?;
        Ok(vec![PortValue::Table(ready.1.apply(table, context)?)])
    }

    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        let [transform, dataset] = inputs else {
            return Ok(Vec::new());
        };
        let transform = transform
            .constant
            .as_ref()
            .and_then(PortValue::downcast::<Transform>);
        let (Some(transform), Some(schema)) = (transform, &dataset.schema) else {
            return Ok(Vec::new());
        };
        let ready = self.ready(&transform, schema).map_err(Refusal::from)?;
        Ok(vec![Some(Arc::clone(ready.1.schema()))])
    }
}

#[cfg(test)]
mod tests {
    use faults::Class;
    use serde_json::json;

    use super::*;
    use crate::clean_missing_data::CleanMissingData;
    use crate::testing::{
        doubles, ints, prepare, run, run_one, schema_of, table_of, texts, texts_of,
    };

    fn document(value: serde_json::Value) -> PortValue {
        let transform = Transform::read(value.to_string().as_bytes()).unwrap();
        PortValue::Object(Arc::new(transform))
    }

    fn scale() -> PortValue {
        document(json!({
            "format": "umpire-transform", "version": 1, "kind": "normalize",
            "columns": [
                {"column": "n", "scale": 0.5, "shift": -1.0},
                {"column": "f", "scale": 2, "shift": 0}
            ]
        }))
    }

    fn apply(transform: PortValue, table: Table) -> Result<Table, Fault> {
        let step = prepare(&ApplyTransformation, &[])?;
        run_one(&*step, vec![transform, PortValue::Table(table)])
    }

    #[test]
    fn a_change_of_scale_gives_doubles_and_keeps_gaps() {
        let data = table_of(vec![
            ("n", DataType::Int32, ints(&[Some(4), None])),
            ("f", DataType::Float, Column::from(vec![0.1f32, 2.0])),
            ("t", DataType::String, texts(&[Some("a"), Some("b")])),
        ]);
        let scaled = apply(scale(), data.clone()).unwrap();
        assert_eq!(texts_of(&scaled, "n"), ["1", "-"]);
        assert_eq!(texts_of(&scaled, "f"), ["0.2", "4"]);
        assert_eq!(scaled.schema().field(0).data_type, DataType::Double);
        assert_eq!(scaled.schema().field(1).data_type, DataType::Float);
        assert!(Arc::ptr_eq(scaled.column(2), data.column(2)));
    }

    #[test]
    fn what_was_fitted_elsewhere_is_applied() {
        let settings = [
            ("Cleaning mode", "ReplaceWithMean"),
            ("Generate missing value indicator column", "true"),
        ];
        let step = prepare(&CleanMissingData, &settings).unwrap();
        let old = table_of(vec![(
            "x",
            DataType::Double,
            doubles(&[Some(1.0), Some(3.0)]),
        )]);
        let fitted = run(&*step, vec![PortValue::Table(old)]).unwrap();
        let stored = crate::transform_document(&fitted[1]).unwrap();
        let new = table_of(vec![
            ("t", DataType::String, texts(&[Some("a")])),
            ("x", DataType::Double, doubles(&[None])),
        ]);
        let cleaned = apply(document(stored), new).unwrap();
        assert_eq!(texts_of(&cleaned, "x"), ["2"]);
        assert_eq!(texts_of(&cleaned, "x_IsMissing"), ["True"]);
    }

    #[test]
    fn cleaning_and_applying_its_transformation_agree() {
        let data = table_of(vec![
            (
                "x",
                DataType::Double,
                doubles(&[Some(1.0), Some(2.0), None, Some(4.0)]),
            ),
            (
                "y",
                DataType::Int32,
                ints(&[Some(2), None, Some(6), Some(8)]),
            ),
        ]);
        for mode in [
            "ReplaceUsingMICE",
            "ReplaceWithMedian",
            "ReplaceWithMode",
            "RemoveRow",
            "RemoveColumn",
            "ReplaceWithValue",
        ] {
            let step = prepare(&CleanMissingData, &[("Cleaning mode", mode)]).unwrap();
            let fitted = run(&*step, vec![PortValue::Table(data.clone())]).unwrap();
            let stored = crate::transform_document(&fitted[1]).unwrap();
            let applied = apply(document(stored), data.clone()).unwrap();
            assert_eq!(&applied, fitted[0].as_table().unwrap(), "{mode}");
        }
    }

    #[test]
    fn data_that_does_not_fit_is_refused_at_deploy_and_at_run() {
        for (input, code, part) in [
            (schema_of(&[("n", DataType::Int32)]), "1", "\"f\""),
            (
                schema_of(&[("n", DataType::String), ("f", DataType::Float)]),
                "17",
                "\"n\"",
            ),
        ] {
            let fault = apply(scale(), Table::empty(Arc::clone(&input))).unwrap_err();
            assert_eq!(
                (fault.class(), fault.code()),
                (Class::ModuleExecutionError, code)
            );
            assert!(
                fault.details()[0]
                    .message
                    .as_deref()
                    .unwrap()
                    .contains(part),
                "{fault:?}"
            );
            let shapes = [
                Shape {
                    schema: None,
                    constant: Some(scale()),
                },
                Shape {
                    schema: Some(input),
                    constant: None,
                },
            ];
            let told = prepare(&ApplyTransformation, &[])
                .unwrap()
                .output_schemas(&shapes);
            assert!(matches!(told, Err(SchemaProblem::Refused(why)) if why.contains(part)));
        }
    }

    #[test]
    fn the_columns_are_told_for_a_stored_transformation() {
        let input = schema_of(&[("n", DataType::Int32), ("f", DataType::Float)]);
        let shapes = |constant| {
            [
                Shape {
                    schema: None,
                    constant,
                },
                Shape {
                    schema: Some(Arc::clone(&input)),
                    constant: None,
                },
            ]
        };
        let step = prepare(&ApplyTransformation, &[]).unwrap();
        let told = step.output_schemas(&shapes(Some(scale()))).unwrap();
        assert_eq!(
            told[0].as_ref().unwrap().field(0).data_type,
            DataType::Double
        );
        assert!(step.output_schemas(&shapes(None)).unwrap().is_empty());
    }
}
