//! Delimited files: against the `csv` crate, cut anywhere, with bad rows, and written again.

use std::io::Read;
use std::sync::Arc;

use proptest::prelude::*;
use tables::files::{
    BadRows, Block, Compression, Cutter, FileType, Format, Head, RecordReader, Reject, TableWriter,
    read_head, read_table,
};
use tables::{Column, DataType, Field, Limits, Schema, Strings, Table, Values};

const CSV: Format = Format::Csv { header: true };
const TSV: Format = Format::Tsv { header: true };

fn schema(fields: Vec<Field>) -> Arc<Schema> {
    Arc::new(Schema::new(fields).unwrap())
}

fn texts(names: &[&str]) -> Arc<Schema> {
    let field = |name: &&str| Field::new(*name, DataType::String);
    schema(names.iter().map(field).collect())
}

/// Gives a few bytes at a time, so that records end anywhere.
struct Few<'a>(&'a [u8], usize);

impl Read for Few<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let few = out.len().min(self.1);
        self.0.read(&mut out[..few])
    }
}

fn head(bytes: &[u8], format: Format, schema: &Schema) -> Head {
    read_head(bytes, true, format, schema).unwrap().unwrap()
}

/// All blocks of the records of a file, from their beginning.
fn blocks(
    bytes: &[u8],
    format: Format,
    schema: &Arc<Schema>,
    rows: usize,
    few: usize,
    bad_rows: BadRows,
) -> Result<Vec<Block>, faults::Fault> {
    let head = head(bytes, format, schema);
    let limits = Limits::default();
    let mut reader = RecordReader::new(format, schema, &head.names, head.line, &limits, bad_rows)?;
    let mut input = Few(&bytes[head.end as usize..], few);
    let mut blocks = Vec::new();
    while let Some(block) = reader.read_block(&mut input, rows)? {
        assert!(block.table.rows() + block.rejects.len() <= rows);
        blocks.push(block);
    }
    assert!(reader.read_block(&mut input, rows)?.is_none());
    Ok(blocks)
}

/// The cells of columns of texts, row by row.
fn cells<'a>(tables: impl IntoIterator<Item = &'a Table>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for table in tables {
        for row in 0..table.rows() {
            let cell = |column: &Arc<Column>| match &column.values {
                Values::Str(texts) => texts.get(row).to_owned(),
                _ => unreachable!("the columns are of texts"),
            };
            rows.push(table.columns().iter().map(cell).collect());
        }
    }
    rows
}

fn problem(fault: &faults::Fault) -> &str {
    assert_eq!(fault.name(), "BadUserArgument.InputParseError");
    &fault.details()[0].args[0]
}

#[test]
fn bad_rows_are_named_by_line_and_column() {
    let schema = schema(vec![
        Field::new("age", DataType::Int32),
        Field::new("name", DataType::String),
    ]);
    for (file, expected) in [
        // The header and the line break inside a cell count.
        (
            "age,name\n1,\"a\nb\"\nx,c\n",
            "line 4, column \"age\": \"x\" is not an Int32",
        ),
        (
            "age,name\r\n\r\n1,a\r\nx,c\r\n",
            "line 4, column \"age\": \"x\" is not an Int32",
        ),
        (
            "age,name\nx,\"a\nb\"\n",
            "line 2, column \"age\": \"x\" is not an Int32",
        ),
        ("age,name\n1,a\n2\n", "line 3 has 1 cell for 2 columns"),
        ("age,name\n1,a,b\n", "line 2 has 3 cells for 2 columns"),
        ("age,name\nx,a,b\n", "line 2 has 3 cells for 2 columns"),
        ("age,name\nx,\"a\",b\n", "line 2 has 3 cells for 2 columns"),
        (
            "age,name\n1,a\n99999999999,b",
            "line 3, column \"age\": \"99999999999\" is out of the range of Int32",
        ),
        (
            "age,name\n,a\n",
            "line 2, column \"age\": \"\" is not an Int32 (the column does not allow missing values)",
        ),
    ] {
        for few in [1, 2, 1000] {
            let fault = blocks(file.as_bytes(), CSV, &schema, 10, few, BadRows::Fail).unwrap_err();
            assert_eq!(problem(&fault), expected, "{file:?}");
        }
    }
    let fault = blocks(b"age,name\n1,\xff\n", CSV, &schema, 10, 9, BadRows::Fail).unwrap_err();
    assert_eq!(
        problem(&fault),
        "line 2, column \"name\": a cell is not UTF-8"
    );
    assert_eq!(fault.details()[0].target.as_deref(), Some("name"));
}

#[test]
fn a_part_counts_its_lines_from_where_it_starts() {
    let schema = texts(&["a", "b"]);
    let names = ["b".to_owned(), "a".to_owned()];
    let limits = Limits::default();
    let mut reader = RecordReader::new(CSV, &schema, &names, 70, &limits, BadRows::Fail).unwrap();
    let fault = reader.read_block(&mut &b"1,2\n3\n"[..], 9).unwrap_err();
    assert_eq!(problem(&fault), "line 71 has 1 cell for 2 columns");
}

#[test]
fn bad_rows_are_set_aside_and_the_rest_is_read() {
    let schema = schema(vec![
        Field::new("x", DataType::Double),
        Field::new("s", DataType::String),
        Field::new("n", DataType::Int32).nullable(),
    ]);
    let file = "x,s,n\n1.5,a,1\r\nfoo,b,\n2.5,c,\n3,\"d\n\",oh\n4,e\n5,\"f\"\"\",7\n";
    for few in [1, 3, 1000] {
        let blocks = blocks(file.as_bytes(), CSV, &schema, 2, few, BadRows::Reject).unwrap();
        let rejects: Vec<&Reject> = blocks.iter().flat_map(|block| &block.rejects).collect();
        let rejects: Vec<_> = rejects
            .iter()
            .map(|r| {
                (
                    r.line,
                    std::str::from_utf8(&r.record).unwrap(),
                    r.reason.as_str(),
                )
            })
            .collect();
        assert_eq!(
            rejects,
            [
                (3, "foo,b,", "column \"x\": \"foo\" is not a Double"),
                (5, "3,\"d\n\",oh", "column \"n\": \"oh\" is not an Int32"),
                (7, "4,e", "2 cells for 3 columns"),
            ]
        );
        let mut out = Vec::new();
        let mut writer = TableWriter::new(FileType::of_name("a.csv").unwrap(), true);
        for block in &blocks {
            writer
                .write(&block.table, Some(&block.source), &mut out)
                .unwrap();
        }
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out, "x,s,n\n1.5,a,1\n2.5,c,\n5,\"f\"\"\",7\n");
        assert!(
            blocks
                .iter()
                .all(|block| block.table.column(1).validity.is_none())
        );
    }
}

#[test]
fn columns_at_fault_are_all_named() {
    let schema = texts(&["a", "b", "c"]);
    let names = ["a", "a", "d"].map(str::to_owned);
    let limits = Limits::default();
    let fault = RecordReader::new(CSV, &schema, &names, 2, &limits, BadRows::Fail).unwrap_err();
    assert_eq!(fault.name(), "BadUserArgument.InputMismatchError");
    let targets: Vec<_> = fault
        .details()
        .iter()
        .map(|d| d.target.as_deref())
        .collect();
    assert_eq!(targets, [Some("a"), Some("d"), Some("b"), Some("c")]);
}

#[test]
fn heads_are_read_when_they_are_whole() {
    let schema = texts(&["x"]);
    let file = "\u{feff}\r\n\"a\nb\",c\r\n1,2";
    let end = file.len() - 3;
    for length in 0..end {
        let read = read_head(&file.as_bytes()[..length], false, CSV, &schema).unwrap();
        assert_eq!(read, None, "{length}");
    }
    let names = vec!["a\nb".to_owned(), "c".to_owned()];
    let expected = Head {
        names,
        end: end as u64,
        line: 4,
    };
    for length in end..=file.len() {
        let read = read_head(&file.as_bytes()[..length], false, CSV, &schema).unwrap();
        assert_eq!(read, Some(expected.clone()), "{length}");
    }
    let whole = read_head(b"a\tb", true, TSV, &schema).unwrap().unwrap();
    assert_eq!((whole.names.len(), whole.end, whole.line), (2, 3, 1));
    let none = Format::Csv { header: false };
    let without = read_head(b"\xef\xbb\xbf1", false, none, &schema)
        .unwrap()
        .unwrap();
    assert_eq!((without.end, without.line), (3, 1));
    assert_eq!(without.names, ["x"]);
    assert_eq!(read_head(b"", false, none, &schema).unwrap(), None);
    assert_eq!(read_head(b"\xef", false, none, &schema).unwrap(), None);
    let fault = read_head(b"\n", true, CSV, &schema).unwrap_err();
    assert_eq!(
        problem(&fault),
        "the file is empty, and a header row is expected"
    );
    let fault = read_head(&[b'a'; 1 << 20], false, CSV, &schema).unwrap_err();
    assert_eq!(problem(&fault), "the header row does not end within 1 MiB");
    let fault = read_head(b"\xff\n", true, CSV, &schema).unwrap_err();
    assert_eq!(problem(&fault), "the header is not UTF-8");
}

#[test]
fn a_quote_left_open_does_not_fill_the_memory() {
    let schema = texts(&["a"]);
    let limits = Limits::default();
    let names = ["a".to_owned()];
    let mut reader = RecordReader::new(CSV, &schema, &names, 2, &limits, BadRows::Reject).unwrap();
    let mut endless = b"x\n\"".chain(std::io::repeat(b'x'));
    let fault = reader.read_block(&mut endless, 10).unwrap_err();
    assert_eq!(
        problem(&fault),
        "line 3: the record that starts here is longer than 64 MiB"
    );
}

#[test]
fn a_long_cell_is_refused() {
    let schema = texts(&["a"]);
    let names = ["a".to_owned()];
    let limits = Limits {
        cell_bytes: 4,
        ..Limits::default()
    };
    for file in ["abcd\nabcde\n", "abcd\n\"abcde\"\n"] {
        let mut reader =
            RecordReader::new(CSV, &schema, &names, 2, &limits, BadRows::Fail).unwrap();
        let fault = reader.read_block(&mut file.as_bytes(), 10).unwrap_err();
        assert_eq!(
            problem(&fault),
            "line 3, column \"a\": a cell is longer than 4 bytes"
        );
    }
}

#[test]
fn numbers_that_nobody_touched_come_out_as_they_came_in() {
    let read = schema(vec![
        Field::new("a", DataType::Double),
        Field::new("b", DataType::Int32).nullable(),
        Field::new("c", DataType::Double),
        Field::new("s", DataType::String),
    ]);
    let file = "b,a,s,c\n5.0,1.50,\"x\", 1e3\n,-0,\"y,\n\",2.00\n";
    let blocks = blocks(file.as_bytes(), CSV, &read, 9, 9, BadRows::Fail).unwrap();
    let table = &blocks[0].table;
    let source = Some(&blocks[0].source);
    let csv = FileType::of_name("x.CSV").unwrap();
    let written = |table: &Table, file: FileType| {
        let mut out = Vec::new();
        let mut writer = TableWriter::new(file, true);
        writer.write(table, source, &mut out).unwrap();
        writer.finish(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        written(table, csv),
        "a,b,c,s\n1.50,5.0, 1e3,\"x\"\n-0,,2.00,\"y,\n\"\n"
    );
    // A column that was made anew with some of the values: the others are written.
    let made = table.replace(
        2,
        Field::new("c", DataType::Double),
        Column::from(vec![1000.0, 7.0]),
    );
    assert_eq!(
        written(&made.unwrap(), csv),
        "a,b,c,s\n1.50,5.0, 1e3,\"x\"\n-0,,7,\"y,\n\"\n"
    );
    // Under another name or type it is another column.
    assert_eq!(
        written(&table.rename(0, "z").unwrap().select(&[0, 1]), csv),
        "z,b\n1.5,5.0\n0,\n"
    );
    // Another delimiter: texts are quoted anew, other cells copied where they need no quotes.
    let tsv = FileType::of_name("dir.csv/x.nh.tsv").unwrap();
    assert_eq!(
        written(table, tsv),
        "1.50\t5.0\t 1e3\tx\n-0\t\t2.00\t\"y,\n\"\n"
    );
    // One column: an empty cell must not make a blank line.
    assert_eq!(written(&table.select(&[1]), csv), "b\n5.0\n\"\"\n");
    // Other rows than were read: nothing is copied.
    assert_eq!(written(&table.take(&[1]), csv), "a,b,c,s\n0,,2,\"y,\n\"\n");
}

#[test]
fn types_of_files_are_told_by_name() {
    use Compression::{Gzip, None, Zstd};
    for (name, format, compression) in [
        ("a.csv", Format::Csv { header: true }, None),
        ("a.NH.CSV", Format::Csv { header: false }, None),
        ("a/b.tsv.GZ", Format::Tsv { header: true }, Gzip),
        ("a.csv.nh.tsv.zst", Format::Tsv { header: false }, Zstd),
        ("a.arff", Format::Arff, None),
        ("a.Arff.gz", Format::Arff, Gzip),
        ("a.PARQUET", Format::Parquet, None),
    ] {
        let file = FileType::of_name(name).unwrap();
        assert_eq!(
            (file.format, file.compression),
            (format, compression),
            "{name}"
        );
        assert_eq!(FileType::of_name(file.extension()), Some(file));
        assert!(!file.content_type().is_empty());
        assert_eq!(
            file.can_be_cut(),
            matches!(format, Format::Csv { .. } | Format::Tsv { .. }) && compression == None
        );
    }
    for name in [
        "",
        "csv",
        "a.txt",
        "a.gz",
        "a.csv.",
        "a.csv/b",
        "a.csv.gz.zst",
        "é.csv2",
        ".é",
    ] {
        assert_eq!(FileType::of_name(name), Option::None, "{name}");
    }
}

/// Bytes of which much is special, and numbers.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just("a"), 4 => Just(","), 3 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r"),
        3 => Just("\""), 1 => Just("\"\""), 1 => Just("\"x,\ny\""), 1 => Just("1.5"),
        1 => Just("é"), 1 => Just(" "), 1 => Just("\t"), 1 => Just("\u{feff}"), 1 => Just("12345678901"),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Rows of two cells, quoted here and there, with blank lines and either line end.
fn well_formed() -> impl Strategy<Value = Vec<u8>> {
    let cell = prop_oneof![
        Just("x".to_owned()),
        Just(String::new()),
        Just("1.50".to_owned()),
        Just("-0.4967141530112327".to_owned()),
        Just("\"q\"\"uo,te\r\nd\"".to_owned()),
        Just("\"\"".to_owned()),
        Just("mid\"quote".to_owned()),
        Just("\"a\"b\"c".to_owned()),
        Just("ü".to_owned()),
    ];
    let end = prop_oneof![4 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\n\n"), 1 => Just("\r")];
    let row = (cell.clone(), cell, end).prop_map(|(a, b, end)| format!("{a},{b}{end}"));
    proptest::collection::vec(row, 0..40).prop_map(|rows| rows.concat().into_bytes())
}

fn by_csv_crate(bytes: &[u8], delimiter: u8) -> Vec<Vec<Vec<u8>>> {
    // A byte order mark is skipped by the head, and nowhere else.
    let primed = [b"x\n".as_slice(), bytes].concat();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(&primed[..]);
    let rows = reader.byte_records();
    rows.map(|row| row.unwrap().iter().map(<[u8]>::to_vec).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn records_are_those_of_the_csv_crate(
        bytes in prop_oneof![soup(), well_formed()],
        columns in 1usize..4,
        few in prop_oneof![Just(1usize), Just(7), Just(10_000)],
        rows in 1usize..9,
        tabs in any::<bool>(),
    ) {
        let format = if tabs { Format::Tsv { header: false } } else { Format::Csv { header: false } };
        let names = ["a", "b", "c"];
        let schema = texts(&names[..columns]);
        let names: Vec<_> = schema.names().map(str::to_owned).collect();
        let limits = Limits::default();
        let mut reader =
            RecordReader::new(format, &schema, &names, 1, &limits, BadRows::Reject).unwrap();
        let mut input = Few(&bytes, few);
        let mut right = Vec::new();
        let mut wrong = Vec::new();
        while let Some(block) = reader.read_block(&mut input, rows).unwrap() {
            right.extend(cells([&block.table]));
            wrong.extend(block.rejects);
        }
        let delimiter = if tabs { b'\t' } else { b',' };
        let expected = by_csv_crate(&bytes, delimiter);
        let (expected, refused): (Vec<_>, Vec<_>) =
            expected.into_iter().partition(|row| row.len() == columns);
        let right: Vec<Vec<Vec<u8>>> = right
            .into_iter()
            .map(|row| row.into_iter().map(String::into_bytes).collect())
            .collect();
        prop_assert_eq!(right, expected);
        prop_assert_eq!(wrong.len(), refused.len());
        for (wrong, refused) in wrong.iter().zip(&refused) {
            let again = by_csv_crate(&wrong.record, delimiter);
            prop_assert_eq!(&again[..], std::slice::from_ref(refused));
        }
    }

    #[test]
    fn the_pieces_of_a_cut_file_are_the_file(
        bytes in prop_oneof![soup(), well_formed()],
        every in 1u64..40,
        few in 1usize..50,
        start in 1u64..5,
    ) {
        let schema = texts(&["a", "b"]);
        let names: Vec<_> = schema.names().map(str::to_owned).collect();
        let format = Format::Csv { header: false };
        let read = |bytes: &[u8], line: u64| {
            let limits = Limits::default();
            let mut reader =
                RecordReader::new(format, &schema, &names, line, &limits, BadRows::Reject).unwrap();
            let block = reader.read_block(&mut { bytes }, usize::MAX).unwrap();
            block.map_or((Vec::new(), Vec::new()), |block| (cells([&block.table]), block.rejects))
        };
        let offset = 100;
        let mut cutter = Cutter::new(format, offset, start, 0);
        let mut cuts = vec![(0, start)];
        for piece in bytes.chunks(few) {
            cutter.scan(piece, |cut| {
                cuts.push(((cut.offset - offset) as usize, cut.line));
                cut.offset + every
            });
        }
        for pair in cuts.windows(2) {
            prop_assert!(pair[0].0 < pair[1].0);
        }
        let ends = cuts.iter().skip(1).map(|cut| cut.0).chain([bytes.len()]);
        let mut together = (Vec::new(), Vec::new());
        for (&(from, line), end) in cuts.iter().zip(ends) {
            prop_assert!(end <= bytes.len() && (from < end || bytes.is_empty()));
            let (rows, rejects) = read(&bytes[from..end], line);
            together.0.extend(rows);
            together.1.extend(rejects);
        }
        prop_assert_eq!(together, read(&bytes, start));
    }

    #[test]
    fn what_is_written_reads_back_and_does_not_depend_on_blocks(
        cells_in in proptest::collection::vec(
            ("[a,\"\r\n\té ]{0,4}", "[a,\"\r\n\té ]{0,4}", any::<f64>()), 0..20),
        split in 1usize..20,
        tabs in any::<bool>(),
        columns in 1usize..4,
    ) {
        let fields = vec![
            Field::new("a\"", DataType::String),
            Field::new("b,", DataType::String),
            Field::new("c", DataType::Double),
        ];
        let fields = schema(fields);
        let a: Strings = cells_in.iter().map(|cells| &cells.0).collect();
        let b: Strings = cells_in.iter().map(|cells| &cells.1).collect();
        let c: Vec<f64> = cells_in.iter().map(|cells| cells.2).collect();
        let columns_in: Vec<Arc<Column>> =
            vec![Arc::new(a.into()), Arc::new(b.into()), Arc::new(c.into())];
        let table = Table::new(fields, columns_in);
        let table = table.select(&(0..columns).collect::<Vec<_>>());
        let format = if tabs { TSV } else { CSV };
        let file = FileType { format, compression: Compression::None };
        let mut whole = Vec::new();
        TableWriter::new(file, true).write(&table, None, &mut whole).unwrap();
        let mut parts = Vec::new();
        let mut writer = TableWriter::new(file, true);
        writer.write(&table.take(&[]), None, &mut parts).unwrap();
        for from in (0..table.rows()).step_by(split) {
            let rows: Vec<_> = (from..table.rows().min(from + split)).collect();
            writer.write(&table.take(&rows), None, &mut parts).unwrap();
        }
        prop_assert_eq!(&parts, &whole);
        let again = read_table(&mut &whole[..], format, table.schema(), &Limits::default()).unwrap();
        let mut rewritten = Vec::new();
        TableWriter::new(file, true).write(&again, None, &mut rewritten).unwrap();
        prop_assert_eq!(&rewritten, &whole);
        // The csv crate would have written the same.
        if columns == 2 {
            let mut writer = csv::WriterBuilder::new()
                .delimiter(if tabs { b'\t' } else { b',' })
                .from_writer(Vec::new());
            writer.write_record(table.schema().names()).unwrap();
            for cells in &cells_in {
                writer.write_record([&cells.0, &cells.1]).unwrap();
            }
            prop_assert_eq!(&writer.into_inner().unwrap(), &whole);
        }
        // Copied cells read back as the same values.
        let head = head(&whole, format, table.schema());
        let limits = Limits::default();
        let mut reader = RecordReader::new(
            format, table.schema(), &head.names, head.line, &limits, BadRows::Fail).unwrap();
        let mut copied = Vec::new();
        let mut writer = TableWriter::new(file, true);
        writer.write(&table.take(&[]), None, &mut copied).unwrap();
        let mut input = &whole[head.end as usize..];
        while let Some(block) = reader.read_block(&mut input, split).unwrap() {
            writer.write(&block.table, Some(&block.source), &mut copied).unwrap();
        }
        prop_assert_eq!(&copied, &whole);
    }
}
