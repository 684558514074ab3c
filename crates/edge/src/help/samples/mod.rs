//! Programs that make one call, as a reader pastes them: the same call in five languages, each
//! with nothing but what its own installation brings (R: two packages of every distribution).
//!
//! Only the key is a placeholder. URL and body are written by the rules of the language's own
//! literals, so that a quote in a column's name neither breaks a program nor becomes code.

pub(crate) mod batch;
mod literal;

use serde_json::Value;

use literal::Syntax;

/// What stands where the key belongs.
pub(crate) const KEY: &str = "YOUR_API_KEY";

/// A call with a JSON body.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `POST` or `PATCH`.
    pub(crate) method: &'static str,
    pub(crate) url: String,
    pub(crate) body: Value,
}

/// A language that samples are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Curl,
    Python,
    JavaScript,
    CSharp,
    R,
}

impl Language {
    /// All, in the order of the pages. R stands last: a published R client shows what follows the
    /// words `code-snippet-r` to the end of the page.
    pub(crate) const ALL: [Language; 5] = [
        Language::Curl,
        Language::Python,
        Language::JavaScript,
        Language::CSharp,
        Language::R,
    ];

    /// The language's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Language::Curl => "curl",
            Language::Python => "Python",
            Language::JavaScript => "JavaScript",
            Language::CSharp => "C#",
            Language::R => "R",
        }
    }

    /// The word in ids and classes.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Language::Curl => "curl",
            Language::Python => "python",
            Language::JavaScript => "javascript",
            Language::CSharp => "csharp",
            Language::R => "r",
        }
    }

    /// The program that makes the call.
    pub(crate) fn program(self, call: &Call) -> String {
        match self {
            Language::Curl => curl(call),
            Language::Python => python(call),
            Language::JavaScript => javascript(call),
            Language::CSharp => csharp(call),
            Language::R => r(call),
        }
    }
}

/// JSON to be read by people.
pub(crate) fn json(value: &Value) -> String {
    literal::write(value, Syntax::Json, 0)
}

fn curl(call: &Call) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let Call { method, url, body } = call;
    format!(
        "curl --request {method} \\\n  {} \\\n  --header 'Authorization: Bearer {KEY}' \\\n  \
         --header 'Content-Type: application/json' \\\n  --data {}\n",
        quoted(url),
        quoted(&json(body)),
    )
}

fn python(call: &Call) -> String {
    let text = |s: &str| literal::write(&s.into(), Syntax::Python, 0);
    format!(
        "import json
import urllib.error
import urllib.request

url = {url}
api_key = \"{KEY}\"  # put a key of the endpoint here

body = {body}

request = urllib.request.Request(
    url,
    data=json.dumps(body).encode(\"utf-8\"),
    headers={{\"Content-Type\": \"application/json\", \"Authorization\": \"Bearer \" + api_key}},
    method=\"{method}\",
)
try:
    with urllib.request.urlopen(request) as response:
        print(response.status, response.read().decode(\"utf-8\"))
except urllib.error.HTTPError as error:
    # x-ms-request-id finds the call in the server's log.
    print(\"failed:\", error.code, error.headers.get(\"x-ms-request-id\"))
    print(error.read().decode(\"utf-8\"))
",
        url = text(&call.url),
        body = literal::write(&call.body, Syntax::Python, 0),
        method = call.method,
    )
}

fn javascript(call: &Call) -> String {
    format!(
        "// Node.js 18 or newer.
const url = {url};
const apiKey = \"{KEY}\"; // put a key of the endpoint here

const body = {body};

fetch(url, {{
  method: \"{method}\",
  headers: {{ \"Content-Type\": \"application/json\", Authorization: `Bearer ${{apiKey}}` }},
  body: JSON.stringify(body),
}})
  .then(async (response) => {{
    console.log(response.status, await response.text());
  }})
  .catch((error) => {{
    console.error(\"no answer:\", error);
  }});
",
        url = literal::write(&call.url.as_str().into(), Syntax::JavaScript, 0),
        body = literal::write(&call.body, Syntax::JavaScript, 0),
        method = call.method,
    )
}

fn csharp(call: &Call) -> String {
    let verbatim = |text: &str| format!("@\"{}\"", text.replace('"', "\"\""));
    format!(
        "using System;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Threading.Tasks;

class Program
{{
    const string Url = {url};
    const string ApiKey = \"{KEY}\"; // put a key of the endpoint here

    const string Body = {body};

    static void Main()
    {{
        Call().GetAwaiter().GetResult();
    }}

    static async Task Call()
    {{
        using (var client = new HttpClient())
        {{
            var request = new HttpRequestMessage(new HttpMethod(\"{method}\"), Url);
            request.Headers.Authorization = new AuthenticationHeaderValue(\"Bearer\", ApiKey);
            request.Content = new StringContent(Body, Encoding.UTF8, \"application/json\");
            HttpResponseMessage response = await client.SendAsync(request);
            string text = await response.Content.ReadAsStringAsync();
            Console.WriteLine(\"{{0}} {{1}}\", (int)response.StatusCode, text);
        }}
    }}
}}
",
        url = verbatim(&call.url),
        body = verbatim(&json(&call.body)),
        method = call.method,
    )
}

fn r(call: &Call) -> String {
    // `=` and no `<-`: a published R client shows this text with its tags taken out but its
    // character references left in.
    format!(
        "# Packages: install.packages(c(\"httr\", \"jsonlite\")), or r-cran-httr and r-cran-jsonlite.
library(httr)
library(jsonlite)

url = {url}
api_key = \"{KEY}\"  # put a key of the endpoint here

body = {body}

response = VERB(
  \"{method}\", url,
  add_headers(Authorization = paste(\"Bearer\", api_key)),
  content_type_json(),
  body = toJSON(body, auto_unbox = TRUE, digits = NA, null = \"null\")
)
cat(status_code(response), content(response, \"text\", encoding = \"UTF-8\"), \"\\n\")
",
        url = literal::write(&call.url.as_str().into(), Syntax::R, 0),
        body = literal::write(&call.body, Syntax::R, 0),
        method = call.method,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hostile() -> Call {
        Call {
            method: "POST",
            url: "http://localhost/a?b=c&d=e".into(),
            body: json!({"it's \"quoted\" \\ $x `y` {z}": [["a'b\"c\\", null, true, 1.5]]}),
        }
    }

    #[test]
    fn a_shell_sees_one_word_whatever_stands_in_it() {
        let program = Language::Curl.program(&hostile());
        assert!(
            program.contains(r#"it'\''s \"quoted\" \\ $x `y` {z}"#),
            "{program}"
        );
    }

    #[test]
    fn each_program_has_the_placeholder_once_and_ends_with_a_line() {
        for language in Language::ALL {
            let program = language.program(&hostile());
            assert_eq!(program.matches(KEY).count(), 1, "{program}");
            assert!(program.ends_with('\n'));
        }
    }

    #[test]
    fn a_verbatim_text_doubles_its_quotes() {
        let program = Language::CSharp.program(&hostile());
        assert!(program.contains(r#"it's \""quoted\"" \\ $x"#), "{program}");
    }
}
