//! A plain JSON parser that shares nothing with the one under test: it recurses, builds everything
//! and keeps the order and repetition of members and the text of numbers.

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// With its text; `NaN`, `Infinity` and `-Infinity` too.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Parses a whole text; `None` where it is not JSON with the three bare tokens.
pub fn parse(text: &str) -> Option<Json> {
    let mut parser = Parser {
        chars: text.chars().collect(),
        at: 0,
    };
    let value = parser.value()?;
    parser.blanks();
    (parser.at == parser.chars.len()).then_some(value)
}

struct Parser {
    chars: Vec<char>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\n' | '\r' | '\t')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        for expected in word.chars() {
            (self.next()? == expected).then_some(())?;
        }
        Some(value)
    }

    fn value(&mut self) -> Option<Json> {
        self.blanks();
        match self.peek()? {
            'n' => self.word("null", Json::Null),
            't' => self.word("true", Json::Bool(true)),
            'f' => self.word("false", Json::Bool(false)),
            'N' => self.word("NaN", Json::Number("NaN".into())),
            'I' => self.word("Infinity", Json::Number("Infinity".into())),
            '-' if self.chars.get(self.at + 1) == Some(&'I') => {
                self.word("-Infinity", Json::Number("-Infinity".into()))
            }
            '"' => self.text().map(Json::Text),
            '[' => self.items(']', |parser| parser.value()).map(Json::Array),
            '{' => {
                let member = |parser: &mut Parser| {
                    parser.blanks();
                    (parser.peek()? == '"').then_some(())?;
                    let name = parser.text()?;
                    parser.blanks();
                    (parser.next()? == ':').then_some(())?;
                    Some((name, parser.value()?))
                };
                self.items('}', member).map(Json::Object)
            }
            _ => self.number().map(Json::Number),
        }
    }

    fn items<T>(&mut self, close: char, item: impl Fn(&mut Parser) -> Option<T>) -> Option<Vec<T>> {
        self.next()?;
        self.blanks();
        let mut items = Vec::new();
        if self.peek()? == close {
            self.next();
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.blanks();
            match self.next()? {
                ',' => {}
                c if c == close => return Some(items),
                _ => return None,
            }
        }
    }

    fn digits(&mut self) -> Option<()> {
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > from).then_some(())
    }

    fn number(&mut self) -> Option<String> {
        let from = self.at;
        if self.peek()? == '-' {
            self.at += 1;
        }
        if self.peek()? == '0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some('.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(self.chars[from..self.at].iter().collect())
    }

    fn unit(&mut self) -> Option<u16> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + self.next()?.to_digit(16)? as u16;
        }
        Some(unit)
    }

    fn text(&mut self) -> Option<String> {
        self.next()?;
        let mut units: Vec<u16> = Vec::new();
        loop {
            let c = match self.next()? {
                '"' => return String::from_utf16(&units).ok(),
                c if c < ' ' => return None,
                '\\' => match self.next()? {
                    c @ ('"' | '\\' | '/') => c,
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'u' => {
                        units.push(self.unit()?);
                        continue;
                    }
                    _ => return None,
                },
                c => c,
            };
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
        }
    }
}
