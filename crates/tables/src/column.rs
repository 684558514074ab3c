//! Columns: values of one type, laid out as Arrow arrays are.

use crate::data_type::DataType;

/// Which values of a column are present: one bit a value, least significant bit first; 1 means
/// present.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    bytes: Vec<u8>,
    len: usize,
}

impl Bitmap {
    /// A bitmap of `len` bits, all of that value.
    pub fn filled(len: usize, value: bool) -> Bitmap {
        let mut bytes = vec![if value { 0xff } else { 0 }; len.div_ceil(8)];
        if value && !len.is_multiple_of(8) {
            // Bits past the end stay 0, so that equal bitmaps have equal bytes.
            bytes[len / 8] = (1 << (len % 8)) - 1;
        }
        Bitmap { bytes, len }
    }

    /// Appends one bit.
    pub fn push(&mut self, value: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if value {
            self.bytes[self.len / 8] |= 1 << (self.len % 8);
        }
        self.len += 1;
    }

    /// The bit at `i`, which is below [`Bitmap::len`].
    pub fn get(&self, i: usize) -> bool {
        assert!(i < self.len);
        self.bytes[i / 8] & (1 << (i % 8)) != 0
    }

    /// Sets the bit at `i`, which is below [`Bitmap::len`].
    pub fn set(&mut self, i: usize, value: bool) {
        assert!(i < self.len);
        if value {
            self.bytes[i / 8] |= 1 << (i % 8);
        } else {
            self.bytes[i / 8] &= !(1 << (i % 8));
        }
    }

    /// Forgets the bits from the `len`th on.
    pub fn truncate(&mut self, len: usize) {
        if len >= self.len {
            return;
        }
        self.bytes.truncate(len.div_ceil(8));
        if !len.is_multiple_of(8) {
            self.bytes[len / 8] &= (1 << (len % 8)) - 1;
        }
        self.len = len;
    }

    /// The number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bits are 1.
    pub fn count_ones(&self) -> usize {
        let ones = self.bytes.iter().map(|byte| byte.count_ones() as usize);
        ones.sum()
    }

    /// The bits as Arrow lays them out; bits past the end are 0.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl FromIterator<bool> for Bitmap {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Bitmap {
        let mut bitmap = Bitmap::default();
        for bit in bits {
            bitmap.push(bit);
        }
        bitmap
    }
}

/// Texts in one arena: `len + 1` offsets into it, as Arrow's `Utf8` arrays have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strings {
    offsets: Vec<i32>,
    text: String,
}

impl Strings {
    /// The most bytes that all texts together may have.
    pub const MAX_BYTES: usize = i32::MAX as usize;

    /// No texts.
    pub fn new() -> Strings {
        Strings::with_capacity(0, 0)
    }

    /// No texts, with room for `len` of them and `bytes` bytes together.
    pub fn with_capacity(len: usize, bytes: usize) -> Strings {
        let mut offsets = Vec::with_capacity(len + 1);
        offsets.push(0);
        Strings {
            offsets,
            text: String::with_capacity(bytes),
        }
    }

    /// Appends a text.
    ///
    /// # Panics
    ///
    /// Where all texts together pass [`Strings::MAX_BYTES`]. Whoever takes text from outside
    /// asks [`Strings::fits`] first.
    #[inline]
    pub fn push(&mut self, text: &str) {
        assert!(self.fits(text.len()), "a column of texts passes 2 GiB");
        self.text.push_str(text);
        self.offsets.push(self.text.len() as i32);
    }

    /// Forgets the texts from the `len`th on.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.text.truncate(self.offsets[len] as usize);
            self.offsets.truncate(len + 1);
        }
    }

    /// Whether so many more bytes fit.
    #[inline]
    pub fn fits(&self, bytes: usize) -> bool {
        bytes <= Strings::MAX_BYTES - self.text.len()
    }

    /// The text at `i`, which is below [`Strings::len`].
    #[inline]
    pub fn get(&self, i: usize) -> &str {
        &self.text[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// The offsets, one more than there are texts; the first is 0.
    pub fn offsets(&self) -> &[i32] {
        &self.offsets
    }

    /// All texts one after another.
    pub fn arena(&self) -> &str {
        &self.text
    }
}

impl Default for Strings {
    fn default() -> Strings {
        Strings::new()
    }
}

impl<S: AsRef<str>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(texts: I) -> Strings {
        let texts = texts.into_iter();
        let mut strings = Strings::with_capacity(texts.size_hint().0, 0);
        for text in texts {
            strings.push(text.as_ref());
        }
        strings
    }
}

/// The values of a column. Where a value is missing its place holds `false`, 0 or `""`.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// `Boolean`.
    Bool(Vec<bool>),
    /// `Int8`, `Int16`, `Int32`, `Uint8`, `Uint16`.
    I32(Vec<i32>),
    /// `Int64`, `Uint32`; `DateTime` and `DateTimeOffset` as microseconds since 1970-01-01 UTC;
    /// `Duration` as microseconds.
    I64(Vec<i64>),
    /// `Uint64`.
    U64(Vec<u64>),
    /// `Float`.
    F32(Vec<f32>),
    /// `Double`.
    F64(Vec<f64>),
    /// `String`, `Char`.
    Str(Strings),
}

impl Values {
    /// No values, in the layout of that type, with room for `capacity`.
    pub fn with_capacity(data_type: DataType, capacity: usize) -> Values {
        match data_type {
            DataType::Boolean => Values::Bool(Vec::with_capacity(capacity)),
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Uint8
            | DataType::Uint16 => Values::I32(Vec::with_capacity(capacity)),
            DataType::Int64
            | DataType::Uint32
            | DataType::DateTime
            | DataType::DateTimeOffset
            | DataType::Duration => Values::I64(Vec::with_capacity(capacity)),
            DataType::Uint64 => Values::U64(Vec::with_capacity(capacity)),
            DataType::Float => Values::F32(Vec::with_capacity(capacity)),
            DataType::Double => Values::F64(Vec::with_capacity(capacity)),
            DataType::String | DataType::Char => Values::Str(Strings::with_capacity(capacity, 0)),
        }
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Values::Bool(v) => v.len(),
            Values::I32(v) => v.len(),
            Values::I64(v) => v.len(),
            Values::U64(v) => v.len(),
            Values::F32(v) => v.len(),
            Values::F64(v) => v.len(),
            Values::Str(v) => v.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is the layout of that type's values.
    pub fn holds(&self, data_type: DataType) -> bool {
        use DataType as T;
        match self {
            Values::Bool(_) => data_type == T::Boolean,
            Values::I32(_) => {
                matches!(
                    data_type,
                    T::Int8 | T::Int16 | T::Int32 | T::Uint8 | T::Uint16
                )
            }
            Values::I64(_) => matches!(
                data_type,
                T::Int64 | T::Uint32 | T::DateTime | T::DateTimeOffset | T::Duration
            ),
            Values::U64(_) => data_type == T::Uint64,
            Values::F32(_) => data_type == T::Float,
            Values::F64(_) => data_type == T::Double,
            Values::Str(_) => data_type.is_text(),
        }
    }

    /// Appends the value that stands in a missing value's place.
    pub fn push_blank(&mut self) {
        match self {
            Values::Bool(v) => v.push(false),
            Values::I32(v) => v.push(0),
            Values::I64(v) => v.push(0),
            Values::U64(v) => v.push(0),
            Values::F32(v) => v.push(0.0),
            Values::F64(v) => v.push(0.0),
            Values::Str(v) => v.push(""),
        }
    }

    /// Forgets the values from the `len`th on.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Values::Bool(v) => v.truncate(len),
            Values::I32(v) => v.truncate(len),
            Values::I64(v) => v.truncate(len),
            Values::U64(v) => v.truncate(len),
            Values::F32(v) => v.truncate(len),
            Values::F64(v) => v.truncate(len),
            Values::Str(v) => v.truncate(len),
        }
    }

    /// The values at these positions, in that order.
    pub fn take(&self, rows: &[usize]) -> Values {
        fn pick<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter().map(|&row| values[row]).collect()
        }
        match self {
            Values::Bool(v) => Values::Bool(pick(v, rows)),
            Values::I32(v) => Values::I32(pick(v, rows)),
            Values::I64(v) => Values::I64(pick(v, rows)),
            Values::U64(v) => Values::U64(pick(v, rows)),
            Values::F32(v) => Values::F32(pick(v, rows)),
            Values::F64(v) => Values::F64(pick(v, rows)),
            Values::Str(v) => Values::Str(rows.iter().map(|&row| v.get(row)).collect()),
        }
    }
}

/// One column: values and which of them are present.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The values.
    pub values: Values,
    /// Which are present; `None` means all. As long as `values` where it is there.
    pub validity: Option<Bitmap>,
}

impl Column {
    /// A column without missing values.
    pub fn new(values: Values) -> Column {
        Column {
            values,
            validity: None,
        }
    }

    /// A column with missing values.
    ///
    /// # Panics
    ///
    /// Where the two differ in length.
    pub fn with_validity(values: Values, validity: Bitmap) -> Column {
        assert_eq!(values.len(), validity.len());
        Column {
            values,
            validity: Some(validity),
        }
    }

    /// A column of `len` missing values.
    pub fn missing(data_type: DataType, len: usize) -> Column {
        let mut values = Values::with_capacity(data_type, len);
        for _ in 0..len {
            values.push_blank();
        }
        Column::with_validity(values, Bitmap::filled(len, false))
    }

    /// The number of values, missing ones included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether the value at `row` is missing.
    #[inline]
    pub fn is_missing(&self, row: usize) -> bool {
        match &self.validity {
            None => false,
            Some(validity) => !validity.get(row),
        }
    }

    /// How many values are missing.
    pub fn missing_count(&self) -> usize {
        match &self.validity {
            None => 0,
            Some(validity) => validity.len() - validity.count_ones(),
        }
    }

    /// The value at `row` as a number: whole numbers and floats as they are, booleans as 0 and 1;
    /// `None` for missing values and for texts.
    pub fn number(&self, row: usize) -> Option<f64> {
        if self.is_missing(row) {
            return None;
        }
        match &self.values {
            Values::Bool(v) => Some(f64::from(u8::from(v[row]))),
            Values::I32(v) => Some(f64::from(v[row])),
            Values::I64(v) => Some(v[row] as f64),
            Values::U64(v) => Some(v[row] as f64),
            Values::F32(v) => Some(f64::from(v[row])),
            Values::F64(v) => Some(v[row]),
            Values::Str(_) => None,
        }
    }

    /// The rows at these positions, in that order.
    pub fn take(&self, rows: &[usize]) -> Column {
        let picked = |bits: &Bitmap| rows.iter().map(|&row| bits.get(row)).collect::<Bitmap>();
        Column {
            values: self.values.take(rows),
            validity: self.validity.as_ref().map(picked),
        }
    }

    /// Adds the values of a column of the same type behind these; `false`, and nothing is added,
    /// where the layouts differ or the texts do not fit into one column.
    #[must_use]
    pub fn append(&mut self, other: &Column) -> bool {
        let before = self.len();
        match (&mut self.values, &other.values) {
            (Values::Bool(to), Values::Bool(from)) => to.extend_from_slice(from),
            (Values::I32(to), Values::I32(from)) => to.extend_from_slice(from),
            (Values::I64(to), Values::I64(from)) => to.extend_from_slice(from),
            (Values::U64(to), Values::U64(from)) => to.extend_from_slice(from),
            (Values::F32(to), Values::F32(from)) => to.extend_from_slice(from),
            (Values::F64(to), Values::F64(from)) => to.extend_from_slice(from),
            (Values::Str(to), Values::Str(from)) if to.fits(from.arena().len()) => {
                from.iter().for_each(|text| to.push(text));
            }
            _ => return false,
        }
        if self.validity.is_some() || other.validity.is_some() {
            let all = |len| Bitmap::filled(len, true);
            let present = self.validity.get_or_insert_with(|| all(before));
            for row in 0..other.len() {
                present.push(!other.is_missing(row));
            }
        }
        true
    }
}

macro_rules! column_from {
    ($($variant:ident($type:ty)),+) => { $(
        impl From<$type> for Column {
            fn from(values: $type) -> Column {
                Column::new(Values::$variant(values))
            }
        }
    )+ };
}

column_from!(
    Bool(Vec<bool>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Str(Strings)
);

#[cfg(test)]
mod tests {
    use super::{Bitmap, Column, Strings, Values};
    use crate::data_type::DataType;

    #[test]
    fn a_bitmap_is_least_significant_bit_first() {
        let bits: Bitmap = [true, false, true, true, false, false, false, false, true]
            .into_iter()
            .collect();
        assert_eq!(bits.as_bytes(), [0b0000_1101, 1]);
        assert_eq!((bits.len(), bits.count_ones()), (9, 4));
        assert!(bits.get(8) && !bits.get(1));
        let mut filled = Bitmap::filled(9, true);
        assert_eq!(filled.as_bytes(), [0xff, 1]);
        filled.set(8, false);
        filled.push(true);
        assert_eq!(filled.as_bytes(), [0xff, 0b10]);
        assert_eq!(Bitmap::filled(16, true).count_ones(), 16);
        filled.truncate(11);
        assert_eq!(filled.len(), 10);
        filled.truncate(7);
        assert_eq!(filled, Bitmap::filled(7, true));
        filled.truncate(0);
        assert_eq!(filled, Bitmap::default());
    }

    #[test]
    fn strings_share_one_arena() {
        let strings: Strings = ["a", "", "ü€"].into_iter().collect();
        assert_eq!(strings.len(), 3);
        assert_eq!(strings.offsets(), [0, 1, 1, 6]);
        assert_eq!(strings.arena(), "aü€");
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["a", "", "ü€"]);
        assert!(!strings.fits(usize::MAX));
        assert!(strings.fits(Strings::MAX_BYTES - 6));
        assert!(!strings.fits(Strings::MAX_BYTES - 5));
        let mut fewer = strings.clone();
        fewer.truncate(3);
        assert_eq!(fewer, strings);
        fewer.truncate(1);
        assert_eq!(fewer, ["a"].into_iter().collect());
    }

    #[test]
    fn every_type_has_a_layout() {
        for data_type in DataType::ALL {
            let column = Column::missing(data_type, 3);
            assert!(column.values.holds(data_type));
            assert_eq!((column.len(), column.missing_count()), (3, 3));
            assert_eq!(column.number(1), None);
        }
        assert!(!Values::F64(vec![]).holds(DataType::Float));
    }

    #[test]
    fn rows_are_taken_with_their_validity() {
        let validity = [true, false, true].into_iter().collect();
        let column = Column::with_validity(Values::I32(vec![7, 0, 9]), validity);
        let taken = column.take(&[2, 1, 2]);
        assert_eq!(taken.values, Values::I32(vec![9, 0, 9]));
        assert_eq!((taken.number(0), taken.number(1)), (Some(9.0), None));
        assert_eq!(taken.missing_count(), 1);
        let texts = Column::from(["x", "y"].into_iter().collect::<Strings>());
        let taken = texts.take(&[1]);
        assert_eq!(taken, Column::from(["y"].into_iter().collect::<Strings>()));
    }
}
