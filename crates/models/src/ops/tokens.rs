//! Operators that take texts apart or put them together: `Tokenizer` of ONNX Runtime,
//! `StringSplit`, `StringConcat`, `RegexFullMatch`.

use std::ops::Range;

use super::pattern::{Finder, Pattern};
use super::{Built, Reject, broadcast};
use crate::engine::args::Args;
use crate::engine::tensor::{Data, Shape, Strings, Tensor};
use crate::engine::{Context, Kernel, Stop};
use crate::onnx::compile::Spec;

/// The most expressions that one tokenizer may have.
const MAX_SEPARATORS: usize = 128;

/// What a token is.
enum Way {
    Characters,
    Between(Vec<Pattern>),
    Matching(Box<Pattern>),
}

struct Tokenizer {
    way: Way,
    /// Whether each row begins and ends in a mark.
    mark: bool,
    pad: String,
    /// The fewest characters of a token.
    shortest: usize,
}

/// `Tokenizer` (com.microsoft).
pub(crate) fn tokenizer(spec: &mut Spec<'_>) -> Built {
    let attrs = &mut spec.attrs;
    let missing = |name: &str| Reject::malformed(format!("attribute {name} is missing"));
    let mark = attrs.int("mark")?.ok_or_else(|| missing("mark"))? != 0;
    let pad = attrs
        .string("pad_value")?
        .ok_or_else(|| missing("pad_value"))?;
    let shortest = attrs
        .count("mincharnum")?
        .ok_or_else(|| missing("mincharnum"))?;
    if shortest == 0 {
        return Err(Reject::malformed("mincharnum is 0"));
    }
    let way = if attrs.has("separators") {
        let separators = attrs.strings("separators")?;
        match &separators[..] {
            [] => return Err(Reject::malformed("separators is empty")),
            [one] if one.is_empty() => Way::Characters,
            list if list.len() > MAX_SEPARATORS => {
                return Err(spec.lacks(format!("more than {MAX_SEPARATORS} separators")));
            }
            list => Way::Between(
                list.iter()
                    .map(|s| Pattern::new(s))
                    .collect::<Result<_, _>>()?,
            ),
        }
    } else {
        match attrs.string("tokenexp")? {
            None => return Err(missing("tokenexp")),
            Some(e) if e.is_empty() => return Err(Reject::malformed("tokenexp is empty")),
            Some(e) if e == "." => Way::Characters,
            Some(e) => Way::Matching(Box::new(Pattern::new(&e)?)),
        }
    };
    if matches!(way, Way::Characters) && shortest > 1 {
        return Err(Reject::malformed(
            "single characters and mincharnum above 1",
        ));
    }
    Ok(Box::new(Tokenizer {
        way,
        mark,
        pad,
        shortest,
    }))
}

/// The place after the character at `at`.
fn after(text: &str, at: usize) -> usize {
    let size = text.get(at..).and_then(|rest| rest.chars().next());
    at + size.map_or(1, char::len_utf8)
}

impl Tokenizer {
    fn long_enough(&self, token: &str) -> bool {
        token.chars().take(self.shortest).count() == self.shortest
    }

    /// Finds the tokens of one text.
    fn tokens(&self, text: &str, out: &mut Vec<Range<usize>>) -> Result<(), Stop> {
        match &self.way {
            Way::Characters => {
                out.extend(text.char_indices().map(|(i, c)| i..i + c.len_utf8()));
                Ok(())
            }
            Way::Matching(pattern) => pattern.searching(|find| {
                let mut at = 0;
                while let Some(found) = find(text, at)? {
                    let token = &text[found.clone()];
                    at = if self.long_enough(token) {
                        found.end
                    } else {
                        after(text, found.start)
                    };
                    if self.long_enough(token) {
                        out.push(found);
                    }
                }
                Ok(())
            }),
            Way::Between(separators) => {
                let begin = out.len();
                out.push(0..text.len());
                for separator in separators {
                    let parts: Vec<Range<usize>> = out.drain(begin..).collect();
                    separator.searching(|find| {
                        for part in parts {
                            self.between(&text[part.clone()], part.start, find, out)?;
                        }
                        Ok::<_, Stop>(())
                    })?;
                }
                Ok(())
            }
        }
    }

    /// What stands between the separators of a part of a text.
    fn between(
        &self,
        part: &str,
        origin: usize,
        find: &mut Finder<'_>,
        out: &mut Vec<Range<usize>>,
    ) -> Result<(), Stop> {
        let mut at = 0;
        while let Some(found) = find(part, at)? {
            if self.long_enough(&part[at..found.start]) {
                out.push(origin + at..origin + found.start);
            }
            at = if found.is_empty() {
                after(part, found.start)
            } else {
                found.end
            };
        }
        if at <= part.len() && self.long_enough(&part[at..]) {
            out.push(origin + at..origin + part.len());
        }
        Ok(())
    }
}

/// The shape of `x` with one more axis at its end.
fn with_axis(x: &Shape, size: usize) -> Result<Shape, Stop> {
    let mut dims = x.dims().to_vec();
    dims.push(size);
    Shape::new(&dims)
}

impl Kernel for Tokenizer {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let texts = x.strings()?;
        let rank = x.dims().len();
        if rank != 1 && rank != 2 {
            return Err(Stop::failed(format!(
                "{:?} is neither a vector nor a matrix",
                x.shape()
            )));
        }
        if texts.len() == 0 {
            let shape = match *x.dims() {
                [rows, _] => Shape::matrix(rows, 0)?,
                _ => Shape::vector(0)?,
            };
            let none = cx.pool.strings();
            cx.give(Tensor::new(shape, Data::Str(none))?);
            return Ok(());
        }
        let mut tokens = Vec::new();
        let mut ends = Vec::with_capacity(texts.len());
        let mut most = 0;
        for text in texts.iter() {
            cx.check()?;
            let begin = tokens.len();
            self.tokens(text, &mut tokens)?;
            most = most.max(tokens.len() - begin);
            ends.push(tokens.len());
        }
        // Where no text has a token there are no marks either.
        let marks = if self.mark && most > 0 { 2 } else { 0 };
        let shape = with_axis(x.shape(), most + marks)?;
        let mut out = cx.pool.strings();
        if most > 0 {
            let mut begin = 0;
            for (text, end) in texts.iter().zip(ends) {
                cx.check()?;
                let own = &tokens[begin..end];
                begin = end;
                if self.mark {
                    out.push("\u{2}");
                }
                own.iter().for_each(|t| out.push(&text[t.clone()]));
                if self.mark {
                    out.push("\u{3}");
                }
                (own.len()..most).for_each(|_| out.push(&self.pad));
            }
        }
        cx.give(Tensor::new(shape, Data::Str(out))?);
        Ok(())
    }
}

struct StringSplit {
    delimiter: String,
    most: Option<usize>,
}

/// `StringSplit`.
pub(crate) fn string_split(spec: &mut Spec<'_>) -> Built {
    let most = spec.attrs.int("maxsplit")?;
    Ok(Box::new(StringSplit {
        delimiter: spec.attrs.string_or("delimiter", "")?,
        most: most.and_then(|n| usize::try_from(n).ok()),
    }))
}

impl StringSplit {
    fn parts<'t>(&self, text: &'t str, out: &mut Vec<&'t str>) {
        let most = self.most.unwrap_or(usize::MAX).saturating_add(1);
        if text.is_empty() {
            return;
        }
        if !self.delimiter.is_empty() {
            out.extend(text.splitn(most, self.delimiter.as_str()));
            return;
        }
        // Spaces alone, as in ONNX Runtime.
        let mut rest = text.trim_matches(' ');
        let mut splits = 1;
        while !rest.is_empty() {
            match rest.find(' ').filter(|_| splits < most) {
                Some(at) => {
                    out.push(&rest[..at]);
                    rest = rest[at..].trim_start_matches(' ');
                }
                None => {
                    out.push(rest);
                    return;
                }
            }
            splits += 1;
        }
    }
}

impl Kernel for StringSplit {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let texts = x.strings()?;
        let mut parts = Vec::new();
        let mut counts = cx.pool.buffer::<i64>(texts.len());
        let mut most = 0;
        for text in texts.iter() {
            let begin = parts.len();
            self.parts(text, &mut parts);
            let count = parts.len() - begin;
            most = most.max(count);
            counts.push(count as i64);
        }
        let shape = with_axis(x.shape(), most)?;
        let mut out = cx.pool.strings();
        let mut rest = parts.into_iter();
        for &count in &counts {
            cx.check()?;
            rest.by_ref()
                .take(count as usize)
                .for_each(|part| out.push(part));
            (count as usize..most).for_each(|_| out.push(""));
        }
        let counts = Tensor::of(*x.shape(), counts)?;
        cx.give(Tensor::new(shape, Data::Str(out))?);
        cx.give(counts);
        Ok(())
    }
}

struct StringConcat;

/// `StringConcat`.
pub(crate) fn string_concat(_: &mut Spec<'_>) -> Built {
    Ok(Box::new(StringConcat))
}

impl Kernel for StringConcat {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let (x, y) = (args.tensor(0)?, args.tensor(1)?);
        let (a, b): (&Strings, &Strings) = (x.strings()?, y.strings()?);
        let target = broadcast::shape(x.shape(), y.shape())?;
        let mut out = cx.pool.strings();
        broadcast::rows([x.shape(), y.shape()], &target, |[i, j], [p, q], range| {
            for k in 0..range.len() {
                out.push_with(|text| {
                    text.push_str(a.get(i + k * p));
                    text.push_str(b.get(j + k * q));
                });
            }
        });
        cx.give(Tensor::new(target, Data::Str(out))?);
        Ok(())
    }
}

struct RegexFullMatch(Pattern);

/// `RegexFullMatch`.
pub(crate) fn regex_full_match(spec: &mut Spec<'_>) -> Built {
    let pattern = spec
        .attrs
        .string("pattern")?
        .ok_or_else(|| Reject::malformed("attribute pattern is missing"))?;
    Ok(Box::new(RegexFullMatch(Pattern::new(&pattern)?)))
}

impl Kernel for RegexFullMatch {
    fn run(&self, args: &mut Args<'_>, cx: &mut Context<'_>) -> Result<(), Stop> {
        let x = args.tensor(0)?;
        let texts = x.strings()?;
        let mut out = cx.pool.buffer::<bool>(texts.len());
        self.0.matches_whole(texts.iter(), |found| {
            out.push(found);
            cx.check()
        })?;
        cx.give(Tensor::of(*x.shape(), out)?);
        Ok(())
    }
}
