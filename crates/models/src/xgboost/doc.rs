//! What a JSON or UBJSON document says, in a form that lists of numbers fill densely.

use crate::reject::Reject;

/// How deep documents may nest; XGBoost's nest eight deep.
pub(crate) const MAX_DEPTH: usize = 32;

/// Members that say nothing about predictions and are most of a file: they are not kept.
pub(crate) const NOT_KEPT: [&str; 6] = [
    "base_weights",
    "iteration_indptr",
    "loss_changes",
    "parents",
    "sum_hessian",
    "attributes",
];

/// A value of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Doc {
    Null,
    /// A number; truth values are 0 and 1, as old files have them in lists of numbers.
    Number(f64),
    Text(String),
    /// A list of numbers, or an empty list.
    Numbers(Vec<f64>),
    /// Any other list.
    List(Vec<Doc>),
    /// An object, its members in order.
    Map(Vec<(String, Doc)>),
}

/// A list while it is read: of numbers until something else comes.
pub(crate) enum Items {
    Numbers(Vec<f64>),
    Others(Vec<Doc>),
}

impl Items {
    /// Appends one item.
    pub fn push(&mut self, item: Doc) {
        match (&mut *self, item) {
            (Items::Numbers(numbers), Doc::Number(v)) => numbers.push(v),
            (Items::Numbers(numbers), other) => {
                let mut list: Vec<Doc> = numbers.drain(..).map(Doc::Number).collect();
                list.push(other);
                *self = Items::Others(list);
            }
            (Items::Others(list), item) => list.push(item),
        }
    }

    /// The list.
    pub fn done(self) -> Doc {
        match self {
            Items::Numbers(numbers) => Doc::Numbers(numbers),
            Items::Others(list) => Doc::List(list),
        }
    }
}

impl Doc {
    /// The member of that name.
    pub fn find(&self, name: &str) -> Option<&Doc> {
        match self {
            Doc::Map(members) => members.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The member of that name, which must be there.
    pub fn get(&self, name: &str) -> Result<&Doc, Reject> {
        self.find(name)
            .ok_or_else(|| Reject::malformed(format!("\"{name}\" is missing")))
    }

    /// The text of a member.
    pub fn text(&self, name: &str) -> Result<&str, Reject> {
        match self.get(name)? {
            Doc::Text(text) => Ok(text),
            _ => Err(Reject::malformed(format!("\"{name}\" is not a text"))),
        }
    }

    /// The numbers of a member.
    pub fn numbers(&self, name: &str) -> Result<&[f64], Reject> {
        match self.get(name)? {
            Doc::Numbers(numbers) => Ok(numbers),
            _ => Err(Reject::malformed(format!(
                "\"{name}\" is not a list of numbers"
            ))),
        }
    }

    /// The items of a member that is a list of anything but numbers.
    pub fn list(&self, name: &str) -> Result<&[Doc], Reject> {
        match self.get(name)? {
            Doc::List(list) => Ok(list),
            Doc::Numbers(numbers) if numbers.is_empty() => Ok(&[]),
            _ => Err(Reject::malformed(format!("\"{name}\" is not a list"))),
        }
    }

    /// The texts of a member; none where it is missing, as old files leave it out.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, Reject> {
        if self.find(name).is_none() {
            return Ok(Vec::new());
        }
        self.list(name)?
            .iter()
            .map(|item| match item {
                Doc::Text(text) => Ok(text.as_str()),
                _ => Err(Reject::malformed(format!(
                    "\"{name}\" holds other than texts"
                ))),
            })
            .collect()
    }

    /// A whole number written as text, as parameters are; `None` where it is missing.
    pub fn parameter(&self, name: &str) -> Result<Option<u64>, Reject> {
        match self.find(name) {
            None => Ok(None),
            Some(Doc::Text(text)) => text.trim().parse().map(Some).map_err(|_| {
                Reject::malformed(format!("\"{name}\" is not a whole number: \"{text}\""))
            }),
            Some(Doc::Number(v)) => whole(*v)
                .map(Some)
                .ok_or_else(|| Reject::malformed(format!("\"{name}\" is not a whole number: {v}"))),
            Some(_) => Err(Reject::malformed(format!("\"{name}\" is not a number"))),
        }
    }
}

/// The whole number that a number is, if it is one and not negative.
pub(crate) fn whole(v: f64) -> Option<u64> {
    (v >= 0.0 && v.fract() == 0.0 && v < 9e15).then_some(v as u64)
}
