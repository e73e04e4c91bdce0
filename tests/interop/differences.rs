//! In which fields the two requests differ, and why: nothing else may differ, and each of these must.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use Sent::{Like, Nothing, This};
use When::{Always, Certificate, Region, WithoutRegion};

use crate::Case;
use crate::msal;
use crate::request::Fields;

/// A field that differs.
pub(crate) struct Difference {
    pub(crate) field: &'static str,
    pub(crate) when: When,
    pub(crate) theirs: Sent,
    pub(crate) ours: Sent,
    /// What both say all the same, in different ways.
    agree: Option<fn(&Value) -> Value>,
    pub(crate) why: &'static str,
}

/// In which requests.
#[derive(Clone, Copy)]
pub(crate) enum When {
    Always,
    Certificate,
    Region,
    WithoutRegion,
}

/// What is sent in a field.
pub(crate) enum Sent {
    Nothing,
    This(&'static str),
    /// In words, and how it is known.
    Like(&'static str, fn(&Value) -> bool),
}

const GUID: Sent = Like("a GUID", |value| uuid::Uuid::try_parse(text(value)).is_ok());
const LENGTH: Sent = Like("the length of the body", |value| text(value).parse::<u32>().is_ok());
const FRACTION: Sent = Like("seconds with a fraction", Value::is_f64);
const SECONDS: Sent = Like("whole seconds", Value::is_i64);

pub(crate) const DIFFERENCES: &[Difference] = &[
    Difference {
        field: "form client_info",
        when: Always,
        theirs: This("1"),
        ours: This("2"),
        agree: None,
        why: "As MSAL.NET.",
    },
    Difference {
        field: "header accept-encoding",
        when: Always,
        theirs: This("gzip, deflate"),
        ours: Nothing,
        agree: None,
        why: "An answer is short, and nothing is unpacked here that a server may have made large.",
    },
    Difference {
        field: "header connection",
        when: Always,
        theirs: This("keep-alive"),
        ours: Nothing,
        agree: None,
        why: "HTTP/1.1 keeps connections by itself.",
    },
    Difference {
        field: "header user-agent",
        when: Always,
        theirs: Like("name and version of its HTTP library", |value| {
            text(value).starts_with("python-requests/")
        }),
        ours: Like("name and version of this library", |value| {
            text(value) == concat!("mtlspop/", env!("CARGO_PKG_VERSION"))
        }),
        agree: None,
        why: "Each says who it is.",
    },
    Difference {
        field: "header x-client-sku",
        when: Always,
        theirs: This("MSAL.Python"),
        ours: This("mtlspop"),
        agree: None,
        why: "Each says who it is.",
    },
    Difference {
        field: "header x-client-ver",
        when: Always,
        theirs: This(msal::VERSION),
        ours: Like("the version of this library", |value| text(value) == env!("CARGO_PKG_VERSION")),
        agree: None,
        why: "Each says who it is.",
    },
    Difference {
        field: "header client-request-id",
        when: Always,
        theirs: GUID,
        ours: GUID,
        agree: None,
        why: "A new one for each request; here the caller may give one.",
    },
    Difference {
        field: "header return-client-request-id",
        when: Always,
        theirs: Nothing,
        ours: This("true"),
        agree: None,
        why: "As MSAL.NET: the answer, and with it an error, repeats the id.",
    },
    Difference {
        field: "header x-client-current-telemetry",
        when: WithoutRegion,
        theirs: This("4|730,2|"),
        ours: This("5|1004,2,,,|0,1,1,,,"),
        agree: None,
        why: "Version 5 of the header with the number that MSAL.NET has for the call; MSAL for Python is at version 4. Both \
              say 2: no token was cached.",
    },
    Difference {
        field: "header x-client-current-telemetry",
        when: Region,
        theirs: This("4|730,2|"),
        ours: This("5|1004,2,eastus,,6|0,1,1,,,"),
        agree: None,
        why: "Version 5 also names the region, and that the app chose it (6).",
    },
    Difference {
        field: "header x-client-last-telemetry",
        when: Always,
        theirs: This("4|0|||"),
        ours: Nothing,
        agree: None,
        why: "As MSAL.NET, which says nothing about earlier requests.",
    },
    Difference {
        field: "header content-length",
        when: Always,
        theirs: LENGTH,
        ours: LENGTH,
        agree: None,
        why: "The bodies differ as the other rows say. Also, `~` is percent-encoded here and not there; it means the same.",
    },
    Difference {
        field: "assertion x5t#S256",
        when: Certificate,
        theirs: Like("base64url with padding", |value| text(value).ends_with('=')),
        ours: Like("base64url without padding", |value| !text(value).contains('=')),
        agree: Some(|value| json!(text(value).trim_end_matches('='))),
        why: "RFC 7515 has base64url without padding. The thumbprint is the same.",
    },
    Difference {
        field: "assertion x5c",
        when: Certificate,
        theirs: Like("an array of the leaf, with the line breaks of PEM", |value| {
            certificates(value).is_some_and(|all| all.len() == 1 && text(&all[0]).contains('\n'))
        }),
        ours: Like("an array of the leaf and its chain, in one line each", |value| {
            certificates(value)
                .is_some_and(|all| all.len() == 2 && all.iter().all(|one| STANDARD.decode(text(one)).is_ok()))
        }),
        agree: Some(|value| json!(text(&value[0]).replace('\n', ""))),
        why: "MSAL for Python leaves out what follows the leaf in the file. RFC 7515 has the chain, and base64 without \
              line breaks. The leaf is the same.",
    },
    Difference {
        field: "claim aud",
        when: Region,
        theirs: Like("the token endpoint without the region", |value| {
            text(value).starts_with("https://login.microsoftonline.com/")
        }),
        ours: Like("the token endpoint that is asked", |value| {
            text(value).starts_with("https://eastus.login.microsoft.com/")
        }),
        agree: Some(|value| json!(text(value).split_once(".com/").map(|(_, path)| path))),
        why: "As MSAL.NET: an assertion is for the endpoint that it is sent to and no other. The tenant and the path are the \
              same.",
    },
    Difference {
        field: "claim nbf",
        when: Certificate,
        theirs: Nothing,
        ours: SECONDS,
        agree: None,
        why: "As MSAL.NET: when the assertion begins.",
    },
    Difference {
        field: "claim iat",
        when: Certificate,
        theirs: FRACTION,
        ours: Nothing,
        agree: None,
        why: "`nbf` says it already.",
    },
    Difference {
        field: "claim exp",
        when: Certificate,
        theirs: FRACTION,
        ours: SECONDS,
        agree: None,
        why: "As MSAL.NET, but a number. The lifetime is the same.",
    },
    Difference {
        field: "claim jti",
        when: Certificate,
        theirs: GUID,
        ours: GUID,
        agree: None,
        why: "Each assertion has one of its own.",
    },
];

/// What is wrong: differences that are not in the table, and those of the table that are not there.
pub(crate) fn judge(case: &Case, theirs: &Fields, ours: &Fields) -> Vec<String> {
    let mut problems = Vec::new();
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let expected: Vec<_> = DIFFERENCES.iter().filter(|row| row.when.holds(case)).collect();
    for row in &expected {
        let (theirs, ours) = (theirs.get(row.field), ours.get(row.field));
        let agree = row.agree.is_none_or(|same| theirs.map(same) == ours.map(same));
        if theirs == ours || !row.theirs.fits(theirs) || !row.ours.fits(ours) || !agree {
            problems.push(format!("{} differs not as the table says: {theirs:?}, {ours:?}", row.field));
        }
    }
    for name in names {
        let (theirs, ours) = (theirs.get(name), ours.get(name));
        if theirs != ours && expected.iter().all(|row| row.field != name) {
            problems.push(format!("{name} is not in the table: {theirs:?}, {ours:?}"));
        }
    }
    problems
}

impl When {
    fn holds(self, case: &Case) -> bool {
        match self {
            Always => true,
            Certificate => case.certificate,
            Region => case.region.is_some(),
            WithoutRegion => case.region.is_none(),
        }
    }
}

impl Sent {
    fn fits(&self, value: Option<&Value>) -> bool {
        match (self, value) {
            (Nothing, None) => true,
            (This(text), Some(value)) => value == text,
            (Like(_, known), Some(value)) => known(value),
            _ => false,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Always => "all",
            Certificate => "with a certificate",
            Region => "with a region",
            WithoutRegion => "without a region",
        })
    }
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Nothing => f.write_str("nothing"),
            // A bare | would end the cell.
            This(text) => write!(f, "`{}`", text.replace('|', "\\|")),
            Like(words, _) => f.write_str(words),
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn certificates(value: &Value) -> Option<&Vec<Value>> {
    value.as_array()
}
