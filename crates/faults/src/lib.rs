//! The contract: 18 classes, 110 codes, and the fault that carries one of them.
//!
//! [`catalogue`] is the table that everything derives from. A failure is made by a typed
//! constructor (`bad_argument::blob_not_found(blob, reason)`), travels as a [`Fault`] with public
//! parameters and a private cause, and is turned into a reply by [`render`], in the reader's
//! language. [`explain`] answers "what is this code?" for the CLI.

#[macro_use]
mod table;
pub mod catalogue;
mod explain;
pub mod extensions;
mod fault;
mod language;
mod locale;
mod render;

pub use catalogue::*;
pub use explain::{Entry, explain, find, names};
pub use fault::{Detail, Fault};
pub use language::Language;
pub use locale::{class_message, row_message};
pub use render::{Rendered, render};
