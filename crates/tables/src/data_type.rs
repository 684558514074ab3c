//! The types a column can have.

/// The type of a column, as the web service definition declares it (`type` and `format` of a
/// column specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// `true` or `false`.
    Boolean,
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 8-bit unsigned integer (`Byte` is another name of it in definitions).
    Uint8,
    /// 16-bit unsigned integer.
    Uint16,
    /// 32-bit unsigned integer.
    Uint32,
    /// 64-bit unsigned integer.
    Uint64,
    /// IEEE 754 binary32.
    Float,
    /// IEEE 754 binary64.
    Double,
    /// Text.
    String,
    /// One Unicode scalar value.
    Char,
    /// A point in time without a zone; taken as UTC.
    DateTime,
    /// A point in time with an offset; kept in UTC.
    DateTimeOffset,
    /// A length of time.
    Duration,
}

impl DataType {
    /// All types, in the order of the enumeration.
    pub const ALL: [DataType; 16] = [
        DataType::Boolean,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Uint8,
        DataType::Uint16,
        DataType::Uint32,
        DataType::Uint64,
        DataType::Float,
        DataType::Double,
        DataType::String,
        DataType::Char,
        DataType::DateTime,
        DataType::DateTimeOffset,
        DataType::Duration,
    ];

    /// The type that a definition's `type` and `format` name, in any case; `None` where it is not
    /// supported (`Complex64` and `Complex128` are not) or where the two do not go together.
    ///
    /// An empty format means `Int32`, `Double`, `String` or `Boolean` (real definitions have `""`
    /// for strings). `Byte` is `Uint8`; `time-span` is what older clients publish for `Duration`.
    pub fn from_spec(type_: &str, format: &str) -> Option<DataType> {
        let is = |word: &str| format.eq_ignore_ascii_case(word);
        if type_.eq_ignore_ascii_case("integer") {
            const INTEGERS: [(&str, DataType); 10] = [
                ("", DataType::Int32),
                ("int32", DataType::Int32),
                ("int64", DataType::Int64),
                ("int16", DataType::Int16),
                ("int8", DataType::Int8),
                ("byte", DataType::Uint8),
                ("uint8", DataType::Uint8),
                ("uint16", DataType::Uint16),
                ("uint32", DataType::Uint32),
                ("uint64", DataType::Uint64),
            ];
            let found = INTEGERS.iter().find(|(word, _)| is(word));
            found.map(|&(_, data_type)| data_type)
        } else if type_.eq_ignore_ascii_case("number") {
            match () {
                () if is("") || is("double") => Some(DataType::Double),
                () if is("float") => Some(DataType::Float),
                // JSON Schema allows an integer format on a number.
                () => DataType::from_spec("integer", format),
            }
        } else if type_.eq_ignore_ascii_case("string") {
            match () {
                () if is("") || is("string") => Some(DataType::String),
                () if is("char") => Some(DataType::Char),
                () if is("date-time") => Some(DataType::DateTime),
                () if is("date-timeoffset") => Some(DataType::DateTimeOffset),
                () if is("duration") || is("time-span") => Some(DataType::Duration),
                () => None,
            }
        } else if type_.eq_ignore_ascii_case("boolean") {
            (is("") || is("boolean")).then_some(DataType::Boolean)
        } else {
            None
        }
    }

    /// `type` and `format` as a Swagger document writes them: `("integer", Some("int32"))`.
    pub fn spec(self) -> (&'static str, Option<&'static str>) {
        match self {
            DataType::Boolean => ("boolean", None),
            DataType::Int8 => ("integer", Some("int8")),
            DataType::Int16 => ("integer", Some("int16")),
            DataType::Int32 => ("integer", Some("int32")),
            DataType::Int64 => ("integer", Some("int64")),
            DataType::Uint8 => ("integer", Some("uint8")),
            DataType::Uint16 => ("integer", Some("uint16")),
            DataType::Uint32 => ("integer", Some("uint32")),
            DataType::Uint64 => ("integer", Some("uint64")),
            DataType::Float => ("number", Some("float")),
            DataType::Double => ("number", Some("double")),
            DataType::String => ("string", None),
            DataType::Char => ("string", Some("char")),
            DataType::DateTime => ("string", Some("date-time")),
            DataType::DateTimeOffset => ("string", Some("date-timeoffset")),
            DataType::Duration => ("string", Some("duration")),
        }
    }

    /// The name in a reply's `ColumnTypes`: the .NET type's, as the classic service sent it
    /// (`Int32`, `Double`, `String`, `DateTime` are seen on the wire; the others follow them).
    pub fn wire_name(self) -> &'static str {
        match self {
            DataType::Boolean => "Boolean",
            DataType::Int8 => "SByte",
            DataType::Int16 => "Int16",
            DataType::Int32 => "Int32",
            DataType::Int64 => "Int64",
            DataType::Uint8 => "Byte",
            DataType::Uint16 => "UInt16",
            DataType::Uint32 => "UInt32",
            DataType::Uint64 => "UInt64",
            DataType::Float => "Single",
            DataType::Double => "Double",
            DataType::String => "String",
            DataType::Char => "Char",
            DataType::DateTime => "DateTime",
            DataType::DateTimeOffset => "DateTimeOffset",
            DataType::Duration => "TimeSpan",
        }
    }

    /// The name in a definition, which messages use too: `Int32`, `Uint8`, `Float`, `Duration`.
    pub fn name(self) -> &'static str {
        match self {
            DataType::Boolean => "Boolean",
            DataType::Int8 => "Int8",
            DataType::Int16 => "Int16",
            DataType::Int32 => "Int32",
            DataType::Int64 => "Int64",
            DataType::Uint8 => "Uint8",
            DataType::Uint16 => "Uint16",
            DataType::Uint32 => "Uint32",
            DataType::Uint64 => "Uint64",
            DataType::Float => "Float",
            DataType::Double => "Double",
            DataType::String => "String",
            DataType::Char => "Char",
            DataType::DateTime => "DateTime",
            DataType::DateTimeOffset => "DateTimeOffset",
            DataType::Duration => "Duration",
        }
    }

    /// The name with its article, for sentences: `an Int32`, `a Double`.
    pub fn name_with_article(self) -> &'static str {
        match self {
            DataType::Boolean => "a Boolean",
            DataType::Int8 => "an Int8",
            DataType::Int16 => "an Int16",
            DataType::Int32 => "an Int32",
            DataType::Int64 => "an Int64",
            DataType::Uint8 => "a Uint8",
            DataType::Uint16 => "a Uint16",
            DataType::Uint32 => "a Uint32",
            DataType::Uint64 => "a Uint64",
            DataType::Float => "a Float",
            DataType::Double => "a Double",
            DataType::String => "a String",
            DataType::Char => "a Char",
            DataType::DateTime => "a DateTime",
            DataType::DateTimeOffset => "a DateTimeOffset",
            DataType::Duration => "a Duration",
        }
    }

    /// Whether values are whole numbers.
    pub fn is_integer(self) -> bool {
        self.integer_bounds().is_some()
    }

    /// Whether values are numbers: whole, `Float` or `Double`.
    pub fn is_numeric(self) -> bool {
        self.is_integer() || matches!(self, DataType::Float | DataType::Double)
    }

    /// Whether values are kept as text (`String` and `Char`); in such columns `""` is a value and
    /// not a missing one.
    pub fn is_text(self) -> bool {
        matches!(self, DataType::String | DataType::Char)
    }

    /// The least and the greatest value of an integer type.
    pub fn integer_bounds(self) -> Option<(i128, i128)> {
        Some(match self {
            DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => (i64::MIN.into(), i64::MAX.into()),
            DataType::Uint8 => (0, u8::MAX.into()),
            DataType::Uint16 => (0, u16::MAX.into()),
            DataType::Uint32 => (0, u32::MAX.into()),
            DataType::Uint64 => (0, u64::MAX.into()),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::DataType;

    #[test]
    fn a_definition_names_types_in_any_case() {
        for (type_, format, expected) in [
            ("Integer", "Int32", Some(DataType::Int32)),
            ("integer", "", Some(DataType::Int32)),
            ("INTEGER", "BYTE", Some(DataType::Uint8)),
            ("Integer", "Uint64", Some(DataType::Uint64)),
            ("Number", "", Some(DataType::Double)),
            ("number", "float", Some(DataType::Float)),
            ("number", "int16", Some(DataType::Int16)),
            ("String", "", Some(DataType::String)),
            ("string", "string", Some(DataType::String)),
            ("string", "Date-time", Some(DataType::DateTime)),
            ("String", "Date-timeOffset", Some(DataType::DateTimeOffset)),
            ("String", "time-span", Some(DataType::Duration)),
            ("String", "Char", Some(DataType::Char)),
            ("Boolean", "", Some(DataType::Boolean)),
            ("Number", "Complex64", None),
            ("String", "Complex128", None),
            ("String", "Double", None),
            ("Object", "", None),
            ("", "", None),
        ] {
            assert_eq!(
                DataType::from_spec(type_, format),
                expected,
                "{type_}/{format}"
            );
        }
    }

    #[test]
    fn spec_names_lead_back_to_the_type() {
        for data_type in DataType::ALL {
            let (type_, format) = data_type.spec();
            let back = DataType::from_spec(type_, format.unwrap_or_default());
            assert_eq!(back, Some(data_type));
        }
    }

    #[test]
    fn names_are_those_of_the_wire_and_of_definitions() {
        assert_eq!(DataType::Uint8.wire_name(), "Byte");
        assert_eq!(DataType::Duration.wire_name(), "TimeSpan");
        assert_eq!(DataType::Duration.name(), "Duration");
        for data_type in DataType::ALL {
            let sentence = data_type.name_with_article();
            assert_eq!(sentence.split(' ').nth(1), Some(data_type.name()));
        }
    }
}
