//! The whole way of a call, as clients and operators see it: the shipped binary, a real model, a
//! real socket.

#[path = "../support/mod.rs"]
mod support;

mod arm;
mod backups;
mod batch;
mod batch_command;
mod batch_crash;
mod blobs;
mod classic;
mod clients;
mod command_line;
mod crash;
mod diagnostics;
mod documents;
mod durability;
mod help;
mod identities;
mod life;
mod model_files;
mod oidc;
mod openapi;
mod operations;
mod plans;
mod published;
mod requests;
mod studio;
mod workspaces;
