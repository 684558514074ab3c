//! `docs/errors/` and `docs/errors.json` are written from the table by this test, which fails when
//! it had to write: run it again and commit what it wrote.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use faults::{Class, Language, Row, class_message, extensions, row_message};
use serde::Serialize;

const GENERATED: &str =
    "<!-- Written by `cargo test -p faults` from crates/faults; do not edit. -->";

fn zh_class(class: Class) -> &'static str {
    class_message(class, Language::TraditionalChinese)
}

/// A row's zh-TW text with its places left as they are.
fn zh_row(row: &Row) -> String {
    let places: Vec<_> = (0..row.args.len()).map(|n| format!("{{{n}}}")).collect();
    row_message(row, &places, Language::TraditionalChinese)
}

/// A parameter's name for people.
fn parameter(name: &str) -> String {
    name.replace('_', " ")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn link(row: &Row) -> String {
    let class = row.class.name();
    format!(
        "[{}]({class}.md#{})",
        row.code,
        row.code.to_ascii_lowercase()
    )
}

fn index() -> String {
    let mut out = format!(
        "{GENERATED}\n\n# Errors\n\n\
        Every failure answers with this envelope; `error.code` is a class, `details[].code` a code\n\
        of that class. Some failures have no code of their own: then `details` is empty and the\n\
        class says it all. `target`, where it is there, names the input, column, node or port at\n\
        fault.\n\n\
        ```json\n\
        {{\"error\":{{\"code\":\"CLASS\",\"message\":\"...\",\"details\":[{{\"code\":\"CODE\",\
        \"target\":\"...\",\"message\":\"...\"}}]}}}}\n\
        ```\n\n\
        Match classes and codes, never sentences: those are in the language that `Accept-Language`\n\
        asks for (English or `zh-TW`) and may be reworded. The header `x-ms-error-code` repeats the\n\
        code (or the class), `x-ms-request-id` finds the cause in the server's log.\n\
        `umpire errors explain CODE` prints what these pages say; [errors.json](../errors.json) is\n\
        the same for programs.\n\n\
        ## Classes\n\n\
        | Class | Status | Try again? | Codes | Meaning |\n|---|---|---|---|---|\n"
    );
    for &class in Class::ALL {
        let name = class.name();
        let _ = writeln!(
            out,
            "| [{name}]({name}.md) | {} | {} | {} | {} |",
            class.status(),
            class.retry().name(),
            class.rows().len(),
            cell(class.en())
        );
    }
    out.push_str(
        "\n## Codes from A to Z\n\n| Code | Class | Status | Meaning |\n|---|---|---|---|\n",
    );
    let mut rows: Vec<_> = faults::all_rows().collect();
    rows.sort_by_key(|row| (row.code, row.class));
    for row in rows {
        write_index_row(&mut out, row);
    }
    out.push_str(
        "\n## Codes outside the contract\n\n\
        Clients have seen these on the old service; they stand beside the contract's own.\n\n\
        | Code | Class | Status | Meaning |\n|---|---|---|---|\n",
    );
    for row in extensions::ALL {
        write_index_row(&mut out, row);
    }
    out
}

fn write_index_row(out: &mut String, row: &Row) {
    let (class, status) = (row.class.name(), row.class.status());
    let _ = writeln!(
        out,
        "| {} | {class} | {status} | {} |",
        link(row),
        cell(row.en)
    );
}

fn page(class: Class) -> String {
    let mut out = format!(
        "{GENERATED}\n\n# {}\n\n\
        **What happened.** {}\n\n**What to do.** {}\n\n\
        | | |\n|---|---|\n| Status | {} |\n| Try again? | {} |\n| English | {} |\n| zh-TW | {} |\n",
        class.name(),
        class.what_happened(),
        class.what_to_do(),
        class.status(),
        class.retry().sentence(),
        cell(class.en()),
        cell(zh_class(class)),
    );
    if class.rows().is_empty() {
        out.push_str("\nThis class has no codes of its own.\n");
    }
    for row in class.rows() {
        write_section(&mut out, row, "");
    }
    for row in class.extensions() {
        write_section(&mut out, row, "Outside the contract's own codes.\n\n");
    }
    out.push_str("\n[All errors](README.md)\n");
    out
}

fn write_section(out: &mut String, row: &Row, note: &str) {
    let parameters: Vec<_> = row
        .args
        .iter()
        .enumerate()
        .map(|(n, name)| format!("`{{{n}}}` {}", parameter(name)))
        .collect();
    let parameters = match parameters.is_empty() {
        true => "none".to_owned(),
        false => parameters.join(", "),
    };
    let _ = write!(
        out,
        "\n## {}\n\n{note}**What happened.** {}\n\n**What to do.** {}\n\n\
        | | |\n|---|---|\n| Status | {} |\n| Try again? | {} |\n| Parameters | {parameters} |\n\
        | English | {} |\n| zh-TW | {} |\n",
        row.code,
        row.what_happened(),
        row.what_to_do(),
        row.class.status(),
        row.class.retry().sentence(),
        cell(row.en),
        cell(&zh_row(row)),
    );
}

#[derive(Serialize)]
struct ClassEntry {
    class: &'static str,
    status: u16,
    retry: &'static str,
    en: &'static str,
    #[serde(rename = "zh_TW")]
    zh_tw: &'static str,
    what_happened: String,
    what_to_do: String,
    rows: Vec<RowEntry>,
    extensions: Vec<RowEntry>,
}

#[derive(Serialize)]
struct RowEntry {
    code: &'static str,
    parameters: &'static [&'static str],
    en: &'static str,
    #[serde(rename = "zh_TW")]
    zh_tw: String,
    what_happened: String,
    what_to_do: String,
}

impl From<&'static Row> for RowEntry {
    fn from(row: &'static Row) -> Self {
        RowEntry {
            code: row.code,
            parameters: row.args,
            en: row.en,
            zh_tw: zh_row(row),
            what_happened: row.what_happened().into_owned(),
            what_to_do: row.what_to_do().into_owned(),
        }
    }
}

fn json() -> String {
    let classes: Vec<_> = Class::ALL
        .iter()
        .map(|&class| ClassEntry {
            class: class.name(),
            status: class.status(),
            retry: class.retry().name(),
            en: class.en(),
            zh_tw: zh_class(class),
            what_happened: class.what_happened().into_owned(),
            what_to_do: class.what_to_do().into_owned(),
            rows: class.rows().iter().map(|&row| row.into()).collect(),
            extensions: class.extensions().map(RowEntry::from).collect(),
        })
        .collect();
    serde_json::to_string_pretty(&classes).expect("strings serialize") + "\n"
}

/// Makes `folder` hold exactly `files` (by name) among those with `extension`; gives the names of
/// what it had to change.
fn settle(folder: &Path, extension: &str, files: &BTreeMap<String, String>) -> Vec<PathBuf> {
    fs::create_dir_all(folder).expect("docs folder");
    let mut changed = Vec::new();
    for (name, content) in files {
        let path = folder.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(content) {
            fs::write(&path, content).expect("write");
            changed.push(path);
        }
    }
    for entry in fs::read_dir(folder).expect("docs folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.extension().is_some_and(|e| e == extension) && !files.contains_key(&name) {
            fs::remove_file(&path).expect("remove");
            changed.push(path);
        }
    }
    changed
}

#[test]
fn the_pages_are_the_tables() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut pages: BTreeMap<_, _> = Class::ALL
        .iter()
        .map(|&class| (format!("{}.md", class.name()), page(class)))
        .collect();
    pages.insert("README.md".to_owned(), index());
    let mut changed = settle(&docs.join("errors"), "md", &pages);

    let path = docs.join("errors.json");
    let content = json();
    if fs::read_to_string(&path).ok() != Some(content.clone()) {
        fs::write(&path, content).expect("write");
        changed.push(path);
    }
    assert!(
        changed.is_empty(),
        "were out of date and are written now; run again and commit them: {changed:#?}"
    );
}
