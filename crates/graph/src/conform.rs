//! From the columns that the graph produces to the columns that the definition declares.
//!
//! Names and number must match; where they do not, `Conflict.ModelOutputMetadataMismatch`. Columns
//! come out in the declared order. Values take the declared type where none of them changes by it
//! (Int32 to Int64, a Double that is whole to Int32, anything to String); a column in which one
//! value would change keeps the type that the graph gave it, and the reply says so in
//! `ColumnTypes`. A Float becomes the Double that reads the same (0.1, not 0.10000000149011612).
//! An output that declares no columns takes whatever the graph gives.

use std::sync::{Arc, PoisonError, RwLock};

use faults::{Fault, conflict, internal_error};
use tables::{Column, DataType, Schema, Strings, Table, Values, text};

/// The declared columns of an output, with the way there from the columns seen last.
pub(crate) struct Conform {
    output: String,
    declared: Arc<Schema>,
    known: RwLock<Option<Arc<Recipe>>>,
}

/// How to get from produced columns to declared ones.
struct Recipe {
    produced: Arc<Schema>,
    /// Nothing to do.
    identity: bool,
    /// For each declared column, the position of the produced one.
    positions: Vec<usize>,
    /// The declared names, in order, with the declared types.
    result: Arc<Schema>,
}

impl Conform {
    pub(crate) fn new(output: &str, declared: &Arc<Schema>) -> Conform {
        Conform {
            output: output.to_owned(),
            declared: Arc::clone(declared),
            known: RwLock::new(None),
        }
    }

    /// Checks columns that are known before a run.
    pub(crate) fn check(&self, produced: &Arc<Schema>) -> Result<(), Fault> {
        self.recipe(produced).map(drop)
    }

    /// Brings a table into the declared form.
    pub(crate) fn apply(&self, table: Table) -> Result<Table, Fault> {
        if self.declared.is_empty() {
            return Ok(table);
        }
        let recipe = self.recipe(table.schema())?;
        if recipe.identity {
            return Ok(table);
        }
        let mut columns = Vec::with_capacity(recipe.positions.len());
        let mut kept: Vec<(usize, DataType)> = Vec::new();
        for (i, &position) in recipe.positions.iter().enumerate() {
            let from = table.schema().field(position).data_type;
            let to = recipe.result.field(i).data_type;
            let column = table.column(position);
            match cast(column, from, to) {
                Some(cast) => columns.push(cast),
                None => {
                    kept.push((i, from));
                    columns.push(Arc::clone(column));
                }
            }
        }
        if kept.is_empty() {
            let result = Arc::clone(&recipe.result);
            return Ok(Table::with_rows(result, columns, table.rows()));
        }
        let mut fields = recipe.result.fields().to_vec();
        for (i, data_type) in kept {
            fields[i].data_type = data_type;
        }
        let schema = Schema::new(fields)
            .map_err(|e| internal_error::module_execution_failed().caused_by(&e))?;
        Ok(Table::with_rows(Arc::new(schema), columns, table.rows()))
    }

    fn recipe(&self, produced: &Arc<Schema>) -> Result<Arc<Recipe>, Fault> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(recipe) = known.as_ref()
            && Arc::ptr_eq(&recipe.produced, produced)
        {
            return Ok(Arc::clone(recipe));
        }
        drop(known);
        let recipe = Arc::new(self.make(produced)?);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(&recipe));
        Ok(recipe)
    }

    fn make(&self, produced: &Arc<Schema>) -> Result<Recipe, Fault> {
        if self.declared.is_empty() {
            return Ok(Recipe {
                produced: Arc::clone(produced),
                identity: true,
                positions: Vec::new(),
                result: Arc::clone(produced),
            });
        }
        let mismatch = |column: &str, why: &str| {
            conflict::model_output_metadata_mismatch()
                .at(format!("{}/{column}", self.output))
                .because(format!(
                    "column \"{column}\" of output \"{}\" {why}",
                    self.output
                ))
        };
        let mut positions = Vec::with_capacity(self.declared.len());
        let mut fields = Vec::with_capacity(self.declared.len());
        for field in self.declared.fields() {
            let position = produced.position(&field.name).ok_or_else(|| {
                mismatch(&field.name, "is declared and the graph does not give it")
            })?;
            let given = produced.field(position);
            let mut field = field.clone();
            field.nullable |= given.nullable;
            field.role = given.role;
            positions.push(position);
            fields.push(field);
        }
        if let Some(extra) = produced
            .names()
            .find(|n| self.declared.position(n).is_none())
        {
            return Err(mismatch(extra, "is given by the graph and not declared"));
        }
        let identity = positions.iter().enumerate().all(|(i, &position)| {
            i == position && fields[i].data_type == produced.field(position).data_type
        });
        let result = Schema::new(fields)
            .map_err(|e| internal_error::module_execution_failed().caused_by(&e))?;
        Ok(Recipe {
            produced: Arc::clone(produced),
            identity,
            positions,
            result: Arc::new(result),
        })
    }
}

/// The column as another type, where no present value changes by it.
pub(crate) fn cast(column: &Arc<Column>, from: DataType, to: DataType) -> Option<Arc<Column>> {
    if from == to || (from == DataType::Char && to == DataType::String) {
        return Some(Arc::clone(column));
    }
    if to == DataType::String {
        return to_text(column, from);
    }
    let time = |t: DataType| matches!(t, DataType::DateTime | DataType::DateTimeOffset);
    if time(from) && time(to) {
        return Some(Arc::clone(column));
    }
    if !from.is_numeric() || !to.is_numeric() {
        return None;
    }
    let values = match to {
        DataType::Double => Values::F64(to_f64(column)?),
        DataType::Float => Values::F32(to_f32(column)?),
        _ => integers(column, to)?,
    };
    Some(Arc::new(Column {
        values,
        validity: column.validity.clone(),
    }))
}

fn to_text(column: &Column, from: DataType) -> Option<Arc<Column>> {
    let mut strings = Strings::with_capacity(column.len(), column.len() * 8);
    let mut cell = Vec::new();
    for row in 0..column.len() {
        cell.clear();
        text::write_cell(column, from, row, &mut cell);
        let cell = if column.is_missing(row) {
            &[][..]
        } else {
            &cell
        };
        let cell = std::str::from_utf8(cell).ok()?;
        if !strings.fits(cell.len()) {
            return None;
        }
        strings.push(cell);
    }
    Some(Arc::new(Column {
        values: Values::Str(strings),
        validity: column.validity.clone(),
    }))
}

/// The largest whole number up to which each one is an f64.
const EXACT_F64: i128 = 1 << 53;
/// The same for f32.
const EXACT_F32: i128 = 1 << 24;

fn to_f64(column: &Column) -> Option<Vec<f64>> {
    match &column.values {
        Values::F32(v) => Some(v.iter().map(|&x| widen(x)).collect()),
        Values::F64(v) => Some(v.clone()),
        _ => whole(column, EXACT_F64, |x| x as f64),
    }
}

fn to_f32(column: &Column) -> Option<Vec<f32>> {
    match &column.values {
        Values::F32(v) => Some(v.clone()),
        Values::F64(v) => v
            .iter()
            .map(|&x| Some(x as f32).filter(|&y| x.is_nan() || widen(y) == x || f64::from(y) == x))
            .collect(),
        _ => whole(column, EXACT_F32, |x| x as f32),
    }
}

/// The f64 whose shortest decimal text is the shortest text of this f32.
fn widen(x: f32) -> f64 {
    // Small whole numbers read the same as they are, and need no text.
    if !x.is_finite() || (x.fract() == 0.0 && x.abs() < 16_777_216.0) {
        return f64::from(x);
    }
    let mut buffer = ryu::Buffer::new();
    let text = buffer.format_finite(x);
    text.parse().unwrap_or(f64::from(x))
}

/// The whole number at a row as such; `None` where it is not one.
fn integer_at(values: &Values, row: usize) -> Option<i128> {
    // Beyond 2^63 a float is whole only by lack of digits.
    let float = |x: f64| (x.fract() == 0.0 && x.abs() < 9.3e18).then_some(x as i128);
    match values {
        Values::I32(v) => Some(i128::from(v[row])),
        Values::I64(v) => Some(i128::from(v[row])),
        Values::U64(v) => Some(i128::from(v[row])),
        Values::F32(v) => float(f64::from(v[row])),
        Values::F64(v) => float(v[row]),
        Values::Bool(_) | Values::Str(_) => None,
    }
}

/// Whole numbers up to a magnitude, converted; a missing one is 0.
fn whole<T>(column: &Column, most: i128, convert: impl Fn(i128) -> T) -> Option<Vec<T>> {
    (0..column.len())
        .map(|row| {
            if column.is_missing(row) {
                return Some(convert(0));
            }
            integer_at(&column.values, row)
                .filter(|x| x.abs() <= most)
                .map(&convert)
        })
        .collect()
}

fn integers(column: &Column, to: DataType) -> Option<Values> {
    let (least, most) = to.integer_bounds()?;
    let mut values = Values::with_capacity(to, column.len());
    for row in 0..column.len() {
        let x = match column.is_missing(row) {
            true => 0,
            false => integer_at(&column.values, row).filter(|x| (least..=most).contains(x))?,
        };
        match &mut values {
            Values::I32(v) => v.push(i32::try_from(x).ok()?),
            Values::I64(v) => v.push(i64::try_from(x).ok()?),
            Values::U64(v) => v.push(u64::try_from(x).ok()?),
            _ => return None,
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tables::{Bitmap, Field};

    fn one(name: &str, data_type: DataType, column: Column) -> Table {
        let schema = Schema::new(vec![Field::new(name, data_type)]).unwrap();
        Table::new(Arc::new(schema), vec![Arc::new(column)])
    }

    fn declared(fields: &[(&str, DataType)]) -> Conform {
        let fields = fields.iter().map(|(n, t)| Field::new(*n, *t)).collect();
        Conform::new("output1", &Arc::new(Schema::new(fields).unwrap()))
    }

    #[test]
    fn values_take_the_declared_type_where_none_changes() {
        let out = |from, column, to| {
            declared(&[("x", to)])
                .apply(one("x", from, column))
                .unwrap()
        };
        let table = out(
            DataType::Float,
            Column::from(vec![0.1f32, 2.0]),
            DataType::Double,
        );
        assert_eq!(table.column(0).values, Values::F64(vec![0.1, 2.0]));
        let table = out(DataType::Int32, Column::from(vec![7]), DataType::Int64);
        assert_eq!(table.column(0).values, Values::I64(vec![7]));
        let table = out(DataType::Int64, Column::from(vec![7i64]), DataType::Int32);
        assert_eq!(table.column(0).values, Values::I32(vec![7]));
        let table = out(DataType::Double, Column::from(vec![5.0]), DataType::Int32);
        assert_eq!(table.column(0).values, Values::I32(vec![5]));
        let table = out(DataType::Int64, Column::from(vec![5i64]), DataType::String);
        assert_eq!(
            table.column(0).values,
            Values::Str(["5"].into_iter().collect())
        );
    }

    #[test]
    fn a_column_with_a_value_that_would_change_keeps_its_type() {
        let out = |from, column, to| {
            let table = declared(&[("x", to)])
                .apply(one("x", from, column))
                .unwrap();
            table.schema().field(0).data_type
        };
        let wide = Column::from(vec![1i64, 1 << 40]);
        assert_eq!(out(DataType::Int64, wide, DataType::Int32), DataType::Int64);
        let half = Column::from(vec![1.0, 0.5]);
        assert_eq!(
            out(DataType::Double, half, DataType::Int32),
            DataType::Double
        );
        let fine = Column::from(vec![std::f64::consts::PI]);
        assert_eq!(
            out(DataType::Double, fine, DataType::Float),
            DataType::Double
        );
        let big = Column::from(vec![(1i64 << 53) + 1]);
        assert_eq!(out(DataType::Int64, big, DataType::Double), DataType::Int64);
        let text = Column::from(["5"].into_iter().collect::<Strings>());
        assert_eq!(
            out(DataType::String, text, DataType::Int32),
            DataType::String
        );
    }

    /// A column of any type but a point in time, whose text has the zone in one of its types.
    fn any_column() -> impl Strategy<Value = (DataType, Column)> {
        let types = DataType::ALL.into_iter().filter(|t| {
            !matches!(
                t,
                DataType::Char | DataType::DateTime | DataType::DateTimeOffset
            )
        });
        let numbers = proptest::collection::vec(
            prop_oneof![
                any::<f64>(),
                any::<f32>().prop_map(f64::from),
                (-300i32..70_000).prop_map(f64::from),
                any::<i64>().prop_map(|x| x as f64),
            ],
            0..6,
        );
        let types: Vec<DataType> = types.collect();
        (proptest::sample::select(types), numbers).prop_map(|(data_type, numbers)| {
            let values = match Values::with_capacity(data_type, 0) {
                Values::Bool(_) => Values::Bool(numbers.iter().map(|x| *x > 0.0).collect()),
                Values::I32(_) => {
                    let (least, most) = data_type.integer_bounds().expect("an integer type");
                    let bound = |x: &f64| (*x as i128).clamp(least, most) as i32;
                    Values::I32(numbers.iter().map(bound).collect())
                }
                Values::I64(_) if data_type == DataType::Uint32 => {
                    Values::I64(numbers.iter().map(|x| i64::from(*x as u32)).collect())
                }
                Values::I64(_) => Values::I64(numbers.iter().map(|x| *x as i64).collect()),
                Values::U64(_) => Values::U64(numbers.iter().map(|x| *x as u64).collect()),
                Values::F32(_) => Values::F32(numbers.iter().map(|x| *x as f32).collect()),
                Values::F64(_) => Values::F64(numbers.clone()),
                Values::Str(_) => Values::Str(numbers.iter().map(f64::to_string).collect()),
            };
            let present: Bitmap = numbers.iter().map(|x| x.to_bits() % 5 != 0).collect();
            (data_type, Column::with_validity(values, present))
        })
    }

    proptest! {
        /// Whatever is cast reads as it did (or is the same number, where a Double was a Float).
        #[test]
        fn a_cast_changes_no_value((from, column) in any_column(), to in 0..DataType::ALL.len()) {
            let to = DataType::ALL[to];
            let column = Arc::new(column);
            if let Some(cast) = cast(&column, from, to) {
                prop_assert!(cast.values.holds(to) || from == to);
                for row in 0..column.len() {
                    let (mut before, mut after) = (Vec::new(), Vec::new());
                    let there = text::write_cell(&column, from, row, &mut before);
                    prop_assert_eq!(there, text::write_cell(&cast, to, row, &mut after));
                    let same_number = column.number(row) == cast.number(row);
                    prop_assert!(before == after || same_number, "{from:?} to {to:?}: {column:?}");
                }
            }
        }
    }

    #[test]
    fn a_missing_value_stays_missing() {
        let validity: Bitmap = [true, false].into_iter().collect();
        let column = Column::with_validity(Values::F32(vec![0.5, 0.0]), validity);
        let conform = declared(&[("x", DataType::String)]);
        let table = conform.apply(one("x", DataType::Float, column)).unwrap();
        assert!(table.column(0).is_missing(1));
        assert_eq!(
            table.column(0).values,
            Values::Str(["0.5", ""].into_iter().collect())
        );
    }

    #[test]
    fn names_and_number_must_match() {
        use faults::rows::Conflict::ModelOutputMetadataMismatch as Mismatch;
        let table = one("x", DataType::Int32, Column::from(vec![1]));
        for (columns, target) in [
            (vec![("y", DataType::Int32)], "output1/y"),
            (
                vec![("x", DataType::Int32), ("y", DataType::Int32)],
                "output1/y",
            ),
            (vec![("X", DataType::Int32)], "output1/X"),
        ] {
            let fault = declared(&columns).apply(table.clone()).unwrap_err();
            assert!(fault.is(&Mismatch));
            assert_eq!(fault.details()[0].target.as_deref(), Some(target));
        }
        let two = table
            .with_column(Field::new("y", DataType::Int32), Column::from(vec![2]))
            .unwrap();
        let fault = declared(&[("x", DataType::Int32)])
            .apply(two.clone())
            .unwrap_err();
        assert_eq!(fault.details()[0].target.as_deref(), Some("output1/y"));
        let turned = declared(&[("y", DataType::Int32), ("x", DataType::Int32)])
            .apply(two)
            .unwrap();
        assert_eq!(turned.schema().names().collect::<Vec<_>>(), ["y", "x"]);
        assert_eq!(turned.column(0).values, Values::I32(vec![2]));
        assert_eq!(declared(&[]).apply(table.clone()).unwrap(), table);
    }
}
