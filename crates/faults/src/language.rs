//! The languages that a reply can be in, and the choice between them by `Accept-Language`.

/// A language of the catalogue's texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// English, the default.
    #[default]
    English,
    /// Chinese in traditional characters, as written in Taiwan.
    TraditionalChinese,
}

impl Language {
    /// All languages, the default first.
    pub const ALL: &'static [Language] = &[Language::English, Language::TraditionalChinese];

    /// The BCP 47 tag, the value of `Content-Language`.
    pub fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::TraditionalChinese => "zh-TW",
        }
    }

    /// Chooses by the value of `Accept-Language` (RFC 9110 section 12.5.4).
    ///
    /// Each of our languages has the quality of the most specific range that names it; the higher
    /// quality wins, then the range that stands first, then English. `zh`, `zh-TW`, `zh-Hant` (with
    /// or without a region), `zh-HK` and `zh-MO` name Traditional Chinese. Plain `zh` beside a
    /// range for simplified characters (`zh-CN, zh;q=0.9`, as browsers send it) does not: such a
    /// reader gets English unless Traditional Chinese is listed itself. No header, one that does
    /// not parse, or one that admits neither language gives English.
    pub fn negotiate(accept_language: Option<&str>) -> Language {
        let Some(ranges) = accept_language.and_then(parse) else {
            return Language::English;
        };
        let reads_simplified = ranges
            .iter()
            .any(|r| r.quality > 0 && is_simplified(&r.tag));
        let english = best(&ranges, english_rank);
        let chinese = best(&ranges, |tag| match tag {
            "zh" if reads_simplified => None,
            tag => chinese_rank(tag),
        });
        match (english, chinese) {
            (None, Some(_)) => Language::TraditionalChinese,
            (Some(en), Some(zh)) if zh.preferred_to(&en) => Language::TraditionalChinese,
            _ => Language::English,
        }
    }
}

/// One element of the header: a range in lower case and its quality in thousandths.
struct Range {
    tag: String,
    quality: u16,
}

/// How well a language is wanted: by quality, then by the place of the range in the header. A
/// match by `*` alone has no place of its own.
struct Wanted {
    quality: u16,
    place: Option<usize>,
}

impl Wanted {
    fn preferred_to(&self, other: &Wanted) -> bool {
        if self.quality != other.quality {
            return self.quality > other.quality;
        }
        match (self.place, other.place) {
            (Some(a), Some(b)) => a < b,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}

/// The quality that the most specific ranges give, or `None` where no range admits the language.
/// `rank` says how specific a range is for the language: higher is more, `None` is no match.
fn best(ranges: &[Range], rank: impl Fn(&str) -> Option<u8>) -> Option<Wanted> {
    let mut found: Option<(u8, Wanted)> = None;
    for (place, range) in ranges.iter().enumerate() {
        let (rank, place) = match range.tag.as_str() {
            "*" => (0, None),
            tag => match rank(tag) {
                Some(rank) => (rank, Some(place)),
                None => continue,
            },
        };
        let better = match &found {
            None => true,
            Some((old, wanted)) => rank > *old || (rank == *old && range.quality > wanted.quality),
        };
        if better {
            let quality = range.quality;
            found = Some((rank, Wanted { quality, place }));
        }
    }
    found
        .map(|(_, wanted)| wanted)
        .filter(|wanted| wanted.quality > 0)
}

fn english_rank(tag: &str) -> Option<u8> {
    match tag {
        "en" => Some(2),
        tag if tag.starts_with("en-") => Some(1),
        _ => None,
    }
}

fn chinese_rank(tag: &str) -> Option<u8> {
    match tag {
        "zh-tw" | "zh-hant" | "zh-hant-tw" => Some(3),
        "zh-hk" | "zh-mo" => Some(2),
        tag if tag.starts_with("zh-hant-") => Some(2),
        "zh" => Some(1),
        _ => None,
    }
}

fn is_simplified(tag: &str) -> bool {
    matches!(tag, "zh-cn" | "zh-sg" | "zh-hans") || tag.starts_with("zh-hans-")
}

/// The header's ranges in order, or `None` if any of it does not parse (RFC 9110 section 12.5.4,
/// RFC 4647 section 2.1). Empty list elements are allowed and skipped.
fn parse(header: &str) -> Option<Vec<Range>> {
    let blank = [' ', '\t'];
    let mut ranges = Vec::new();
    for element in header.split(',').map(|e| e.trim_matches(blank)) {
        if element.is_empty() {
            continue;
        }
        let (tag, quality) = match element.split_once(';') {
            None => (element, 1000),
            Some((tag, weight)) => {
                let (name, value) = weight.trim_matches(blank).split_once('=')?;
                if !name.eq_ignore_ascii_case("q") {
                    return None;
                }
                (tag.trim_end_matches(blank), quality(value)?)
            }
        };
        if !is_range(tag) {
            return None;
        }
        let tag = tag.to_ascii_lowercase();
        ranges.push(Range { tag, quality });
    }
    Some(ranges)
}

fn is_range(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    let sized = |part: &str| (1..=8).contains(&part.len());
    tag == "*"
        || (sized(first)
            && first.bytes().all(|b| b.is_ascii_alphabetic())
            && parts.all(|p| sized(p) && p.bytes().all(|b| b.is_ascii_alphanumeric())))
}

/// `0`, `0.5`, `1.000`: thousandths of the quality; `None` for another text.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse::<u16>().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_gets_the_language_that_is_wanted_most() {
        let zh = [
            "zh",
            "zh-TW",
            "ZH-tw",
            "zh-Hant",
            "zh-Hant-TW",
            "zh-Hant-HK",
            "zh-HK",
            "zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7",
            "en;q=0.5, zh-TW;q=0.501",
            "en;q=0.1\t,\tzh ; q=1.000",
            "en;Q=0.1, zh-TW;Q=0.2",
            "zh-TW, en",
            "fr, zh-TW;q=0.1",
            "en;q=0, *",
            "en;q=0, *;q=0.1",
            "zh-CN, zh-TW",
            "zh-CN, zh;q=0.9, zh-TW;q=0.8, en;q=0.7",
            "zh-CN;q=0, zh",
            "zh-TW, *;q=0.5",
            "zh-TW, *",
            "zh;q=0, zh-TW",
            ", ,zh-TW,",
        ];
        for header in zh {
            let chosen = Language::negotiate(Some(header));
            assert_eq!(chosen, Language::TraditionalChinese, "{header:?}");
        }
        let en = [
            "",
            "en",
            "en-GB",
            "*",
            "fr",
            "en, zh-TW",
            "en-US,en;q=0.9,zh-TW;q=0.8",
            "zh-CN",
            "zh-Hans",
            "zh-Hans-TW",
            "zh-CN,zh;q=0.9",
            "zh-CN,zh;q=0.9,en;q=0.8",
            "zh-TW;q=0",
            "zh-TW;q=0, zh",
            "zh-TW;q=0, *;q=0.3",
            "zh-TW;q=0.000",
            "zh-TW;q=0.5, *",
            "zh-HK, zh-TW;q=0.1, en;q=0.5",
            "en;q=0, zh;q=0",
            "*;q=0",
        ];
        for header in en {
            let chosen = Language::negotiate(Some(header));
            assert_eq!(chosen, Language::English, "{header:?}");
        }
        assert_eq!(Language::negotiate(None), Language::English);
    }

    #[test]
    fn a_header_that_does_not_parse_is_ignored_whole() {
        let malformed = [
            "zh_TW",
            "zh-TW;q=2",
            "zh-TW;q=1.001",
            "zh-TW;q=0.1234",
            "zh-TW;q=",
            "zh-TW;q=.5",
            "zh-TW;q=+0",
            "zh-TW;q=0.+1",
            "zh-TW;q = 1",
            "zh-TW;level=1",
            "zh-TW;",
            "zh-TW;q=1;q=1",
            "zh TW",
            "zh-",
            "-zh",
            "zh-TW, 中文",
            "zh-TW, abcdefghi",
            "zh-TW, 1a",
            "zh-TW, **",
            "zh-TW, *-TW",
        ];
        for header in malformed {
            let chosen = Language::negotiate(Some(header));
            assert_eq!(chosen, Language::English, "{header:?}");
        }
    }
}
