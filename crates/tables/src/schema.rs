//! Schemas: the fields of a table in order, with a look-up by name.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::data_type::DataType;
use crate::json::write_string;

/// What a column is to a learner; modules that pick columns by kind ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Role {
    /// No role is set.
    #[default]
    None,
    /// An input of the learner.
    Feature,
    /// What the learner predicts.
    Label,
    /// The weight of a row.
    Weight,
    /// What a model added when it scored.
    Score(ScoreKind),
}

/// Which of a model's results a scored column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScoreKind {
    /// The predicted class or value.
    Label,
    /// The probability of a class.
    Probability,
    /// The cluster of a row.
    Assignment,
    /// Anything else a model gives.
    Other,
}

/// One column's description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column's name; compared letter for letter.
    pub name: String,
    /// The type of its values.
    pub data_type: DataType,
    /// Whether values may be missing (`x-ms-isnullable`).
    pub nullable: bool,
    /// The categories (`enum`), where the column is categorical. They describe: a value outside
    /// them is accepted in a request, because the classic service scored unseen categories too;
    /// what becomes of it is the model's matter.
    pub categories: Option<Arc<[String]>>,
    /// Whether the categories have an order (`x-ms-isordered`).
    pub ordered: bool,
    /// What the column is to a learner.
    pub role: Role,
}

impl Field {
    /// A field without missing values, categories or role.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Field {
        Field {
            name: name.into(),
            data_type,
            nullable: false,
            categories: None,
            ordered: false,
            role: Role::None,
        }
    }

    /// The same field with missing values allowed.
    #[must_use]
    pub fn nullable(mut self) -> Field {
        self.nullable = true;
        self
    }

    /// The same field with a role.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Field {
        self.role = role;
        self
    }

    /// Whether the column is categorical.
    pub fn is_categorical(&self) -> bool {
        self.categories.is_some()
    }
}

/// Two columns of one table have the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateName(pub String);

impl fmt::Display for DuplicateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "two columns are named \"{}\"", self.0)
    }
}

impl std::error::Error for DuplicateName {}

/// The fields of a table in order; names are unique.
#[derive(Clone)]
pub struct Schema {
    fields: Vec<Field>,
    /// Each name as a JSON string with its quotes, escaped as we and the common encoders do: what
    /// a key in a request is compared with first, and what a reply copies.
    json_names: Vec<Box<[u8]>>,
    /// All names as one JSON array, without blanks and with one after each comma: the two ways in
    /// which nearly all clients send `ColumnNames`.
    json_lists: [Box<[u8]>; 2],
    index: HashMap<Box<str>, usize, BuildHasherDefault<NameHasher>>,
}

impl Schema {
    /// A schema of these fields; names must differ.
    pub fn new(fields: Vec<Field>) -> Result<Schema, DuplicateName> {
        let mut index = HashMap::with_capacity_and_hasher(fields.len(), Default::default());
        let mut json_names = Vec::with_capacity(fields.len());
        for (position, field) in fields.iter().enumerate() {
            let name: Box<str> = field.name.as_str().into();
            if index.insert(name, position).is_some() {
                return Err(DuplicateName(field.name.clone()));
            }
            let mut json = Vec::with_capacity(field.name.len() + 2);
            write_string(&field.name, &mut json);
            json_names.push(json.into_boxed_slice());
        }
        let list = |separator: &[u8]| {
            let names = json_names.join(separator);
            [b"[", names.as_slice(), b"]"].concat().into_boxed_slice()
        };
        let json_lists = [list(b","), list(b", ")];
        Ok(Schema {
            fields,
            json_names,
            json_lists,
            index,
        })
    }

    /// A schema without fields.
    pub fn empty() -> Schema {
        Schema {
            fields: Vec::new(),
            json_names: Vec::new(),
            json_lists: [(*b"[]").into(), (*b"[]").into()],
            index: HashMap::default(),
        }
    }

    /// The fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field at a position.
    pub fn field(&self, position: usize) -> &Field {
        &self.fields[position]
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The position of the field of that name, letter for letter.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    /// The names in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// The name at a position as a JSON string, quotes included.
    pub(crate) fn json_name(&self, position: usize) -> &[u8] {
        &self.json_names[position]
    }

    /// The names in order as a JSON array, in the two ways in which it is mostly written.
    pub(crate) fn json_lists(&self) -> &[Box<[u8]>; 2] {
        &self.json_lists
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.fields).finish()
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Schema) -> bool {
        self.fields == other.fields
    }
}

impl Eq for Schema {}

/// FNV-1a, for column names. The keys in the index are a service's own columns; a request only
/// looks up, so that it cannot make the index slow.
#[derive(Clone)]
struct NameHasher(u64);

impl Default for NameHasher {
    fn default() -> Self {
        NameHasher(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{DuplicateName, Field, Schema};
    use crate::data_type::DataType;

    #[test]
    fn names_are_found_letter_for_letter() {
        let schema = Schema::new(vec![
            Field::new("age", DataType::Int32),
            Field::new("Age", DataType::Double),
            Field::new("", DataType::String),
        ])
        .unwrap();
        assert_eq!(schema.position("age"), Some(0));
        assert_eq!(schema.position("Age"), Some(1));
        assert_eq!(schema.position(""), Some(2));
        assert_eq!(schema.position("AGE"), None);
        assert_eq!(schema.names().collect::<Vec<_>>(), ["age", "Age", ""]);
    }

    #[test]
    fn names_are_ready_as_json() {
        let schema = Schema::new(vec![
            Field::new("a\"", DataType::Int32),
            Field::new("b", DataType::Int32),
        ]);
        let schema = schema.unwrap();
        assert_eq!(schema.json_name(0), br#""a\"""#);
        assert_eq!(*schema.json_lists()[0], *br#"["a\"","b"]"#);
        assert_eq!(*schema.json_lists()[1], *br#"["a\"", "b"]"#);
        let empty = Schema::new(vec![]).unwrap();
        assert_eq!(empty.json_lists(), Schema::empty().json_lists());
    }

    #[test]
    fn a_repeated_name_is_refused() {
        let fields = vec![
            Field::new("x", DataType::Int32),
            Field::new("x", DataType::Double),
        ];
        let refused = Schema::new(fields).unwrap_err();
        assert_eq!(refused, DuplicateName("x".to_owned()));
        assert_eq!(refused.to_string(), "two columns are named \"x\"");
    }
}
