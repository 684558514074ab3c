//! One suite for every kind of storage: what is here holds wherever a blob lies.
//!
//! A kind is a [`place::Place`]: references that lead there, and what the service says in its own
//! words when something is not there. The emulators are installed by `scripts/test`; where they
//! are not, their tests say so and do nothing.

mod azure;
mod bucket;
mod cases;
mod local;
mod place;
mod troubles;

#[path = "../../../../tests/support/azurite.rs"]
mod azurite;
#[path = "../../../../tests/support/emulator.rs"]
mod emulator;
#[path = "../../../../tests/support/s3.rs"]
mod s3;
