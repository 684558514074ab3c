//! Tables in comma-separated files, for the command line and its samples: [`crate::files`] with
//! nothing to choose, and types found from the values.
//!
//! A header row names the columns. Messages name lines as they stand in the file.

use std::io::{Read, Write};
use std::sync::Arc;

use faults::{Fault, bad_user_argument};

use crate::cells::{Builder, Cell, describe, shortened};
use crate::column::Values;
use crate::data_type::DataType;
use crate::files::{Compression, FileType, Format, TableWriter, read_table, read_table_of};
use crate::limits::Limits;
use crate::schema::{Field, Schema};
use crate::table::Table;
use crate::text::{self, Decimal, parse_boolean, trim};

const CSV: Format = Format::Csv { header: true };

/// Files of the operator's own have cells of any length.
const LIMITS: Limits = Limits {
    rows: usize::MAX,
    columns: usize::MAX,
    cell_bytes: usize::MAX,
    depth: usize::MAX,
};

/// Reads a table and finds out the types of its columns: `Int32` or `Int64` where all values are
/// whole numbers within range, else `Double`, `Boolean` where all are `true` or `false` in any
/// case, else `String`. An empty cell is a missing value and makes its column nullable; a column
/// of nothing else is a `String`. Numbers with leading zeros or a `+` are texts (post codes,
/// telephone numbers).
///
/// # Errors
///
/// `InputParseError` where the file cannot be read, is not UTF-8, has no header or a row with too
/// few or too many cells; `InputMismatchError` (target: the column) where two columns have one
/// name.
pub fn infer(mut reader: impl Read) -> Result<Table, Fault> {
    let as_texts = |names: &[String]| {
        let text = |name: &String| Field::new(name.as_str(), DataType::String);
        schema(names.iter().map(text).collect())
    };
    let texts = read_table_of(&mut reader, CSV, as_texts, &LIMITS)?;
    let mut fields = Vec::new();
    let mut columns = Vec::new();
    for (field, column) in texts.schema().fields().iter().zip(texts.columns()) {
        let Values::Str(texts) = &column.values else {
            // The schema says that they are texts.
            continue;
        };
        let mut guess = Guess::default();
        texts.iter().for_each(|text| guess.add(text));
        let mut field = Field::new(field.name.as_str(), guess.data_type());
        field.nullable = guess.missing;
        let mut builder = Builder::new(&field, texts.len());
        for text in texts.iter() {
            push(&mut builder, &field, text)?;
        }
        columns.push(Arc::new(builder.finish()));
        fields.push(field);
    }
    Ok(Table::with_rows(schema(fields)?, columns, texts.rows()))
}

/// Reads a table of a known schema. Columns may come in any order; each must be there and no
/// other. Cells follow the rules of [`crate::files::RecordReader`].
///
/// # Errors
///
/// `InputMismatchError` (target: the column) for a missing, extra or repeated column, one detail
/// each, the first 16; `InputParseError` for a cell that is not of its column's type, and as
/// [`infer`] does.
pub fn read(mut reader: impl Read, schema: &Arc<Schema>) -> Result<Table, Fault> {
    read_table(&mut reader, CSV, schema, &LIMITS)
}

/// Writes a table with its header row, values in the form of [`text::write_cell`], missing ones
/// as empty cells, lines ended by LF.
///
/// # Errors
///
/// Those of the writer.
pub fn write(table: &Table, mut writer: impl Write) -> std::io::Result<()> {
    let file = FileType {
        format: CSV,
        compression: Compression::None,
    };
    let mut out = Vec::new();
    let written = TableWriter::new(file, true).write(table, None, &mut out);
    written.map_err(|fault| std::io::Error::other(fault.name()))?;
    writer.write_all(&out)?;
    writer.flush()
}

fn push(builder: &mut Builder, field: &Field, text: &str) -> Result<(), Fault> {
    let cell = match text.is_empty() && field.nullable {
        true => Cell::Null,
        false => Cell::Text(text),
    };
    builder.push(cell).map_err(|refusal| {
        let problem = describe(field, cell, refusal);
        bad_user_argument::input_parse_error(problem).at(shortened(&field.name))
    })
}

fn schema(fields: Vec<Field>) -> Result<Arc<Schema>, Fault> {
    match Schema::new(fields) {
        Ok(schema) => Ok(Arc::new(schema)),
        Err(twice) => {
            let fault = bad_user_argument::input_mismatch_error().at(shortened(&twice.0));
            Err(fault.because(twice))
        }
    }
}

/// What the cells of a column have been so far.
#[derive(Debug, Default)]
struct Guess {
    /// The narrowest type of all values; `None` before the first.
    data_type: Option<DataType>,
    missing: bool,
}

impl Guess {
    fn add(&mut self, text: &str) {
        if text.is_empty() {
            self.missing = true;
            return;
        }
        if self.data_type == Some(DataType::String) {
            return;
        }
        let cell = type_of(text);
        self.data_type = Some(match self.data_type {
            None => cell,
            Some(before) => common_type(before, cell),
        });
    }

    fn data_type(&self) -> DataType {
        self.data_type.unwrap_or(DataType::String)
    }
}

fn type_of(text: &str) -> DataType {
    let word = trim(text);
    if parse_boolean(word).is_some() {
        return DataType::Boolean;
    }
    if text::special(word).is_some() {
        return DataType::Double;
    }
    match Decimal::scan_json(word, 0) {
        Ok((number, end)) if end == word.len() => {
            let whole = word
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_digit());
            match number.to_integer() {
                Ok(value) if whole && i32::try_from(value).is_ok() => DataType::Int32,
                Ok(value) if whole && i64::try_from(value).is_ok() => DataType::Int64,
                _ if number.to_f64().is_ok() => DataType::Double,
                _ => DataType::String,
            }
        }
        _ => DataType::String,
    }
}

/// The narrowest type that takes the values of both.
fn common_type(a: DataType, b: DataType) -> DataType {
    let width = |data_type| match data_type {
        DataType::Int32 => Some(0),
        DataType::Int64 => Some(1),
        DataType::Double => Some(2),
        _ => None,
    };
    match (width(a), width(b)) {
        _ if a == b => a,
        (Some(wide_a), Some(wide_b)) => {
            if wide_a > wide_b {
                a
            } else {
                b
            }
        }
        _ => DataType::String,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{infer, read, write};
    use crate::column::{Strings, Values};
    use crate::data_type::DataType;
    use crate::schema::{Field, Schema};

    fn targets(fault: &faults::Fault) -> Vec<String> {
        let targets = fault.details().iter().map(|detail| detail.target.clone());
        targets.map(Option::unwrap_or_default).collect()
    }

    fn problem(fault: &faults::Fault) -> &str {
        assert_eq!(fault.name(), "BadUserArgument.InputParseError");
        &fault.details()[0].args[0]
    }

    #[test]
    fn types_are_found_from_the_values() {
        let file = "\u{feff}i,l,d,b,s,zip,gap,none,mixed,nan\r\n\
                    1,3000000000,1.5,true,x,01234,,,1,NaN\r\n\
                    -2,4,2,FALSE,\"a,\"\"b\"\"\r\n\",99999,7,,true,1\r\n";
        let table = infer(file.as_bytes()).unwrap();
        let types = table.schema().fields().iter();
        let types: Vec<_> = types
            .map(|f| (f.name.as_str(), f.data_type, f.nullable))
            .collect();
        assert_eq!(
            types,
            [
                ("i", DataType::Int32, false),
                ("l", DataType::Int64, false),
                ("d", DataType::Double, false),
                ("b", DataType::Boolean, false),
                ("s", DataType::String, false),
                ("zip", DataType::String, false),
                ("gap", DataType::Int32, true),
                ("none", DataType::String, true),
                ("mixed", DataType::String, false),
                ("nan", DataType::Double, false),
            ]
        );
        assert_eq!(table.rows(), 2);
        assert_eq!(table.column(1).values, Values::I64(vec![3_000_000_000, 4]));
        assert_eq!(table.column(3).values, Values::Bool(vec![true, false]));
        let texts: Strings = ["x", "a,\"b\"\r\n"].into_iter().collect();
        assert_eq!(table.column(4).values, Values::Str(texts));
        assert!(table.column(6).is_missing(0) && !table.column(6).is_missing(1));
        assert_eq!(table.column(7).missing_count(), 2);
    }

    #[test]
    fn a_file_without_rows_has_its_columns() {
        let table = infer("a,b\n".as_bytes()).unwrap();
        assert_eq!((table.rows(), table.schema().len()), (0, 2));
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let fault = infer("".as_bytes()).unwrap_err();
        assert_eq!(
            problem(&fault),
            "the file is empty, and a header row is expected"
        );
        let fault = infer("a,b\n1,2\n3\n".as_bytes()).unwrap_err();
        assert_eq!(problem(&fault), "line 3 has 1 cell for 2 columns");
        let fault = infer(&b"a\n\xff\n"[..]).unwrap_err();
        assert_eq!(problem(&fault), "line 2, column \"a\": a cell is not UTF-8");
        let fault = infer(&b"\xff\n1\n"[..]).unwrap_err();
        assert_eq!(problem(&fault), "the header is not UTF-8");
        let fault = infer("a,a\n1,2\n".as_bytes()).unwrap_err();
        assert_eq!(targets(&fault), ["a"]);
    }

    fn schema() -> Arc<Schema> {
        let fields = vec![
            Field::new("age", DataType::Int32).nullable(),
            Field::new("name", DataType::String),
            Field::new("note", DataType::String).nullable(),
        ];
        Arc::new(Schema::new(fields).unwrap())
    }

    #[test]
    fn a_known_schema_is_read_in_any_order() {
        let file = "note,age,name\n,,\nx,39.0,Ann\n";
        let table = read(file.as_bytes(), &schema()).unwrap();
        assert_eq!(table.rows(), 2);
        assert_eq!(table.column(0).values, Values::I32(vec![0, 39]));
        assert!(table.column(0).is_missing(0));
        assert_eq!(table.column(1).missing_count(), 0);
        assert!(table.column(2).is_missing(0) && !table.column(2).is_missing(1));
    }

    #[test]
    fn columns_and_cells_at_fault_are_named() {
        let fault = read("age,age,other\n1,2,3\n".as_bytes(), &schema()).unwrap_err();
        assert_eq!(fault.name(), "BadUserArgument.InputMismatchError");
        assert_eq!(targets(&fault), ["age", "other", "name", "note"]);
        let file = "age,name,note\n1,a,\nforty,b,\n";
        let fault = read(file.as_bytes(), &schema()).unwrap_err();
        assert_eq!(
            problem(&fault),
            "line 3, column \"age\": \"forty\" is not an Int32"
        );
        assert_eq!(targets(&fault), ["age"]);
    }

    #[test]
    fn a_table_is_written_and_read_again() {
        let file = "age,name,note\n39,\"a,\"\"b\"\"\",\n,\"two\nlines\",ü\n";
        let table = read(file.as_bytes(), &schema()).unwrap();
        let mut out = Vec::new();
        write(&table, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), file);
    }

    #[test]
    fn one_column_with_a_gap_is_written_so_that_the_row_stays() {
        let schema = Schema::new(vec![Field::new("x", DataType::Double).nullable()]);
        let schema = Arc::new(schema.unwrap());
        let table = read("x\n1\n\"\"\n2\n".as_bytes(), &schema).unwrap();
        let mut out = Vec::new();
        write(&table, &mut out).unwrap();
        assert_eq!(read(&out[..], &schema).unwrap(), table);
        assert_eq!(table.rows(), 3);
    }
}
