//! LightGBM's models, as `save_model` writes them in text.
//!
//! The file is lines of `key=value`: first those of the model, then, after each line `Tree=i`, those
//! of a tree, until `end of trees`; what follows says how it was trained. [`text`] splits the lines,
//! [`tree`] reads a tree, [`objective`] knows what becomes of the sums.

mod objective;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use crate::boosted::{Boosted, Derived, Ensemble, Feature, Reading};
use crate::engine::tensor::Element;
use crate::reject::Reject;
use crate::trees::build::forest;
use text::Section;
use tree::Parts;

/// Reads a model.
pub(crate) fn read(bytes: &[u8]) -> Result<Boosted, Reject> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Reject::malformed(format!("it is not UTF-8 at byte {}", e.valid_up_to())))?;
    let (header, trees) = text::sections(text)?;
    match header.get("version") {
        None | Some("v2" | "v3" | "v4") => {}
        Some(other) => {
            return Err(Reject::unsupported(format!(
                "version \"{other}\" of LightGBM's text"
            )));
        }
    }
    let per_round: usize = header.number("num_tree_per_iteration")?;
    if trees.is_empty() {
        return Err(Reject::malformed("there are no trees"));
    }
    if per_round == 0 || trees.len() % per_round != 0 {
        return Err(Reject::malformed(format!(
            "{} trees do not make rounds of {per_round}",
            trees.len()
        )));
    }
    let objective = objective::read(header.get("objective").unwrap_or(""), per_round)?;
    let names: Vec<&str> = header.required("feature_names")?.split(' ').collect();
    let last: usize = header.number("max_feature_idx")?;
    if last.checked_add(1) != Some(names.len()) {
        return Err(Reject::malformed(format!(
            "max_feature_idx is {last} and there are {} feature_names",
            names.len()
        )));
    }
    let mut parts = Parts::new(names.len());
    for (i, section) in trees.iter().enumerate() {
        parts
            .add(section, i as i64, (i % per_round) as i64)
            .map_err(|reject| match reject {
                Reject::Malformed(reason) => Reject::Malformed(format!("tree {i}: {reason}")),
                other => other,
            })?;
    }
    let features = features(&header, &names, &parts)?;
    let averages = header.get("average_output").is_some();
    let Parts {
        nodes,
        leaves,
        sets,
        columns,
        ..
    } = parts;
    let columns = match columns.is_empty() {
        // Trees of one leaf read nothing, and a matrix needs a column.
        true => vec![Derived {
            feature: 0,
            reading: Reading::Plain,
        }],
        false => columns,
    };
    let kernel = Ensemble {
        forest: forest(&nodes, &leaves, per_round, sets).map_err(Reject::Malformed)?,
        columns,
        width: names.len(),
        start: Vec::new(),
        divisor: averages.then_some((trees.len() / per_round) as f64),
        link: objective.link,
        outcome: objective.outcome,
    };
    let unnamed = names
        .iter()
        .enumerate()
        .all(|(i, name)| name.strip_prefix("Column_") == Some(i.to_string().as_str()));
    Ok(Boosted {
        features,
        unnamed,
        element: Element::F64,
        outcome: objective.outcome,
        kernel: Box::new(kernel),
    })
}

/// What a client gives for each feature.
fn features(header: &Section<'_>, names: &[&str], parts: &Parts) -> Result<Vec<Feature>, Reject> {
    let infos: Vec<&str> = match header.get("feature_infos") {
        Some(list) => list.split(' ').collect(),
        None => Vec::new(),
    };
    if !infos.is_empty() && infos.len() != names.len() {
        return Err(Reject::malformed(format!(
            "{} feature_infos for {} feature_names",
            infos.len(),
            names.len()
        )));
    }
    Ok(names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            // A range in brackets is a number's, a list of codes a category's.
            let listed = infos
                .get(i)
                .is_some_and(|info| *info != "none" && !info.starts_with('['));
            let uses = &parts.uses[i];
            Feature {
                name: (*name).to_owned(),
                element: if (listed || uses.categories) && !uses.numbers {
                    Element::I64
                } else {
                    Element::F64
                },
                handles_missing: !uses.zero_for_missing,
            }
        })
        .collect())
}
