//! A JSON value as a literal of another language.

use serde_json::Value;

/// Whose literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// JSON itself.
    Json,
    /// JSON is a part of it.
    JavaScript,
    /// JSON but for three words.
    Python,
    /// Lists, named and not, as `jsonlite` turns them back into JSON.
    R,
}

/// How wide a line may be before a list is broken.
const WIDTH: usize = 84;

/// Writes a value whose first line starts at `indent`.
pub(crate) fn write(value: &Value, syntax: Syntax, indent: usize) -> String {
    let mut out = String::new();
    nested(value, syntax, indent, &mut out);
    out
}

fn nested(value: &Value, syntax: Syntax, indent: usize, out: &mut String) {
    let line = flat(value, syntax);
    if indent + line.len() <= WIDTH {
        out.push_str(&line);
        return;
    }
    let (open, close) = match (value, syntax) {
        (Value::Array(_) | Value::Object(_), Syntax::R) => ("list(", ")"),
        (Value::Array(_), _) => ("[", "]"),
        (Value::Object(_), _) => ("{", "}"),
        _ => {
            out.push_str(&line);
            return;
        }
    };
    let step = match syntax {
        Syntax::Python => 4,
        _ => 2,
    };
    let inner = indent + step;
    out.push_str(open);
    match value {
        Value::Array(items) if items.iter().all(is_scalar) => filled(items, syntax, inner, out),
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                next_line(i, inner, out);
                nested(item, syntax, inner, out);
            }
        }
        Value::Object(members) => {
            for (i, (name, item)) in members.iter().enumerate() {
                next_line(i, inner, out);
                key(name, syntax, out);
                nested(item, syntax, inner, out);
            }
        }
        _ => {}
    }
    out.push('\n');
    push_blanks(indent, out);
    out.push_str(close);
}

/// As many items a line as fit.
fn filled(items: &[Value], syntax: Syntax, indent: usize, out: &mut String) {
    let mut used = WIDTH;
    for (i, item) in items.iter().enumerate() {
        let text = flat(item, syntax);
        if used + text.len() + 2 > WIDTH {
            next_line(i, indent, out);
            used = indent;
        } else {
            out.push_str(", ");
        }
        used += text.len() + 2;
        out.push_str(&text);
    }
}

fn next_line(i: usize, indent: usize, out: &mut String) {
    if i > 0 {
        out.push(',');
    }
    out.push('\n');
    push_blanks(indent, out);
}

fn push_blanks(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

fn key(name: &str, syntax: Syntax, out: &mut String) {
    out.push_str(&string(name, syntax));
    out.push_str(if syntax == Syntax::R { " = " } else { ": " });
}

fn flat(value: &Value, syntax: Syntax) -> String {
    match value {
        Value::Null => match syntax {
            Syntax::Python => "None",
            Syntax::R => "NULL",
            _ => "null",
        }
        .to_owned(),
        Value::Bool(yes) => match (syntax, yes) {
            (Syntax::Python, true) => "True",
            (Syntax::Python, false) => "False",
            (Syntax::R, true) => "TRUE",
            (Syntax::R, false) => "FALSE",
            (_, true) => "true",
            (_, false) => "false",
        }
        .to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text, syntax),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| flat(item, syntax)).collect();
            let items = items.join(", ");
            match syntax {
                Syntax::R => format!("list({items})"),
                _ => format!("[{items}]"),
            }
        }
        Value::Object(members) if members.is_empty() && syntax == Syntax::R => {
            // An empty list would become an array.
            "setNames(list(), character())".to_owned()
        }
        Value::Object(members) => {
            let mut out = String::new();
            for (i, (name, item)) in members.iter().enumerate() {
                if i > 0 {
                    out.push_str(", ");
                }
                key(name, syntax, &mut out);
                out.push_str(&flat(item, syntax));
            }
            match syntax {
                Syntax::R => format!("list({out})"),
                _ => format!("{{{out}}}"),
            }
        }
    }
}

/// JSON's text literals are those of JavaScript and Python too.
fn string(text: &str, syntax: Syntax) -> String {
    if syntax != Syntax::R {
        return Value::from(text).to_string();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            // Whatever the encoding of the reader's session is.
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_lists_and_names_are_those_of_the_language() {
        let value = json!({"a": [null, true, 1.5], "b": {}});
        let written = |syntax| write(&value, syntax, 0);
        assert_eq!(
            written(Syntax::Json),
            r#"{"a": [null, true, 1.5], "b": {}}"#
        );
        assert_eq!(
            written(Syntax::Python),
            r#"{"a": [None, True, 1.5], "b": {}}"#
        );
        assert_eq!(
            written(Syntax::R),
            r#"list("a" = list(NULL, TRUE, 1.5), "b" = setNames(list(), character()))"#
        );
    }

    #[test]
    fn what_is_long_is_broken_and_still_the_same_value() {
        let names: Vec<String> = (0..40).map(|i| format!("column {i}")).collect();
        let value =
            json!({"Inputs": {"input1": {"ColumnNames": names, "Values": [[1, 2], [3, 4]]}}});
        let text = write(&value, Syntax::Json, 0);
        assert!(
            text.lines().count() > 6 && text.lines().all(|l| l.len() <= WIDTH + 2),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_text_of_r_has_no_character_beyond_ascii() {
        assert_eq!(
            string("ä\"\\\u{1}", Syntax::R),
            r#""\U000000e4\"\\\U00000001""#
        );
    }
}
