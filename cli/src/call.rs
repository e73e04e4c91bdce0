//! `mtlspop call`: an API called with a token, as curl would; bodies are streamed both ways.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mtlspop::{HttpRequest, HttpResponse, HttpStream};

use crate::identity::Identity;
use crate::secrets::STDIN;
use crate::settings::Settings;
use crate::{Context, Failure, Result};

/// Call an API with a token, like curl
///
/// Over mTLS where the token is bound (--pop). What a 401 of the API asks for, other claims or just another token, is got,
/// and the request is sent once more. Redirects are shown, not followed: neither token nor certificate goes where it was not
/// sent. Whose token it is, mtlspop token --help says.
#[derive(Args, Debug)]
#[command(override_usage = "mtlspop call [OPTIONS] [METHOD] URL", after_help = EXAMPLES)]
pub(crate) struct CallArgs {
    /// Method [default: GET, with a body POST] and URL (https)
    #[arg(value_name = "[METHOD] URL", num_args = 1..=2, required = true)]
    target: Vec<String>,
    /// A header; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", help_heading = "Request")]
    headers: Vec<String>,
    /// The body: text, @FILE, or @- for stdin; of type application/x-www-form-urlencoded unless -H says otherwise
    #[arg(short, long, allow_hyphen_values = true, help_heading = "Request")]
    data: Option<String>,
    /// The same of type application/json
    #[arg(
        long,
        allow_hyphen_values = true,
        value_name = "DATA",
        help_heading = "Request",
        conflicts_with = "data"
    )]
    json: Option<String>,
    /// Where the body of the answer goes [default: stdout]
    #[arg(short, long, value_name = "FILE", help_heading = "Answer")]
    output: Option<PathBuf>,
    /// Status and headers of the answer before its body
    #[arg(short, long, help_heading = "Answer")]
    include: bool,
    /// Exit with 22, and without the body, where the API answers with 400 or more
    #[arg(short, long, help_heading = "Answer")]
    fail: bool,
    #[command(flatten)]
    settings: Settings,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop call --resource https://graph.microsoft.com https://graph.microsoft.com/v1.0/applications
  mtlspop call --pop --resource https://graph.microsoft.com https://mtlstb.graph.microsoft.com/v1.0/applications
  mtlspop call PUT https://x.vault.azure.net/secrets/a?api-version=7.4 --resource https://vault.azure.net \\
      --json '{\"value\": \"b\"}' --fail";

/// A body may take as long as it takes.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

pub(crate) fn run(args: &CallArgs, context: &Context) -> Result<()> {
    let identity = Identity::new(&args.settings, context)?.answering_claims();
    // What is wrong here is said before a token is got.
    let request = request(args, identity.reads_stdin())?;
    let (app, token_request, token) = identity.acquire()?;
    let mut answer = app.send_streaming_answering_claims(&token, &token_request, &request)?;
    let response = answer.response().clone();
    if args.fail && response.status() >= 400 {
        return Err(Failure::http(response.status()));
    }
    match args.output.as_deref().filter(|path| path.as_os_str() != STDIN) {
        Some(path) => {
            let failed = |error: io::Error| Failure::output(&path.display().to_string(), &error);
            let file = File::create(path).map_err(failed)?;
            write(&mut answer, &response, args.include, file, &path.display().to_string())
        }
        None => write(&mut answer, &response, args.include, io::stdout().lock(), "stdout"),
    }
}

fn request(args: &CallArgs, stdin_is_taken: bool) -> Result<HttpRequest> {
    let data = args.json.as_deref().or(args.data.as_deref());
    let (method, url) = match &args.target[..] {
        [method, url] => (method.as_str(), url),
        [url, ..] => (if data.is_some() { "POST" } else { "GET" }, url),
        [] => return Err(Failure::input("there is no URL")),
    };
    let mut request = HttpRequest::new(method, url);
    if let Some(data) = data {
        let content_type =
            if args.json.is_some() { "application/json" } else { "application/x-www-form-urlencoded" };
        let names = |header: &String| header.to_ascii_lowercase().starts_with("content-type:");
        // Given twice it would be there twice.
        let content_type = if args.headers.iter().any(names) { "" } else { content_type };
        request = match data.strip_prefix('@') {
            Some(STDIN) if stdin_is_taken => {
                return Err(Failure::input(
                    "stdin cannot be the body and hold a secret: put the secret into a file",
                ));
            }
            Some(STDIN) => request.with_body_fd(content_type, io::stdin(), None)?,
            Some(path) => {
                let unreadable = |error| Failure::input(format!("{path} cannot be read: {error}"));
                request.with_body_fd(content_type, File::open(path).map_err(unreadable)?, None)?
            }
            None => request.with_body(content_type, data),
        };
        request = request.with_timeout(A_WEEK);
    }
    for header in &args.headers {
        let parts = header.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        let (name, value) =
            parts.ok_or_else(|| Failure::input(format!("-H {header:?} is not NAME: VALUE")))?;
        request = request.with_header(name, value);
    }
    Ok(request)
}

/// What comes is passed on as it comes.
fn write(
    answer: &mut HttpStream,
    response: &HttpResponse,
    with_head: bool,
    mut out: impl Write,
    place: &str,
) -> Result<()> {
    let mut pass = |bytes: &[u8]| {
        let passed = out.write_all(bytes).and_then(|()| out.flush());
        passed.map_err(|error| Failure::output(place, &error))
    };
    if with_head {
        let headers = response.headers().iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        pass(format!("HTTP/1.1 {}\r\n{}\r\n", response.status(), headers.collect::<String>()).as_bytes())?;
    }
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match answer.read(&mut buffer)? {
            0 => return Ok(()),
            count => pass(&buffer[..count])?,
        }
    }
}
