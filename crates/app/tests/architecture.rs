//! ARCHITECTURE.md's two tables against the manifests: which crates there are, which of ours each
//! may use, and which crates of others are kept in one room. A crate or an arrow that the map does
//! not show fails here, and so does a line of the map that shows what is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of crates, sorted.
type Names = BTreeSet<String>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the manifests say: for each crate of the workspace its dependencies, those for tests
/// left out, as (ours, others').
fn manifests() -> BTreeMap<String, (Names, Names)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--offline",
            "--no-deps",
            "--format-version",
            "1",
            "--manifest-path",
        ])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut crates = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let (mut ours, mut others) = (Names::new(), Names::new());
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            if dependency["kind"] == "dev" {
                continue;
            }
            let name = dependency["name"].as_str().expect("a name").to_owned();
            if dependency["path"].is_string() {
                &mut ours
            } else {
                &mut others
            }
            .insert(name);
        }
        crates.insert(
            package["name"].as_str().expect("a name").to_owned(),
            (ours, others),
        );
    }
    crates
}

/// The rows of the table under a heading of ARCHITECTURE.md, a cell a string. Head and rule are
/// left out.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (_, section) = text
        .split_once(&format!("## {heading}\n"))
        .expect("the heading is there");
    let section = section.split("\n## ").next().expect("a section");
    let rows: Vec<Vec<String>> = section
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .skip(2)
        .collect();
    assert!(!rows.is_empty(), "no table under {heading}");
    rows
}

/// The names in back-quotes of a cell.
fn quoted(cell: &str) -> Names {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_arrow_is_on_the_map() {
    let crates = manifests();
    let all: Names = crates.keys().cloned().collect();
    let mut map = BTreeMap::new();
    for row in table("Crates and arrows") {
        let name = quoted(&row[0])
            .pop_first()
            .expect("a crate in the first column");
        let permitted = match row[2].as_str() {
            "everything" => all.clone(),
            cell => quoted(cell),
        };
        let unknown: Vec<_> = permitted.difference(&all).collect();
        assert!(
            unknown.is_empty(),
            "{name} may use crates that do not exist: {unknown:?}"
        );
        assert!(
            map.insert(name.clone(), permitted).is_none(),
            "{name} stands there twice"
        );
    }
    let drawn: Names = map.keys().cloned().collect();
    assert_eq!(
        drawn, all,
        "crates on the map (left) and in the workspace (right)"
    );
    for (name, (ours, _)) in &crates {
        let forbidden: Vec<_> = ours.difference(&map[name]).collect();
        assert!(
            forbidden.is_empty(),
            "{name} uses {forbidden:?}, which the map does not permit"
        );
    }
}

#[test]
fn what_is_kept_in_one_room_is_there_alone() {
    let crates = manifests();
    for row in table("Kept in one room") {
        let rooms = quoted(&row[1]);
        for library in quoted(&row[0]) {
            let users: Names = crates
                .iter()
                .filter(|(_, (_, others))| others.contains(&library))
                .map(|(name, _)| name.clone())
                .collect();
            assert_eq!(users, rooms, "users of {library} (left), the map's (right)");
        }
    }
}
