//! Operators on text: `StringNormalizer` and `TfIdfVectorizer`.

use super::hash::Map;
use super::{Built, Reject};
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Shape, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Case {
    Keep,
    Lower,
    Upper,
}

impl Case {
    fn of(self, text: &str) -> String {
        match self {
            Case::Keep => text.to_owned(),
            Case::Lower => text.to_lowercase(),
            Case::Upper => text.to_uppercase(),
        }
    }
}

struct StringNormalizer {
    case: Case,
    sensitive: bool,
    stop_words: Map<Box<str>>,
}

/// `StringNormalizer`. Letters change case as Unicode says, whatever the locale.
pub(crate) fn string_normalizer(spec: &mut Spec<'_>) -> Built {
    let case = match spec.attrs.string_or("case_change_action", "NONE")?.as_str() {
        "NONE" => Case::Keep,
        "LOWER" => Case::Lower,
        "UPPER" => Case::Upper,
        other => {
            return Err(Reject::malformed(format!(
                "case_change_action {other} is not known"
            )));
        }
    };
    let sensitive = spec.attrs.flag("is_case_sensitive", false)?;
    let words = spec.attrs.text_arena("stopwords")?;
    let stop_words = words
        .iter()
        .map(|w| {
            let key = if sensitive {
                w.to_owned()
            } else {
                w.to_lowercase()
            };
            (key.into_boxed_str(), 0)
        })
        .collect();
    Ok(Box::new(StringNormalizer {
        case,
        sensitive,
        stop_words,
    }))
}

impl Kernel for StringNormalizer {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let row = match x.dims() {
            [_] => false,
            [1, _] => true,
            _ => {
                return Err(Stop::failed(format!(
                    "{:?} is neither a vector nor one row",
                    x.shape()
                )));
            }
        };
        let mut out = cx.pool.strings();
        for text in x.strings()?.iter() {
            let stopped = if self.sensitive {
                self.stop_words.contains_key(text)
            } else {
                self.stop_words.contains_key(text.to_lowercase().as_str())
            };
            if !stopped {
                out.push(&self.case.of(text));
            }
        }
        if out.len() == 0 {
            // The specification wants one empty text where nothing is left.
            out.push("");
        }
        let shape = if row {
            Shape::matrix(1, out.len())?
        } else {
            Shape::vector(out.len())?
        };
        cx.give(Tensor::new(shape, Data::Str(out))?);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Weighting {
    Count,
    Presence,
    Both,
}

/// The words of the pool by number.
enum Words {
    Int(Map<i64>),
    Str(Map<Box<str>>),
}

struct TfIdf {
    weighting: Weighting,
    shortest: usize,
    longest: usize,
    most_skipped: usize,
    words: Words,
    /// From a node of the trie and the number of a word to the next node; node 0 is the root.
    edges: Map<(u32, u32)>,
    /// The output place of the n-gram that ends at a node.
    places: Vec<Option<u32>>,
    /// One a place; empty where all are 1.
    weights: Vec<f32>,
    width: usize,
}

/// `TfIdfVectorizer`.
pub(crate) fn tf_idf(spec: &mut Spec<'_>) -> Built {
    let attrs = &mut spec.attrs;
    let missing = |name: &str| Reject::malformed(format!("attribute {name} is missing"));
    let weighting = match attrs
        .string("mode")?
        .ok_or_else(|| missing("mode"))?
        .as_str()
    {
        "TF" => Weighting::Count,
        "IDF" => Weighting::Presence,
        "TFIDF" => Weighting::Both,
        other => return Err(Reject::malformed(format!("mode {other} is not known"))),
    };
    let mut count = |name: &str| attrs.count(name)?.ok_or_else(|| missing(name));
    let shortest = count("min_gram_length")?;
    let longest = count("max_gram_length")?;
    let most_skipped = count("max_skip_count")?;
    if shortest == 0 || longest < shortest {
        return Err(Reject::malformed("the lengths of n-grams are not a range"));
    }
    let starts = attrs.ints("ngram_counts")?;
    let indexes = attrs.ints("ngram_indexes")?;
    let weights = attrs.floats("weights")?;
    let texts = attrs.text_arena("pool_strings")?;
    let numbers = attrs.ints("pool_int64s")?;
    let mut words = Words::Int(Map::default());
    let pool: Vec<u32> = if texts.len() > 0 {
        let mut map: Map<Box<str>> = Map::default();
        let pool = texts
            .iter()
            .map(|w| {
                let next = map.len() as u32;
                *map.entry(w.into()).or_insert(next)
            })
            .collect();
        words = Words::Str(map);
        pool
    } else {
        let mut map: Map<i64> = Map::default();
        let pool = numbers
            .iter()
            .map(|&w| {
                let next = map.len() as u32;
                *map.entry(w).or_insert(next)
            })
            .collect();
        words = match words {
            Words::Int(_) => Words::Int(map),
            other => other,
        };
        pool
    };
    let mut edges: Map<(u32, u32)> = Map::default();
    let mut places = vec![None];
    let mut grams = indexes.iter();
    let wrong = || Reject::malformed("the n-grams do not fit their pool");
    for (i, &start) in starts.iter().enumerate() {
        let start = usize::try_from(start).map_err(|_| wrong())?;
        let end = match starts.get(i + 1) {
            Some(&end) => usize::try_from(end).map_err(|_| wrong())?,
            None => pool.len(),
        };
        let part = pool.get(start..end).ok_or_else(wrong)?;
        let length = i + 1;
        if part.len() % length != 0 {
            return Err(wrong());
        }
        for gram in part.chunks_exact(length) {
            let mut node = 0;
            for &word in gram {
                node = *edges.entry((node, word)).or_insert_with(|| {
                    places.push(None);
                    (places.len() - 1) as u32
                });
            }
            let place = grams.next().ok_or_else(wrong)?;
            places[node as usize] = Some(u32::try_from(*place).map_err(|_| wrong())?);
        }
    }
    let width = places
        .iter()
        .flatten()
        .max()
        .map_or(0, |&place| place as usize + 1);
    // A hostile place would make every row as wide as it likes.
    if width > indexes.len().max(1) * 16 || (!weights.is_empty() && weights.len() != indexes.len())
    {
        return Err(wrong());
    }
    let mut by_place = Vec::new();
    if !weights.is_empty() {
        by_place.resize(width, 1.0);
        for (&place, &weight) in indexes.iter().zip(&weights) {
            let place = usize::try_from(place).map_err(|_| wrong())?;
            *by_place.get_mut(place).ok_or_else(wrong)? = weight;
        }
    }
    Ok(Box::new(TfIdf {
        weighting,
        shortest,
        longest,
        most_skipped,
        words,
        edges,
        places,
        weights: by_place,
        width,
    }))
}

impl Kernel for TfIdf {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let (rows, length) = match *x.dims() {
            [n] => (1, n),
            [rows, n] => (rows, n),
            _ => return Err(Stop::failed("documents are rows of words")),
        };
        let shape = if x.dims().len() == 1 {
            Shape::vector(self.width)?
        } else {
            Shape::matrix(rows, self.width)?
        };
        let numbers: Vec<Option<u32>> = match (&self.words, x.data()) {
            (Words::Str(map), Data::Str(s)) => s.iter().map(|w| map.get(w).copied()).collect(),
            (Words::Int(map), Data::I64(v)) => v.iter().map(|w| map.get(w).copied()).collect(),
            (Words::Int(map), Data::I32(v)) => {
                v.iter().map(|&w| map.get(&i64::from(w)).copied()).collect()
            }
            (_, data) => {
                return Err(Stop::failed(format!(
                    "{} is not the type of the words",
                    data.element()
                )));
            }
        };
        let mut out = cx.pool.filled(rows * self.width, 0f32);
        if length > 0 && self.width > 0 {
            let documents = numbers.chunks_exact(length);
            for (row, document) in out.chunks_exact_mut(self.width).zip(documents) {
                cx.check()?;
                self.count(document, row);
            }
        }
        if self.weighting != Weighting::Count && self.width > 0 {
            for row in out.chunks_exact_mut(self.width) {
                for (i, v) in row.iter_mut().enumerate() {
                    let weight = self.weights.get(i).copied().unwrap_or(1.0);
                    *v = match self.weighting {
                        Weighting::Presence if *v > 0.0 => weight,
                        Weighting::Presence => 0.0,
                        _ => *v * weight,
                    };
                }
            }
        }
        cx.give(Tensor::of(shape, out)?);
        Ok(())
    }
}

impl TfIdf {
    /// Counts the n-grams of one document, whose words may stand up to `most_skipped` words apart.
    fn count(&self, document: &[Option<u32>], row: &mut [f32]) {
        let mut shortest = self.shortest;
        for distance in 1..=self
            .most_skipped
            .saturating_add(1)
            .min(document.len().max(1))
        {
            for start in 0..document.len() {
                let mut node = 0;
                let mut at = start;
                for length in 1..=self.longest {
                    let Some(Some(word)) = document.get(at) else {
                        break;
                    };
                    let Some(&next) = self.edges.get(&(node, *word)) else {
                        break;
                    };
                    node = next;
                    if length >= shortest
                        && let Some(place) = self.places[node as usize]
                    {
                        row[place as usize] += 1.0;
                    }
                    at += distance;
                }
            }
            // Single words have no distance: they count once.
            if shortest == 1 {
                shortest = 2;
                if shortest > self.longest {
                    break;
                }
            }
        }
    }
}
