//! What a container is asked to do.

/// The form of a reply's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormWire {
    /// Column names, types and values apart (the classic form).
    Table {
        /// Whether the column types are told (`details=true`).
        details: bool,
    },
    /// One object a row (`format=swagger`).
    Rows,
}

/// The operations that a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A call of api-version 2.0: the body is its JSON, the answer `{"Results": ...}`.
    Score {
        /// The form of the answer.
        form: FormWire,
    },
    /// A call of the first version: one row in, an array of strings out.
    ScoreV1,
    /// A piece of a batch job ([`crate::batch::Work`] as JSON), which reads and writes descriptors
    /// that come with the call by the side channel. In the batch lane only.
    Work,
    /// What a batch job must know of the plan, as JSON. No body.
    Describe,
}

impl Operation {
    /// The operation as it stands in a `Call` frame.
    pub fn code(self) -> u8 {
        match self {
            Operation::Score {
                form: FormWire::Table { details: false },
            } => 1,
            Operation::Score {
                form: FormWire::Table { details: true },
            } => 2,
            Operation::Score {
                form: FormWire::Rows,
            } => 3,
            Operation::ScoreV1 => 4,
            Operation::Work => 5,
            Operation::Describe => 6,
        }
    }

    /// The operation of that code.
    pub fn from_code(code: u8) -> Option<Operation> {
        let score = |form| Some(Operation::Score { form });
        match code {
            1 => score(FormWire::Table { details: false }),
            2 => score(FormWire::Table { details: true }),
            3 => score(FormWire::Rows),
            4 => Some(Operation::ScoreV1),
            5 => Some(Operation::Work),
            6 => Some(Operation::Describe),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_the_code_of_its_operation() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(Operation::from_code).collect();
        assert_eq!(known.len(), 6);
        for operation in known {
            assert_eq!(Operation::from_code(operation.code()), Some(operation));
        }
    }
}
