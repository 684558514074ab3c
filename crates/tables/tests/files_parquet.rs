//! Parquet files, read and written.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression as Codec, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type as types;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use proptest::prelude::*;
use tables::files::{
    BadRows, FileType, Format, ParquetReader, Pieces, ReadAt, RecordReader, TableWriter,
};
use tables::{Bitmap, Column, DataType, Field, Limits, Schema, Strings, Table, Values};

fn schema(fields: Vec<Field>) -> Arc<Schema> {
    Arc::new(Schema::new(fields).unwrap())
}

fn write(tables: &[Table]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = TableWriter::new(FileType::of_name("x.parquet").unwrap(), true);
    for table in tables {
        writer.write(table, None, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    out
}

fn read(
    source: impl ReadAt + 'static,
    schema: &Arc<Schema>,
    rows: usize,
) -> Result<Vec<Table>, String> {
    let limits = Limits::default();
    let told =
        |fault: faults::Fault| format!("{}: {}", fault.name(), fault.details()[0].args.concat());
    let reader = ParquetReader::new(Arc::new(source), schema, &limits, BadRows::Fail);
    let mut reader = reader.map_err(told)?;
    let mut tables = Vec::new();
    while let Some(block) = reader.read_block(rows).map_err(told)? {
        tables.push(block.table);
    }
    Ok(tables)
}

/// A value of each type, and a missing one.
fn of_every_type(rows: usize) -> Table {
    let fields: Vec<_> = DataType::ALL
        .iter()
        .map(|data_type| Field::new(data_type.name(), *data_type).nullable())
        .collect();
    let columns = DataType::ALL.iter().map(|data_type| {
        let number = |row: usize| (row as i64 * 37) % 100;
        let values = match Values::with_capacity(*data_type, 0) {
            Values::Bool(_) => Values::Bool((0..rows).map(|row| row % 3 == 0).collect()),
            Values::I32(_) => Values::I32((0..rows).map(|row| number(row) as i32).collect()),
            Values::I64(_) if *data_type == DataType::Uint32 => Values::I64(
                (0..rows)
                    .map(|row| i64::from(u32::MAX) - number(row))
                    .collect(),
            ),
            Values::I64(_) => Values::I64((0..rows).map(|row| -number(row) * 1_234_567).collect()),
            Values::U64(_) => Values::U64((0..rows).map(|row| u64::MAX - row as u64).collect()),
            Values::F32(_) => Values::F32((0..rows).map(|row| row as f32 / 3.0).collect()),
            Values::F64(_) => Values::F64((0..rows).map(|row| row as f64 / 3.0).collect()),
            Values::Str(_) if *data_type == DataType::Char => Values::Str(
                (0..rows)
                    .map(|row| if row % 5 == 4 { "" } else { "é" })
                    .collect(),
            ),
            Values::Str(_) => Values::Str(
                (0..rows)
                    .map(|row| {
                        if row % 5 == 4 {
                            String::new()
                        } else {
                            format!("t{}", row % 7)
                        }
                    })
                    .collect(),
            ),
        };
        // A missing value's place holds a blank one.
        let present: Bitmap = (0..rows).map(|row| row % 5 != 4).collect();
        let mut column = Column::with_validity(values, present);
        for row in (4..rows).step_by(5) {
            match &mut column.values {
                Values::Bool(v) => v[row] = false,
                Values::I32(v) => v[row] = 0,
                Values::I64(v) => v[row] = 0,
                Values::U64(v) => v[row] = 0,
                Values::F32(v) => v[row] = 0.0,
                Values::F64(v) => v[row] = 0.0,
                Values::Str(_) => {}
            }
        }
        Arc::new(column)
    });
    Table::with_rows(schema(fields), columns.collect(), rows)
}

#[test]
fn every_type_comes_back_and_blocks_do_not_matter() {
    let table = of_every_type(1000);
    let whole = write(std::slice::from_ref(&table));
    let parts: Vec<_> = (0..1000)
        .step_by(100)
        .map(|from| table.take(&(from..1000.min(from + 100)).collect::<Vec<_>>()))
        .collect();
    assert_eq!(write(&parts), whole);
    let again = read(whole.clone(), table.schema(), usize::MAX).unwrap();
    assert_eq!(again, std::slice::from_ref(&table));
    let blocks = read(whole.clone(), table.schema(), 100).unwrap();
    assert_eq!(blocks, parts);
    // Through a stream, and in pieces of files.
    let names: Vec<_> = table.schema().names().map(str::to_owned).collect();
    let limits = Limits::default();
    let reader = RecordReader::new(
        Format::Parquet,
        table.schema(),
        &names,
        1,
        &limits,
        BadRows::Fail,
    );
    let block = reader
        .unwrap()
        .read_block(&mut &whole[..], usize::MAX)
        .unwrap()
        .unwrap();
    assert_eq!(block.table, table);
    let pieces = whole.chunks(whole.len() / 3 + 1).map(|piece| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"not this").unwrap();
        file.write_all(piece).unwrap();
        (file, 8, piece.len() as u64)
    });
    let pieces = Pieces(pieces.collect());
    assert_eq!(
        read(pieces, table.schema(), usize::MAX).unwrap(),
        std::slice::from_ref(&table)
    );
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(&whole).unwrap();
    assert_eq!(read(file, table.schema(), usize::MAX).unwrap(), [table]);
}

#[test]
fn many_rows_come_in_groups_that_do_not_depend_on_blocks() {
    let values: Vec<f64> = (0..300_000).map(f64::from).collect();
    let fields = schema(vec![Field::new("x", DataType::Double)]);
    let table = Table::new(fields, vec![Arc::new(Column::from(values))]);
    let whole = write(std::slice::from_ref(&table));
    let first: Vec<_> = (0..200_001).collect();
    let second: Vec<_> = (200_001..300_000).collect();
    assert_eq!(write(&[table.take(&first), table.take(&second)]), whole);
    let blocks = read(whole, table.schema(), usize::MAX).unwrap();
    let rows: Vec<_> = blocks.iter().map(Table::rows).collect();
    assert_eq!(rows, [131_072, 131_072, 37_856]);
}

#[test]
fn a_file_without_rows_has_its_columns() {
    let table = of_every_type(0);
    assert_eq!(
        read(write(std::slice::from_ref(&table)), table.schema(), 10).unwrap(),
        []
    );
    let other = schema(vec![Field::new("x", DataType::Double)]);
    let fault = read(write(&[table]), &other, 10).unwrap_err();
    assert!(
        fault.starts_with("BadUserArgument.InputMismatchError"),
        "{fault}"
    );
}

/// A file of one column as another program may write it.
fn foreign<T: types::DataType>(
    physical: Physical,
    logical: Option<LogicalType>,
    (length, scale): (i32, i32),
    codec: Codec,
    values: &[T::T],
) -> Vec<u8> {
    let column = Type::primitive_type_builder("x", physical)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(logical)
        .with_length(length)
        .with_precision(if scale > 0 { 9 } else { -1 })
        .with_scale(if scale > 0 { scale } else { -1 })
        .build()
        .unwrap();
    let root = Type::group_type_builder("schema").with_fields(vec![Arc::new(column)]);
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut out = Vec::new();
    let root = Arc::new(root.build().unwrap());
    let mut writer = SerializedFileWriter::new(&mut out, root, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    out
}

fn one(file: Vec<u8>, data_type: DataType) -> Result<Values, String> {
    let tables = read(file, &schema(vec![Field::new("x", data_type)]), usize::MAX)?;
    Ok(tables[0].column(0).values.clone())
}

#[test]
fn what_other_programs_write_is_read_by_its_meaning() {
    let gzip = Codec::GZIP(Default::default());
    let zstd = Codec::ZSTD(Default::default());
    let day = 86_400_000_000i64;
    let date = foreign::<types::Int32Type>(
        Physical::INT32,
        Some(LogicalType::Date),
        (-1, -1),
        gzip,
        &[-1, 2],
    );
    assert_eq!(
        one(date.clone(), DataType::DateTime),
        Ok(Values::I64(vec![-day, 2 * day]))
    );
    assert!(
        one(date, DataType::Int32)
            .unwrap_err()
            .contains("row 1, column \"x\"")
    );
    let nanos = Some(LogicalType::timestamp(true, TimeUnit::NANOS));
    let times = foreign::<types::Int64Type>(Physical::INT64, nanos, (-1, -1), zstd, &[1_500, -1]);
    assert_eq!(
        one(times, DataType::DateTimeOffset),
        Ok(Values::I64(vec![1, -1]))
    );
    let millis = Some(LogicalType::time(false, TimeUnit::MILLIS));
    let spans = foreign::<types::Int32Type>(Physical::INT32, millis, (-1, -1), zstd, &[1_500]);
    assert_eq!(
        one(spans, DataType::Duration),
        Ok(Values::I64(vec![1_500_000]))
    );
    let int96 = types::Int96::from(vec![0, 0, 2_440_589]);
    let old = foreign::<types::Int96Type>(Physical::INT96, None, (-1, -1), zstd, &[int96]);
    assert_eq!(one(old, DataType::DateTime), Ok(Values::I64(vec![day])));
    let decimal = || Some(LogicalType::decimal(2, 9));
    let money = foreign::<types::Int32Type>(Physical::INT32, decimal(), (-1, 2), gzip, &[1234, -5]);
    assert_eq!(
        one(money.clone(), DataType::Double),
        Ok(Values::F64(vec![12.34, -0.05]))
    );
    let texts: Strings = ["12.34", "-0.05"].into_iter().collect();
    assert_eq!(one(money, DataType::String), Ok(Values::Str(texts)));
    let bytes = types::FixedLenByteArray::from(vec![0xff, 0xff, 0xff, 0xfe]);
    let fixed = foreign::<types::FixedLenByteArrayType>(
        Physical::FIXED_LEN_BYTE_ARRAY,
        decimal(),
        (4, 2),
        gzip,
        &[bytes],
    );
    assert_eq!(one(fixed, DataType::Float), Ok(Values::F32(vec![-0.02])));
    let whole = foreign::<types::DoubleType>(Physical::DOUBLE, None, (-1, -1), gzip, &[5.0, -0.0]);
    assert_eq!(
        one(whole.clone(), DataType::Int32),
        Ok(Values::I32(vec![5, 0]))
    );
    let texts: Strings = ["5", "0"].into_iter().collect();
    assert_eq!(one(whole, DataType::String), Ok(Values::Str(texts)));
    let half = foreign::<types::DoubleType>(Physical::DOUBLE, None, (-1, -1), gzip, &[5.0, 0.5]);
    assert_eq!(
        one(half, DataType::Int32).unwrap_err(),
        "BadUserArgument.InputParseError: row 2, column \"x\": \"0.5\" is not an Int32"
    );
    let words: Vec<types::ByteArray> = ["1", " 2.5 "].map(|word| word.into()).to_vec();
    let words = foreign::<types::ByteArrayType>(Physical::BYTE_ARRAY, None, (-1, -1), gzip, &words);
    assert_eq!(
        one(words, DataType::Double),
        Ok(Values::F64(vec![1.0, 2.5]))
    );
    let wide = foreign::<types::Int64Type>(Physical::INT64, None, (-1, -1), gzip, &[1 << 40]);
    assert_eq!(
        one(wide.clone(), DataType::Int32).unwrap_err(),
        "BadUserArgument.InputParseError: row 1, column \"x\": \"1099511627776\" is out of the range of Int32"
    );
    assert_eq!(
        one(wide, DataType::Float),
        Ok(Values::F32(vec![1_099_511_627_776.0]))
    );
    let unsigned = Some(LogicalType::integer(32, false));
    let unsigned = foreign::<types::Int32Type>(Physical::INT32, unsigned, (-1, -1), gzip, &[-1]);
    assert_eq!(
        one(unsigned, DataType::Int64),
        Ok(Values::I64(vec![4_294_967_295]))
    );
    let uuid = types::FixedLenByteArray::from(vec![0; 16]);
    let uuid = foreign::<types::FixedLenByteArrayType>(
        Physical::FIXED_LEN_BYTE_ARRAY,
        Some(LogicalType::Uuid),
        (16, -1),
        gzip,
        &[uuid],
    );
    assert!(
        one(uuid, DataType::String)
            .unwrap_err()
            .contains("has a type that a table cannot hold")
    );
}

#[test]
fn bad_rows_are_set_aside() {
    let texts: Strings = ["1", "x,\"", "3"].into_iter().collect();
    let fields = vec![
        Field::new("a", DataType::Int32),
        Field::new("b", DataType::String),
    ];
    let numbers = Column::from(vec![7, 8, 9]);
    let table = Table::new(
        schema(fields),
        vec![Arc::new(numbers), Arc::new(Column::from(texts))],
    );
    let file = write(&[table]);
    let wanted = schema(vec![
        Field::new("b", DataType::Int32),
        Field::new("a", DataType::Int32),
    ]);
    let limits = Limits::default();
    let mut reader = ParquetReader::new(Arc::new(file), &wanted, &limits, BadRows::Reject).unwrap();
    assert_eq!(reader.rows(), 3);
    let block = reader.read_block(10).unwrap().unwrap();
    assert_eq!(block.table.column(0).values, Values::I32(vec![1, 3]));
    assert_eq!(block.table.column(1).values, Values::I32(vec![7, 9]));
    let [reject] = &block.rejects[..] else {
        panic!("{:?}", block.rejects);
    };
    assert_eq!((reject.line, &reject.record[..]), (2, &b"8,\"x,\"\"\""[..]));
    assert_eq!(reject.reason, "column \"b\": \"x,\"\" is not an Int32");
}

#[test]
fn what_is_no_parquet_file_is_refused() {
    let table = of_every_type(50);
    let file = write(std::slice::from_ref(&table));
    for file in [
        Vec::new(),
        b"a,b\n1,2\n".to_vec(),
        file[..file.len() - 9].to_vec(),
    ] {
        let fault = read(file, table.schema(), 10).unwrap_err();
        assert!(
            fault.starts_with("BadUserArgument.InputParseError: the Parquet file is broken ("),
            "{fault}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn broken_files_do_no_harm(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let table = of_every_type(40);
        let mut file = write(std::slice::from_ref(&table));
        for (index, byte) in changes {
            let at = index.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(tables) = read(file, table.schema(), 16) {
            prop_assert!(tables.iter().map(Table::rows).sum::<usize>() < 1_000_000);
        }
    }
}
