//! The scoring API: `/execute` of 2.0, `/score` of 2014, and the documents about them.

pub(crate) mod docs;
pub(crate) mod example;
pub(crate) mod execute;
mod swagger;
pub(crate) mod v1;

pub(crate) use docs::{api_document, swagger_json};
