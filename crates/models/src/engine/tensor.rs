//! Tensors: a bounded shape and one typed, contiguous, row-major buffer.

use std::fmt;
use std::sync::Arc;

use super::Stop;

/// The element types that the engine computes with. Narrower types of a model file are widened
/// when they are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// 32-bit floating point.
    F32,
    /// 64-bit floating point.
    F64,
    /// 64-bit signed integer.
    I64,
    /// 32-bit signed integer.
    I32,
    /// Truth value.
    Bool,
    /// UTF-8 text.
    Str,
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Element::F32 => "float",
            Element::F64 => "double",
            Element::I64 => "int64",
            Element::I32 => "int32",
            Element::Bool => "bool",
            Element::Str => "string",
        })
    }
}

/// The highest rank a tensor may have.
pub(crate) const MAX_RANK: usize = 8;

/// The most elements a tensor may have. What input or a model asks for beyond this is refused
/// before anything is allocated; the container's memory quota is usually met long before.
pub(crate) const MAX_ELEMENTS: usize = 1 << 31;

/// A shape whose product is known to fit [`MAX_ELEMENTS`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    dims: [usize; MAX_RANK],
    rank: u8,
}

impl Shape {
    /// The shape of a scalar: one element, no dimensions.
    pub const SCALAR: Shape = Shape {
        dims: [0; MAX_RANK],
        rank: 0,
    };

    /// Checks rank and product.
    pub fn new(dims: &[usize]) -> Result<Shape, Stop> {
        if dims.len() > MAX_RANK {
            return Err(Stop::failed(format!(
                "a tensor of rank {} (at most {MAX_RANK} are supported)",
                dims.len()
            )));
        }
        // Zero dimensions must not hide an absurd product of the others from later reshapes.
        let mut product: usize = 1;
        for &d in dims {
            product = product
                .checked_mul(d.max(1))
                .filter(|&p| p <= MAX_ELEMENTS)
                .ok_or_else(|| Stop::failed(format!("a tensor of shape {dims:?} is too large")))?;
        }
        let mut own = [0; MAX_RANK];
        own[..dims.len()].copy_from_slice(dims);
        Ok(Shape {
            dims: own,
            rank: dims.len() as u8,
        })
    }

    /// A vector's shape.
    pub fn vector(n: usize) -> Result<Shape, Stop> {
        Shape::new(&[n])
    }

    /// A matrix's shape.
    pub fn matrix(rows: usize, columns: usize) -> Result<Shape, Stop> {
        Shape::new(&[rows, columns])
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.rank as usize
    }

    /// The number of elements.
    pub fn count(&self) -> usize {
        self.dims().iter().product()
    }

    /// The number of elements before `axis` and from `axis` on: the two sides of a matrix view.
    pub fn split_at(&self, axis: usize) -> (usize, usize) {
        let dims = self.dims();
        (dims[..axis].iter().product(), dims[axis..].iter().product())
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

/// Text cells in one arena.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strings {
    /// Where each string ends; it begins where the one before ends.
    ends: Vec<usize>,
    text: String,
}

impl Strings {
    /// The number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Appends one string.
    pub fn push(&mut self, s: &str) {
        self.text.push_str(s);
        self.ends.push(self.text.len());
    }

    /// Appends one string that `write` puts at the end of the arena.
    pub fn push_with(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    /// The string at `i`, which must be less than [`Strings::len`].
    pub fn get(&self, i: usize) -> &str {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.text[start..self.ends[i]]
    }

    /// All strings in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Removes all strings and keeps the room.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.text.clear();
    }

    /// The bytes of the arena.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }
}

impl<'a> FromIterator<&'a str> for Strings {
    fn from_iter<I: IntoIterator<Item = &'a str>>(iter: I) -> Self {
        let mut strings = Strings::default();
        for s in iter {
            strings.push(s);
        }
        strings
    }
}

/// The elements of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I64(Vec<i64>),
    I32(Vec<i32>),
    Bool(Vec<bool>),
    Str(Strings),
}

impl Data {
    /// The type of the elements.
    pub fn element(&self) -> Element {
        match self {
            Data::F32(_) => Element::F32,
            Data::F64(_) => Element::F64,
            Data::I64(_) => Element::I64,
            Data::I32(_) => Element::I32,
            Data::Bool(_) => Element::Bool,
            Data::Str(_) => Element::Str,
        }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::I32(v) => v.len(),
            Data::Bool(v) => v.len(),
            Data::Str(v) => v.len(),
        }
    }
}

/// An element type that is a plain value (all but text).
pub(crate) trait Item: Copy + Default + PartialEq + Send + Sync + 'static {
    /// Its tag.
    const ELEMENT: Element;
    /// The elements, if they are of this type.
    fn of(data: &Data) -> Option<&[Self]>;
    /// Makes tensor data of the elements.
    fn data(values: Vec<Self>) -> Data;
}

macro_rules! item {
    ($type:ty, $variant:ident) => {
        impl Item for $type {
            const ELEMENT: Element = Element::$variant;
            fn of(data: &Data) -> Option<&[Self]> {
                match data {
                    Data::$variant(v) => Some(v),
                    _ => None,
                }
            }
            fn data(values: Vec<Self>) -> Data {
                Data::$variant(values)
            }
        }
    };
}
item!(f32, F32);
item!(f64, F64);
item!(i64, I64);
item!(i32, I32);
item!(bool, Bool);

/// A tensor; `data.len() == shape.count()` always holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    shape: Shape,
    data: Data,
}

impl Tensor {
    /// Puts a shape and its elements together. Their sizes must agree: a disagreement is a defect
    /// of an operator's implementation and is reported as a failure, not a panic.
    pub fn new(shape: Shape, data: Data) -> Result<Tensor, Stop> {
        if shape.count() != data.len() {
            return Err(Stop::failed(format!(
                "{} elements do not fill the shape {shape:?}",
                data.len()
            )));
        }
        Ok(Tensor { shape, data })
    }

    /// A tensor of plain values.
    pub fn of<T: Item>(shape: Shape, values: Vec<T>) -> Result<Tensor, Stop> {
        Tensor::new(shape, T::data(values))
    }

    /// The shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The dimensions, outermost first.
    pub fn dims(&self) -> &[usize] {
        self.shape.dims()
    }

    /// The element type.
    pub fn element(&self) -> Element {
        self.data.element()
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Both parts, owned.
    pub fn into_parts(self) -> (Shape, Data) {
        (self.shape, self.data)
    }

    /// The same elements in another shape of the same size.
    pub fn reshaped(self, shape: Shape) -> Result<Tensor, Stop> {
        if shape.count() != self.data.len() {
            return Err(Stop::failed(format!(
                "{:?} cannot be reshaped to {shape:?}",
                self.shape
            )));
        }
        Ok(Tensor {
            shape,
            data: self.data,
        })
    }

    /// The elements as `T`, or a failure that says what was found.
    pub fn slice<T: Item>(&self) -> Result<&[T], Stop> {
        T::of(&self.data).ok_or_else(|| {
            Stop::failed(format!(
                "expected a tensor of {}, found {}",
                T::ELEMENT,
                self.element()
            ))
        })
    }

    /// The text elements.
    pub fn strings(&self) -> Result<&Strings, Stop> {
        match &self.data {
            Data::Str(s) => Ok(s),
            other => Err(Stop::failed(format!(
                "expected a tensor of string, found {}",
                other.element()
            ))),
        }
    }

    /// Whole numbers of an index-like tensor (int64 or int32).
    pub fn indices(&self) -> Result<Vec<i64>, Stop> {
        match &self.data {
            Data::I64(v) => Ok(v.clone()),
            Data::I32(v) => Ok(v.iter().map(|&x| i64::from(x)).collect()),
            other => Err(Stop::failed(format!(
                "expected whole numbers, found {}",
                other.element()
            ))),
        }
    }

    /// Rows and columns as the `ai.onnx.ml` operators see them: a vector is one row, a scalar one
    /// cell, and dimensions after the second count as columns.
    pub fn as_matrix(&self) -> (usize, usize) {
        match self.dims() {
            [] => (1, 1),
            [n] => (1, *n),
            [n, rest @ ..] => (*n, rest.iter().product()),
        }
    }
}

/// The classes of a classifier, or the keys of a `ZipMap`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Classes {
    /// Whole-number labels.
    Int(Vec<i64>),
    /// Text labels.
    Str(Vec<String>),
}

impl Classes {
    /// The number of classes.
    pub fn len(&self) -> usize {
        match self {
            Classes::Int(v) => v.len(),
            Classes::Str(v) => v.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names in order, whole numbers in decimal.
    pub fn names(&self) -> Vec<String> {
        match self {
            Classes::Int(v) => v.iter().map(i64::to_string).collect(),
            Classes::Str(v) => v.clone(),
        }
    }
}

/// A sequence of maps that all have the same keys, as `ZipMap` makes it: the keys once, and the
/// values as a matrix of one row a map. Key `i` belongs to column `i`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Maps {
    pub keys: Arc<Classes>,
    pub values: Tensor,
}

/// What flows between operators.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Tensor(Tensor),
    Maps(Maps),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_shapes_are_refused() {
        assert!(Shape::new(&[usize::MAX, 2]).is_err());
        assert!(Shape::new(&[1 << 20, 1 << 20]).is_err());
        assert!(Shape::new(&[0, 1 << 40]).is_err());
        assert!(Shape::new(&[1; 9]).is_err());
        assert_eq!(Shape::new(&[3, 0]).map(|s| s.count()).ok(), Some(0));
    }

    #[test]
    fn strings_keep_their_borders() {
        let s: Strings = ["a", "", "bc"].into_iter().collect();
        assert_eq!(s.iter().collect::<Vec<_>>(), ["a", "", "bc"]);
    }

    #[test]
    fn a_tensor_knows_its_size() {
        let shape = Shape::matrix(2, 2).unwrap();
        assert!(Tensor::of(shape, vec![1f32; 3]).is_err());
        assert!(Tensor::of(shape, vec![1f32; 4]).is_ok());
    }
}
