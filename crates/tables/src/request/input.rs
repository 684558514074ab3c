//! One input of a request: a table or a list of row objects, into columns.

use faults::{Fault, bad_user_argument};

use super::keys::Keys;
use super::{InputPort, LISTED_COLUMNS, Part, Reader};
use crate::cells::{Builder, Cell, describe, shortened};
use crate::json::{Broken, Scanner};
use crate::schema::Schema;
use crate::table::Table;

/// An input that was read.
pub(super) struct Decoded {
    /// The columns at fault, the first of them.
    pub(super) mismatches: Vec<Mismatch>,
    /// The table, or the first fault of a row or cell. Where there are mismatches they come first.
    pub(super) table: Result<Table, Fault>,
}

/// A column that the schema has and the input lacks, or the other way round, or that the input
/// has twice.
#[derive(Debug)]
pub(super) struct Mismatch {
    pub(super) column: String,
    pub(super) kind: MismatchKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MismatchKind {
    Missing,
    Extra,
    Repeated,
}

/// Rows whose room is reserved from the length of the body; more are made room for as they come.
const RESERVED_ROWS: usize = 4_096;

impl<'a> Reader<'a, '_> {
    /// Reads the value of an input, in whichever form it is.
    pub(super) fn input(&mut self, port: usize) -> Result<Decoded, Broken> {
        match self.scanner.peek() {
            Some(b'{') => self.table(port),
            Some(b'[') => self.row_objects(port),
            _ => Err(self
                .scanner
                .broken("an input is neither a table nor a list of rows")),
        }
    }

    /// Reads `{"ColumnNames":…,"Values":…}`. Values that come before the names are read a second
    /// time once the names are known.
    fn table(&mut self, port: usize) -> Result<Decoded, Broken> {
        let schema = &self.ports[port].schema;
        let mut layout: Option<Layout> = None;
        let mut values = None;
        let mut waiting = None;
        self.object(&mut |reader, name| match name {
            "ColumnNames" => {
                reader.part = Part::ColumnNames(port);
                layout = Some(reader.column_names(schema)?);
                Ok(())
            }
            "Values" => {
                reader.part = Part::Values(port);
                match layout.take() {
                    Some(layout) => values = Some(reader.values(port, layout)?),
                    None => {
                        reader.scanner.peek();
                        waiting = Some(reader.scanner);
                        reader.scanner.skip()?;
                    }
                }
                Ok(())
            }
            _ => reader.scanner.skip(),
        })?;
        if let Some(decoded) = values {
            return Ok(decoded);
        }
        match (waiting, layout) {
            (Some(start), Some(layout)) => {
                let after = std::mem::replace(&mut self.scanner, start);
                self.part = Part::Values(port);
                let decoded = self.values(port, layout)?;
                self.scanner = after;
                Ok(decoded)
            }
            (Some(_), None) => Err(self.scanner.broken("a table has no ColumnNames")),
            (None, _) => Err(self.scanner.broken("a table has no Values")),
        }
    }

    /// Reads the value of `ColumnNames`: an array of names or, for one column, the bare name.
    fn column_names(&mut self, schema: &Schema) -> Result<Layout, Broken> {
        let mut layout = Layout::default();
        match self.scanner.peek() {
            Some(b'"') => self.column_name(schema, &mut layout)?,
            Some(b'[') if schema.len() <= self.limits.columns && self.all_names(schema) => {
                layout.count = schema.len();
                return Ok(layout);
            }
            Some(b'[') => {
                self.scanner.enter()?;
                while self.scanner.more(layout.count == 0, b']')? {
                    if self.scanner.peek() != Some(b'"') {
                        return Err(self.scanner.broken("a column's name is not a string"));
                    }
                    if layout.count == self.limits.columns {
                        return Err(self.scanner.broken("there are more columns than the limit"));
                    }
                    self.column_name(schema, &mut layout)?;
                }
            }
            _ => return Err(self.scanner.broken("ColumnNames is not an array of names")),
        }
        layout.find_missing(schema);
        Ok(layout)
    }

    /// Takes the schema's names in the schema's order, if that is what comes. (An array whose end
    /// is in the wrong place cannot match: the list is compared with both its brackets.)
    fn all_names(&mut self, schema: &Schema) -> bool {
        let [compact, spaced] = schema.json_lists();
        self.scanner.take(compact) || self.scanner.take(spaced)
    }

    fn column_name(&mut self, schema: &Schema, layout: &mut Layout) -> Result<(), Broken> {
        let next = layout.count;
        if layout.moved.is_none()
            && next < schema.len()
            && self.scanner.take_name(schema.json_name(next))
        {
            layout.count += 1;
            return Ok(());
        }
        let name = self.scanner.text()?;
        layout.add(schema, &name);
        Ok(())
    }

    /// Reads the value of `Values`: an array of rows, each an array of cells.
    fn values(&mut self, port: usize, mut layout: Layout) -> Result<Decoded, Broken> {
        if self.scanner.peek() != Some(b'[') {
            return Err(self.scanner.broken("Values is not an array of rows"));
        }
        self.scanner.enter()?;
        let rows = self.expected_rows(port, b']');
        let mut columns = Columns::new(
            &self.ports[port],
            rows,
            std::mem::take(&mut layout.mismatches),
        );
        let count = layout.count;
        while self.scanner.more(columns.rows == 0, b']')? {
            if self.scanner.peek() != Some(b'[') {
                return Err(self.scanner.broken("a row is not an array"));
            }
            self.check_rows(columns.rows)?;
            self.scanner.enter()?;
            let mut cells = 0;
            let mut open = self.scanner.more(true, b']')?;
            while open {
                let (taken, after_value) =
                    columns.push_plain_run(cells, &layout, &mut self.scanner);
                cells += taken;
                if !after_value {
                    let position = layout.position(cells);
                    let cell = self.scanner.cell(&mut self.scratch)?;
                    cells += 1;
                    if let Some(position) = position {
                        columns.push(position, cell);
                    }
                }
                open = self.scanner.more(false, b']')?;
            }
            if cells != count {
                columns.refuse_row(cells, count);
            }
            columns.rows += 1;
        }
        Ok(columns.finish())
    }

    /// Reads a list of row objects.
    fn row_objects(&mut self, port: usize) -> Result<Decoded, Broken> {
        self.scanner.enter()?;
        let rows = self.expected_rows(port, b'}');
        let columns = Columns::new(&self.ports[port], rows, Vec::new());
        let mut objects = RowObjects::new(columns);
        while self.scanner.more(objects.columns.rows == 0, b']')? {
            if self.scanner.peek() != Some(b'{') {
                return Err(self.scanner.broken("a row is not an object"));
            }
            self.check_rows(objects.columns.rows)?;
            self.row_object(&mut objects)?;
        }
        Ok(objects.columns.finish())
    }

    /// Reads the value of a v1 body's `FeatureVector`: one row object. `None` where it is empty
    /// and the port has columns, since that gives no input.
    pub(super) fn feature_vector(&mut self) -> Result<Option<Decoded>, Broken> {
        if self.scanner.peek() != Some(b'{') {
            return Err(self.scanner.broken("FeatureVector is not an object"));
        }
        let port = &self.ports[0];
        let mut objects = RowObjects::new(Columns::new(port, 1, Vec::new()));
        let keys = self.row_object(&mut objects)?;
        let none = keys == 0 && !port.schema.is_empty();
        Ok((!none).then(|| objects.columns.finish()))
    }

    /// Reads one row object, whose opening byte was seen, and gives the number of its keys.
    fn row_object(&mut self, objects: &mut RowObjects<'a, '_>) -> Result<usize, Broken> {
        self.scanner.enter()?;
        let mut keys = 0;
        let mut found = 0;
        let schema = &objects.columns.port.schema;
        while self.scanner.more(keys == 0, b'}')? {
            if keys == self.limits.columns {
                return Err(self.scanner.broken("there are more columns than the limit"));
            }
            // Rows usually have their keys in one order, and that is the schema's.
            let likely = objects.order.get(keys).copied();
            let position = match likely {
                Some(likely) if self.scanner.take_name(schema.json_name(likely)) => {
                    self.scanner.colon()?;
                    Some(likely)
                }
                _ => {
                    let key = self.scanner.key()?;
                    let position = schema.position(&key);
                    match (position, objects.order.get_mut(keys)) {
                        (Some(position), Some(likely)) => *likely = position,
                        (Some(_), None) => {}
                        (None, _) => {
                            objects.columns.mismatch(&key, MismatchKind::Extra);
                            if !objects.extra.insert(key) {
                                return Err(self.scanner.broken("a name stands twice in a row"));
                            }
                        }
                    }
                    position
                }
            };
            keys += 1;
            if let Some(position) = position {
                // Row numbers count from 1 here, so that 0 is no row's.
                let row = objects.columns.rows + 1;
                if std::mem::replace(&mut objects.last_row[position], row) == row {
                    return Err(self.scanner.broken("a name stands twice in a row"));
                }
                found += 1;
            }
            self.scanner.peek();
            if objects.columns.push_plain(position, &mut self.scanner) {
                continue;
            }
            let cell = self.scanner.cell(&mut self.scratch)?;
            if let Some(position) = position {
                objects.columns.push(position, cell);
            }
        }
        if found < schema.len() {
            objects.find_missing();
        }
        if !objects.extra.is_empty() {
            objects.extra.clear();
        }
        objects.columns.rows += 1;
        Ok(keys)
    }

    fn check_rows(&self, rows: usize) -> Result<(), Broken> {
        match rows < self.limits.rows {
            true => Ok(()),
            false => Err(self.scanner.broken("there are more rows than the limit")),
        }
    }

    /// How many rows to make room for: as many of the first one's length as the rest of the body
    /// can hold. A guess, and never more cells than that rest, at two bytes each, can have.
    fn expected_rows(&self, port: usize, close: u8) -> usize {
        let rest = self.scanner.rest();
        let first = memchr::memchr(close, rest).unwrap_or(rest.len()) + 2;
        let fitting = rest.len() / (2 * self.ports[port].schema.len().max(1));
        (rest.len() / first)
            .min(fitting)
            .min(RESERVED_ROWS)
            .min(self.limits.rows)
            + 1
    }
}

/// Which cell of a row belongs to which column.
#[derive(Default)]
struct Layout {
    /// How many columns are named.
    count: usize,
    /// By cell, the position of its column in the schema, `None` for an extra or repeated one;
    /// absent while the names are the schema's in the schema's order.
    moved: Option<Vec<Option<usize>>>,
    mismatches: Vec<Mismatch>,
}

impl Layout {
    /// The position in the schema of the column of a row's cell of that number.
    #[inline]
    fn position(&self, cell: usize) -> Option<usize> {
        match &self.moved {
            None => (cell < self.count).then_some(cell),
            Some(positions) => positions.get(cell).copied().flatten(),
        }
    }

    /// Adds a name that is not the one the schema has in its place.
    fn add(&mut self, schema: &Schema, name: &str) {
        let count = self.count;
        let moved = self
            .moved
            .get_or_insert_with(|| (0..count).map(Some).collect());
        let position = schema.position(name);
        // A repeated name is found later, together with those that are missing.
        if position.is_none() {
            mismatch(&mut self.mismatches, name, MismatchKind::Extra);
        }
        moved.push(position);
        self.count += 1;
    }

    /// Compares what was named with the schema.
    fn find_missing(&mut self, schema: &Schema) {
        if self.moved.is_none() && self.count == schema.len() {
            return;
        }
        let count = self.count;
        let moved = self
            .moved
            .get_or_insert_with(|| (0..count).map(Some).collect());
        let mut named = vec![false; schema.len()];
        for cell in moved.iter_mut() {
            if let Some(position) = *cell
                && std::mem::replace(&mut named[position], true)
            {
                let name = &schema.field(position).name;
                mismatch(&mut self.mismatches, name, MismatchKind::Repeated);
                *cell = None;
            }
        }
        let missing = schema.names().zip(named).filter(|(_, named)| !named);
        for (name, _) in missing {
            mismatch(&mut self.mismatches, name, MismatchKind::Missing);
        }
    }
}

/// Notes a column at fault once, while the list has room.
#[cold]
fn mismatch(mismatches: &mut Vec<Mismatch>, column: &str, kind: MismatchKind) {
    if mismatches.len() >= LISTED_COLUMNS {
        return;
    }
    let column = shortened(column);
    if !mismatches.iter().any(|known| known.column == column) {
        mismatches.push(Mismatch { column, kind });
    }
}

/// The columns of an input in the making. After the first fault nothing is stored any more, and
/// what follows is only checked.
struct Columns<'p> {
    port: &'p InputPort,
    builders: Vec<Builder>,
    /// Complete rows.
    rows: usize,
    mismatches: Vec<Mismatch>,
    /// The first fault of a row or cell, with its row.
    fault: Option<(usize, Fault)>,
    storing: bool,
}

impl<'p> Columns<'p> {
    fn new(port: &'p InputPort, rows: usize, mismatches: Vec<Mismatch>) -> Columns<'p> {
        let storing = mismatches.is_empty();
        let capacity = if storing { rows } else { 0 };
        let fields = port.schema.fields().iter();
        Columns {
            port,
            builders: fields.map(|field| Builder::new(field, capacity)).collect(),
            rows: 0,
            mismatches,
            fault: None,
            storing,
        }
    }

    /// Takes cells from the scanner's place on, the first of them the row's cell of that number,
    /// as long as they and their columns are of the commonest kinds. Gives how many, and whether
    /// the scanner is right after the last of them (else it is before a further cell).
    #[inline]
    fn push_plain_run(
        &mut self,
        cell: usize,
        layout: &Layout,
        scanner: &mut Scanner<'_>,
    ) -> (usize, bool) {
        if !self.storing {
            return (0, false);
        }
        match &layout.moved {
            None => match self.builders.get_mut(cell..) {
                Some(builders) => scanner.plain_cells(builders),
                None => (0, false),
            },
            Some(_) => {
                let taken = self.push_plain(layout.position(cell), scanner);
                (usize::from(taken), taken)
            }
        }
    }

    /// Takes the cell at the scanner's place if it and its column are of the commonest kinds.
    #[inline]
    fn push_plain(&mut self, position: Option<usize>, scanner: &mut Scanner<'_>) -> bool {
        match position {
            Some(position) if self.storing => scanner.plain_cell(&mut self.builders[position]),
            _ => false,
        }
    }

    /// Takes the cell of the current row at that position of the schema.
    #[inline]
    fn push(&mut self, position: usize, cell: Cell<'_>) {
        if self.storing
            && let Err(refusal) = self.builders[position].push(cell)
        {
            let field = self.port.schema.field(position);
            let problem = describe(field, cell, refusal);
            let problem = format!("row {}, {problem}", self.rows + 1);
            let target = format!("{}/{}", self.port.name, shortened(&field.name));
            let fault = bad_user_argument::input_parse_error(problem).at(target);
            self.fault = Some((self.rows, fault));
            self.storing = false;
        }
    }

    /// Notes that the current row has the wrong number of cells. That explains a fault of one of
    /// its cells too, and takes its place.
    #[cold]
    fn refuse_row(&mut self, cells: usize, columns: usize) {
        if self.fault.as_ref().is_some_and(|&(row, _)| row < self.rows) {
            return;
        }
        let cells = counted(cells, "cell");
        let columns = counted(columns, "column");
        let problem = format!("row {} has {cells} for {columns}", self.rows + 1);
        let fault = bad_user_argument::input_parse_error(problem).at(&self.port.name);
        self.fault = Some((self.rows, fault));
        self.storing = false;
    }

    #[cold]
    fn mismatch(&mut self, column: &str, kind: MismatchKind) {
        mismatch(&mut self.mismatches, column, kind);
        self.storing = false;
    }

    fn finish(self) -> Decoded {
        let table = match self.fault {
            Some((_, fault)) => Err(fault),
            // Without all columns stored there is no table, and the mismatches say why.
            None if !self.storing => Err(bad_user_argument::input_mismatch_error()),
            None => {
                let columns = self.builders.into_iter();
                let columns = columns.map(|builder| builder.finish().into()).collect();
                Ok(Table::of_builders(
                    self.port.schema.clone(),
                    columns,
                    self.rows,
                ))
            }
        };
        Decoded {
            mismatches: self.mismatches,
            table,
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Row objects on their way into columns.
struct RowObjects<'a, 'p> {
    columns: Columns<'p>,
    /// The column that each key of the last row had; at first the schema's order.
    order: Vec<usize>,
    /// By column, the last row that has it, counted from 1.
    last_row: Vec<usize>,
    /// The keys of the current row that no column has.
    extra: Keys<'a>,
}

impl<'p> RowObjects<'_, 'p> {
    fn new(columns: Columns<'p>) -> Self {
        let len = columns.port.schema.len();
        RowObjects {
            columns,
            order: (0..len).collect(),
            last_row: vec![0; len],
            extra: Keys::default(),
        }
    }

    /// Notes the columns that the current row lacks.
    #[cold]
    fn find_missing(&mut self) {
        let row = self.columns.rows + 1;
        let port = self.columns.port;
        for (name, last_row) in port.schema.names().zip(&self.last_row) {
            if *last_row != row {
                self.columns.mismatch(name, MismatchKind::Missing);
            }
        }
    }
}
