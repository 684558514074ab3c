//! What a file's name says about its content.

/// How a file holds a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Comma-separated values (RFC 4180).
    Csv {
        /// Whether the first record names the columns; else they are the schema's, in its order.
        header: bool,
    },
    /// Tab-separated values, with quotes as in CSV.
    Tsv {
        /// Whether the first record names the columns; else they are the schema's, in its order.
        header: bool,
    },
    /// Weka's attribute-relation files, whose head names and types the columns.
    Arff,
    /// Apache Parquet, which is not text.
    Parquet,
}

impl Format {
    /// The byte between two cells.
    pub(crate) fn delimiter(self) -> u8 {
        match self {
            Format::Csv { .. } | Format::Arff | Format::Parquet => b',',
            Format::Tsv { .. } => b'\t',
        }
    }

    /// Whether the first record names the columns.
    pub(crate) fn has_header(self) -> bool {
        match self {
            Format::Csv { header } | Format::Tsv { header } => header,
            Format::Arff | Format::Parquet => true,
        }
    }

    /// Whether a part of a file that begins and ends where records do can be read by itself, so
    /// that many can be read at once ([`crate::files::Cutter`] finds such places).
    pub fn can_be_cut(self) -> bool {
        match self {
            Format::Csv { .. } | Format::Tsv { .. } => true,
            Format::Arff | Format::Parquet => false,
        }
    }
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one member after another.
    Gzip,
    /// Zstandard, one frame after another.
    Zstd,
}

/// What a file is, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType {
    /// How it holds a table.
    pub format: Format,
    /// How it is packed.
    pub compression: Compression,
}

macro_rules! endings {
    ($($ending:literal => $format:expr),+ $(,)?) => {
        /// By ending, plain and packed in either way; the longer of two that fit first.
        const ENDINGS: &[(Format, [&str; 3])] = &[
            $(($format, [$ending, concat!($ending, ".gz"), concat!($ending, ".zst")])),+
        ];
    };
}

endings! {
    ".nh.csv" => Format::Csv { header: false },
    ".nh.tsv" => Format::Tsv { header: false },
    ".csv" => Format::Csv { header: true },
    ".tsv" => Format::Tsv { header: true },
    ".arff" => Format::Arff,
    ".parquet" => Format::Parquet,
}

/// In the order of the endings above.
const COMPRESSIONS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Zstd];

impl FileType {
    /// The type of the file of that name or path, by its ending in any case.
    pub fn of_name(name: &str) -> Option<FileType> {
        ENDINGS.iter().find_map(|(format, endings)| {
            let mut endings = endings.iter().zip(COMPRESSIONS);
            let (_, compression) = endings.find(|(ending, _)| ends_with(name, ending))?;
            Some(FileType {
                format: *format,
                compression,
            })
        })
    }

    /// The ending of such files' names, with its dot.
    pub fn extension(&self) -> &'static str {
        let found = ENDINGS.iter().find(|(format, _)| *format == self.format);
        let found = found.and_then(|(_, endings)| {
            let mut endings = endings.iter().zip(COMPRESSIONS);
            endings.find(|(_, compression)| *compression == self.compression)
        });
        found.map_or("", |(ending, _)| ending)
    }

    /// The media type.
    pub fn content_type(&self) -> &'static str {
        match (self.compression, self.format) {
            (Compression::Gzip, _) => "application/gzip",
            (Compression::Zstd, _) => "application/zstd",
            (Compression::None, Format::Csv { .. }) => "text/csv; charset=utf-8",
            (Compression::None, Format::Tsv { .. }) => "text/tab-separated-values; charset=utf-8",
            (Compression::None, Format::Arff) => "text/x-arff; charset=utf-8",
            (Compression::None, Format::Parquet) => "application/vnd.apache.parquet",
        }
    }

    /// Whether parts of a file can be read each by itself: the format allows it and nothing has to
    /// be unpacked before.
    pub fn can_be_cut(&self) -> bool {
        self.compression == Compression::None && self.format.can_be_cut()
    }
}

fn ends_with(name: &str, ending: &str) -> bool {
    let start = name.len().checked_sub(ending.len());
    let end = start.and_then(|start| name.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
}
