//! The members of a body, read as laxly as the classic service did: names in any case, booleans and
//! numbers as texts, `null` as nothing.

use faults::{Fault, bad_argument};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::diagnostics;
use crate::json::member;

/// The members of an object.
#[derive(Clone, Copy)]
pub(crate) struct Members<'a>(pub(crate) &'a Map<String, Value>);

impl<'a> Members<'a> {
    /// A member that says something.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        member(self.0, name).filter(|value| !value.is_null())
    }

    /// A text.
    ///
    /// # Errors
    /// `BadArgument.RequestBodyInvalid` at the member, for another type.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_type(name)),
        }
    }

    /// A text that is not blank; a blank one is as good as none.
    ///
    /// # Errors
    /// As for [`Members::text`].
    pub(crate) fn filled(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        Ok(self.text(name)?.filter(|text| !text.trim().is_empty()))
    }

    /// A boolean, or its word.
    ///
    /// # Errors
    /// As for [`Members::text`].
    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Fault> {
        boolean(self.get(name)).map_err(|()| wrong_type(name))
    }

    /// A whole number, or its digits.
    ///
    /// # Errors
    /// As for [`Members::text`].
    pub(crate) fn whole_number(&self, name: &str) -> Result<Option<i64>, Fault> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        number.map(Some).ok_or_else(|| wrong_type(name))
    }

    /// One of a set of words.
    ///
    /// # Errors
    /// As for [`Members::text`]; `BadArgument.BadParameterValue` for another word.
    pub(crate) fn one_of<T>(
        &self,
        name: &str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Fault> {
        self.text(name)?
            .map(|text| parse(text).ok_or_else(|| bad_argument::bad_parameter_value().at(name)))
            .transpose()
    }

    /// When diagnostics cease; `null` is never, and differs from nothing.
    ///
    /// # Errors
    /// As for [`Members::text`]; those of [`diagnostics::expiry`].
    pub(crate) fn expiry(&self, name: &str) -> Result<Option<Option<Timestamp>>, Fault> {
        match member(self.0, name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(Value::String(text)) => diagnostics::expiry(text, Timestamp::now())
                .map(|at| Some(Some(at)))
                .map_err(|fault| fault.at(name)),
            Some(_) => Err(wrong_type(name)),
        }
    }
}

fn wrong_type(name: &str) -> Fault {
    bad_argument::request_body_invalid().at(name)
}

/// `true`, `"True"` and so on; `None` where there is nothing.
fn boolean(value: Option<&Value>) -> Result<Option<bool>, ()> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faults::rows::BadArgument as Row;
    use serde_json::json;

    #[test]
    fn members_are_read_laxly_and_refused_at_their_names() {
        let object =
            json!({"Flag": "TRUE", "NUMBER": " 7 ", "word": "x", "none": null, "blank": " "});
        let members = Members(object.as_object().unwrap());
        assert_eq!(members.boolean("flag"), Ok(Some(true)));
        assert_eq!(members.whole_number("number"), Ok(Some(7)));
        assert_eq!(members.text("none"), Ok(None));
        assert_eq!(members.filled("blank"), Ok(None));
        let known = |word: &str| (word == "y").then_some(());
        let fault = members.one_of("word", known).unwrap_err();
        assert!(fault.is(&Row::BadParameterValue));
        for name in ["word", "flag"] {
            let fault = members.whole_number(name).unwrap_err();
            assert!(fault.is(&Row::RequestBodyInvalid));
            assert_eq!(fault.details()[0].target.as_deref(), Some(name));
        }
        assert_eq!(members.expiry("none"), Ok(Some(None)));
        assert_eq!(members.expiry("absent"), Ok(None));
        assert!(
            members
                .expiry("word")
                .unwrap_err()
                .is(&Row::RequestBodyInvalid)
        );
    }
}
