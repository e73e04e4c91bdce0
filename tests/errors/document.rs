//! docs/ERRORS.md, written from the tables and from the constants of the C header.

use std::fs;

use mtlspop::ErrorKind::{self, *};
use syn::{Expr, Item, Lit, Meta};

use crate::aadsts::ADVICE;
use crate::codes::{CODES, Origin, Row};
use crate::never::NEVER_RAISED;
use crate::support::root;

/// Does docs/ERRORS.md say what the tables say? `make errors` writes it.
#[test]
fn errors_document_is_current() {
    let file = root().join("docs/ERRORS.md");
    let expected = document();
    if fs::read_to_string(&file).unwrap_or_default() == expected {
        return;
    }
    if std::env::var_os("MTLSPOP_UPDATE").is_some() {
        return fs::write(&file, expected).unwrap();
    }
    panic!("docs/ERRORS.md is out of date: run `make errors` and commit what it changes");
}

/// Does every number of the header say what a program does about it?
#[test]
fn every_status_has_an_answer() {
    let names: Vec<String> = statuses().into_iter().map(|status| status.name).collect();
    let known: Vec<String> = WHAT_TO_DO.iter().map(|(kind, _)| name_of(*kind)).collect();
    assert_eq!(names, known, "src/ffi/error.rs and WHAT_TO_DO in tests/errors/document.rs differ");
}

const WHAT_TO_DO: &[(ErrorKind, &str)] = &[
    (InvalidArgument, "Correct the program or its settings; trying again does not help."),
    (InvalidHandle, "Correct the program: something is used after it was freed, or was never made."),
    (NotSupported, "Do without it, or move to a host, credential or authority that has it."),
    (Network, "Try again later where it is retryable; else correct DNS, proxy, roots or certificate."),
    (Timeout, "Try again, or give the call more time."),
    (Cancelled, "Nothing: the program asked for it."),
    (Rejected, "Show the message to whoever runs the app; try again later only where it is retryable."),
    (
        Throttled,
        "Wait as long as `mtlspop_error_retry_after_seconds()` says, or longer each time, then try again.",
    ),
    (InteractionRequired, "Show the message to an administrator of the tenant: a workload cannot sign in."),
    (
        InvalidResponse,
        "Find out who answered: a proxy, another server, or a service that weakened the request.",
    ),
    (KeyUnavailable, "Replace or repair the certificate or its key; for an expired one acquire a new token."),
    (Callback, "Correct the callback; what it said is in the message."),
    (Internal, "Report it. The process may go on."),
];

const INTRODUCTION: &str = "\
# Errors

<!-- Written by `make errors` from the tables in tests/errors and src/error/aadsts.rs: change those. -->

A function that fails returns a number and, where it has an `out_error`, an object that says more. A program acts on
the number; everything else is for the person who reads the log.

| getter | what it gives |
|---|---|
| `mtlspop_error_status()` | the number again; `mtlspop_status_name()` has its name for logs |
| `mtlspop_error_message()` | one line: what happened and, where it is known, what to do about it |
| `mtlspop_error_code()` | a string, MSAL's where MSAL has one |
| `mtlspop_error_http_status()` | the HTTP status of the answer that caused the error |
| `mtlspop_error_aadsts_count()`, `mtlspop_error_aadsts_code()` | Microsoft Entra's own numbers |
| `mtlspop_error_sub_error()` | OAuth's `suberror` |
| `mtlspop_error_claims()` | a claims challenge, for `mtlspop_token_request_set_claims()` |
| `mtlspop_error_correlation_id()` | what to quote to Microsoft support |
| `mtlspop_error_retry_after_seconds()` | how long to wait before another try: what the server asks for, or the rest of a pause of the library |
| `mtlspop_error_is_retryable()` | whether the same call may succeed later without any change |
| `mtlspop_error_token_endpoint()` | the endpoint that a call for a token asked, or was about to ask |
| `mtlspop_error_region()`, `mtlspop_error_region_outcome()`, `mtlspop_error_region_error()` | its region, how it came by it, and why none was found |
| `mtlspop_error_duration_total_ms()`, `mtlspop_error_duration_in_http_ms()`, `mtlspop_error_duration_in_cache_ms()` | what the call took |

A message that came from the token endpoint is the service's description, word for word, and behind it in brackets
what is known about its number:

```text
AADSTS700016: Application with identifier '...' was not found in the directory '...'. Trace ID: ... [the tenant knows
no app with this client id: check client id and tenant]
```

A 404 also names the token endpoint that was asked. Retryable are statuses of 500 and more, 429 and 408, timeouts,
connections that failed or broke, `temporarily_unavailable`, and from the instance metadata service 404 and 410; the
library itself has then already tried again where MSAL would.
";

fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    text += "\n## Numbers\n\n| number | name | when | what a program does |\n|---|---|---|---|\n";
    for (status, (_, action)) in statuses().iter().zip(WHAT_TO_DO) {
        text += &format!("| {} | `{}` | {} | {action} |\n", status.number, status.name, status.meaning);
    }
    text += "\n## Codes\n\nThose of MSAL mean what they mean there. Those of this library are for what MSAL reports \
             as an exception of .NET, or not\nat all.\n\n";
    text += &codes(|row| row.origin != Origin::Service);
    text += "\nThe `error` of the token endpoint is passed on verbatim, unless the status is 500 or more: then the code \
             is\n`service_not_available`, or `invalid_client` where the service said that. With a status of 429 or \
             AADSTS50196 the\nnumber is always `MTLSPOP_E_THROTTLED`. These are the ones that people meet:\n\n";
    text += &codes(|row| row.origin == Origin::Service);
    text += "\n### Never raised here\n\nMSAL has these codes for client credentials and managed identities too:\n\n| code | because |\n|---|---|\n";
    for (codes, because) in NEVER_RAISED {
        let codes: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        text += &format!("| {} | {because} |\n", codes.join(", "));
    }
    text += "\n## AADSTS numbers\n\nWhat stands in brackets behind the service's description. Where an answer has \
             several numbers, the first one that is\nknown speaks. The page https://login.microsoftonline.com/error \
             looks up all others.\n\n| number | advice |\n|---|---|\n";
    for (code, advice) in ADVICE {
        // A bare < would begin a tag.
        text += &format!("| AADSTS{code} | {} |\n", advice.replace('<', "\\<"));
    }
    text
}

fn codes(belongs: impl Fn(&Row) -> bool) -> String {
    let mut text = "| code | from | number | when | what to do |\n|---|---|---|---|---|\n".to_owned();
    for row in CODES.iter().filter(|row| belongs(row)) {
        let from = match row.origin {
            Origin::Msal => "MSAL",
            Origin::Ours => "mtlspop",
            Origin::Service => "service",
        };
        let names: Vec<String> = row.kinds.iter().map(|kind| format!("`{}`", name_of(*kind))).collect();
        text += &format!("| `{}` | {from} | {} | {} | {} |\n", row.code, names.join(", "), row.when, row.fix);
    }
    text
}

struct Status {
    number: i32,
    name: String,
    meaning: String,
}

/// The name that the header has for the number of `kind`.
fn name_of(kind: ErrorKind) -> String {
    let status = statuses().into_iter().find(|status| status.number == kind as i32);
    status.unwrap_or_else(|| panic!("src/ffi/error.rs has no number for {kind:?}")).name
}

/// The constants `MTLSPOP_E_...` of src/ffi/error.rs, with their comments.
fn statuses() -> Vec<Status> {
    let source = syn::parse_file(&fs::read_to_string(root().join("src/ffi/error.rs")).unwrap()).unwrap();
    let constants = source.items.iter().filter_map(|item| match item {
        Item::Const(constant) if constant.ident.to_string().starts_with("MTLSPOP_E_") => Some(constant),
        _ => None,
    });
    let status = |constant: &syn::ItemConst| {
        let comment = constant.attrs.iter().filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(pair) if pair.path.is_ident("doc") => text_of(&pair.value),
            _ => None,
        });
        Status {
            number: text_of(&constant.expr).unwrap().parse().unwrap(),
            name: constant.ident.to_string(),
            meaning: comment.map(|line| line.trim().to_owned()).collect::<Vec<_>>().join(" "),
        }
    };
    constants.map(status).collect()
}

fn text_of(literal: &Expr) -> Option<String> {
    match literal {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Str(text) => Some(text.value()),
            Lit::Int(number) => Some(number.base10_digits().to_owned()),
            _ => None,
        },
        _ => None,
    }
}
