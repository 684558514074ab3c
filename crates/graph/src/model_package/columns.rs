//! The columns of a model package's ports: `Schema`, `InputsMetadata` and `OutputsMetadata`.

use serde_json::{Map, Value, json};
use tables::DataType;

use crate::lax::{Members, Place, Problem, scalar_text};
use crate::parse::{MAX_COLUMNS, check_count, check_name};

/// The columns of a `Schema`: a Swagger object as web service definitions have them, a list of
/// `{Name, Type}`, or either as JSON text. `port` is the port's name.
pub(super) fn of_schema(
    value: Option<&Value>,
    port: &str,
    place: Place<'_>,
) -> Result<Map<String, Value>, Problem> {
    let parsed;
    let value = match value {
        None => return Ok(Map::new()),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(Map::new()),
        Some(Value::String(text)) => {
            parsed = serde_json::from_str::<Value>(text)
                .map_err(|e| place.wrong(format_args!("is no JSON text: {e}")))?;
            &parsed
        }
        Some(other) => other,
    };
    match value {
        Value::Null => Ok(Map::new()),
        Value::Array(items) => listed(items, port, place),
        Value::Object(_) => {
            let table = Members::of(value, place)?;
            let columns = table.map("properties")?;
            let columns = columns.ok_or_else(|| place.name("properties").wrong("is required"))?;
            check_count(columns.len(), MAX_COLUMNS, &place, "columns")?;
            Ok(columns.clone())
        }
        _ => Err(place.wrong("must be an object or an array of columns")),
    }
}

/// The columns of a list of `{Name, Type, Format, IsNullable}`.
fn listed(items: &[Value], port: &str, place: Place<'_>) -> Result<Map<String, Value>, Problem> {
    check_count(items.len(), MAX_COLUMNS, &place, "columns")?;
    let mut columns = Map::new();
    for (i, item) in items.iter().enumerate() {
        let place = place.index(i);
        let (name, column) = column(item, port, place)?;
        if columns.insert(name, column).is_some() {
            return Err(place.wrong("names a column again"));
        }
    }
    Ok(columns)
}

/// A column of `InputsMetadata` or `OutputsMetadata`.
pub(super) struct Described {
    pub(super) name: String,
    /// As a definition has it; `None` where no type is told.
    pub(super) column: Option<Value>,
}

/// Reads `InputsMetadata` or `OutputsMetadata`. A name may come twice: whether it may is the
/// caller's to say.
pub(super) fn of_metadata(
    items: &[Value],
    port: &str,
    place: Place<'_>,
) -> Result<Vec<Described>, Problem> {
    check_count(items.len(), MAX_COLUMNS, &place, "columns")?;
    items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let place = place.index(i);
            let members = Members::of(item, place)?;
            if members.get("Type")?.is_none() {
                let name = members.required_text("Name")?;
                check_name(&name, &place)?;
                return Ok(Described { name, column: None });
            }
            let (name, column) = column(item, port, place)?;
            Ok(Described {
                name,
                column: Some(column),
            })
        })
        .collect()
}

/// One `{Name, Type, Format, IsNullable, Description}`.
fn column(value: &Value, port: &str, place: Place<'_>) -> Result<(String, Value), Problem> {
    let members = Members::of(value, place)?;
    let name = members.required_text("Name")?;
    check_name(&name, &place)?;
    let kind = match members.get("Type")? {
        Some(kind) => scalar_text(kind)
            .ok_or_else(|| place.name("Type").wrong("must be the name of a type"))?,
        None => return Err(place.name("Type").wrong("is required")),
    };
    let format = members.text("Format")?.unwrap_or_default();
    let Some(data_type) = data_type(&kind, &format) else {
        return Err(Problem::DataType {
            place: format!("{port}/{name}"),
            port: port.to_owned(),
            data_type: match format.is_empty() {
                true => kind,
                false => format!("{kind}/{format}"),
            },
        });
    };
    let nullable = match members.boolean("IsNullable")? {
        Some(nullable) => nullable,
        None => members.boolean("x-ms-isnullable")?.unwrap_or(false),
    };
    let (kind, format) = data_type.spec();
    let mut column = json!({"type": kind, "x-ms-isnullable": nullable});
    if let (Some(format), Some(column)) = (format, column.as_object_mut()) {
        column.insert("format".into(), format.into());
    }
    Ok((name, column))
}

/// A type by the words of a definition (`Integer` with `Int64`), by its own name (`Int64`), or by
/// those of .NET and of Studio's data sets.
fn data_type(kind: &str, format: &str) -> Option<DataType> {
    if let Some(found) = DataType::from_spec(kind, format) {
        return Some(found);
    }
    if !format.is_empty() {
        return None;
    }
    let kind = kind.trim();
    let named = DataType::ALL
        .into_iter()
        .find(|t| t.name().eq_ignore_ascii_case(kind) || t.wire_name().eq_ignore_ascii_case(kind));
    const WORDS: [(&str, DataType); 6] = [
        ("Int", DataType::Int32),
        ("Long", DataType::Int64),
        ("Numeric", DataType::Double),
        ("Bool", DataType::Boolean),
        ("Text", DataType::String),
        ("Categorical", DataType::String),
    ];
    named.or_else(|| {
        let word = WORDS.iter().find(|(w, _)| w.eq_ignore_ascii_case(kind));
        word.map(|&(_, found)| found)
    })
}
