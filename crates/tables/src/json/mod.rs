//! JSON as bytes: a scanner for requests and a string writer for replies.

mod plain;
mod scan;
mod write;

pub(crate) use plain::{eight_digits, plain_number};
pub(crate) use scan::{Broken, Scanner, plain_end};
pub(crate) use write::write_string;
