//! XGBoost's models, as `save_model` writes them in JSON or UBJSON.
//!
//! Both are one document ([`doc`]) in two spellings ([`json`], [`ubj`]); [`model`] reads the
//! ensemble from it, [`objective`] knows what becomes of its sums.

pub(crate) mod doc;
pub(crate) mod json;
pub(crate) mod model;
mod objective;
#[cfg(test)]
mod tests;
mod ubj;

use crate::boosted::Boosted;
use crate::reject::Reject;

/// Reads a model in JSON.
pub(crate) fn read_json(bytes: &[u8]) -> Result<Boosted, Reject> {
    model::read(&json::read(bytes)?)
}

/// Reads a model in UBJSON.
pub(crate) fn read_ubj(bytes: &[u8]) -> Result<Boosted, Reject> {
    model::read(&ubj::read(bytes)?)
}
