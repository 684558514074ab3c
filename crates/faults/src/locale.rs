//! The texts by language: English beside the code, zh-TW overlaid from `locales/zh-TW.toml`.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::Language;
use crate::catalogue::Class;
use crate::table::Row;

const ZH_TW: &str = include_str!("../locales/zh-TW.toml");

/// A class's own text, `error.message` on the wire.
pub fn class_message(class: Class, language: Language) -> &'static str {
    match language {
        Language::English => class.en(),
        // A test shows that every text is there; English is what remains if one were not.
        Language::TraditionalChinese => Overlay::zh_tw().class(class).unwrap_or_else(|| class.en()),
    }
}

/// A row's text with its parameters put in, `details[].message` on the wire.
pub fn row_message(row: &Row, args: &[String], language: Language) -> String {
    fill(row_template(row, language), args)
}

/// A row's text with `{0}`, `{1}` in it.
pub(crate) fn row_template(row: &Row, language: Language) -> &'static str {
    match language {
        Language::English => row.en,
        Language::TraditionalChinese => Overlay::zh_tw().row(row).unwrap_or(row.en),
    }
}

/// Puts the parameters in the places of `{0}` to `{9}`, in one pass: braces within a parameter
/// stay as they are. A parameter that is not there leaves its place empty.
fn fill(template: &str, args: &[String]) -> String {
    let mut out =
        String::with_capacity(template.len() + args.iter().map(String::len).sum::<usize>());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        let (before, place) = rest.split_at(at);
        out.push_str(before);
        match place.as_bytes() {
            [b'{', digit @ b'0'..=b'9', b'}', ..] => {
                if let Some(arg) = args.get(usize::from(digit - b'0')) {
                    out.push_str(arg);
                }
                rest = &place[3..];
            }
            _ => {
                out.push('{');
                rest = &place[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// One language's texts, by section and key of its file.
#[derive(Debug, Default)]
struct Overlay(HashMap<(&'static str, &'static str), String>);

impl Overlay {
    fn zh_tw() -> &'static Overlay {
        static ZH: LazyLock<Overlay> = LazyLock::new(|| Overlay::parse(ZH_TW).unwrap_or_default());
        &ZH
    }

    fn class(&self, class: Class) -> Option<&str> {
        self.get(class.name(), "message")
    }

    fn row(&self, row: &Row) -> Option<&str> {
        let class = row.class;
        // No code stands both in the contract and in the extensions of one class (a test).
        self.get(class.name(), row.code)
            .or_else(|| self.get(extension_section(class)?, row.code))
    }

    fn get(&self, section: &'static str, key: &'static str) -> Option<&str> {
        self.0.get(&(section, key)).map(String::as_str)
    }

    /// Reads the part of TOML that the file uses: `[section]`, `Key = "text"`, comments and empty
    /// lines. The full parser would be the largest part of this crate's build. The error is the
    /// number of the line that cannot be read.
    fn parse(text: &'static str) -> Result<Overlay, usize> {
        let mut texts = HashMap::new();
        let mut section = "";
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name;
                continue;
            }
            let entry = line.split_once('=').and_then(|(key, value)| {
                let quoted = value.trim().strip_prefix('"')?.strip_suffix('"')?;
                Some((key.trim(), unescape(quoted)?))
            });
            let (key, value) = entry.ok_or(number + 1)?;
            if texts.insert((section, key), value).is_some() {
                return Err(number + 1);
            }
        }
        Ok(Overlay(texts))
    }
}

/// The section of a class's extensions, where it has any.
fn extension_section(class: Class) -> Option<&'static str> {
    match class {
        Class::NotFound => Some("extensions.NotFound"),
        Class::InvalidOperation => Some("extensions.InvalidOperation"),
        _ => None,
    }
}

/// Resolves `\"` and `\\`; `None` for another escape or a bare quotation mark.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{all_rows, extensions};

    fn places(text: &str) -> BTreeSet<String> {
        (0..10)
            .map(|n| format!("{{{n}}}"))
            .filter(|p| text.contains(p.as_str()))
            .collect()
    }

    #[test]
    fn parameters_fill_their_places_once() {
        let args = ["{1}".to_owned(), "b".to_owned()];
        assert_eq!(fill("{1}: {0}, {x} {", &args), "b: {1}, {x} {");
        assert_eq!(fill("a {2}.", &args), "a .");
        assert_eq!(fill("檔案{0}。", &args), "檔案{1}。");
    }

    #[test]
    fn the_overlay_has_exactly_the_tables_keys_and_places() {
        let overlay = Overlay::parse(ZH_TW).map_err(|line| format!("line {line}"));
        let overlay = overlay.expect("locales/zh-TW.toml");
        let mut expected = BTreeSet::new();
        for &class in Class::ALL {
            expected.insert((class.name(), "message"));
            assert!(overlay.class(class).is_some_and(|t| !t.is_empty()));
        }
        for row in all_rows().chain(extensions::ALL.iter().copied()) {
            let section = match extensions::ALL.contains(&row) {
                true => extension_section(row.class).expect("a section for each class"),
                false => row.class.name(),
            };
            expected.insert((section, row.code));
            let zh = overlay.row(row).unwrap_or_default();
            assert!(!zh.is_empty(), "no zh-TW text: {}", row.name());
            assert_eq!(places(zh), places(row.en), "places differ: {}", row.name());
        }
        let there: BTreeSet<_> = overlay.0.keys().copied().collect();
        assert_eq!(there, expected);
    }

    #[test]
    fn our_reader_and_a_whole_toml_parser_agree() {
        let whole: toml::Table = ZH_TW.parse().expect("valid TOML");
        let ours = Overlay::parse(ZH_TW).expect("readable by our parser");
        let mut count = 0;
        for ((section, key), text) in &ours.0 {
            let mut table = &whole;
            for part in section.split('.') {
                table = table[part].as_table().expect("a section");
            }
            assert_eq!(table[*key].as_str(), Some(text.as_str()));
            count += 1;
        }
        assert_eq!(
            count,
            ZH_TW
                .lines()
                .filter(|l| l.contains(" = \"") && !l.starts_with('#'))
                .count()
        );
    }

    #[test]
    fn what_the_reader_does_not_know_it_refuses() {
        for bad in [
            "a",
            "a = b",
            "a = \"x\" # c",
            "a = \"\\n\"",
            "a = \"b\"c\"",
            "a = \"\na = \"\"",
        ] {
            assert!(Overlay::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            Overlay::parse("a = \"1\"\n[s]\n\n# c\na = \"2\"\na = \"3\"").err(),
            Some(6)
        );
        let text = Overlay::parse("[s]\na = \"x \\\"y\\\" \\\\\"").ok();
        assert_eq!(
            text.and_then(|o| o.get("s", "a").map(str::to_owned)),
            Some("x \"y\" \\".into())
        );
    }
}
