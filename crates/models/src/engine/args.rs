//! The inputs of one operator in one run.

use super::Stop;
use super::pool::Pool;
use super::tensor::{Item, Maps, Tensor, Value};

/// One input: absent (optional inputs), shared with later operators or constant, or owned because
/// this is its last use.
pub(crate) enum Arg<'a> {
    Absent,
    Shared(&'a Value),
    Owned(Value),
}

/// The inputs of one operator.
pub(crate) struct Args<'a> {
    items: &'a mut [Arg<'a>],
}

impl<'a> Args<'a> {
    /// Wraps the inputs.
    pub fn new(items: &'a mut [Arg<'a>]) -> Args<'a> {
        Args { items }
    }

    /// The number of inputs, absent ones among them counted.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    fn value(&self, i: usize) -> Option<&Value> {
        match self.items.get(i)? {
            Arg::Absent => None,
            Arg::Shared(value) => Some(value),
            Arg::Owned(value) => Some(value),
        }
    }

    /// Input `i` as a tensor.
    pub fn tensor(&self, i: usize) -> Result<&Tensor, Stop> {
        self.optional(i)?
            .ok_or_else(|| Stop::failed(format!("input {i} is missing")))
    }

    /// Input `i` as a tensor, if it is there.
    pub fn optional(&self, i: usize) -> Result<Option<&Tensor>, Stop> {
        match self.value(i) {
            None => Ok(None),
            Some(Value::Tensor(tensor)) => Ok(Some(tensor)),
            Some(Value::Maps(_)) => Err(Stop::failed(format!(
                "input {i} is a sequence of maps, expected a tensor"
            ))),
        }
    }

    /// The elements of input `i`.
    pub fn slice<T: Item>(&self, i: usize) -> Result<&[T], Stop> {
        self.tensor(i)?.slice()
    }

    /// Input `i` as a sequence of maps.
    pub fn maps(&self, i: usize) -> Result<&Maps, Stop> {
        match self.value(i) {
            Some(Value::Maps(maps)) => Ok(maps),
            _ => Err(Stop::failed(format!("input {i} is not a sequence of maps"))),
        }
    }

    /// Input `i` as any value, copied if it is shared.
    pub fn take_value(&mut self, i: usize, pool: &mut Pool) -> Result<Value, Stop> {
        let arg = self
            .items
            .get_mut(i)
            .ok_or_else(|| Stop::failed(format!("input {i} is missing")))?;
        match std::mem::replace(arg, Arg::Absent) {
            Arg::Absent => Err(Stop::failed(format!("input {i} is missing"))),
            Arg::Owned(value) => Ok(value),
            Arg::Shared(value) => {
                *arg = Arg::Shared(value);
                Ok(match value {
                    Value::Tensor(tensor) => Value::Tensor(pool.duplicate(tensor)),
                    Value::Maps(maps) => Value::Maps(Maps {
                        keys: maps.keys.clone(),
                        values: pool.duplicate(&maps.values),
                    }),
                })
            }
        }
    }

    /// Input `i` as an owned tensor, copied if it is shared.
    pub fn take(&mut self, i: usize, pool: &mut Pool) -> Result<Tensor, Stop> {
        self.tensor(i)?;
        match self.take_value(i, pool)? {
            Value::Tensor(tensor) => Ok(tensor),
            Value::Maps(_) => Err(Stop::failed(format!("input {i} is not a tensor"))),
        }
    }

    /// Gives the buffers of inputs that nobody took back to the pool.
    pub fn release(self, pool: &mut Pool) {
        for arg in self.items {
            if let Arg::Owned(value) = std::mem::replace(arg, Arg::Absent) {
                pool.recycle(value);
            }
        }
    }
}
