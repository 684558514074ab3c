//! The floor of the benchmark: a bare axum server that parses the same body
//! as the others with serde_json into typed fields and answers a fixed reply.
//! It checks no key, no schema and no limit and runs no model: what stands
//! above it is what our work costs.
//!
//! `floor NUMBERS_1=FILE NUMBERS_100=FILE MIXED=FILE …` serves `POST /NAME` for
//! each name with the bytes of its file, on a free port of 127.0.0.1, and
//! prints `listening on http://127.0.0.1:PORT`. A name that begins with
//! `mixed` takes cells of any scalar type, any other takes numbers only.

use std::borrow::Cow;
use std::process::ExitCode;

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;

/// A classic scoring request with one input.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "C: Deserialize<'de>"))]
struct Request<'a, C> {
    #[serde(borrow)]
    inputs: Inputs<'a, C>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
struct Inputs<'a, C> {
    #[serde(borrow)]
    input1: Table<'a, C>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "C: Deserialize<'de>"))]
struct Table<'a, C> {
    #[serde(borrow)]
    column_names: Vec<Cow<'a, str>>,
    values: Vec<Vec<C>>,
}

/// A cell of a table with columns of several types. The visitor is written by
/// hand: an untagged enum would buffer every cell and make the floor too high.
enum Cell<'a> {
    Missing,
    Number(f64),
    Text(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Cell<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a scalar")
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Cell::Missing)
            }
            fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
                Ok(Cell::Number(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
                Ok(Cell::Number(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
                Ok(Cell::Number(value as f64))
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Cell::Text(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Cell::Text(Cow::Owned(value.to_owned())))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Something computed from every cell, so that no part of the parse is dead
/// code to the optimiser.
fn weigh_numbers(body: &[u8]) -> serde_json::Result<f64> {
    let request: Request<'_, f64> = serde_json::from_slice(body)?;
    let table = request.inputs.input1;
    Ok(table.column_names.len() as f64 + table.values.iter().flatten().sum::<f64>())
}

fn weigh_mixed(body: &[u8]) -> serde_json::Result<f64> {
    let request: Request<'_, Cell<'_>> = serde_json::from_slice(body)?;
    let table = request.inputs.input1;
    let cells = table.values.iter().flatten().map(|cell| match cell {
        Cell::Missing => 0.0,
        Cell::Number(value) => *value,
        Cell::Text(text) => text.len() as f64,
    });
    Ok(table.column_names.len() as f64 + cells.sum::<f64>())
}

fn answer(weight: serde_json::Result<f64>, reply: &Bytes) -> Response {
    match weight {
        Ok(weight) => {
            std::hint::black_box(weight);
            (
                [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
                reply.clone(),
            )
                .into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut routes = axum::Router::new();
    for argument in std::env::args().skip(1) {
        let Some((name, file)) = argument.split_once('=') else {
            eprintln!("usage: floor NAME=REPLY_FILE…");
            return ExitCode::from(2);
        };
        let reply = match std::fs::read(file) {
            Ok(bytes) => Bytes::from(bytes),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        };
        let weigh = if name.starts_with("mixed") {
            weigh_mixed
        } else {
            weigh_numbers
        };
        let handler = move |body: Bytes| async move { answer(weigh(&body), &reply) };
        routes = routes.route(&format!("/{name}"), post(handler));
    }
    let outcome = async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        axum::serve(listener, routes).await
    };
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
