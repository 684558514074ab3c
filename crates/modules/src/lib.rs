//! The built-in modules, one file each.
//!
//! # Adding a module
//!
//! 1. Write `src/my_module.rs`: a unit struct that implements [`graph::Module`] and a struct that
//!    implements [`graph::Step`]. `select_columns.rs` is the shortest example.
//!
//!    - [`graph::Module::interface`] gives a `static` [`graph::Interface`]: name, family (the 32
//!      hexadecimal digits that definitions use), older names and ids, ports, and parameters with
//!      defaults, ranges, words and parents. The graph enforces all of that; the module sees
//!      values of the right type only.
//!    - [`graph::Module::prepare`] does what depends on the settings alone.
//!    - [`graph::Step::run`] does the work. Columns that do not change are shared, never copied.
//!      What depends on the columns' names and types is worked out once a schema and kept in a
//!      `SchemaCache`; what does not fit there is a `Refusal`. Values that the module refuses are
//!      a `ModuleExecutionError` with a classic error number (`refusal::data`), whose sentence
//!      names row (from 1), column and value. Long work asks [`graph::RunContext::check`].
//!    - [`graph::Step::output_schemas`] tells the columns that come out, where they can be told
//!      before a run, so that a definition that cannot work is refused when it is deployed. It
//!      shares its code with `run`.
//!    - `row_wise` in the interface says that each output row depends on its input row alone, so
//!      that a table may be cut into chunks.
//! 2. Name it below: its `mod` line and its line in [`registry`].
//! 3. Put its tests at the end of its file: what it gives, and each way in which it refuses.
//!    Whole graphs are tested in `tests/`.
//!
//! Deployment checks, web service parameters and listings follow from the interface.

mod apply_transformation;
mod cell;
mod clean_missing_data;
mod cleaning;
mod column_picker;
mod convert;
mod edit_metadata;
mod input;
mod loaders;
mod mice;
mod package;
mod refusal;
mod schema_cache;
mod score_columns;
mod score_model;
mod select_columns;
mod statistics;
mod time_format;
mod transform;

#[cfg(test)]
mod testing;

pub use package::{Nullable, PackageOptions, package_from_model};
pub use transform::transform_document;

/// The modules and loaders of this installation.
pub fn registry() -> graph::Registry {
    graph::Registry::new()
        .with(score_model::ScoreModel)
        .with(select_columns::SelectColumns)
        .with(edit_metadata::EditMetadata)
        .with(clean_missing_data::CleanMissingData)
        .with(apply_transformation::ApplyTransformation)
        .with_loader(loaders::Models)
        .with_loader(loaders::Transforms)
        .with_loader(loaders::Datasets)
}
