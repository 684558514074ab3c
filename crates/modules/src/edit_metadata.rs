//! Edit Metadata: names, types, categories and roles of columns.

use std::sync::Arc;

use faults::Fault;
use graph::{
    ColumnPicker, Interface, Module, ParameterKind, ParameterSpec, PortKind, PortSpec, PortValue,
    RunContext, SchemaProblem, Settings, Shape, Step,
};
use tables::{Column, DataType, Field, Role, Schema, Table};

use crate::column_picker::select;
use crate::convert::Target;
use crate::input::{picker, table};
use crate::refusal::{Number, Refusal, data, shown};
use crate::schema_cache::SchemaCache;
use crate::time_format::TimeFormat;

const COLUMN: &str = "Column";
const DATA_TYPE: &str = "Data Type";
const CATEGORICAL: &str = "Categorical";
const FIELDS: &str = "Fields";
const NEW_NAMES: &str = "New Column Name";
const DATE_FORMAT: &str = "Date and time Format";
const SPAN_FORMAT: &str = "TimeSpan Format";

static INTERFACE: Interface = Interface {
    name: "Edit Metadata",
    family: "370b6676c11c486fbf7335349f842a66",
    aliases: &["Metadata Editor"],
    families: &[],
    inputs: &[PortSpec::new("Dataset", PortKind::Table)],
    outputs: &[PortSpec::new("Results dataset", PortKind::Table)],
    parameters: &[
        ParameterSpec::new(COLUMN, ParameterKind::ColumnPicker),
        ParameterSpec::mode(
            DATA_TYPE,
            &[
                "Unchanged",
                "String",
                "Integer",
                "Double",
                "Boolean",
                "DateTime",
                "TimeSpan",
            ],
            "Unchanged",
        ),
        ParameterSpec::mode(
            CATEGORICAL,
            &["Unchanged", "Categorical", "NonCategorical"],
            "Unchanged",
        )
        .synonyms(&[
            ("Make categorical", "Categorical"),
            ("Make non-categorical", "NonCategorical"),
            ("Make uncategorical", "NonCategorical"),
        ]),
        ParameterSpec::mode(
            FIELDS,
            &[
                "Unchanged",
                "Features",
                "Labels",
                "Weights",
                "ClearFeatures",
                "ClearLabels",
                "ClearScores",
                "ClearWeights",
            ],
            "Unchanged",
        )
        .synonyms(&[
            ("Clear feature", "ClearFeatures"),
            ("Clear label", "ClearLabels"),
            ("Clear score", "ClearScores"),
            ("Clear weight", "ClearWeights"),
        ]),
        ParameterSpec::new(NEW_NAMES, ParameterKind::String).optional(),
        ParameterSpec::new(DATE_FORMAT, ParameterKind::String)
            .optional()
            .child_of(DATA_TYPE, &["DateTime"]),
        ParameterSpec::new(SPAN_FORMAT, ParameterKind::String)
            .optional()
            .child_of(DATA_TYPE, &["TimeSpan"]),
    ],
    row_wise: true,
};

/// The module.
pub(crate) struct EditMetadata;

struct EditStep {
    picker: Arc<ColumnPicker>,
    target: Result<Option<Target>, Refusal>,
    categorical: Option<bool>,
    fields: &'static str,
    names: Result<Vec<String>, Refusal>,
    edits: SchemaCache<Edits>,
}

/// What is done to the columns of one schema.
struct Edits {
    schema: Arc<Schema>,
    /// Position, type before and type after of each column whose values change.
    conversions: Vec<(usize, DataType, DataType)>,
}

impl Module for EditMetadata {
    fn interface(&self) -> &'static Interface {
        &INTERFACE
    }

    fn prepare(&self, settings: &Settings, _node: &str) -> Result<Box<dyn Step>, Fault> {
        Ok(Box::new(EditStep {
            picker: picker(settings, COLUMN)?,
            target: target(settings),
            categorical: match settings.get_option(CATEGORICAL) {
                Some("Categorical") => Some(true),
                Some("NonCategorical") => Some(false),
                _ => None,
            },
            fields: settings.get_option(FIELDS).unwrap_or("Unchanged"),
            names: new_names(settings.get_str(NEW_NAMES).unwrap_or_default()),
            edits: SchemaCache::default(),
        }))
    }
}

fn target(settings: &Settings) -> Result<Option<Target>, Refusal> {
    type Compile = fn(&str) -> Result<TimeFormat, String>;
    let format = |name: &str, compile: Compile| {
        let text = settings
            .get_str(name)
            .map(str::trim)
            .filter(|text| !text.is_empty());
        text.map(|text| {
            compile(text).map_err(|problem| {
                Refusal::parameter(format!(
                    "Parameter \"{name}\": \"{text}\" is not a format: {problem}."
                ))
            })
        })
        .transpose()
    };
    Ok(match settings.get_option(DATA_TYPE) {
        Some("String") => Some(Target::Text),
        Some("Integer") => Some(Target::Integer),
        Some("Double") => Some(Target::Double),
        Some("Boolean") => Some(Target::Boolean),
        Some("DateTime") => Some(Target::DateTime(format(
            DATE_FORMAT,
            TimeFormat::date_time,
        )?)),
        Some("TimeSpan") => Some(Target::TimeSpan(format(
            SPAN_FORMAT,
            TimeFormat::time_span,
        )?)),
        _ => None,
    })
}

/// The new names, parted by commas; one with a comma stands in quotation marks, doubled inside.
fn new_names(text: &str) -> Result<Vec<String>, Refusal> {
    let refuse = |problem: &str| {
        Err(Refusal::parameter(format!(
            "Parameter \"{NEW_NAMES}\": {problem}."
        )))
    };
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    let mut chars = text.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace()).is_some() {}
        let mut name = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    Some('"') if chars.next_if_eq(&'"').is_some() => name.push('"'),
                    Some('"') => break,
                    Some(c) => name.push(c),
                    None => return refuse("a quotation mark is not closed"),
                }
            }
            while chars.next_if(|c| c.is_whitespace()).is_some() {}
            if chars.peek().is_some_and(|&c| c != ',') {
                return refuse("a quoted name must end at a comma");
            }
        } else {
            while let Some(c) = chars.next_if(|&c| c != ',') {
                name.push(c);
            }
            name.truncate(name.trim_end().len());
        }
        if name.is_empty() {
            return refuse("a name is empty");
        }
        names.push(name);
        if chars.next().is_none() {
            return Ok(names);
        }
    }
}

impl EditStep {
    fn edits(&self, schema: &Arc<Schema>) -> Result<Arc<Edits>, Refusal> {
        self.edits.get(schema, |schema| self.plan(schema))
    }

    fn plan(&self, schema: &Schema) -> Result<Edits, Refusal> {
        let target = self.target.clone()?;
        let names = self.names.as_ref().map_err(Clone::clone)?;
        let positions = select(&self.picker, COLUMN, schema)?;
        if !names.is_empty() && names.len() != positions.len() {
            return Err(Refusal::parameter(format!(
                "Parameter \"{NEW_NAMES}\" has {} names for {} selected columns.",
                names.len(),
                positions.len()
            )));
        }
        let mut fields = schema.fields().to_vec();
        let mut conversions = Vec::new();
        for (i, &position) in positions.iter().enumerate() {
            let field = &mut fields[position];
            if let Some(target) = &target {
                let from = field.data_type;
                let Some(to) = target.data_type(from) else {
                    return Err(Refusal::parameter(format!(
                        "Parameter \"{DATA_TYPE}\": column \"{}\" is {} and cannot be made {}.",
                        field.name,
                        from.name_with_article(),
                        target_name(target)
                    )));
                };
                if to != from {
                    conversions.push((position, from, to));
                    field.data_type = to;
                    // A blank text becomes a missing value.
                    field.nullable |= from.is_text();
                }
            }
            self.edit_field(field);
            if let Some(name) = names.get(i) {
                field.name.clone_from(name);
            }
        }
        Ok(Edits {
            schema: Arc::new(Schema::new(fields)?),
            conversions,
        })
    }

    fn edit_field(&self, field: &mut Field) {
        match self.categorical {
            Some(true) if field.categories.is_none() => field.categories = Some([].into()),
            Some(false) => {
                field.categories = None;
                field.ordered = false;
            }
            _ => {}
        }
        field.role = match (self.fields, field.role) {
            ("Features", _) => Role::Feature,
            ("Labels", _) => Role::Label,
            ("Weights", _) => Role::Weight,
            ("ClearFeatures", Role::Feature)
            | ("ClearLabels", Role::Label)
            | ("ClearScores", Role::Score(_))
            | ("ClearWeights", Role::Weight) => Role::None,
            (_, role) => role,
        };
    }
}

fn target_name(target: &Target) -> &'static str {
    match target {
        Target::Text => "a String",
        Target::Integer => "an Integer",
        Target::Double => "a Double",
        Target::Boolean => "a Boolean",
        Target::DateTime(_) => "a DateTime",
        Target::TimeSpan(_) => "a TimeSpan",
    }
}

impl Step for EditStep {
    fn run(
        &self,
        inputs: &mut [Option<PortValue>],
        context: &RunContext<'_>,
    ) -> Result<Vec<PortValue>, Fault> {
        let input = table(inputs, 0)?;
        let edits = self.edits(input.schema())?;
        let mut columns: Vec<Arc<Column>> = input.columns().to_vec();
        if let Ok(Some(target)) = &self.target {
            for &(position, from, to) in &edits.conversions {
                context.check()?;
                let column = input.column(position);
                let converted = target.convert(column, from, to).map_err(|row| {
                    let field = input.schema().field(position);
                    cannot_convert(column, field, row, to, context)
                })?;
                columns[position] = Arc::new(converted);
            }
        }
        let edited = Table::with_rows(Arc::clone(&edits.schema), columns, input.rows());
        Ok(vec![PortValue::Table(edited)])
    }

    fn output_schemas(&self, inputs: &[Shape]) -> Result<Vec<Option<Arc<Schema>>>, SchemaProblem> {
        let Some(schema) = &inputs[0].schema else {
            return Ok(Vec::new());
        };
        let edits = self.edits(schema)?;
        Ok(vec![Some(Arc::clone(&edits.schema))])
    }
}

fn cannot_convert(
    column: &Column,
    field: &Field,
    row: usize,
    to: DataType,
    context: &RunContext<'_>,
) -> Fault {
    let mut text = Vec::new();
    tables::text::write_cell(column, field.data_type, row, &mut text);
    let sentence = format!(
        "Row {}, column \"{}\": \"{}\" cannot be converted to {}.",
        row + 1,
        shown(&field.name),
        shown(&String::from_utf8_lossy(&text)),
        to.name_with_article()
    );
    data(Number::InvalidData, &sentence, context)
}

#[cfg(test)]
mod tests {
    use faults::Class;

    use super::*;
    use crate::testing::{cells, prepare, run_one, table_of};
    use tables::Strings;

    fn data() -> Table {
        table_of(vec![
            (
                "n",
                DataType::String,
                Column::from(["1", "", "3"].into_iter().collect::<Strings>()),
            ),
            ("x", DataType::Double, Column::from(vec![0.5, 1.0, 2.0])),
            ("y", DataType::Double, Column::from(vec![1.0, 0.0, 2.0])),
        ])
    }

    fn all(column: &str) -> String {
        format!(r#"{{"rules":[{{"ruleType":"ColumnNames","columns":[{column}]}}]}}"#)
    }

    fn edit(columns: &str, values: &[(&str, &str)]) -> Result<Table, Fault> {
        let columns = all(columns);
        let mut values = values.to_vec();
        values.push((COLUMN, &columns));
        let step = prepare(&EditMetadata, &values)?;
        run_one(&*step, vec![PortValue::Table(data())])
    }

    #[test]
    fn types_change_with_their_values() {
        let table = edit(r#""n""#, &[(DATA_TYPE, "integer")]).unwrap();
        assert_eq!(table.schema().field(0).data_type, DataType::Int32);
        assert!(table.schema().field(0).nullable);
        assert_eq!(
            cells(&table, "n"),
            [Some("1".into()), None, Some("3".into())]
        );
        let table = edit(r#""x","y""#, &[(DATA_TYPE, "Boolean")]).unwrap();
        assert_eq!(
            cells(&table, "y"),
            ["True", "False", "True"].map(|s| Some(s.to_owned()))
        );
    }

    #[test]
    fn a_value_that_cannot_change_is_named() {
        let fault = edit(r#""x""#, &[(DATA_TYPE, "Integer")]).unwrap_err();
        assert_eq!(fault.class(), Class::ModuleExecutionError);
        let detail = &fault.details()[0];
        assert_eq!(detail.code, "18");
        assert_eq!(detail.target.as_deref(), Some("node1"));
        assert_eq!(
            detail.message.as_deref(),
            Some("Error 0018: Row 1, column \"x\": \"0.5\" cannot be converted to an Int32.")
        );
    }

    #[test]
    fn a_type_that_has_no_way_to_another_is_the_users_mistake() {
        let fault = edit(r#""x""#, &[(DATA_TYPE, "DateTime")]).unwrap_err();
        assert_eq!(fault.name(), "BadUserArgument.UserParameterInvalid");
        assert!(
            fault.details()[0].args[0].contains("\"x\" is a Double and cannot be made a DateTime")
        );
        let bad_format = [(DATA_TYPE, "DateTime"), (DATE_FORMAT, "yyyy 'open")];
        let fault = edit(r#""n""#, &bad_format).unwrap_err();
        assert!(fault.details()[0].args[0].contains("quotation mark"));
    }

    #[test]
    fn columns_are_renamed_in_order() {
        let table = edit(r#""x","y""#, &[(NEW_NAMES, r#" a , "b, ""c""" "#)]).unwrap();
        assert_eq!(
            table.schema().names().collect::<Vec<_>>(),
            ["n", "a", "b, \"c\""]
        );
        for (names, reason) in [
            ("a", "1 names for 2"),
            ("a,b,c", "3 names for 2"),
            ("a,", "a name is empty"),
            ("\"a,b", "not closed"),
            ("\"a\"b,c", "must end at a comma"),
        ] {
            let fault = edit(r#""x","y""#, &[(NEW_NAMES, names)]).unwrap_err();
            assert_eq!(fault.name(), "BadUserArgument.UserParameterInvalid");
            assert!(fault.details()[0].args[0].contains(reason), "{names}");
        }
        // Two columns may change places; a name that another column has is a clash.
        let table = edit(r#""x","y""#, &[(NEW_NAMES, "y,x")]).unwrap();
        assert_eq!(table.schema().names().collect::<Vec<_>>(), ["n", "y", "x"]);
        let fault = edit(r#""x""#, &[(NEW_NAMES, "n")]).unwrap_err();
        assert_eq!(fault.name(), "Conflict.ModelOutputMetadataMismatch");
    }

    #[test]
    fn categories_and_roles_change() {
        let values = [(CATEGORICAL, "Make categorical"), (FIELDS, "Labels")];
        let table = edit(r#""n""#, &values).unwrap();
        let field = table.schema().field(0).clone();
        assert!(field.is_categorical());
        assert_eq!(field.role, Role::Label);
        assert_eq!(table.schema().field(1).role, Role::None);
        let table = edit(
            r#""n""#,
            &[(CATEGORICAL, "NonCategorical"), (FIELDS, "Clear label")],
        );
        assert_eq!(table.unwrap().schema().field(0), data().schema().field(0));
    }
}
