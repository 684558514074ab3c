//! Tables in comma-separated files, for the command line and its samples.
//!
//! RFC 4180 with a header row; lines end in LF or CRLF, and a UTF-8 byte order mark is skipped.
//! Row numbers in messages count rows of data from 1, so that the header is none.

use std::io::{Read, Write};
use std::sync::Arc;

use faults::{Fault, bad_user_argument};

use crate::cells::{Builder, Cell, describe, shortened};
use crate::column::Strings;
use crate::data_type::DataType;
use crate::schema::{Field, Schema};
use crate::table::Table;
use crate::text::{self, Decimal, parse_boolean, trim};

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
pub fn infer(reader: impl Read) -> Result<Table, Fault> {
    let mut reader = open(reader);
    let names = header(&mut reader)?;
    let mut columns: Vec<(Strings, Guess)> = Vec::new();
    columns.resize_with(names.len(), Default::default);
    rows(&mut reader, names.len(), |row, record| {
        for (cell, (texts, guess)) in record.iter().zip(&mut columns) {
            let text = utf8(cell, row)?;
            if !texts.fits(text.len()) {
                let problem = format!("row {}: a column's texts pass 2 GiB", row + 1);
                return Err(bad_user_argument::input_parse_error(problem));
            }
            guess.add(text);
            texts.push(text);
        }
        Ok(())
    })?;
    let mut fields = Vec::new();
    let mut built = Vec::new();
    for (name, (texts, guess)) in names.into_iter().zip(columns) {
        let mut field = Field::new(name, guess.data_type());
        field.nullable = guess.missing;
        let mut builder = Builder::new(&field, texts.len());
        for (row, text) in texts.iter().enumerate() {
            push(&mut builder, row, &field, text)?;
        }
        built.push(Arc::new(builder.finish()));
        fields.push(field);
    }
    Ok(Table::new(schema(fields)?, built))
}

/// Reads a table of a known schema. Columns may come in any order; each must be there and no
/// other. Cells follow the rules of a request's, with one addition: an empty cell is missing in a
/// nullable column of texts too, and an empty text where the column is not nullable.
///
/// # Errors
///
/// `InputMismatchError` (target: the column) for a missing, extra or repeated column, one detail
/// each, the first 16; `InputParseError` for a cell that is not of its column's type, and as
/// [`infer`] does.
pub fn read(reader: impl Read, schema: &Arc<Schema>) -> Result<Table, Fault> {
    let mut reader = open(reader);
    let names = header(&mut reader)?;
    let positions = positions(&names, schema)?;
    let fields = schema.fields();
    let mut builders: Vec<_> = fields.iter().map(|field| Builder::new(field, 0)).collect();
    let count = rows(&mut reader, names.len(), |row, record| {
        for (cell, &position) in record.iter().zip(&positions) {
            let text = utf8(cell, row)?;
            push(&mut builders[position], row, &fields[position], text)?;
        }
        Ok(())
    })?;
    let columns = builders.into_iter().map(|builder| builder.finish().into());
    Ok(Table::with_rows(schema.clone(), columns.collect(), count))
}

/// Writes a table with its header row, values in the form of [`text::write_cell`], missing ones
/// as empty cells, lines ended by LF.
///
/// # Errors
///
/// Those of the writer.
pub fn write(table: &Table, writer: impl Write) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(writer);
    writer.write_record(table.schema().names())?;
    let mut cell = Vec::new();
    for row in 0..table.rows() {
        for (field, column) in table.schema().fields().iter().zip(table.columns()) {
            cell.clear();
            text::write_cell(column, field.data_type, row, &mut cell);
            writer.write_field(&cell)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()
}

fn open<R: Read>(reader: R) -> csv::Reader<R> {
    // Rows of another length are refused by `rows`, whose message says more.
    csv::ReaderBuilder::new().flexible(true).from_reader(reader)
}

/// The names of the columns.
fn header(reader: &mut csv::Reader<impl Read>) -> Result<Vec<String>, Fault> {
    let record = reader.byte_headers().map_err(unreadable)?;
    if record.is_empty() {
        let problem = "the file is empty, and a header row is expected";
        return Err(bad_user_argument::input_parse_error(problem));
    }
    let name = |cell| match std::str::from_utf8(cell) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(bad_user_argument::input_parse_error(
            "the header is not UTF-8",
        )),
    };
    record.iter().map(name).collect()
}

/// Gives every row of data with its number, counted from 0, and then their count.
fn rows(
    reader: &mut csv::Reader<impl Read>,
    columns: usize,
    mut row: impl FnMut(usize, &csv::ByteRecord) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    let mut record = csv::ByteRecord::new();
    let mut count = 0;
    while reader.read_byte_record(&mut record).map_err(unreadable)? {
        if record.len() != columns {
            let cells = record.len();
            let problem = format!("row {} has {cells} cells for {columns} columns", count + 1);
            return Err(bad_user_argument::input_parse_error(problem));
        }
        row(count, &record)?;
        count += 1;
    }
    Ok(count)
}

fn unreadable(error: csv::Error) -> Fault {
    let problem = "the file cannot be read as comma-separated values";
    bad_user_argument::input_parse_error(problem).caused_by(&error)
}

fn utf8(cell: &[u8], row: usize) -> Result<&str, Fault> {
    std::str::from_utf8(cell).map_err(|_| {
        let problem = format!("row {} is not UTF-8", row + 1);
        bad_user_argument::input_parse_error(problem)
    })
}

fn push(builder: &mut Builder, row: usize, field: &Field, text: &str) -> Result<(), Fault> {
    let cell = match text.is_empty() && field.nullable {
        true => Cell::Null,
        false => Cell::Text(text),
    };
    builder.push(cell).map_err(|refusal| {
        let problem = describe(row, field, cell, refusal);
        bad_user_argument::input_parse_error(problem).at(shortened(&field.name))
    })
}

fn schema(fields: Vec<Field>) -> Result<Arc<Schema>, Fault> {
    match Schema::new(fields) {
        Ok(schema) => Ok(Arc::new(schema)),
        Err(twice) => Err(mismatch(&twice.0).because(twice)),
    }
}

/// By column of the file, its position in the schema.
fn positions(names: &[String], schema: &Schema) -> Result<Vec<usize>, Fault> {
    let mut named = vec![false; schema.len()];
    let mut positions = Vec::with_capacity(names.len());
    let mut at_fault = Vec::new();
    for name in names {
        match schema.position(name) {
            Some(position) if !std::mem::replace(&mut named[position], true) => {
                positions.push(position);
            }
            Some(_) => at_fault.push((name.as_str(), "repeated")),
            None => at_fault.push((name, "extra")),
        }
    }
    let missing = schema.names().zip(named).filter(|(_, named)| !named);
    at_fault.extend(missing.map(|(name, _)| (name, "missing")));
    let faults = at_fault.iter().take(16).map(|(name, _)| mismatch(name));
    match faults.reduce(Fault::and) {
        None => Ok(positions),
        Some(fault) => {
            let listed = at_fault.iter().take(16);
            let listed = listed.map(|(name, kind)| format!("\"{}\" is {kind}", shortened(name)));
            Err(fault.because(listed.collect::<Vec<_>>().join(", ")))
        }
    }
}

fn mismatch(column: &str) -> Fault {
    bad_user_argument::input_mismatch_error().at(shortened(column))
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
        assert_eq!(problem(&fault), "row 2 has 1 cells for 2 columns");
        let fault = infer(&b"a\n\xff\n"[..]).unwrap_err();
        assert_eq!(problem(&fault), "row 1 is not UTF-8");
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
            "row 2, column \"age\": \"forty\" is not an Int32"
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
