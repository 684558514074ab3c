//! Regular expressions as ONNX Runtime has them: RE2's syntax, ASCII classes, and of the matches
//! that begin first the longest. The search takes time linear in the text, whatever the expression.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use regex_automata::hybrid::{dfa, regex};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};

use crate::engine::Stop;
use crate::onnx::Reject;

/// The longest expression that is read.
const MAX_LENGTH: usize = 1 << 16;
/// The most bytes of an expression's automaton.
const MAX_STATES: usize = 1 << 22;

/// Finds the first match in a text from a place on.
pub(super) type Finder<'f> = dyn FnMut(&str, usize) -> Result<Option<Range<usize>>, Stop> + 'f;

/// A compiled expression. Threads share it; each search takes one of its caches.
pub(super) struct Pattern {
    /// Finds where the first match begins.
    first: regex::Regex,
    /// Finds how far a match from there goes at most.
    longest: dfa::DFA,
    caches: Mutex<Vec<Cache>>,
}

/// What the automata have worked out so far; bounded by their configuration.
struct Cache {
    first: regex::Cache,
    longest: dfa::Cache,
}

impl Pattern {
    /// Reads an expression. One that is broken is malformed; what RE2 has and this lacks is told
    /// by its name.
    pub fn new(expression: &str) -> Result<Pattern, Reject> {
        if expression.len() > MAX_LENGTH {
            return Err(Reject::unsupported(format!(
                "a regular expression of {} bytes (at most {MAX_LENGTH} are supported)",
                expression.len()
            )));
        }
        let own = translated(expression)?;
        let wrong = |e: &dyn std::fmt::Display| {
            Reject::unsupported(format!("the regular expression {expression}: {e}"))
        };
        let syntax = syntax::Config::new().nest_limit(100);
        let thompson = thompson::Config::new().nfa_size_limit(Some(MAX_STATES));
        let config = || dfa::Config::new().skip_cache_capacity_check(true);
        let first = regex::Regex::builder()
            .syntax(syntax)
            .thompson(thompson.clone())
            .dfa(config())
            .build(&own)
            .map_err(|e| wrong(&e))?;
        let longest = dfa::DFA::builder()
            .syntax(syntax)
            .thompson(thompson)
            .configure(config().match_kind(MatchKind::All))
            .build(&own)
            .map_err(|e| wrong(&e))?;
        Ok(Pattern {
            first,
            longest,
            caches: Mutex::new(Vec::new()),
        })
    }

    /// Gives `work` a function that finds the first match in a text from a place on.
    pub fn searching<R>(&self, work: impl FnOnce(&mut Finder<'_>) -> R) -> R {
        let mut cache = self.cache();
        let result = work(&mut |text, from| self.find(&mut cache, text, from));
        self.give(cache);
        result
    }

    /// Whether the expression matches each text as a whole.
    pub fn matches_whole<'t>(
        &self,
        texts: impl Iterator<Item = &'t str>,
        mut found: impl FnMut(bool) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut cache = self.cache();
        for text in texts {
            found(self.end(&mut cache, text, 0)? == Some(text.len()))?;
        }
        self.give(cache);
        Ok(())
    }

    fn find(
        &self,
        cache: &mut Cache,
        text: &str,
        from: usize,
    ) -> Result<Option<Range<usize>>, Stop> {
        if from > text.len() {
            return Ok(None);
        }
        let input = Input::new(text).range(from..);
        let found = self.first.try_search(&mut cache.first, &input);
        let Some(start) = found.map_err(|e| Stop::failed(e.to_string()))? else {
            return Ok(None);
        };
        let start = start.start();
        Ok(self.end(cache, text, start)?.map(|end| start..end))
    }

    /// Where the longest match that begins at `start` ends.
    fn end(&self, cache: &mut Cache, text: &str, start: usize) -> Result<Option<usize>, Stop> {
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let found = self.longest.try_search_fwd(&mut cache.longest, &input);
        let found = found.map_err(|e| Stop::failed(e.to_string()))?;
        Ok(found.map(|half| half.offset()))
    }

    fn cache(&self) -> Cache {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.pop().unwrap_or_else(|| Cache {
            first: self.first.create_cache(),
            longest: self.longest.create_cache(),
        })
    }

    fn give(&self, cache: Cache) {
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        caches.push(cache);
    }
}

/// RE2's expression in the syntax of `regex-automata`, in which the classes are those of Unicode
/// and brackets have operators of their own.
fn translated(expression: &str) -> Result<String, Reject> {
    let lacks = |what: &str| {
        Reject::unsupported(format!("the regular expression {expression} with {what}"))
    };
    let mut out = String::with_capacity(expression.len() + 16);
    let mut rest = expression.chars().peekable();
    // Whether the place is in brackets, and before the first of their members.
    let (mut bracket, mut begins) = (false, false);
    while let Some(c) = rest.next() {
        let first = std::mem::replace(&mut begins, false);
        match c {
            '\\' => {
                let Some(escaped) = rest.next() else {
                    return Err(Reject::malformed(format!(
                        "the regular expression {expression} ends in a backslash"
                    )));
                };
                match escaped {
                    'd' => out.push_str("[0-9]"),
                    'D' => out.push_str("[^0-9]"),
                    'w' => out.push_str("[0-9A-Za-z_]"),
                    'W' => out.push_str("[^0-9A-Za-z_]"),
                    's' => out.push_str(r"[\t\n\f\r ]"),
                    'S' => out.push_str(r"[^\t\n\f\r ]"),
                    'b' if !bracket => out.push_str(r"(?-u:\b)"),
                    'A' | 'z' if !bracket => out.extend(['\\', escaped]),
                    'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'x' | 'p' | 'P' => {
                        out.extend(['\\', escaped]);
                        // Its braces are no repetition.
                        if rest.peek() == Some(&'{') && matches!(escaped, 'x' | 'p' | 'P') {
                            for c in rest.by_ref() {
                                out.push(c);
                                if c == '}' {
                                    break;
                                }
                            }
                        }
                    }
                    c if c.is_ascii_punctuation() => literal(c, &mut out),
                    other => return Err(lacks(&format!("\\{other}"))),
                }
            }
            '[' if !bracket => {
                out.push('[');
                bracket = true;
                if rest.peek() == Some(&'^') {
                    rest.next();
                    out.push('^');
                }
                begins = true;
            }
            ']' if bracket && !first => {
                out.push(']');
                bracket = false;
            }
            '[' if rest.peek() == Some(&':') => {
                // A class of POSIX, to its end.
                out.push('[');
                let mut last = '[';
                for c in rest.by_ref() {
                    out.push(c);
                    if c == ']' && last == ':' {
                        break;
                    }
                    last = c;
                }
            }
            '-' if bracket => {
                if rest.peek() == Some(&'-') {
                    return Err(lacks("-- in brackets"));
                }
                out.push('-');
            }
            '[' | ']' | '&' | '~' | '^' if bracket => literal(c, &mut out),
            '(' if !bracket && rest.peek() == Some(&'?') => {
                rest.next();
                out.push_str("(?");
                let mut flags = 0;
                loop {
                    match rest.next() {
                        Some(c @ ('i' | 'm' | 's' | 'U' | '-')) => {
                            out.push(c);
                            flags += 1;
                        }
                        Some(c @ (':' | ')')) => {
                            out.push(c);
                            break;
                        }
                        Some(c @ ('P' | '<')) if flags == 0 => {
                            out.push(c);
                            break;
                        }
                        Some(other) => return Err(lacks(&format!("(?{other}"))),
                        None => break,
                    }
                }
            }
            '{' if !bracket && !repeats(rest.clone()) => literal('{', &mut out),
            '}' if !bracket && !out_repeats(&out) => literal('}', &mut out),
            other => out.push(other),
        }
    }
    Ok(out)
}

/// A character that stands for itself, in brackets or not.
fn literal(c: char, out: &mut String) {
    out.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
}

/// Whether what follows an opening brace makes it a repetition; else it is a brace.
fn repeats(rest: impl Iterator<Item = char>) -> bool {
    let mut digits = 0;
    let mut comma = false;
    for c in rest {
        match c {
            '0'..='9' => digits += 1,
            ',' if digits > 0 && !comma => comma = true,
            '}' => return digits > 0,
            _ => return false,
        }
    }
    false
}

/// Whether a closing brace ends a repetition that is open in `out`.
fn out_repeats(out: &str) -> bool {
    out.trim_end_matches(|c: char| c.is_ascii_digit() || c == ',')
        .ends_with('{')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(expression: &str, text: &str) -> Vec<String> {
        let pattern = Pattern::new(expression).unwrap();
        pattern.searching(|find| {
            let mut found = Vec::new();
            let mut at = 0;
            while let Some(range) = find(text, at).unwrap() {
                at = range.end.max(range.start + 1);
                found.push(text[range].to_owned());
            }
            found
        })
    }

    #[test]
    fn the_longest_of_the_first_matches_counts() {
        assert_eq!(all("a|ab|abc", "xabcab"), ["abc", "ab"]);
        assert_eq!(all("a+?", "aaa"), ["aaa"]);
    }

    #[test]
    fn classes_are_those_of_ascii() {
        assert_eq!(all(r"\w+", "né_1 x"), ["n", "_1", "x"]);
        assert_eq!(all(r"\b\w\w+\b", "a bc  d ef"), ["bc", "ef"]);
        assert_eq!(all(r"[^\s,]+", "a b,\tc\u{b}"), ["a", "b", "c\u{b}"]);
        assert_eq!(all(r"[[:alpha:]&&]+", "a&b1"), ["a&b"]);
        assert_eq!(all(r"[]a[]+", "x[a]y"), ["[a]"]);
        assert_eq!(all(r"\pL+", "naïve 1"), ["naïve"]);
    }

    #[test]
    fn braces_repeat_or_stand_for_themselves() {
        assert_eq!(all("a{2}", "aaa"), ["aa"]);
        assert_eq!(all("a{,2}", "a{,2}"), ["a{,2}"]);
        assert_eq!(all(r"\x{41}\.{2}", "A.."), ["A.."]);
    }

    #[test]
    fn a_whole_text_is_matched_or_not() {
        let pattern = Pattern::new("a|ab").unwrap();
        let mut found = Vec::new();
        let texts = ["a", "ab", "abc", ""];
        pattern
            .matches_whole(texts.into_iter(), |v| {
                found.push(v);
                Ok(())
            })
            .unwrap();
        assert_eq!(found, [true, true, false, false]);
    }

    #[test]
    fn what_is_lacking_or_too_large_is_refused() {
        for expression in [
            "(?=a)",
            "(?u)a",
            r"\Qa\E",
            r"\B",
            r"a\",
            "(",
            "[a--b]",
            r"(\pL{500}){500}",
        ] {
            assert!(Pattern::new(expression).is_err(), "{expression}");
        }
        assert!(Pattern::new(&"(".repeat(5000)).is_err());
        assert!(Pattern::new(&"a".repeat(MAX_LENGTH + 1)).is_err());
    }
}
