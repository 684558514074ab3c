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
}

impl Format {
    /// The byte between two cells.
    pub(crate) fn delimiter(self) -> u8 {
        match self {
            Format::Csv { .. } => b',',
            Format::Tsv { .. } => b'\t',
        }
    }

    /// Whether the first record names the columns.
    pub(crate) fn has_header(self) -> bool {
        match self {
            Format::Csv { header } | Format::Tsv { header } => header,
        }
    }

    /// Whether a part of a file that begins and ends where records do can be read by itself, so
    /// that many can be read at once ([`crate::files::Cutter`] finds such places).
    pub fn can_be_cut(self) -> bool {
        match self {
            Format::Csv { .. } | Format::Tsv { .. } => true,
        }
    }
}

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
}

/// What a file is, by the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType {
    /// How it holds a table.
    pub format: Format,
    /// How it is packed.
    pub compression: Compression,
}

/// By ending, the longer of two that fit first.
const ENDINGS: [(&str, Format); 4] = [
    (".nh.csv", Format::Csv { header: false }),
    (".nh.tsv", Format::Tsv { header: false }),
    (".csv", Format::Csv { header: true }),
    (".tsv", Format::Tsv { header: true }),
];

impl FileType {
    /// The type of the file of that name or path, by its ending in any case.
    pub fn of_name(name: &str) -> Option<FileType> {
        let (format, _) = ENDINGS
            .iter()
            .map(|(ending, format)| (*format, *ending))
            .find(|(_, ending)| ends_with(name, ending))?;
        Some(FileType {
            format,
            compression: Compression::None,
        })
    }

    /// The ending of such files' names, with its dot.
    pub fn extension(&self) -> &'static str {
        let found = ENDINGS.iter().find(|(_, format)| *format == self.format);
        found.map_or("", |(ending, _)| ending)
    }

    /// The media type.
    pub fn content_type(&self) -> &'static str {
        match self.format {
            Format::Csv { .. } => "text/csv; charset=utf-8",
            Format::Tsv { .. } => "text/tab-separated-values; charset=utf-8",
        }
    }
}

fn ends_with(name: &str, ending: &str) -> bool {
    let start = name.len().checked_sub(ending.len());
    let end = start.and_then(|start| name.get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
}
