//! Programs that run a job from its rows to its result: the same steps in each language, with
//! nothing but what its own installation brings.

use serde_json::{Map, Value, json};

use super::literal::{self, Syntax};
use super::{KEY, Language, json as json_text};

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    /// Where its calls go, up to `/jobs`.
    pub(crate) service: String,
    /// What each input gets.
    pub(crate) inputs: Vec<Input>,
    /// Web service parameters.
    pub(crate) parameters: Value,
}

/// What an input gets: a file that is uploaded before.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    /// The input's name.
    pub(crate) name: String,
    /// What the file is called.
    pub(crate) file: String,
    /// What stands in it.
    pub(crate) rows: String,
}

/// The program that runs the job.
pub(crate) fn program(language: Language, job: &Job) -> String {
    match language {
        Language::Curl => curl(job),
        Language::Python => python(job),
        Language::JavaScript => javascript(job),
        Language::CSharp => csharp(job),
        Language::R => r(job),
    }
}

/// A line for each input.
fn lines(job: &Job, line: impl Fn(&Input) -> String) -> String {
    job.inputs.iter().map(line).collect()
}

fn curl(job: &Job) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let member = |value: &str| format!("{{\"RelativeLocation\": \"{value}\"}}");
    let mut uploads = String::new();
    let mut references = Map::new();
    for (i, input) in job.inputs.iter().enumerate() {
        let (file, rows) = (quoted(&input.file), quoted(&input.rows));
        uploads.push_str(&format!("location_{i}=$(upload {file} {rows})\n"));
        let location = format!("LOCATION_{i}");
        references.insert(input.name.clone(), json!({ "RelativeLocation": location }));
    }
    let body = json!({ "Inputs": references, "GlobalParameters": job.parameters });
    let mut body = quoted(&json_text(&body));
    for i in 0..job.inputs.len() {
        // Inside of a name its quotation marks would be escaped, so that this is the member itself.
        let (from, to) = (format!("LOCATION_{i}"), format!("'\"$location_{i}\"'"));
        body = body.replacen(&member(&from), &member(&to), 1);
    }
    format!(
        r#"set -e
key='{KEY}'  # put a key of the endpoint here
service={service}
call() {{ curl --silent --show-error --fail-with-body --header "Authorization: Bearer $key" "$@"; }}
# A file is read and written at three texts joined.
joined() {{
  grep -o '"RelativeLocation":"[^"]*","BaseLocation":"[^"]*","SasBlobToken":"[^"]*"' |
    sed 's/"RelativeLocation":"\(.*\)","BaseLocation":"\(.*\)","SasBlobToken":"\(.*\)"/\2\1\3/'
}}
upload() {{
  file=$(call --header 'Content-Type: application/json' --data-raw "{{\"Name\":\"$1\"}}" \
    "$service/uploads?api-version=2.0")
  curl --silent --show-error --fail-with-body --request PUT --header 'Content-Type: text/csv' \
    --header 'x-ms-blob-type: BlockBlob' --data-raw "$2" "$(echo "$file" | joined)" >&2
  echo "$file" | sed 's/.*"RelativeLocation":"\([^"]*\)".*/\1/'
}}

# Upload the rows.
{uploads}
# Submit the job, and start it.
job=$(call --header 'Content-Type: application/json' --data-raw {body} \
  "$service/jobs?api-version=2.0" | tr -d '"')
call --request POST --data-raw '' "$service/jobs/$job/start?api-version=2.0"

# Ask once a second until it has ended. A DELETE of the same address cancels it.
while :; do
  status=$(call "$service/jobs/$job?api-version=2.0")
  case $status in
    *'"StatusCode":"Finished"'*) break ;;
    *'"StatusCode":"Failed"'* | *'"StatusCode":"Cancelled"'*) echo "$status"; exit 1 ;;
  esac
  sleep 1
done
echo "$status" | joined | while read -r url; do curl --silent --show-error --fail "$url"; done
"#,
        service = quoted(&job.service),
    )
}

fn python(job: &Job) -> String {
    let text = |s: &str| literal::write(&s.into(), Syntax::Python, 0);
    format!(
        r#"import json
import time
import urllib.request

service = {service}
api_key = "{KEY}"  # put a key of the endpoint here

rows = {{
{inputs}}}


def call(method, path, body=None):
    request = urllib.request.Request(
        service + path + "?api-version=2.0",
        data=None if body is None else json.dumps(body).encode("utf-8"),
        headers={{"Content-Type": "application/json", "Authorization": "Bearer " + api_key}},
        method=method,
    )
    with urllib.request.urlopen(request) as response:
        text = response.read().decode("utf-8")
    return json.loads(text) if text else None


# A file is read and written at three texts joined.
def joined(file):
    return file["BaseLocation"] + file["RelativeLocation"] + file["SasBlobToken"]


# Upload the rows.
inputs = {{}}
for name, (file_name, text) in rows.items():
    file = call("POST", "/uploads", {{"Name": file_name}})
    headers = {{"Content-Type": "text/csv", "x-ms-blob-type": "BlockBlob"}}
    urllib.request.urlopen(
        urllib.request.Request(joined(file), text.encode("utf-8"), headers, method="PUT")
    ).close()
    inputs[name] = {{"RelativeLocation": file["RelativeLocation"]}}

# Submit the job, and start it.
job = call("POST", "/jobs", {{
    "Inputs": inputs,
    "GlobalParameters": {parameters},
}})
call("POST", "/jobs/" + job + "/start", {{}})

# Ask once a second until it has ended. call("DELETE", "/jobs/" + job) cancels it.
while True:
    status = call("GET", "/jobs/" + job)
    print(status["StatusCode"])
    if status["StatusCode"] not in ("NotStarted", "Running"):
        break
    time.sleep(1)
if status["StatusCode"] != "Finished":
    raise SystemExit(status["Details"])
for name, file in status["Results"].items():
    with urllib.request.urlopen(joined(file)) as response:
        print(response.read().decode("utf-8"))
"#,
        service = text(&job.service),
        inputs = lines(job, |input| format!(
            "    {}: ({}, {}),\n",
            text(&input.name),
            text(&input.file),
            text(&input.rows)
        )),
        parameters = literal::write(&job.parameters, Syntax::Python, 4),
    )
}

fn javascript(job: &Job) -> String {
    let text = |s: &str| literal::write(&s.into(), Syntax::JavaScript, 0);
    format!(
        r#"// Node.js 18 or newer.
const service = {service};
const apiKey = "{KEY}"; // put a key of the endpoint here

const rows = [
{inputs}];

async function send(url, options) {{
  const response = await fetch(url, options);
  const text = await response.text();
  if (!response.ok) throw new Error(`${{response.status}} ${{text}}`);
  return text;
}}

async function call(method, path, body) {{
  const headers = {{ "Content-Type": "application/json", Authorization: `Bearer ${{apiKey}}` }};
  const options = {{ method, headers, body: body && JSON.stringify(body) }};
  const text = await send(`${{service}}${{path}}?api-version=2.0`, options);
  return text ? JSON.parse(text) : null;
}}

// A file is read and written at three texts joined.
const joined = (file) => file.BaseLocation + file.RelativeLocation + file.SasBlobToken;

async function main() {{
  // Upload the rows.
  const inputs = {{}};
  for (const [name, fileName, body] of rows) {{
    const file = await call("POST", "/uploads", {{ Name: fileName }});
    const headers = {{ "Content-Type": "text/csv", "x-ms-blob-type": "BlockBlob" }};
    await send(joined(file), {{ method: "PUT", headers, body }});
    inputs[name] = {{ RelativeLocation: file.RelativeLocation }};
  }}

  // Submit the job, and start it.
  const job = await call("POST", "/jobs", {{
    Inputs: inputs,
    GlobalParameters: {parameters},
  }});
  await call("POST", `/jobs/${{job}}/start`, {{}});

  // Ask once a second until it has ended. call("DELETE", `/jobs/${{job}}`) cancels it.
  let status;
  for (;;) {{
    status = await call("GET", `/jobs/${{job}}`);
    console.log(status.StatusCode);
    if (!["NotStarted", "Running"].includes(status.StatusCode)) break;
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }}
  if (status.StatusCode !== "Finished") throw new Error(status.Details);
  for (const file of Object.values(status.Results)) console.log(await send(joined(file)));
}}

main().catch((error) => {{
  console.error(error);
  process.exitCode = 1;
}});
"#,
        service = text(&job.service),
        inputs = lines(job, |input| format!(
            "  [{}, {}, {}],\n",
            text(&input.name),
            text(&input.file),
            text(&input.rows)
        )),
        parameters = literal::write(&job.parameters, Syntax::JavaScript, 4),
    )
}

fn csharp(job: &Job) -> String {
    let verbatim = |text: &str| format!("@\"{}\"", text.replace('"', "\"\""));
    // As JSON, which the program puts into the body as it is.
    let json = |text: &str| verbatim(&Value::from(text).to_string());
    format!(
        r#"using System;
using System.Collections.Generic;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

class Program
{{
    const string Service = {service};
    const string ApiKey = "{KEY}"; // put a key of the endpoint here

    // Input as JSON, file, rows.
    static readonly string[][] Rows =
    {{
{inputs}    }};

    const string Parameters = {parameters};

    static readonly HttpClient Client = new HttpClient();

    static int Main()
    {{
        return Run().GetAwaiter().GetResult();
    }}

    static async Task<string> Send(HttpRequestMessage request)
    {{
        HttpResponseMessage response = await Client.SendAsync(request);
        string text = await response.Content.ReadAsStringAsync();
        if (!response.IsSuccessStatusCode)
            throw new Exception((int)response.StatusCode + " " + text);
        return text;
    }}

    static Task<string> Call(string method, string path, string body)
    {{
        var request = new HttpRequestMessage(new HttpMethod(method), Service + path + "?api-version=2.0");
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", ApiKey);
        if (body != null)
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        return Send(request);
    }}

    // A file is read and written at three texts joined.
    static MatchCollection Files(string text)
    {{
        return Regex.Matches(text, "\"RelativeLocation\":\"([^\"]*)\",\"BaseLocation\":\"([^\"]*)\",\"SasBlobToken\":\"([^\"]*)\"");
    }}

    static string Joined(Match file)
    {{
        return file.Groups[2].Value + file.Groups[1].Value + file.Groups[3].Value;
    }}

    static async Task<int> Run()
    {{
        // Upload the rows.
        var inputs = new List<string>();
        foreach (string[] row in Rows)
        {{
            Match file = Files(await Call("POST", "/uploads", "{{\"Name\":\"" + row[1] + "\"}}"))[0];
            var upload = new HttpRequestMessage(HttpMethod.Put, Joined(file));
            upload.Headers.Add("x-ms-blob-type", "BlockBlob");
            upload.Content = new StringContent(row[2], Encoding.UTF8, "text/csv");
            await Send(upload);
            inputs.Add(row[0] + ":{{\"RelativeLocation\":\"" + file.Groups[1].Value + "\"}}");
        }}

        // Submit the job, and start it.
        string body = "{{\"Inputs\":{{" + string.Join(",", inputs) + "}},\"GlobalParameters\":" + Parameters + "}}";
        string job = (await Call("POST", "/jobs", body)).Trim('"');
        await Call("POST", "/jobs/" + job + "/start", "");

        // Ask once a second until it has ended. Call("DELETE", "/jobs/" + job, null) cancels it.
        string status, code;
        for (;;)
        {{
            status = await Call("GET", "/jobs/" + job, null);
            code = Regex.Match(status, "\"StatusCode\":\"(\\w+)\"").Groups[1].Value;
            Console.WriteLine(code);
            if (code != "NotStarted" && code != "Running")
                break;
            await Task.Delay(1000);
        }}
        if (code != "Finished")
        {{
            Console.Error.WriteLine(status);
            return 1;
        }}
        foreach (Match file in Files(status))
            Console.WriteLine(await Client.GetStringAsync(Joined(file)));
        return 0;
    }}
}}
"#,
        service = verbatim(&job.service),
        inputs = lines(job, |input| format!(
            "        new[] {{ {}, {}, {} }},\n",
            json(&input.name),
            verbatim(&input.file),
            verbatim(&input.rows)
        )),
        parameters = verbatim(&json_text(&job.parameters)),
    )
}

fn r(job: &Job) -> String {
    let text = |s: &str| literal::write(&s.into(), Syntax::R, 0);
    let inputs = job.inputs.iter().map(|input| {
        let (name, file, rows) = (text(&input.name), text(&input.file), text(&input.rows));
        format!("  list({name}, {file}, {rows})")
    });
    let inputs: Vec<String> = inputs.collect();
    // `=` and no `<-`, as in the other samples.
    format!(
        r#"# Packages: install.packages(c("httr", "jsonlite")), or r-cran-httr and r-cran-jsonlite.
library(httr)
library(jsonlite)

service = {service}
api_key = "{KEY}"  # put a key of the endpoint here

rows = list(
{inputs}
)

checked = function(response) {{
  text = content(response, "text", encoding = "UTF-8")
  if (http_error(response)) stop(status_code(response), " ", text)
  text
}}
call = function(method, path, body = "") {{
  response = VERB(
    method, paste0(service, path, "?api-version=2.0"),
    add_headers(Authorization = paste("Bearer", api_key)), content_type_json(), body = body
  )
  text = checked(response)
  if (nchar(text) == 0) NULL else fromJSON(text)
}}
json = function(value) toJSON(value, auto_unbox = TRUE, digits = NA, null = "null")
# A file is read and written at three texts joined.
joined = function(file) paste0(file$BaseLocation, file$RelativeLocation, file$SasBlobToken)

# Upload the rows.
inputs = setNames(list(), character())
for (row in rows) {{
  file = call("POST", "/uploads", json(list(Name = row[[2]])))
  checked(PUT(
    joined(file), content_type("text/csv"), add_headers("x-ms-blob-type" = "BlockBlob"),
    body = enc2utf8(row[[3]])
  ))
  inputs[[row[[1]]]] = list(RelativeLocation = file$RelativeLocation)
}}

# Submit the job, and start it.
job = call("POST", "/jobs", json(list(
  Inputs = inputs,
  GlobalParameters = {parameters}
)))
invisible(call("POST", paste0("/jobs/", job, "/start")))

# Ask once a second until it has ended. call("DELETE", paste0("/jobs/", job)) cancels it.
repeat {{
  status = call("GET", paste0("/jobs/", job))
  cat(status$StatusCode, "\n")
  if (!(status$StatusCode %in% c("NotStarted", "Running"))) break
  Sys.sleep(1)
}}
if (status$StatusCode != "Finished") stop(status$Details)
for (file in status$Results) cat(checked(GET(joined(file))))
"#,
        service = text(&job.service),
        inputs = inputs.join(",\n"),
        parameters = literal::write(&job.parameters, Syntax::R, 2),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Job {
        Job {
            service: "http://localhost/a'b".into(),
            inputs: vec![Input {
                name: "it's \"one\": {\"RelativeLocation\": \"LOCATION_0\"}".into(),
                file: "input1.csv".into(),
                rows: "it's,\"quoted\"\n$x `y`\n".into(),
            }],
            parameters: json!({"p\"": 1}),
        }
    }

    #[test]
    fn each_program_has_the_placeholder_once_and_ends_with_a_line() {
        for language in Language::ALL {
            let program = program(language, &hostile());
            assert_eq!(program.matches(KEY).count(), 1, "{program}");
            assert!(program.ends_with('\n'));
        }
    }

    #[test]
    fn texts_are_literals_of_the_language() {
        let of = |language| program(language, &hostile());
        let curl = of(Language::Curl);
        assert!(curl.contains("'it'\\''s,\"quoted\"\n$x `y`\n'"), "{curl}");
        assert!(curl.contains("{\"RelativeLocation\": \"'\"$location_0\"'\"}"));
        assert!(curl.contains(r#"{\"RelativeLocation\": \"LOCATION_0\"}"#));
        assert!(of(Language::CSharp).contains("@\"it's,\"\"quoted\"\"\n"));
        let escaped = r#""it's,\"quoted\"\n$x `y`\n""#;
        for language in [Language::Python, Language::JavaScript, Language::R] {
            assert!(of(language).contains(escaped), "{}", of(language));
        }
    }
}
