//! Buffers that live on between operators and calls, so that a call allocates next to nothing.

use super::tensor::{Data, Item, Shape, Strings, Tensor, Value};

/// Buffers larger than this many bytes are given back to the allocator: one large batch must not
/// fix a container's size for good.
const KEEP_BYTES: usize = 16 << 20;

/// The most buffers of one type that wait for their next use.
const KEEP_BUFFERS: usize = 32;

/// Free buffers by type.
#[derive(Default)]
pub(crate) struct Pool {
    f32: Vec<Vec<f32>>,
    f64: Vec<Vec<f64>>,
    i64: Vec<Vec<i64>>,
    i32: Vec<Vec<i32>>,
    bool: Vec<Vec<bool>>,
    strings: Vec<Strings>,
}

/// An element type with a free list.
pub(crate) trait Pooled: Item {
    fn list(pool: &mut Pool) -> &mut Vec<Vec<Self>>;
}

macro_rules! pooled {
    ($($type:ident)*) => {$(
        impl Pooled for $type {
            fn list(pool: &mut Pool) -> &mut Vec<Vec<Self>> {
                &mut pool.$type
            }
        }
    )*};
}
pooled!(f32 f64 i64 i32 bool);

impl Pool {
    /// An empty buffer with room for `len` elements.
    pub fn buffer<T: Pooled>(&mut self, len: usize) -> Vec<T> {
        let mut buffer = T::list(self).pop().unwrap_or_default();
        buffer.reserve(len);
        buffer
    }

    /// A buffer of `len` copies of `value`.
    pub fn filled<T: Pooled>(&mut self, len: usize, value: T) -> Vec<T> {
        let mut buffer = self.buffer(len);
        buffer.resize(len, value);
        buffer
    }

    /// A copy of `values`.
    pub fn copied<T: Pooled>(&mut self, values: &[T]) -> Vec<T> {
        let mut buffer = self.buffer(values.len());
        buffer.extend_from_slice(values);
        buffer
    }

    /// An empty arena.
    pub fn strings(&mut self) -> Strings {
        self.strings.pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub fn give<T: Pooled>(&mut self, mut buffer: Vec<T>) {
        let list = T::list(self);
        let bytes = buffer.capacity() * size_of::<T>();
        if bytes > 0 && bytes <= KEEP_BYTES && list.len() < KEEP_BUFFERS {
            buffer.clear();
            list.push(buffer);
        }
    }

    /// Takes a tensor's buffer back.
    pub fn recycle(&mut self, value: Value) {
        let tensor = match value {
            Value::Tensor(tensor) => tensor,
            Value::Maps(maps) => maps.values,
        };
        match tensor.into_parts().1 {
            Data::F32(v) => self.give(v),
            Data::F64(v) => self.give(v),
            Data::I64(v) => self.give(v),
            Data::I32(v) => self.give(v),
            Data::Bool(v) => self.give(v),
            Data::Str(mut s) => {
                if s.bytes() <= KEEP_BYTES && self.strings.len() < KEEP_BUFFERS {
                    s.clear();
                    self.strings.push(s);
                }
            }
        }
    }

    /// A copy of a tensor in a buffer of the pool.
    pub fn duplicate(&mut self, tensor: &Tensor) -> Tensor {
        let shape: Shape = *tensor.shape();
        let data = match tensor.data() {
            Data::F32(v) => Data::F32(self.copied(v)),
            Data::F64(v) => Data::F64(self.copied(v)),
            Data::I64(v) => Data::I64(self.copied(v)),
            Data::I32(v) => Data::I32(self.copied(v)),
            Data::Bool(v) => Data::Bool(self.copied(v)),
            Data::Str(s) => {
                let mut copy = self.strings();
                for text in s.iter() {
                    copy.push(text);
                }
                Data::Str(copy)
            }
        };
        match Tensor::new(shape, data) {
            Ok(tensor) => tensor,
            Err(_) => tensor.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_and_is_used_again() {
        let mut pool = Pool::default();
        let buffer = pool.filled::<f32>(100, 1.0);
        let place = buffer.as_ptr();
        pool.give(buffer);
        let again = pool.buffer::<f32>(50);
        assert!(again.is_empty());
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn a_very_large_buffer_is_not_kept() {
        let mut pool = Pool::default();
        pool.give(Vec::<f64>::with_capacity(KEEP_BYTES));
        assert!(pool.f64.is_empty());
    }
}
