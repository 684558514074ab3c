//! Select Columns in Dataset: some of the columns, in the order the selection gives.

use std::sync::Arc;

use faults::Fault;
use graph::{
    ColumnPicker, Interface, Module, ParameterKind, ParameterSpec, PortKind, PortSpec, PortValue,
    RunContext, SchemaProblem, Settings, Shape, Step,
};
use tables::{Schema, Table};

use crate::column_picker::select;
use crate::input::{picker, table};
use crate::refusal::Refusal;
use crate::schema_cache::SchemaCache;

const COLUMNS: &str = "Select Columns";

static INTERFACE: Interface = Interface {
    name: "Select Columns in Dataset",
    family: "1ec722fab6234e26a44ea50c6d726223",
    aliases: &["Project Columns", "Select Columns"],
    families: &[],
    inputs: &[PortSpec::new("Dataset", PortKind::Table)],
    outputs: &[PortSpec::new("Results dataset", PortKind::Table)],
    parameters: &[ParameterSpec::new(COLUMNS, ParameterKind::ColumnPicker)],
    row_wise: true,
};

/// The module.
pub(crate) struct SelectColumns;

struct SelectStep {
    picker: Arc<ColumnPicker>,
    picked: SchemaCache<Picked>,
}

struct Picked {
    positions: Vec<usize>,
    schema: Arc<Schema>,
}

impl Module for SelectColumns {
    fn interface(&self) -> &'static Interface {
        &INTERFACE
    }

    fn prepare(&self, settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(SelectStep {
            picker: picker(settings, COLUMNS)?,
            picked: SchemaCache::default(),
        }))
    }
}

impl SelectStep {
    fn pick(&self, schema: &Arc<Schema>) -> Result<Arc<Picked>, Refusal> {
        self.picked.get(schema, |schema| {
            let positions = select(&self.picker, COLUMNS, schema)?;
            let fields = positions.iter().map(|&p| schema.field(p).clone()).collect();
            let schema = Arc::new(Schema::new(fields)?);
            Ok(Picked { positions, schema })
        })
    }
}

impl Step for SelectStep {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        _context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let data = table(inputs, 0)?;
        let picked = self.pick(data.schema())?;
        let columns = picked.positions.iter().map(|&p| Arc::clone(data.column(p)));
        let schema = Arc::clone(&picked.schema);
        let selected = Table::with_rows(schema, columns.collect(), data.rows());
        Ok(vec![PortValue::Table(selected)])
    }

    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        let Some(schema) = &inputs[0].schema else {
            return Ok(Vec::new());
        };
        let picked = self.pick(schema)?;
        Ok(vec![Some(Arc::clone(&picked.schema))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{prepare, run_one, table_of};
    use tables::{Column, DataType};

    fn data() -> Table {
        table_of(vec![
            ("age", DataType::Int32, Column::from(vec![39, 50])),
            ("hours", DataType::Double, Column::from(vec![40.0, 13.0])),
        ])
    }

    const HOURS: &str = r#"{"rules":[{"ruleType":"ColumnNames","columns":["hours"]}]}"#;

    #[test]
    fn columns_are_shared_not_copied() {
        let step = prepare(&SelectColumns, &[(COLUMNS, HOURS)]).unwrap();
        let data = data();
        let selected = run_one(&*step, vec![PortValue::Table(data.clone())]).unwrap();
        assert_eq!(selected.schema().names().collect::<Vec<_>>(), ["hours"]);
        assert!(Arc::ptr_eq(selected.column(0), data.column(1)));
        let again = run_one(&*step, vec![PortValue::Table(data)]).unwrap();
        assert!(Arc::ptr_eq(again.schema(), selected.schema()));
    }

    #[test]
    fn a_selection_of_nothing_is_the_users_mistake() {
        let nothing = r#"{"rules":[{"ruleType":"ColumnTypes","columnTypes":["Boolean"]}]}"#;
        let step = prepare(&SelectColumns, &[(COLUMNS, nothing)]).unwrap();
        let fault = run_one(&*step, vec![PortValue::Table(data())]).unwrap_err();
        assert_eq!(fault.name(), "BadUserArgument.UserParameterInvalid");
        let shape = Shape {
            schema: Some(Arc::clone(data().schema())),
            constant: None,
        };
        let told = step.output_schemas(&[shape]);
        assert!(matches!(told, Err(SchemaProblem::Refused(why)) if why.contains("no column")));
        assert!(step.output_schemas(&[Shape::default()]).unwrap().is_empty());
    }
}
