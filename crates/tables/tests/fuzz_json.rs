//! Fuzzing of the request decoder: bodies of the kept corpus (`fuzz/corpus/json`), changed at
//! random with an eye to their structure, must come to what the reference says, and never to a
//! panic.
//!
//! It runs for `FUZZ_SECONDS` (2 unless set) from `FUZZ_SEED` (the clock's unless set) and prints
//! how many bodies it tried. A failure prints its body: put that into the corpus with the mend.

mod common;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use common::json::parse;
use common::reference::{agree, services};
use common::{any_parameters, v1};
use tables::Limits;
use tables::reply::{Form, encode, encode_v1};
use tables::request::{InputPort, decode, decode_v1};

#[test]
fn changed_bodies_of_the_corpus_are_decoded_as_the_reference_says() {
    let corpus = corpus();
    for (name, body) in &corpus {
        check(body).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    }
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .map(|text| text.parse::<u64>().unwrap())
    };
    let seconds = number("FUZZ_SECONDS").unwrap_or(2);
    let clock = || {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_nanos()
    };
    let seed = number("FUZZ_SEED").unwrap_or_else(|| clock() as u64);
    println!("FUZZ_SEED={seed}");
    let start = Instant::now();
    let mut executions = 0u64;
    let mut taken = 0u64;
    while start.elapsed() < Duration::from_secs(seconds) {
        let mut random = Random(seed.wrapping_add(executions));
        let body = changed(&corpus, &mut random);
        let checked = catch_unwind(AssertUnwindSafe(|| check(&body)))
            .unwrap_or_else(|_| Err("panic".to_owned()));
        match checked {
            Ok(right) => taken += u64::from(right),
            Err(problem) => panic!(
                "FUZZ_SEED={seed}, body {executions}: {problem}\n{}",
                String::from_utf8_lossy(&body)
            ),
        }
        executions += 1;
    }
    println!("{executions} bodies, {taken} of them right, in {seconds} s");
    assert!(
        seconds == 0 || taken > 0,
        "no changed body was right: the changes are too wild"
    );
}

/// All that must hold for a body; whether some service takes it.
fn check(body: &[u8]) -> Result<bool, String> {
    let mut right = false;
    let text = std::str::from_utf8(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let json = text.ok().and_then(parse);
    if let Ok(text) = text
        && !["NaN", "Infinity"].iter().any(|token| text.contains(token))
    {
        // The reference's own parser, checked against another.
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) if json.is_none() => return Err("serde_json takes it".to_owned()),
            Err(error) if json.is_some() && !error.to_string().contains("number out of range") => {
                return Err(format!("serde_json does not take it: {error}"));
            }
            _ => {}
        }
    }
    for ports in services() {
        let Some(tables) = agree(body, &ports)? else {
            continue;
        };
        right = true;
        for form in [
            Form::Table { details: true },
            Form::Table { details: false },
            Form::Rows,
        ] {
            let outputs: Vec<_> = ports
                .iter()
                .map(|port| port.name.as_str())
                .zip(&tables)
                .collect();
            let mut reply = Vec::new();
            encode(&outputs, form, &mut reply);
            serde_json::from_slice::<serde_json::Value>(&reply)
                .map_err(|e| format!("reply: {e}"))?;
        }
        tight_limits(body, &ports)?;
    }
    right |= check_v1(body, json.is_some(), &services()[0][0])?;
    Ok(right)
}

/// Narrow limits may refuse a body, and nothing else.
fn tight_limits(body: &[u8], ports: &[InputPort]) -> Result<(), String> {
    let limits = Limits {
        rows: 2,
        columns: 4,
        cell_bytes: 6,
        depth: 5,
    };
    match decode(body, ports, &limits, any_parameters) {
        Err(fault) if fault.name() != common::INVALID => Err(format!("under limits: {fault:?}")),
        _ => Ok(()),
    }
}

fn check_v1(body: &[u8], is_json: bool, port: &InputPort) -> Result<bool, String> {
    match decode_v1(body, port, &Limits::default(), any_parameters) {
        Ok((table, ())) => {
            if table.rows() != 1 {
                return Err(format!("a v1 body has {} rows", table.rows()));
            }
            let mut reply = Vec::new();
            encode_v1(&table, &mut reply);
            serde_json::from_slice::<Vec<Option<String>>>(&reply)
                .map_err(|error| format!("v1 reply: {error}"))?;
            Ok(true)
        }
        Err(fault) if !is_json && fault.name() != common::INVALID => {
            Err(format!("v1: this is no JSON, and {fault:?}"))
        }
        Err(_) => Ok(false),
    }
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/json");
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut corpus: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(path).unwrap(),
            )
        })
        .collect();
    // A seed gives the same bodies wherever it runs.
    corpus.sort();
    assert!(corpus.len() > 10, "the corpus is gone");
    corpus
}

#[test]
fn the_corpus_has_bodies_that_are_right() {
    let corpus = corpus();
    let body = |name: &str| &corpus.iter().find(|(found, _)| found == name).unwrap().1;
    for name in [
        "table.json",
        "table_other_order.json",
        "table_values_first.json",
        "rows.json",
        "byte_order_mark.json",
    ] {
        let tables = agree(body(name), &services()[0]).unwrap();
        assert!(tables.is_some(), "{name}");
    }
    for name in ["table_two_inputs.json", "rows_two_inputs.json"] {
        assert!(
            agree(body(name), &services()[1]).unwrap().is_some(),
            "{name}"
        );
    }
    assert!(
        v1(
            std::str::from_utf8(body("v1.json")).unwrap(),
            &services()[0][0]
        )
        .is_ok()
    );
}

/// One to four changes to a body of the corpus, mostly one.
fn changed(corpus: &[(String, Vec<u8>)], random: &mut Random) -> Vec<u8> {
    let mut body = random.pick(corpus).1.clone();
    for _ in 0..=random.below(4).saturating_sub(random.below(3)) {
        change(&mut body, corpus, random);
    }
    body
}

/// What may stand where a value stands.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "NaN",
    "Infinity",
    "-Infinity",
    "0",
    "-0",
    "1",
    "5.0",
    "5.5",
    "1e3",
    "1e400",
    "-2147483648",
    "2147483648",
    "9007199254740993",
    "0.1",
    "0.4967141530112327",
    "123456789012345678901234567890",
    "\"\"",
    "\" \"",
    "\"5\"",
    "\" 5.0 \"",
    "\"abc\"",
    "\"True\"",
    "\"\\u0035\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"é\"",
    "\"x\"",
    "\"n\"",
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "[1,2,\"3\",true]",
    "{\"x\":1,\"n\":2,\"sé\\\"\":\"3\",\"b\":true}",
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "nul",
    "'a'",
    "\"\u{1}\"",
    "\"\\x\"",
];

fn change(body: &mut Vec<u8>, corpus: &[(String, Vec<u8>)], random: &mut Random) {
    let tokens = tokens(body);
    let (at, end) = match tokens.is_empty() {
        true => (0, body.len()),
        false => *random.pick(&tokens),
    };
    match random.below(12) {
        // A token or a whole array or object in another's place.
        0 | 1 => splice(body, at, end, random.pick(VALUES).as_bytes()),
        2 => {
            let end = closing(&tokens, body, at).unwrap_or(end);
            splice(body, at, end, random.pick(VALUES).as_bytes());
        }
        3 => {
            let other = &random.pick(corpus).1;
            let others = self::tokens(other);
            if let Some(&(from, to)) = others.get(random.below(others.len().max(1))) {
                let to = closing(&others, other, from).unwrap_or(to);
                splice(body, at, end, &other[from..to]);
            }
        }
        // An element or member taken away, doubled or moved.
        4 => {
            let end = closing(&tokens, body, at).unwrap_or(end);
            splice(body, at, end, b"");
        }
        5 => {
            let end = closing(&tokens, body, at).unwrap_or(end);
            let mut doubled = b",".to_vec();
            doubled.extend_from_slice(&body[at..end]);
            splice(body, end, end, &doubled);
        }
        6 if tokens.len() > 1 => {
            let &(from, to) = random.pick(&tokens);
            if to <= at {
                let (first, second) = (body[from..to].to_vec(), body[at..end].to_vec());
                splice(body, at, end, &first);
                splice(body, from, to, &second);
            }
        }
        // Blanks, which change nothing between tokens.
        7 => splice(
            body,
            at,
            at,
            random.pick(&[" ", "\n", "\t\r\n  ", "\u{a0}"]).as_bytes(),
        ),
        // Bytes without a thought.
        8 => {
            let at = random.below(body.len() + 1);
            splice(body, at, at, &[random.below(256) as u8]);
        }
        9 if !body.is_empty() => {
            let at = random.below(body.len());
            body[at] ^= 1 << random.below(8);
        }
        10 => body.truncate(random.below(body.len() + 1)),
        _ => {
            let cut = random.below(8).min(body.len() - at);
            splice(body, at, at + cut, b"");
        }
    }
}

fn splice(body: &mut Vec<u8>, from: usize, to: usize, put: &[u8]) {
    body.splice(from..to, put.iter().copied());
}

/// Where tokens begin and end, roughly: strings, runs of letters and digits, single marks.
fn tokens(body: &[u8]) -> Vec<(usize, usize)> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let from = at;
        at += 1;
        match body[from] {
            b' ' | b'\n' | b'\r' | b'\t' => continue,
            b'"' => {
                while at < body.len() && body[at] != b'"' {
                    at += 1 + usize::from(body[at] == b'\\');
                }
                at = (at + 1).min(body.len());
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' => {}
            _ => {
                while at < body.len()
                    && (body[at].is_ascii_alphanumeric() || b"+-.".contains(&body[at]))
                {
                    at += 1;
                }
            }
        }
        tokens.push((from, at));
    }
    tokens
}

/// The end of the array or object that opens at `at`.
fn closing(tokens: &[(usize, usize)], body: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0;
    for &(from, to) in tokens.iter().filter(|(from, _)| *from >= at) {
        match body.get(from)? {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        if depth <= 0 {
            return (from > at).then_some(to);
        }
    }
    None
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
