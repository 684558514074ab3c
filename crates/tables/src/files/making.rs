//! Columns that grow row by row, and take a row back that does not become one.

use std::ops::Range;

use super::head::Layout;
use crate::cells::{Builder, Cell, Native, describe, shortened};
use crate::column::Column;
use crate::data_type::DataType;
use crate::schema::Field;

/// What comes next in the text.
#[derive(Debug)]
pub(super) enum Step {
    /// A row, which the columns have now, and where it ends.
    Row { end: usize },
    /// A record that is no row, which the columns do not have.
    Bad { end: usize, line: u64, bad: Bad },
    /// A record that does not end in the text, and where it starts: blank lines are behind it.
    More { at: usize },
    /// Nothing more.
    End,
}

/// A record that is no row.
#[derive(Debug)]
pub(super) struct Bad {
    /// Where it stands, without its line end.
    pub(super) record: Range<usize>,
    /// The column of the file whose cell is at fault, if it is one cell.
    pub(super) column: Option<usize>,
    /// `column "age": "forty" is not an Int32` or `3 cells for 2 columns`.
    pub(super) reason: String,
}

/// A cell that its column does not take.
pub(super) struct BadCell {
    pub(super) column: usize,
    pub(super) reason: String,
}

/// The columns of a block in the making.
#[derive(Debug)]
pub(super) struct Making {
    /// By column of the file.
    pub(super) columns: Vec<InTheMaking>,
    /// The most bytes of a cell.
    pub(super) limit: usize,
    /// The rows of the block so far.
    pub(super) rows: usize,
}

#[derive(Debug)]
pub(super) struct InTheMaking {
    pub(super) builder: Builder,
    field: Field,
}

impl Making {
    pub(super) fn new(layout: &Layout, limit: usize) -> Making {
        let column = |&position: &usize| {
            let field = layout.schema.field(position).clone();
            InTheMaking {
                builder: Builder::new(&field, 0),
                field,
            }
        };
        Making {
            columns: layout.positions.iter().map(column).collect(),
            limit,
            rows: 0,
        }
    }

    /// The block's columns, in the file's order; the next block begins, and room for as many rows
    /// is made.
    pub(super) fn finish_block(&mut self) -> Vec<Column> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut();
        columns
            .map(|column| column.builder.finish_block(rows))
            .collect()
    }

    /// Forgets the cells of a row that did not become one.
    pub(super) fn take_back(&mut self) {
        for making in &mut self.columns {
            making.builder.truncate(self.rows);
        }
    }

    /// What is wrong with a record. The wrong number of cells explains a cell at fault too.
    #[cold]
    pub(super) fn bad(&self, record: Range<usize>, cells: usize, cell: Option<BadCell>) -> Bad {
        match cell {
            Some(BadCell { column, reason }) if cells == self.columns.len() => Bad {
                record,
                column: Some(column),
                reason,
            },
            _ => Bad {
                record,
                column: None,
                reason: format!(
                    "{} for {}",
                    counted(cells, "cell"),
                    counted(self.columns.len(), "column")
                ),
            },
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

impl InTheMaking {
    /// Appends a cell of delimited text, or says why not: where the column is nullable, an empty
    /// one is missing.
    #[inline]
    pub(super) fn push(&mut self, cell: &[u8], limit: usize) -> Result<(), String> {
        let Ok(text) = std::str::from_utf8(cell) else {
            return Err(self.refused("a cell is not UTF-8"));
        };
        if text.is_empty() && self.field.nullable {
            return self.push_cell(Cell::Null);
        }
        self.push_text(text, limit)
    }

    /// Appends a text, or says why not.
    #[inline]
    pub(super) fn push_text(&mut self, text: &str, limit: usize) -> Result<(), String> {
        if text.len() > limit {
            return Err(self.refused(&format!("a cell is longer than {limit} bytes")));
        }
        self.push_cell(Cell::Text(text))
    }

    #[inline]
    pub(super) fn push_cell(&mut self, cell: Cell<'_>) -> Result<(), String> {
        match self.builder.push(cell) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(describe(&self.field, cell, refusal)),
        }
    }

    /// Appends a value that is not text, or says why not.
    #[inline]
    pub(super) fn push_native(&mut self, value: Native) -> Result<(), String> {
        match self.builder.push_native(value) {
            Ok(()) => Ok(()),
            Err(refusal) => {
                let text = value.text();
                Err(describe(&self.field, Cell::Text(&text), refusal))
            }
        }
    }

    /// The type of its values.
    pub(super) fn data_type(&self) -> DataType {
        self.field.data_type
    }

    #[cold]
    pub(super) fn refused(&self, what: &str) -> String {
        format!("column \"{}\": {what}", shortened(&self.field.name))
    }
}
