//! What a column selection means for the columns of a table.

use graph::ColumnPicker;
use graph::column_picker::{ColumnKind, ColumnType, Match};
use tables::{DataType, Field, Role, Schema};

use crate::refusal::{Refusal, names};

/// The positions that a selection picks, each once: in the table's order for a filter, in the
/// order of the rules for a list.
///
/// Rules apply in order: one that includes adds what it matches, one that excludes takes it away.
/// A column that an including rule names must be there; an excluding rule may name one that is
/// not. A categorical column matches `Categorical` and `All`, not the type of its values.
/// `parameter` is the parameter's name, for the refusal.
///
/// Errors: an unknown name or position, or a selection of nothing.
pub(crate) fn select(
    picker: &ColumnPicker,
    parameter: &str,
    schema: &Schema,
) -> Result<Vec<usize>, Refusal> {
    let refuse = |problem: String| {
        Err(Refusal::parameter(format!(
            "Parameter \"{parameter}\": {problem}."
        )))
    };
    let mut picked: Vec<usize> = Vec::new();
    let mut is_picked = vec![false; schema.len()];
    for rule in &picker.rules {
        let mut matched: Vec<usize> = Vec::new();
        match &rule.matches {
            Match::All => matched.extend(0..schema.len()),
            Match::Names(wanted) => {
                matched.extend(wanted.iter().filter_map(|name| schema.position(name)));
                let unknown = wanted.iter().filter(|name| schema.position(name).is_none());
                let unknown = names(unknown.map(String::as_str));
                if !rule.exclude && !unknown.is_empty() {
                    return refuse(format!("the data has no column {unknown}"));
                }
            }
            Match::Indexes(ranges) => {
                for &(from, to) in ranges {
                    if to > schema.len() && !rule.exclude {
                        return refuse(format!(
                            "there is no column at position {to}: the data has {}",
                            schema.len()
                        ));
                    }
                    matched.extend((from - 1)..to.min(schema.len()).max(from - 1));
                }
                matched.retain(|&position| position < schema.len());
            }
            Match::Types { types, kinds } => {
                let fields = schema.fields().iter().enumerate();
                matched.extend(
                    fields
                        .filter(|(_, field)| {
                            types.iter().any(|&t| is_of_type(field, t))
                                && kinds.iter().any(|&k| is_of_kind(field, k))
                        })
                        .map(|(position, _)| position),
                );
            }
        }
        for position in matched {
            if is_picked[position] == rule.exclude {
                is_picked[position] = !rule.exclude;
                if rule.exclude {
                    picked.retain(|&p| p != position);
                } else {
                    picked.push(position);
                }
            }
        }
    }
    if picked.is_empty() {
        return refuse("the selection selects no column".to_owned());
    }
    if picker.is_filter {
        picked.sort_unstable();
    }
    Ok(picked)
}

fn is_of_type(field: &Field, wanted: ColumnType) -> bool {
    let data_type = field.data_type;
    if field.is_categorical() {
        return matches!(wanted, ColumnType::Categorical | ColumnType::All);
    }
    match wanted {
        ColumnType::All => true,
        ColumnType::Categorical => false,
        ColumnType::String => data_type.is_text(),
        ColumnType::Integer => data_type.is_integer(),
        ColumnType::Double => matches!(data_type, DataType::Float | DataType::Double),
        ColumnType::Numeric => data_type.is_numeric(),
        ColumnType::Boolean => data_type == DataType::Boolean,
        ColumnType::DateTime => {
            matches!(data_type, DataType::DateTime | DataType::DateTimeOffset)
        }
        ColumnType::TimeSpan => data_type == DataType::Duration,
    }
}

fn is_of_kind(field: &Field, wanted: ColumnKind) -> bool {
    match wanted {
        ColumnKind::All => true,
        // Whatever has no other role is a feature.
        ColumnKind::Feature => matches!(field.role, Role::None | Role::Feature),
        ColumnKind::Label => field.role == Role::Label,
        ColumnKind::Weight => field.role == Role::Weight,
        ColumnKind::Score => matches!(field.role, Role::Score(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tables::ScoreKind;

    fn schema() -> Schema {
        let mut income = Field::new("income", DataType::String).with_role(Role::Label);
        income.categories = Some([].into());
        Schema::new(vec![
            Field::new("age", DataType::Int32),
            Field::new("job", DataType::String),
            Field::new("hours", DataType::Double),
            income,
            Field::new("born", DataType::DateTime),
            Field::new("member", DataType::Boolean),
            Field::new("Scored Labels", DataType::Float).with_role(Role::Score(ScoreKind::Label)),
        ])
        .unwrap()
    }

    fn picked(rules: &str) -> Result<Vec<usize>, Refusal> {
        let picker = ColumnPicker::parse(rules).unwrap();
        select(&picker, "Select Columns", &schema())
    }

    fn types(types: &str, kinds: &str) -> Vec<usize> {
        picked(&format!(
            r#"{{"rules":[{{"ruleType":"ColumnTypes","columnTypes":[{types}],"columnKinds":[{kinds}]}}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn rules_apply_in_order() {
        let rules = r#"{"isFilter":true,"rules":[
            {"ruleType":"AllColumns","exclude":false},
            {"ruleType":"ColumnTypes","columnTypes":["Numeric"],"exclude":true},
            {"ruleType":"ColumnNames","columns":["hours"],"exclude":false},
            {"ruleType":"ColumnNames","columns":["income","not there"],"exclude":true}]}"#;
        assert_eq!(picked(rules).unwrap(), [1, 2, 4, 5]);
    }

    #[test]
    fn a_filter_keeps_the_order_of_the_table_and_a_list_its_own() {
        let rules = |filter: bool| {
            format!(
                r#"{{"isFilter":{filter},"rules":[{{"ruleType":"ColumnNames","columns":["hours","age","hours"]}}]}}"#
            )
        };
        assert_eq!(picked(&rules(true)).unwrap(), [0, 2]);
        assert_eq!(picked(&rules(false)).unwrap(), [2, 0]);
    }

    #[test]
    fn positions_count_from_one() {
        let rules = r#"{"rules":[{"ruleType":"ColumnIndexes","columns":["1-3","7"]},
            {"ruleType":"ColumnIndexes","columns":["2","9-12"],"exclude":true}]}"#;
        assert_eq!(picked(rules).unwrap(), [0, 2, 6]);
        let past = r#"{"rules":[{"ruleType":"ColumnIndexes","columns":["5-8"]}]}"#;
        let Err(Refusal::Parameter(why)) = picked(past) else {
            panic!("position 8 of 7 columns");
        };
        assert!(
            why.contains("no column at position 8: the data has 7"),
            "{why}"
        );
    }

    #[test]
    fn types_and_kinds_both_count() {
        assert_eq!(types(r#""Numeric""#, r#""All""#), [0, 2, 6]);
        assert_eq!(types(r#""Numeric""#, r#""Feature""#), [0, 2]);
        assert_eq!(types(r#""Integer""#, ""), [0]);
        assert_eq!(types(r#""String""#, ""), [1]);
        assert_eq!(types(r#""Categorical""#, ""), [3]);
        assert_eq!(types(r#""DateTime","Boolean""#, ""), [4, 5]);
        assert_eq!(types(r#""All""#, r#""Label""#), [3]);
        assert_eq!(types("", r#""Score""#), [6]);
    }

    #[test]
    fn unknown_columns_and_nothing_are_refused() {
        for (rules, reason) in [
            (
                r#"{"rules":[{"ruleType":"ColumnNames","columns":["Age","age","x"]}]}"#,
                "no column \"Age\", \"x\"",
            ),
            (
                r#"{"rules":[{"ruleType":"ColumnNames","columns":[]}]}"#,
                "selects no column",
            ),
            (
                r#"{"rules":[{"ruleType":"ColumnTypes","columnTypes":["TimeSpan"]}]}"#,
                "selects no column",
            ),
            (
                r#"{"rules":[{"ruleType":"AllColumns"},{"ruleType":"AllColumns","exclude":true}]}"#,
                "selects no column",
            ),
        ] {
            let Err(Refusal::Parameter(why)) = picked(rules) else {
                panic!("{rules}");
            };
            assert!(why.starts_with("Parameter \"Select Columns\": "), "{why}");
            assert!(why.contains(reason), "{why}");
        }
    }
}
