//! Operators that look values up: `LabelEncoder`, `CategoryMapper`, `OneHotEncoder`.

use crate::engine::args::Args;
use crate::engine::tensor::{Data, Element, Shape, Strings, Tensor};
use crate::engine::{Context, Kernel, Missing, Stop};
use crate::onnx::Reject;
use crate::onnx::attrs::Attrs;
use crate::onnx::compile::Spec;
use crate::ops::Built;
use crate::ops::cast::truncate_i64;
use crate::ops::hash::Map;

/// A number's bits such that equal numbers have equal bits.
fn bits(v: f64, nan_matches: bool) -> Option<u64> {
    if v.is_nan() {
        return nan_matches.then_some(f64::NAN.to_bits());
    }
    Some(if v == 0.0 { 0 } else { v.to_bits() })
}

/// From keys to positions.
enum Table {
    Int(Map<i64>),
    Str(Map<Box<str>>),
    /// Floats of either width, by the bits of the double.
    Float {
        map: Map<u64>,
        nan_matches: bool,
    },
}

impl Table {
    /// The first of equal keys counts.
    fn new(keys: &Data, nan_matches: bool) -> Result<Table, Reject> {
        fn collect<K: std::hash::Hash + Eq>(
            keys: impl Iterator<Item = Option<K>>,
        ) -> Result<Map<K>, Reject> {
            let mut map = Map::default();
            for (i, key) in keys.enumerate() {
                let i = u32::try_from(i).map_err(|_| Reject::malformed("too many keys"))?;
                if let Some(key) = key {
                    map.entry(key).or_insert(i);
                }
            }
            Ok(map)
        }
        Ok(match keys {
            Data::I64(v) => Table::Int(collect(v.iter().copied().map(Some))?),
            Data::I32(v) => Table::Int(collect(v.iter().map(|&v| Some(i64::from(v))))?),
            Data::Str(s) => Table::Str(collect(s.iter().map(|s| Some(s.into())))?),
            Data::F32(v) => Table::Float {
                map: collect(v.iter().map(|&v| bits(f64::from(v), nan_matches)))?,
                nan_matches,
            },
            Data::F64(v) => Table::Float {
                map: collect(v.iter().map(|&v| bits(v, nan_matches)))?,
                nan_matches,
            },
            Data::Bool(_) => return Err(Reject::malformed("keys of bool")),
        })
    }

    /// Whether a missing value is one of the keys.
    fn knows_missing(&self) -> bool {
        match self {
            Table::Int(_) => false,
            Table::Str(map) => map.contains_key(""),
            Table::Float { map, .. } => map.contains_key(&f64::NAN.to_bits()),
        }
    }

    /// Calls `found` with the position of each element's key, in order.
    fn look_up(&self, x: &Tensor, mut found: impl FnMut(Option<u32>)) -> Result<(), Stop> {
        match (self, x.data()) {
            (Table::Int(map), Data::I64(v)) => v.iter().for_each(|v| found(map.get(v).copied())),
            (Table::Int(map), Data::I32(v)) => v
                .iter()
                .for_each(|&v| found(map.get(&i64::from(v)).copied())),
            (Table::Str(map), Data::Str(s)) => s.iter().for_each(|s| found(map.get(s).copied())),
            (Table::Float { map, nan_matches }, Data::F32(v)) => v.iter().for_each(|&v| {
                let key = bits(f64::from(v), *nan_matches);
                found(key.and_then(|k| map.get(&k).copied()));
            }),
            (Table::Float { map, nan_matches }, Data::F64(v)) => v.iter().for_each(|&v| {
                let key = bits(v, *nan_matches);
                found(key.and_then(|k| map.get(&k).copied()));
            }),
            (_, data) => {
                return Err(Stop::failed(format!(
                    "{} is not the type of the keys",
                    data.element()
                )));
            }
        }
        Ok(())
    }
}

/// What is found in place of a key; the default stands last.
struct Values {
    list: Data,
    default: usize,
}

impl Values {
    fn new(mut list: Data, default: Data) -> Result<Values, Reject> {
        let at = list.len();
        match (&mut list, default) {
            (Data::F32(v), Data::F32(d)) => v.extend(d),
            (Data::F64(v), Data::F64(d)) => v.extend(d),
            (Data::I64(v), Data::I64(d)) => v.extend(d),
            (Data::I32(v), Data::I32(d)) => v.extend(d),
            (Data::Str(v), Data::Str(d)) => d.iter().for_each(|s| v.push(s)),
            (list, default) => {
                return Err(Reject::malformed(format!(
                    "the default is {}, the values are {}",
                    default.element(),
                    list.element()
                )));
            }
        }
        if list.len() != at + 1 {
            return Err(Reject::malformed("the default is not one value"));
        }
        Ok(Values { list, default: at })
    }
}

struct Encoder {
    table: Table,
    values: Values,
}

impl Kernel for Encoder {
    fn missing(&self) -> Missing {
        if self.table.knows_missing() {
            Missing::Handles
        } else {
            Missing::Spoils
        }
    }

    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let shape = *x.shape();
        let n = x.len();
        let default = self.values.default;
        let at = |found: Option<u32>| found.map_or(default, |i| i as usize);
        let data = match &self.values.list {
            Data::F32(v) => {
                let mut out = cx.pool.buffer::<f32>(n);
                self.table.look_up(x, |i| out.push(v[at(i)]))?;
                Data::F32(out)
            }
            Data::F64(v) => {
                let mut out = cx.pool.buffer::<f64>(n);
                self.table.look_up(x, |i| out.push(v[at(i)]))?;
                Data::F64(out)
            }
            Data::I64(v) => {
                let mut out = cx.pool.buffer::<i64>(n);
                self.table.look_up(x, |i| out.push(v[at(i)]))?;
                Data::I64(out)
            }
            Data::I32(v) => {
                let mut out = cx.pool.buffer::<i32>(n);
                self.table.look_up(x, |i| out.push(v[at(i)]))?;
                Data::I32(out)
            }
            Data::Str(s) => {
                let mut out = cx.pool.strings();
                self.table.look_up(x, |i| out.push(s.get(at(i))))?;
                Data::Str(out)
            }
            Data::Bool(_) => return Err(Stop::failed("values of bool")),
        };
        cx.give(Tensor::new(shape, data)?);
        Ok(())
    }
}

/// An encoder in both directions between texts and numbers: by the type of its input.
struct TwoWay {
    to_number: Encoder,
    to_text: Encoder,
}

impl Kernel for TwoWay {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        if args.tensor(0)?.element() == Element::Str {
            self.to_number.run(args, cx)
        } else {
            self.to_text.run(args, cx)
        }
    }
}

fn two_way(texts: Strings, numbers: Vec<i64>, attrs: &mut Attrs) -> Built {
    if texts.len() != numbers.len() {
        return Err(Reject::malformed("the two lists differ in length"));
    }
    let text = attrs.string_or("default_string", "_Unused")?;
    let number = attrs.int_or("default_int64", -1)?;
    let (texts, numbers) = (Data::Str(texts), Data::I64(numbers));
    Ok(Box::new(TwoWay {
        to_number: Encoder {
            table: Table::new(&texts, false)?,
            values: Values::new(numbers.clone(), Data::I64(vec![number]))?,
        },
        to_text: Encoder {
            table: Table::new(&numbers, false)?,
            values: Values::new(texts, Data::Str([text.as_str()].into_iter().collect()))?,
        },
    }))
}

/// `LabelEncoder`: one list of texts in version 1, lists of keys and values from version 2 on,
/// also as tensors from version 4 on.
pub(crate) fn label_encoder(spec: &mut Spec<'_>) -> Built {
    let since_4 = spec.version >= 4;
    let attrs = &mut spec.attrs;
    if spec.version < 2 {
        let texts = attrs.text_arena("classes_strings")?;
        let numbers = (0..texts.len() as i64).collect();
        return two_way(texts, numbers, attrs);
    }
    let keys = list(attrs, "keys", since_4)?;
    let values = list(attrs, "values", since_4)?;
    if keys.len() != values.len() {
        return Err(Reject::malformed(format!(
            "{} keys and {} values",
            keys.len(),
            values.len()
        )));
    }
    let default = match attrs.tensor("default_tensor")? {
        Some(tensor) => tensor.into_parts().1,
        None => match values.element() {
            Element::Str => {
                let text = attrs.string_or("default_string", "_Unused")?;
                Data::Str([text.as_str()].into_iter().collect())
            }
            Element::I64 => Data::I64(vec![attrs.int_or("default_int64", -1)?]),
            Element::I32 => Data::I32(vec![attrs.int_or("default_int64", -1)? as i32]),
            Element::F64 => Data::F64(vec![f64::from(attrs.float_or("default_float", -0.0)?)]),
            _ => Data::F32(vec![attrs.float_or("default_float", -0.0)?]),
        },
    };
    Ok(Box::new(Encoder {
        table: Table::new(&keys, since_4)?,
        values: Values::new(values, default)?,
    }))
}

/// One of the lists that `LabelEncoder` has in a spelling for each type.
fn list(attrs: &mut Attrs, name: &str, tensors: bool) -> Result<Data, Reject> {
    let spelt = |suffix: &str| format!("{name}_{suffix}");
    if attrs.has(&spelt("strings")) {
        return Ok(Data::Str(attrs.text_arena(&spelt("strings"))?));
    }
    if attrs.has(&spelt("int64s")) {
        return Ok(Data::I64(attrs.ints(&spelt("int64s"))?));
    }
    if attrs.has(&spelt("floats")) {
        return Ok(Data::F32(attrs.floats(&spelt("floats"))?));
    }
    if tensors && let Some(tensor) = attrs.tensor(&spelt("tensor"))? {
        return Ok(tensor.into_parts().1);
    }
    Err(Reject::malformed(format!("there are no {name}")))
}

/// `CategoryMapper`.
pub(crate) fn category_mapper(spec: &mut Spec<'_>) -> Built {
    let texts = spec.attrs.text_arena("cats_strings")?;
    let numbers = spec.attrs.ints("cats_int64s")?;
    two_way(texts, numbers, &mut spec.attrs)
}

struct OneHot {
    table: Table,
    width: usize,
    zeros: bool,
}

/// `OneHotEncoder`.
pub(crate) fn one_hot_encoder(spec: &mut Spec<'_>) -> Built {
    let texts = spec.attrs.text_arena("cats_strings")?;
    let numbers = spec.attrs.ints("cats_int64s")?;
    let zeros = spec.attrs.flag("zeros", true)?;
    let cats = match (texts.len(), numbers.len()) {
        (0, 0) => return Err(Reject::malformed("there are no categories")),
        (_, 0) => Data::Str(texts),
        (0, _) => Data::I64(numbers),
        _ => return Err(Reject::malformed("categories of both types")),
    };
    Ok(Box::new(OneHot {
        width: cats.len(),
        table: Table::new(&cats, false)?,
        zeros,
    }))
}

impl Kernel for OneHot {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let mut dims = x.dims().to_vec();
        dims.push(self.width);
        let shape = Shape::new(&dims)?;
        let mut out = cx.pool.filled(shape.count(), 0f32);
        let mut cells = out.chunks_exact_mut(self.width);
        let mut unknown = false;
        let mut mark = |found: Option<u32>| {
            if let Some(row) = cells.next() {
                match found {
                    Some(i) => row[i as usize] = 1.0,
                    None => unknown = true,
                }
            }
        };
        match (&self.table, x.data()) {
            // Floats are cut to whole numbers.
            (Table::Int(map), Data::F32(v)) => v
                .iter()
                .for_each(|&v| mark(map.get(&truncate_i64(f64::from(v))).copied())),
            (Table::Int(map), Data::F64(v)) => v
                .iter()
                .for_each(|&v| mark(map.get(&truncate_i64(v)).copied())),
            (table, _) => table.look_up(x, mark)?,
        }
        if unknown && !self.zeros {
            return Err(Stop::failed("a category is not known to the model"));
        }
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}
