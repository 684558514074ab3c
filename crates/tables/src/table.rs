//! Tables: a schema and its columns. Columns are shared, never copied, between tables.

use std::sync::Arc;

use crate::column::{Column, Values};
use crate::schema::{DuplicateName, Field, Schema};

/// A table: columns of one length, described by a schema. Cloning shares the columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    schema: Arc<Schema>,
    columns: Vec<Arc<Column>>,
    rows: usize,
}

impl Table {
    /// A table of these columns; the number of rows is their length, 0 where there are none.
    ///
    /// # Panics
    ///
    /// Where the columns do not fit the schema in number or layout, or differ in length: a
    /// mistake of the code that made them, never of a request.
    pub fn new(schema: Arc<Schema>, columns: Vec<Arc<Column>>) -> Table {
        let rows = columns.first().map_or(0, |column| column.len());
        Table::with_rows(schema, columns, rows)
    }

    /// Like [`Table::new`] for a given number of rows, which a table without columns has too.
    ///
    /// # Panics
    ///
    /// As [`Table::new`] does.
    pub fn with_rows(schema: Arc<Schema>, columns: Vec<Arc<Column>>, rows: usize) -> Table {
        assert_eq!(schema.len(), columns.len(), "columns do not fit the schema");
        for (field, column) in schema.fields().iter().zip(&columns) {
            let name = &field.name;
            assert_eq!(column.len(), rows, "column {name} has another length");
            assert!(
                column.values.holds(field.data_type),
                "column {name} has another layout than {:?}",
                field.data_type
            );
        }
        Table {
            schema,
            columns,
            rows,
        }
    }

    /// Like [`Table::with_rows`] for columns that were built by the schema's fields.
    pub(crate) fn of_builders(
        schema: Arc<Schema>,
        columns: Vec<Arc<Column>>,
        rows: usize,
    ) -> Table {
        if cfg!(debug_assertions) {
            return Table::with_rows(schema, columns, rows);
        }
        Table {
            schema,
            columns,
            rows,
        }
    }

    /// A table without rows.
    pub fn empty(schema: Arc<Schema>) -> Table {
        let blank =
            |field: &Field| Arc::new(Column::new(Values::with_capacity(field.data_type, 0)));
        let columns = schema.fields().iter().map(blank).collect();
        Table::with_rows(schema, columns, 0)
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The column at a position.
    pub fn column(&self, position: usize) -> &Arc<Column> {
        &self.columns[position]
    }

    /// The columns in the schema's order.
    pub fn columns(&self) -> &[Arc<Column>] {
        &self.columns
    }

    /// The column of that name with its field.
    pub fn by_name(&self, name: &str) -> Option<(&Field, &Arc<Column>)> {
        let position = self.schema.position(name)?;
        Some((self.schema.field(position), &self.columns[position]))
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns at these positions, in that order.
    ///
    /// # Panics
    ///
    /// Where a position is out of range or named twice.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Table {
        let field = |&position: &usize| self.schema.field(position).clone();
        let schema = Schema::new(positions.iter().map(field).collect())
            .unwrap_or_else(|twice| panic!("a column is selected twice: {twice}"));
        let column = |&position: &usize| Arc::clone(&self.columns[position]);
        let columns = positions.iter().map(column).collect();
        Table::with_rows(Arc::new(schema), columns, self.rows)
    }

    /// The table with one more column at its end.
    ///
    /// # Panics
    ///
    /// Where the column does not have this table's length or the field's layout. (A table without
    /// columns and rows takes any length.)
    pub fn with_column(
        &self,
        field: Field,
        column: impl Into<Arc<Column>>,
    ) -> Result<Table, DuplicateName> {
        self.with_columns([(field, column.into())])
    }

    /// The table with more columns at its end.
    ///
    /// # Panics
    ///
    /// As [`Table::with_column`] does.
    pub fn with_columns(
        &self,
        more: impl IntoIterator<Item = (Field, Arc<Column>)>,
    ) -> Result<Table, DuplicateName> {
        let mut fields = self.schema.fields().to_vec();
        let mut columns = self.columns.clone();
        for (field, column) in more {
            fields.push(field);
            columns.push(column);
        }
        let schema = Arc::new(Schema::new(fields)?);
        let rows = match self.columns.is_empty() && self.rows == 0 {
            true => columns.first().map_or(0, |column| column.len()),
            false => self.rows,
        };
        Ok(Table::with_rows(schema, columns, rows))
    }

    /// The table with the column at a position replaced, field and all.
    ///
    /// # Panics
    ///
    /// As [`Table::with_column`] does, or where the position is out of range.
    pub fn replace(
        &self,
        position: usize,
        field: Field,
        column: impl Into<Arc<Column>>,
    ) -> Result<Table, DuplicateName> {
        let mut fields = self.schema.fields().to_vec();
        let mut columns = self.columns.clone();
        fields[position] = field;
        columns[position] = column.into();
        let schema = Arc::new(Schema::new(fields)?);
        Ok(Table::with_rows(schema, columns, self.rows))
    }

    /// The table with the column at a position under another name.
    pub fn rename(&self, position: usize, name: &str) -> Result<Table, DuplicateName> {
        let mut fields = self.schema.fields().to_vec();
        name.clone_into(&mut fields[position].name);
        Ok(self.with_schema(Arc::new(Schema::new(fields)?)))
    }

    /// The same columns under another schema: other names, roles or categories, the same layouts.
    ///
    /// # Panics
    ///
    /// Where the columns do not fit the schema.
    #[must_use]
    pub fn with_schema(&self, schema: Arc<Schema>) -> Table {
        Table::with_rows(schema, self.columns.clone(), self.rows)
    }

    /// Adds the rows of a table of the same columns behind these; `None` where they are not the
    /// same, or the texts of a column come to more than one can hold (2 GiB).
    #[must_use]
    pub fn append(mut self, other: &Table) -> Option<Table> {
        if self.columns.len() != other.columns.len() {
            return None;
        }
        for (column, more) in self.columns.iter_mut().zip(&other.columns) {
            if !Arc::make_mut(column).append(more) {
                return None;
            }
        }
        self.rows += other.rows;
        Some(self)
    }

    /// The rows at these positions, in that order.
    ///
    /// # Panics
    ///
    /// Where a position is out of range.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Table {
        let taken = |column: &Arc<Column>| Arc::new(column.take(rows));
        let columns = self.columns.iter().map(taken).collect();
        Table::with_rows(Arc::clone(&self.schema), columns, rows.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Table;
    use crate::column::{Bitmap, Column, Strings};
    use crate::data_type::DataType;
    use crate::schema::{Field, Schema};

    fn people() -> Table {
        let schema = Schema::new(vec![
            Field::new("age", DataType::Int32),
            Field::new("name", DataType::String),
        ]);
        let names: Strings = ["Ann", "Bob", "Cid"].into_iter().collect();
        let columns = vec![
            Arc::new(Column::from(vec![39, 50, 38])),
            Arc::new(Column::from(names)),
        ];
        Table::new(Arc::new(schema.unwrap()), columns)
    }

    #[test]
    fn rows_are_added_behind_others_with_what_is_missing() {
        let mut gaps = people();
        let mut missing = Bitmap::filled(3, true);
        missing.set(1, false);
        let ages = Column::with_validity(gaps.column(0).values.clone(), missing);
        gaps.columns[0] = Arc::new(ages);
        let both = people().append(&gaps).unwrap().append(&people()).unwrap();
        assert_eq!(both.rows(), 9);
        let missing: Vec<usize> = (0..9)
            .filter(|&row| both.column(0).is_missing(row))
            .collect();
        assert_eq!(missing, [4]);
        assert_eq!(both.column(0).number(8), Some(38.0));
        assert_eq!(
            both.take(&[5, 6]).column(1),
            people().take(&[2, 0]).column(1)
        );
        assert!(people().append(&people().select(&[0])).is_none());
        assert!(people().append(&people().select(&[1, 0])).is_none());
    }

    #[test]
    fn columns_are_selected_shared_and_added() {
        let table = people();
        let selected = table.select(&[1, 0]);
        assert!(Arc::ptr_eq(selected.column(1), table.column(0)));
        let score = Field::new("score", DataType::Double);
        let wider = table.with_column(score, Column::from(vec![0.5, 1.0, 1.5]));
        let wider = wider.unwrap();
        assert_eq!(
            wider.schema().names().collect::<Vec<_>>(),
            ["age", "name", "score"]
        );
        assert_eq!(wider.by_name("score").unwrap().1.number(2), Some(1.5));
        let again = Field::new("age", DataType::Double);
        assert!(
            table
                .with_column(again, Column::from(vec![0.0; 3]))
                .is_err()
        );
        let flag = Field::new("flag", DataType::Boolean);
        let replaced = table.replace(0, flag, Column::from(vec![true, false, true]));
        assert_eq!(replaced.unwrap().schema().position("age"), None);
    }

    #[test]
    fn columns_are_renamed() {
        let renamed = people().rename(0, "years").unwrap();
        assert_eq!(renamed.schema().position("years"), Some(0));
        assert!(people().rename(0, "name").is_err());
    }

    #[test]
    fn rows_are_taken() {
        let taken = people().take(&[2, 0]);
        assert_eq!(taken.rows(), 2);
        assert_eq!(taken.column(0).number(0), Some(38.0));
    }

    #[test]
    fn a_table_without_columns_can_have_rows() {
        let none = Table::with_rows(Arc::new(Schema::empty()), vec![], 4);
        let field = Field::new("x", DataType::Double);
        let one = none.with_column(field, Column::from(vec![0.0; 4])).unwrap();
        assert_eq!(one.rows(), 4);
        assert_eq!(Table::empty(Arc::clone(one.schema())).rows(), 0);
    }

    #[test]
    #[should_panic(expected = "another length")]
    fn unequal_columns_are_a_defect() {
        let field = Field::new("x", DataType::Double);
        let _ = people().with_column(field, Column::from(vec![0.0]));
    }

    #[test]
    #[should_panic(expected = "another layout")]
    fn the_wrong_layout_is_a_defect() {
        let field = Field::new("x", DataType::Float);
        let _ = people().with_column(field, Column::from(vec![0.0f64; 3]));
    }
}
