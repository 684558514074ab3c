//! HTML under construction. What a program's text gives is written as it is; everything else is
//! escaped, and the types keep the two apart: only a literal can be [`Html::raw`].

/// A piece of a page.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Nothing yet.
    pub(crate) fn new() -> Html {
        Html(String::new())
    }

    /// Markup of ours.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// A value as text, or inside the quotes of an attribute.
    pub(crate) fn text(&mut self, value: impl AsRef<str>) -> &mut Html {
        escape(value.as_ref(), &mut self.0);
        self
    }

    /// `<tag>value</tag>`.
    pub(crate) fn element(&mut self, tag: &'static str, value: impl AsRef<str>) -> &mut Html {
        self.0.push('<');
        self.0.push_str(tag);
        self.0.push('>');
        self.text(value);
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
        self
    }

    /// A link.
    pub(crate) fn link(&mut self, to: impl AsRef<str>, text: impl AsRef<str>) -> &mut Html {
        self.raw("<a href=\"").text(to).raw("\">");
        self.text(text).raw("</a>")
    }

    /// Another piece.
    pub(crate) fn add(&mut self, other: &Html) -> &mut Html {
        self.0.push_str(&other.0);
        self
    }

    /// The finished text.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Escapes for text and for quoted attributes alike.
fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not allowed in HTML in any form; a line or a tab is.
            c if c.is_control() && !matches!(c, '\n' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_markup_is_not() {
        let mut html = Html::new();
        html.raw("<p title=\"").text("\"x\" 'y'").raw("\">");
        html.text("<script>&\u{1}\n").raw("</p>");
        html.element("b", "<i>").link("/a?b&c", "d>");
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot;x&quot; &#39;y&#39;\">&lt;script&gt;&amp;\u{fffd}\n</p>\
             <b>&lt;i&gt;</b><a href=\"/a?b&amp;c\">d&gt;</a>"
        );
    }
}
