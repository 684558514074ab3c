//! The attributes of a node, read by name and type.

use std::collections::HashMap;

use super::proto::{AttributeProto, GraphProto};
use super::{Reject, read};
use crate::engine::tensor::{Strings, Tensor};

/// The attributes of one node. Large ones are moved out, not copied.
pub(crate) struct Attrs {
    by_name: HashMap<String, AttributeProto>,
}

/// `AttributeProto.AttributeType`. Old exporters leave it out (0).
mod kind {
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const TENSOR: i32 = 4;
    pub const GRAPH: i32 = 5;
    pub const FLOATS: i32 = 6;
    pub const INTS: i32 = 7;
    pub const STRINGS: i32 = 8;
}

impl Attrs {
    /// Checks names: none twice, none that refers to a function's parameter.
    pub fn new(attributes: Vec<AttributeProto>) -> Result<Attrs, Reject> {
        let mut by_name = HashMap::with_capacity(attributes.len());
        for attribute in attributes {
            if !attribute.ref_attr_name.is_empty() {
                return Err(Reject::malformed(format!(
                    "attribute {} refers to a function's attribute",
                    attribute.name
                )));
            }
            let name = attribute.name.clone();
            if by_name.insert(name.clone(), attribute).is_some() {
                return Err(Reject::malformed(format!("attribute {name} stands twice")));
            }
        }
        Ok(Attrs { by_name })
    }

    /// Takes the attribute out if its declared type is `kind` or not declared.
    fn take(&mut self, name: &str, kind: i32) -> Result<Option<AttributeProto>, Reject> {
        match self.by_name.remove(name) {
            None => Ok(None),
            Some(a) if a.r#type == kind || a.r#type == 0 => Ok(Some(a)),
            Some(a) => Err(Reject::malformed(format!(
                "attribute {name} has type {}, expected {kind}",
                a.r#type
            ))),
        }
    }

    /// Whether the attribute is given.
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// A whole number, if given.
    pub fn int(&mut self, name: &str) -> Result<Option<i64>, Reject> {
        Ok(self.take(name, kind::INT)?.map(|a| a.i.unwrap_or_default()))
    }

    /// A whole number or its default.
    pub fn int_or(&mut self, name: &str, default: i64) -> Result<i64, Reject> {
        Ok(self.int(name)?.unwrap_or(default))
    }

    /// A whole number as truth value.
    pub fn flag(&mut self, name: &str, default: bool) -> Result<bool, Reject> {
        Ok(self.int(name)?.map_or(default, |v| v != 0))
    }

    /// A number, if given.
    pub fn float(&mut self, name: &str) -> Result<Option<f32>, Reject> {
        Ok(self
            .take(name, kind::FLOAT)?
            .map(|a| a.f.unwrap_or_default()))
    }

    /// A number or its default.
    pub fn float_or(&mut self, name: &str, default: f32) -> Result<f32, Reject> {
        Ok(self.float(name)?.unwrap_or(default))
    }

    /// Text, if given.
    pub fn string(&mut self, name: &str) -> Result<Option<String>, Reject> {
        self.take(name, kind::STRING)?
            .map(|a| Ok(read::text(&a.s.unwrap_or_default())?.to_owned()))
            .transpose()
    }

    /// Text or its default.
    pub fn string_or(&mut self, name: &str, default: &str) -> Result<String, Reject> {
        Ok(self.string(name)?.unwrap_or_else(|| default.to_owned()))
    }

    /// Numbers; empty if not given.
    pub fn floats(&mut self, name: &str) -> Result<Vec<f32>, Reject> {
        Ok(self
            .take(name, kind::FLOATS)?
            .map_or_else(Vec::new, |a| a.floats))
    }

    /// Whole numbers; empty if not given.
    pub fn ints(&mut self, name: &str) -> Result<Vec<i64>, Reject> {
        Ok(self
            .take(name, kind::INTS)?
            .map_or_else(Vec::new, |a| a.ints))
    }

    /// Texts; empty if not given.
    pub fn strings(&mut self, name: &str) -> Result<Vec<String>, Reject> {
        match self.take(name, kind::STRINGS)? {
            None => Ok(Vec::new()),
            Some(a) => a
                .strings
                .iter()
                .map(|s| Ok(read::text(s)?.to_owned()))
                .collect(),
        }
    }

    /// Texts in one arena; empty if not given.
    pub fn text_arena(&mut self, name: &str) -> Result<Strings, Reject> {
        let mut strings = Strings::default();
        if let Some(a) = self.take(name, kind::STRINGS)? {
            for s in &a.strings {
                strings.push(read::text(s)?);
            }
        }
        Ok(strings)
    }

    /// A tensor, if given.
    pub fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, Reject> {
        match self.take(name, kind::TENSOR)? {
            None => Ok(None),
            Some(a) => {
                let t =
                    a.t.ok_or_else(|| Reject::malformed(format!("attribute {name} is empty")))?;
                Ok(Some(read::tensor(t, name)?))
            }
        }
    }

    /// A graph, if given.
    pub fn graph(&mut self, name: &str) -> Result<Option<GraphProto>, Reject> {
        Ok(self.take(name, kind::GRAPH)?.and_then(|a| a.g))
    }

    /// The graphs among the attributes, by reference: for finding the names they use.
    pub fn graphs(attributes: &[AttributeProto]) -> impl Iterator<Item = &GraphProto> {
        attributes.iter().filter_map(|a| a.g.as_ref())
    }

    /// A whole number that counts something.
    pub fn count(&mut self, name: &str) -> Result<Option<usize>, Reject> {
        self.int(name)?
            .map(|v| {
                usize::try_from(v)
                    .map_err(|_| Reject::malformed(format!("attribute {name} is negative: {v}")))
            })
            .transpose()
    }
}
