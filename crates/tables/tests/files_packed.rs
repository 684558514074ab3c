//! Packed files, both ways.

use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use tables::files::{
    Compression, FileType, TableWriter, UnpackLimits, Unpacker, read_table, unreadable,
};
use tables::{Column, DataType, Field, Limits, Schema, Strings, Table};

fn table(rows: usize) -> Table {
    let schema = Schema::new(vec![
        Field::new("x", DataType::Double),
        Field::new("s", DataType::String),
    ]);
    let numbers: Vec<f64> = (0..rows).map(|row| (row as f64).sqrt()).collect();
    let texts: Strings = (0..rows).map(|row| format!("text {}", row % 13)).collect();
    let columns = vec![
        Arc::new(Column::from(numbers)),
        Arc::new(Column::from(texts)),
    ];
    Table::new(Arc::new(schema.unwrap()), columns)
}

fn unpack(bytes: &[u8], compression: Compression, limits: UnpackLimits) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut unpacker = Unpacker::new(bytes, compression, limits).unwrap();
    match unpacker.read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(error) => {
            let fault = unreadable(&error);
            assert_eq!(fault.name(), "BadUserArgument.InputParseError");
            Err(fault.details()[0].args[0].clone())
        }
    }
}

fn packed(table: &Table, file: FileType, split: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = TableWriter::new(file, true);
    for from in (0..table.rows()).step_by(split) {
        let rows: Vec<_> = (from..table.rows().min(from + split)).collect();
        writer.write(&table.take(&rows), None, &mut out).unwrap();
    }
    writer.finish(&mut out).unwrap();
    out
}

#[test]
fn what_is_packed_unpacks_and_does_not_depend_on_blocks() {
    let table = table(30_000);
    let plain = packed(&table, FileType::of_name("a.csv").unwrap(), 999);
    for name in ["a.csv.gz", "a.csv.zst"] {
        let file = FileType::of_name(name).unwrap();
        let whole = packed(&table, file, usize::MAX);
        assert!(whole.len() < plain.len() / 2);
        assert_eq!(packed(&table, file, 7), whole);
        let limits = UnpackLimits::default();
        assert_eq!(unpack(&whole, file.compression, limits).unwrap(), plain);
        let mut input = Unpacker::new(&whole[..], file.compression, limits).unwrap();
        let schema = table.schema();
        let again = read_table(&mut input, file.format, schema, &Limits::default()).unwrap();
        assert_eq!(again, table);
    }
}

#[test]
fn parts_of_a_packed_file_make_one() {
    let table = table(100);
    for name in ["a.tsv.gz", "a.nh.csv.zst", "a.arff.gz"] {
        let file = FileType::of_name(name).unwrap();
        let mut parts = Vec::new();
        for (head, rows) in [(true, 0..40), (false, 40..40), (false, 40..100)] {
            let mut writer = TableWriter::new(file, head);
            let rows: Vec<_> = rows.collect();
            writer.write(&table.take(&rows), None, &mut parts).unwrap();
            writer.finish(&mut parts).unwrap();
        }
        let mut input =
            Unpacker::new(&parts[..], file.compression, UnpackLimits::default()).unwrap();
        let schema = table.schema();
        let again = read_table(&mut input, file.format, schema, &Limits::default()).unwrap();
        assert_eq!(again, table);
    }
}

#[test]
fn every_format_is_written_and_read_in_every_packing() {
    let table = table(1000);
    for ending in [".csv", ".tsv", ".nh.csv", ".nh.tsv", ".arff", ".parquet"] {
        for packing in ["", ".gz", ".zst"] {
            let name = format!("a{ending}{packing}");
            let file = FileType::of_name(&name).unwrap();
            let bytes = packed(&table, file, 77);
            let unpacked = Unpacker::new(&bytes[..], file.compression, UnpackLimits::default());
            let schema = table.schema();
            let again = read_table(
                &mut unpacked.unwrap(),
                file.format,
                schema,
                &Limits::default(),
            );
            assert_eq!(again.unwrap(), table, "{name}");
        }
    }
}

#[test]
fn broken_and_endless_content_is_refused() {
    let table = table(3000);
    for (name, form) in [("a.csv.gz", "gzip"), ("a.csv.zst", "Zstandard")] {
        let file = FileType::of_name(name).unwrap();
        let good = packed(&table, file, usize::MAX);
        let limits = UnpackLimits::default();
        let read = |bytes: &[u8]| unpack(bytes, file.compression, limits);
        let early = read(&good[..good.len() / 2]).unwrap_err();
        assert_eq!(early, format!("the {form} file ends too early"));
        let mut broken = good.clone();
        let middle = broken.len() / 2;
        broken[middle] ^= 0xff;
        let broken = read(&broken).unwrap_err();
        assert!(
            broken.starts_with(&format!("the {form} file is broken (")),
            "{broken}"
        );
        let broken = read(b"x,y\n1,2\n and a little more").unwrap_err();
        assert!(
            broken.starts_with(&format!("the {form} file is broken (")),
            "{broken}"
        );
        let few = UnpackLimits {
            bytes: 1000,
            ratio: 1000,
        };
        let refused = unpack(&good, file.compression, few).unwrap_err();
        assert_eq!(
            refused,
            format!("the {form} file unpacks to more than 1000 bytes")
        );
    }
}

#[test]
fn a_file_that_unpacks_to_far_more_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..80 {
        encoder.write_all(&[b'0'; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let refused = unpack(&bomb, Compression::Zstd, UnpackLimits::default()).unwrap_err();
    assert_eq!(
        refused,
        "the Zstandard file unpacks to more than 1000 times its size"
    );
}

#[test]
fn an_error_of_the_input_itself_is_no_fault_of_the_file() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let good = packed(
        &table(3000),
        FileType::of_name("a.csv.gz").unwrap(),
        usize::MAX,
    );
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let input = match compression {
            Compression::Gzip => &good[..good.len() / 2],
            _ => &[],
        };
        let input = Cursor::new(input).chain(Failing);
        let mut unpacker = Unpacker::new(input, compression, UnpackLimits::default()).unwrap();
        let error = std::io::copy(&mut unpacker, &mut std::io::sink()).unwrap_err();
        let fault = unreadable(&error);
        assert_eq!(fault.name(), "InternalError", "{compression:?}");
        assert_eq!(fault.cause(), Some("the disk is gone"));
    }
}
