//! ARFF files, read and written.

use std::sync::Arc;

use proptest::prelude::*;
use tables::files::{
    BadRows, Compression, FileType, Format, RecordReader, TableWriter, read_head, read_table,
};
use tables::{Column, DataType, Field, Limits, Schema, Strings, Table, Values};

fn schema(fields: Vec<Field>) -> Arc<Schema> {
    Arc::new(Schema::new(fields).unwrap())
}

fn read(file: &str, schema: &Arc<Schema>) -> Result<Table, String> {
    let table = read_table(
        &mut file.as_bytes(),
        Format::Arff,
        schema,
        &Limits::default(),
    );
    table.map_err(|fault| {
        assert_eq!(fault.name(), "BadUserArgument.InputParseError");
        fault.details()[0].args[0].clone()
    })
}

const HEAD: &str = "\u{feff}% iris\n@RELATION 'a b'\n\n\
    @attribute sepal.length  REAL % not a value\n\
    @attribute 'petal\\'s width' numeric\n\
    @Attribute\tn integer\n\
    @attribute class {'Iris \"setosa\"', versicolor}\r\n\
    @attribute \"note\" string\n\
    @attribute seen date \"dd/MM/yyyy HH:mm\"\n@DATA\n";

fn iris() -> Arc<Schema> {
    schema(vec![
        Field::new("class", DataType::String).nullable(),
        Field::new("sepal.length", DataType::Double).nullable(),
        Field::new("petal's width", DataType::Float),
        Field::new("n", DataType::Int32),
        Field::new("note", DataType::String).nullable(),
        Field::new("seen", DataType::DateTime),
    ])
}

#[test]
fn rows_are_read_dense_and_sparse() {
    let file = format!(
        "{HEAD}% a comment\n\
        5.1, 0.5 ,7, 'Iris \\u0022setosa\"' ,\"a, \\\"b\\\"\\n%\", '21/09/2014 11:10' % why\n\n\
        ?,1,2.0,versicolor,?,'01/01/1970 00:00'\r\n\
        {{1 .5, 4 'it''s', 5 '01/01/1970 00:01'}}"
    );
    let fault = read(&file, &iris()).unwrap_err();
    assert_eq!(fault, "line 15 has a sparse row without its closing brace");
    let file = file.replace("it''s", "it\\'s");
    let table = read(&file, &iris()).unwrap();
    let texts = |column: usize| match &table.column(column).values {
        Values::Str(texts) => texts.iter().map(str::to_owned).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        texts(0),
        ["Iris \"setosa\"", "versicolor", "Iris \"setosa\""]
    );
    assert_eq!(table.column(1).values, Values::F64(vec![5.1, 0.0, 0.0]));
    assert!(table.column(1).is_missing(1) && !table.column(1).is_missing(2));
    assert_eq!(table.column(2).values, Values::F32(vec![0.5, 1.0, 0.5]));
    assert_eq!(table.column(3).values, Values::I32(vec![7, 2, 0]));
    assert_eq!(texts(4), ["a, \"b\"\n%", "", "it's"]);
    assert!(table.column(4).is_missing(1));
    assert_eq!(
        table.column(5).values,
        Values::I64(vec![1_411_297_800_000_000, 0, 60_000_000])
    );
}

#[test]
fn rows_at_fault_are_named() {
    for (row, expected) in [
        ("1,2,3", "line 11 has 3 cells for 6 columns"),
        (
            "1,2,x,a,b,'21/09/2014 11:10'",
            "line 11, column \"n\": \"x\" is not an Int32",
        ),
        (
            "1,?,3,a,b,'21/09/2014 11:10'",
            "line 11, column \"petal's width\": null is not a Float (the column does not allow missing values)",
        ),
        (
            "1,2,3,a,b,'1/2'",
            "line 11, column \"seen\": \"1/2\" is not a DateTime",
        ),
        ("1,2,3,'a", "line 11 has a quote left open"),
        (
            "1,2,3,'a'b,c,d",
            "line 11 has text after a cell's closing quote",
        ),
        (
            "{6 1}",
            "line 11 has a sparse row without the number of a column",
        ),
        (
            "{x 1}",
            "line 11 has a sparse row without the number of a column",
        ),
        (
            "{1 1,1 1}",
            "line 11 has a sparse row with two values for one column",
        ),
        (
            "{1 1,4 a}",
            "line 11, column \"seen\": a sparse row has to give a value that is no number",
        ),
    ] {
        assert_eq!(
            read(&format!("{HEAD}{row}\n"), &iris()),
            Err(expected.to_owned()),
            "{row}"
        );
    }
}

#[test]
fn heads_at_fault_are_named() {
    for (head, expected) in [
        ("", "the head has no @data"),
        (
            "@relation x\n@attribute a numeric\n",
            "the head has no @data",
        ),
        (
            "a,b\n1,2\n",
            "line 1: \"a,b\" stands where @relation, @attribute or @data is expected",
        ),
        (
            "\n@attribute a relational\n",
            "line 2: attributes of the type \"relational\" are not supported",
        ),
        (
            "@attribute a {x, y\n",
            "line 1: a list of values has no end",
        ),
        ("@attribute 'a numeric\n", "line 1: a quote left open"),
        (
            "@attribute a date EEE\n",
            "line 1: dates of the format \"EEE\" are not supported",
        ),
    ] {
        assert_eq!(read(head, &iris()).unwrap_err(), expected, "{head}");
    }
    let head = read_head(HEAD.as_bytes(), false, Format::Arff, &iris())
        .unwrap()
        .unwrap();
    assert_eq!((head.names.len(), head.end, head.line), (6, 0, 1));
    assert_eq!(head.names[1], "petal's width");
    for length in [0, 2, 20, HEAD.len() - 1] {
        let part = &HEAD.as_bytes()[..length];
        assert_eq!(read_head(part, false, Format::Arff, &iris()).unwrap(), None);
    }
}

#[test]
fn bad_rows_are_set_aside() {
    let schema = schema(vec![Field::new("a", DataType::Int32)]);
    let file = "@relation r\n@attribute a numeric\n@data\n1\nx\n{}\n2,3\n";
    let names = ["a".to_owned()];
    let limits = Limits::default();
    let reader = RecordReader::new(Format::Arff, &schema, &names, 1, &limits, BadRows::Reject);
    let mut reader = reader.unwrap();
    let block = reader
        .read_block(&mut file.as_bytes(), 10)
        .unwrap()
        .unwrap();
    assert_eq!(block.table.column(0).values, Values::I32(vec![1, 0]));
    let rejects: Vec<_> = block
        .rejects
        .iter()
        .map(|r| (r.line, &r.record[..]))
        .collect();
    assert_eq!(rejects, [(5, &b"x"[..]), (7, b"2,3")]);
    let other = ["b".to_owned()];
    assert!(RecordReader::new(Format::Arff, &schema, &other, 1, &limits, BadRows::Fail).is_err());
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        rows in proptest::collection::vec(
            (proptest::option::of(any::<f64>()), proptest::option::of("\\PC{0,6}|[?'\"\\\\ ,%{}\t\r\n]{0,4}"),
             any::<bool>(), 0i64..4_000_000_000), 0..20),
    ) {
        let schema = schema(vec![
            Field::new("a b", DataType::Double).nullable(),
            Field::new("{s}", DataType::String).nullable(),
            Field::new("ü", DataType::Boolean),
            Field::new("t", DataType::DateTime),
        ]);
        let bits = |present: Vec<bool>| present.into_iter().collect();
        let numbers = Values::F64(rows.iter().map(|row| row.0.unwrap_or(0.0)).collect());
        let numbers = Column::with_validity(numbers, bits(rows.iter().map(|row| row.0.is_some()).collect()));
        let texts: Strings = rows.iter().map(|row| row.1.as_deref().unwrap_or_default()).collect();
        let texts = Column::with_validity(Values::Str(texts), bits(rows.iter().map(|row| row.1.is_some()).collect()));
        let flags = Column::from(rows.iter().map(|row| row.2).collect::<Vec<_>>());
        let times = Column::from(rows.iter().map(|row| row.3 * 1_000_000).collect::<Vec<_>>());
        let columns = vec![Arc::new(numbers), Arc::new(texts), Arc::new(flags), Arc::new(times)];
        let table = Table::with_rows(Arc::clone(&schema), columns, rows.len());
        let file = FileType { format: Format::Arff, compression: Compression::None };
        let mut out = Vec::new();
        TableWriter::new(file, true).write(&table, None, &mut out).unwrap();
        let again = read_table(&mut &out[..], Format::Arff, &schema, &Limits::default()).unwrap();
        prop_assert_eq!(again.rows(), table.rows());
        for (a, b) in again.columns().iter().zip(table.columns()) {
            for row in 0..table.rows() {
                prop_assert_eq!(a.is_missing(row), b.is_missing(row));
            }
        }
        let mut rewritten = Vec::new();
        TableWriter::new(file, true).write(&again, None, &mut rewritten).unwrap();
        prop_assert_eq!(String::from_utf8(rewritten).unwrap(), String::from_utf8(out).unwrap());
        prop_assert_eq!(&again.column(1).values, &table.column(1).values);
        prop_assert_eq!(&again.column(3).values, &table.column(3).values);
    }
}
