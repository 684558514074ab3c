//! LightGBM's objectives: what becomes of the sums, by their names and parameters.

use crate::boosted::{Link, Outcome};
use crate::reject::Reject;

/// What an objective makes of the sums.
pub(super) struct Objective {
    pub outcome: Outcome,
    pub link: Link,
}

/// Reads the line `objective=`; without one the sums are what the model gives, as LightGBM does for
/// objectives of the user's own.
pub(super) fn read(line: &str, sums: usize) -> Result<Objective, Reject> {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or("");
    let parameters: Vec<&str> = words.collect();
    let parameter = |key: &str| {
        parameters
            .iter()
            .find_map(|word| word.split_once(':').filter(|(k, _)| *k == key))
            .map(|(_, value)| value)
    };
    let sigmoid = || match parameter("sigmoid") {
        None => Ok(1.0),
        Some(text) => text
            .parse::<f64>()
            .ok()
            .filter(|v| *v > 0.0)
            .ok_or_else(|| {
                Reject::malformed(format!("the sigmoid of the objective is \"{text}\""))
            }),
    };
    let (outcome, link) = match name {
        "multiclass" | "multiclassova" => {
            let classes = parameter("num_class").unwrap_or("");
            if classes.parse() != Ok(sums) || sums < 2 {
                return Err(Reject::malformed(format!(
                    "the objective \"{line}\" for {sums} sums"
                )));
            }
            let link = if name == "multiclass" {
                Link::Softmax
            } else {
                Link::Logistic(sigmoid()?)
            };
            (Outcome::Classes(sums), link)
        }
        "" | "none" | "null" | "custom" | "na" => (Outcome::Values(sums), Link::Identity),
        _ if sums != 1 => {
            return Err(Reject::malformed(format!(
                "the objective \"{line}\" for {sums} sums"
            )));
        }
        "binary" => (Outcome::Binary, Link::Logistic(sigmoid()?)),
        "cross_entropy" => (Outcome::Values(1), Link::Logistic(1.0)),
        "cross_entropy_lambda" => (Outcome::Values(1), Link::LogOnePlusExp),
        "poisson" | "gamma" | "tweedie" => (Outcome::Values(1), Link::Exp),
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => {
            let link = if parameters.contains(&"sqrt") {
                Link::SignedSquare
            } else {
                Link::Identity
            };
            (Outcome::Values(1), link)
        }
        "lambdarank" | "rank_xendcg" => (Outcome::Values(1), Link::Identity),
        other => {
            return Err(Reject::unsupported(format!(
                "the LightGBM objective \"{other}\""
            )));
        }
    };
    Ok(Objective { outcome, link })
}
