//! `mtlspop call`: an API called with a token, as curl would; bodies are streamed both ways.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use clap::Args;
use mtlspop::{HttpRequest, HttpResponse, HttpStream};

use crate::cache::CacheArgs;
use crate::identity::Identity;
use crate::progress::{Counted, Progress};
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
    /// The method, as curl takes it
    #[arg(short = 'X', long = "request", value_name = "METHOD", help_heading = "Request")]
    method: Option<String>,
    /// A header; may be given again
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", help_heading = "Request")]
    headers: Vec<String>,
    /// The body: text, @FILE, or @- for stdin; of type application/x-www-form-urlencoded unless -H says otherwise
    #[arg(short, long, alias = "data-binary", allow_hyphen_values = true, help_heading = "Request")]
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
    /// End with 28 where it takes longer, all of it
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds, help_heading = "Meanwhile")]
    max_time: Option<Duration>,
    /// Neither a bar while a body takes long, nor a word of what went wrong
    #[arg(short, long, help_heading = "Meanwhile")]
    silent: bool,
    /// With --silent: what went wrong is said all the same
    #[arg(short = 'S', long, help_heading = "Meanwhile")]
    show_error: bool,
    /// No bar
    #[arg(long, visible_alias = "no-progress", help_heading = "Meanwhile")]
    no_progress_meter: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    settings: Settings,
}

const EXAMPLES: &str = "\
EXAMPLES:
  mtlspop call --resource https://graph.microsoft.com \\
      https://graph.microsoft.com/v1.0/applications
  mtlspop call --pop --resource https://graph.microsoft.com \\
      https://mtlstb.graph.microsoft.com/v1.0/applications
  mtlspop call PUT 'https://x.vault.azure.net/secrets/a?api-version=7.4' \\
      --resource https://vault.azure.net --json '{\"value\": \"b\"}' --fail";

/// A body may take as long as it takes.
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

pub(crate) fn run(args: &CallArgs, context: &Context) -> Result<()> {
    let progress = Progress::new(!args.silent && !args.no_progress_meter);
    let quiet = args.silent && !args.show_error;
    let silenced = move |failure: Failure| if quiet { failure.silent() } else { failure };
    progress.stage("getting a token");
    if let Some(limit) = args.max_time {
        let progress = progress.clone();
        // Whatever the other thread waits for, be it for the reader of stdout: it ends with the program.
        thread::spawn(move || {
            thread::sleep(limit);
            progress.clear();
            let seconds = limit.as_secs_f64();
            silenced(Failure::timeout(format!("--max-time {seconds} is over: {}", progress.said()))).end()
        });
    }
    let done = called(args, context, progress.clone());
    progress.clear();
    done.map_err(silenced)
}

fn called(args: &CallArgs, context: &Context, mut progress: Progress) -> Result<()> {
    let identity = Identity::new(&args.cache.with(&args.settings), context)?.answering_claims();
    // What is wrong here is said before a token is got.
    let request = request(args, identity.reads_stdin(), &progress)?;
    let (app, token_request, token) = identity.acquire()?;
    progress.stage("waiting for the answer");
    let mut answer = app.send_streaming_answering_claims(&token, &token_request, &request)?;
    let response = answer.response().clone();
    if args.fail && response.status() >= 400 {
        return Err(Failure::http(response.status()));
    }
    match args.output.as_deref().filter(|path| path.as_os_str() != STDIN) {
        Some(path) => {
            let failed = |error: io::Error| Failure::output(&path.display().to_string(), &error);
            let file = File::create(path).map_err(failed)?;
            write(&mut answer, &response, args.include, file, &path.display().to_string(), &progress)
        }
        None => {
            let out = io::stdout();
            if out.is_terminal() {
                progress.hide();
            }
            write(&mut answer, &response, args.include, out.lock(), "stdout", &progress)
        }
    }
}

/// As curl has it, with a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| "a number of seconds is needed, such as 30 or 2.5".to_owned())
}

fn request(args: &CallArgs, stdin_is_taken: bool, progress: &Progress) -> Result<HttpRequest> {
    let data = args.json.as_deref().or(args.data.as_deref());
    let (method, url) = match (&args.target[..], &args.method) {
        ([_, _], Some(_)) => {
            return Err(Failure::input("the method is given twice: by -X, and before the URL"));
        }
        ([method, _], _) if method.contains("://") => {
            return Err(Failure::input("one URL is called, and what stands before it is the method"));
        }
        ([method, url], None) => (method.as_str(), url),
        ([url, ..], Some(method)) => (method.as_str(), url),
        ([url, ..], None) => (if data.is_some() { "POST" } else { "GET" }, url),
        ([], _) => return Err(Failure::input("there is no URL")),
    };
    if !url.contains("://") {
        return Err(Failure::input("the URL has to begin with https://"));
    }
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
            Some(path) => with_file(request, content_type, Path::new(path), progress)?,
            None => request.with_body(content_type, data),
        };
        request = request.with_timeout(A_WEEK);
    }
    if args.max_time.is_some() {
        request = request.with_timeout(A_WEEK).with_read_timeout(A_WEEK);
    }
    for (number, header) in args.headers.iter().enumerate() {
        let parts = header.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        // Not what stands there, which may be a secret.
        let (name, value) = parts.ok_or_else(|| {
            Failure::input(format!("-H number {} has no colon: give NAME: VALUE", number + 1))
        })?;
        request = request.with_header(name, value);
    }
    Ok(request)
}

/// Read here where somebody sees how far it has come; else the library reads it, as it does what is no file.
fn with_file(
    request: HttpRequest,
    content_type: &str,
    path: &Path,
    progress: &Progress,
) -> Result<HttpRequest> {
    let unreadable = |error| Failure::input(format!("{} cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let state = file.metadata().map_err(unreadable)?;
    // Some files do not say how long they are, in /proc.
    let length = Some(state.len()).filter(|length| state.is_file() && *length > 0 && progress.is_shown());
    Ok(match length {
        Some(length) => {
            request.with_body_reader(content_type, Counted::new(file, length, progress), Some(length))
        }
        None => request.with_body_fd(content_type, file, None)?,
    })
}

/// What comes is passed on as it comes.
fn write(
    answer: &mut HttpStream,
    response: &HttpResponse,
    with_head: bool,
    mut out: impl Write,
    place: &str,
    progress: &Progress,
) -> Result<()> {
    let mut pass = |bytes: &[u8]| {
        let passed = out.write_all(bytes).and_then(|()| out.flush());
        passed.map_err(|error| Failure::output(place, &error))
    };
    if with_head {
        let headers = response.headers().iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        pass(format!("HTTP/1.1 {}\r\n{}\r\n", response.status(), headers.collect::<String>()).as_bytes())?;
    }
    let length = response.headers().iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut meter = progress.body("receiving", length.and_then(|(_, value)| value.parse().ok()));
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = answer.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        pass(&buffer[..count])?;
        meter.add(count);
    }
}
