//! The catalogue of failures, as a caller reads it.

use faults::{Class, class_message, row_message};

use super::Facts;
use super::html::Html;

/// A section with every class and its codes.
pub(crate) fn section(html: &mut Html, facts: &Facts<'_>) {
    let words = facts.words;
    html.raw("<section id=\"errors\">\n")
        .element("h2", words.errors)
        .element("p", words.errors_note)
        .raw("\n");
    for class in Class::ALL {
        class_rows(html, *class, facts);
    }
    html.raw("</section>\n");
}

fn class_rows(html: &mut Html, class: Class, facts: &Facts<'_>) {
    let words = facts.words;
    html.raw("<details><summary><code>")
        .text(class.name())
        .raw("</code> ")
        .text(class.status().to_string())
        .raw(" <span>")
        .text(class_message(class, facts.language))
        .raw("</span></summary>\n");
    if class.rows().is_empty() {
        html.element("p", words.no_codes).raw("<p lang=\"en\">");
        html.text(plain(&class.what_to_do())).raw("</p>\n");
    } else {
        html.raw("<div class=\"scroll\"><table><thead><tr>")
            .element("th", words.code)
            .element("th", words.message)
            .element("th", words.what_to_do)
            .raw("</tr></thead><tbody>\n");
        for row in class.rows() {
            let args: Vec<String> = row.args.iter().map(|name| format!("{{{name}}}")).collect();
            html.raw("<tr><td><code>")
                .text(row.code)
                .raw("</code></td>")
                .element("td", row_message(row, &args, facts.language))
                // The catalogue gives advice in English only.
                .raw("<td lang=\"en\">")
                .text(plain(&row.what_to_do()))
                .raw("</td></tr>\n");
        }
        html.raw("</tbody></table></div>\n");
    }
    html.raw("</details>\n");
}

/// Markdown's marks of code taken out.
fn plain(markdown: &str) -> String {
    markdown.replace('`', "")
}
