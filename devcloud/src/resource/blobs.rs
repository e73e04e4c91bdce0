//! Blob Storage: containers and block blobs in memory, as its REST API has them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use percent_encoding::percent_decode_str;
use quick_xml::{de, se};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::exchange::{Answer, Pairs, Request, new_id};

/// Blobs of a page of a list, where the request does not say.
const PAGE: usize = 5000;
/// Nothing is ever changed in a container itself.
const CONTAINER_ETAG: &str = "\"0x1\"";

/// The containers of each account, by its host.
pub(crate) struct Blobs {
    clock: Clock,
    accounts: Mutex<BTreeMap<String, Account>>,
}

type Account = BTreeMap<String, Container>;

#[derive(Default)]
struct Container {
    modified: i64,
    blobs: BTreeMap<String, Blob>,
    /// Blocks that no list has committed yet, by blob and block id.
    blocks: BTreeMap<(String, String), Vec<u8>>,
}

struct Blob {
    content: Vec<u8>,
    content_type: String,
    modified: i64,
    etag: String,
    metadata: Vec<(String, String)>,
}

impl Blobs {
    pub(crate) fn new(clock: Clock) -> Self {
        Blobs { clock, accounts: Mutex::default() }
    }

    pub(crate) fn answer(&self, request: &Request<'_>) -> Answer {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry(request.host.to_owned()).or_default();
        let answer = judge(account, request, self.clock.now()).unwrap_or_else(|refusal| refusal);
        let version = request.header("x-ms-version").unwrap_or("2025-07-05");
        answer.header("x-ms-version", version).header("x-ms-request-id", new_id())
    }
}

/// Both ways out are answers; `Err` is the one that says no.
fn judge(account: &mut Account, request: &Request<'_>, now: i64) -> Result<Answer, Answer> {
    let query = request.query();
    let (of, what) = (query.get("restype"), query.get("comp"));
    let path = percent_decode_str(request.path.trim_start_matches('/')).decode_utf8_lossy();
    let (container, blob) = path.split_once('/').unwrap_or((&path, ""));
    match (request.method, blob, of, what) {
        (_, _, _, _) if container.is_empty() => {
            Err(refusal(400, "InvalidUri", "The path names no container."))
        }
        ("PUT", "", Some("container"), None) => create(account, container, now),
        ("DELETE", "", Some("container"), None) => {
            account.remove(container).map(|_| Answer::text(202, "")).ok_or_else(no_container)
        }
        ("GET" | "HEAD", "", Some("container"), None) => {
            let found = account.get(container).ok_or_else(no_container)?;
            Ok(dated(Answer::text(200, ""), found.modified, CONTAINER_ETAG))
        }
        ("GET", "", Some("container"), Some("list")) => {
            let found = account.get(container).ok_or_else(no_container)?;
            Ok(list(found, container, &query, request.host))
        }
        (_, "", _, _) => {
            Err(refusal(400, "InvalidQueryParameterValue", "This is nothing a container does here."))
        }
        (method, blob, None, what) => {
            let found = account.get_mut(container).ok_or_else(no_container)?;
            of_blob(found, request, (method, blob, what), now)
        }
        _ => Err(refusal(400, "InvalidQueryParameterValue", "This is nothing a blob does here.")),
    }
}

fn of_blob(
    container: &mut Container,
    request: &Request<'_>,
    (method, name, what): (&str, &str, Option<&str>),
    now: i64,
) -> Result<Answer, Answer> {
    match (method, what) {
        ("PUT", None) => {
            if request.header("x-ms-blob-type") != Some("BlockBlob") {
                return Err(refusal(
                    400,
                    "InvalidHeaderValue",
                    "x-ms-blob-type is not BlockBlob, which is all there is.",
                ));
            }
            container.put(request, name, request.body.to_vec(), now)
        }
        ("PUT", Some("block")) => {
            let id = request.query().get("blockid").map(str::to_owned);
            let id = id.ok_or_else(|| refusal(400, "InvalidQueryParameterValue", "blockid is missing."))?;
            container.blocks.insert((name.to_owned(), id), request.body.to_vec());
            Ok(Answer::text(201, ""))
        }
        ("PUT", Some("blocklist")) => {
            let text = String::from_utf8_lossy(request.body);
            let listed: BlockList = de::from_str(&text)
                .map_err(|error| refusal(400, "InvalidXmlDocument", &error.to_string()))?;
            let mut content = Vec::new();
            for id in listed.ids() {
                let block = container.blocks.get(&(name.to_owned(), id.to_owned()));
                content
                    .extend(block.ok_or_else(|| {
                        refusal(400, "InvalidBlockList", "A block of the list is unknown.")
                    })?);
            }
            container.blocks.retain(|(blob, _), _| blob != name);
            container.put(request, name, content, now)
        }
        ("GET" | "HEAD", None) => container.blobs.get(name).ok_or_else(no_blob)?.get(request),
        ("DELETE", None) => container.blobs.remove(name).map(|_| Answer::text(202, "")).ok_or_else(no_blob),
        _ => Err(refusal(400, "InvalidQueryParameterValue", "This is nothing a blob does here.")),
    }
}

fn create(account: &mut Account, name: &str, now: i64) -> Result<Answer, Answer> {
    if account.contains_key(name) {
        return Err(refusal(409, "ContainerAlreadyExists", "The specified container already exists."));
    }
    account.insert(name.to_owned(), Container { modified: now, ..Container::default() });
    Ok(dated(Answer::text(201, ""), now, CONTAINER_ETAG))
}

impl Container {
    fn put(
        &mut self,
        request: &Request<'_>,
        name: &str,
        content: Vec<u8>,
        now: i64,
    ) -> Result<Answer, Answer> {
        let conflict = request.header("if-none-match") == Some("*") && self.blobs.contains_key(name);
        if conflict {
            return Err(refusal(409, "BlobAlreadyExists", "The specified blob already exists."));
        }
        let content_type =
            ["x-ms-blob-content-type", "content-type"].into_iter().find_map(|name| request.header(name));
        let metadata = request.headers.iter().filter(|(name, _)| name.starts_with("x-ms-meta-"));
        let blob = Blob {
            content,
            content_type: content_type.unwrap_or("application/octet-stream").to_owned(),
            modified: now,
            etag: format!("\"0x{}\"", new_id().replace('-', "").to_uppercase()),
            metadata: metadata.map(|(name, value)| (name.clone(), value.clone())).collect(),
        };
        let answer = dated(Answer::text(201, ""), now, &blob.etag);
        self.blobs.insert(name.to_owned(), blob);
        Ok(answer)
    }
}

impl Blob {
    fn get(&self, request: &Request<'_>) -> Result<Answer, Answer> {
        let whole = 0..self.content.len();
        let asked = request.header("x-ms-range").or(request.header("range"));
        let asked = asked.map(|text| range(text, whole.end)).transpose()?;
        let part = asked.clone().unwrap_or(whole.clone());
        let status = if asked.is_some() { 206 } else { 200 };
        let mut answer = Answer::text(status, self.content[part.clone()].to_vec());
        if asked.is_some() {
            let text = format!("bytes {}-{}/{}", part.start, part.end - 1, whole.end);
            answer = answer.header("content-range", text);
        }
        answer = dated(answer, self.modified, &self.etag)
            .header("content-type", self.content_type.clone())
            .header("accept-ranges", "bytes")
            .header("x-ms-blob-type", "BlockBlob")
            .header("x-ms-creation-time", http_date(self.modified))
            .header("x-ms-lease-state", "available")
            .header("x-ms-lease-status", "unlocked");
        for (name, value) in &self.metadata {
            answer = answer.header(name, value.clone());
        }
        Ok(answer)
    }
}

/// `bytes=from-to`, the second of them left out or beyond the end.
fn range(text: &str, length: usize) -> Result<Range<usize>, Answer> {
    let bounds = text.strip_prefix("bytes=").and_then(|text| text.split_once('-'));
    let (from, to) =
        bounds.ok_or_else(|| refusal(400, "InvalidHeaderValue", "The range is not bytes=from-to."))?;
    let from = from.parse::<usize>().unwrap_or(usize::MAX);
    let to = to.parse::<usize>().map_or(length, |to| to.saturating_add(1).min(length));
    match from < to {
        true => Ok(from..to),
        false => Err(refusal(
            416,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
        )),
    }
}

#[derive(Deserialize)]
struct BlockList {
    #[serde(rename = "$value", default)]
    blocks: Vec<Listed>,
}

#[derive(Deserialize)]
enum Listed {
    Latest(String),
    Uncommitted(String),
    Committed(String),
}

impl BlockList {
    fn ids(&self) -> impl Iterator<Item = &str> {
        self.blocks
            .iter()
            .map(|(Listed::Latest(id) | Listed::Uncommitted(id) | Listed::Committed(id))| id.as_str())
    }
}

#[derive(Serialize)]
#[serde(rename = "EnumerationResults", rename_all = "PascalCase")]
struct Listing<'a> {
    #[serde(rename = "@ServiceEndpoint")]
    endpoint: String,
    #[serde(rename = "@ContainerName")]
    container: &'a str,
    prefix: &'a str,
    blobs: Entries<'a>,
    next_marker: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entries<'a> {
    blob: Vec<Entry<'a>>,
    blob_prefix: Vec<Prefix>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    name: &'a str,
    properties: Properties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Prefix {
    name: String,
}

#[derive(Serialize)]
struct Properties<'a> {
    #[serde(rename = "Creation-Time")]
    created: String,
    #[serde(rename = "Last-Modified")]
    modified: String,
    #[serde(rename = "Etag")]
    etag: &'a str,
    #[serde(rename = "Content-Length")]
    length: usize,
    #[serde(rename = "Content-Type")]
    content_type: &'a str,
    #[serde(rename = "BlobType")]
    kind: &'static str,
    #[serde(rename = "LeaseStatus")]
    lease: &'static str,
    #[serde(rename = "LeaseState")]
    state: &'static str,
}

/// The blobs of a container by name, from the marker on: with a delimiter those of one level, and the levels below it.
fn list(container: &Container, name: &str, query: &Pairs, host: &str) -> Answer {
    let (prefix, marker) = (query.get("prefix").unwrap_or_default(), query.get("marker").unwrap_or_default());
    let most = query.get("maxresults").and_then(|text| text.parse().ok()).unwrap_or(PAGE).clamp(1, PAGE);
    let level_of = |blob: &str| {
        let delimiter = query.get("delimiter")?;
        let (level, _) = blob[prefix.len()..].split_once(delimiter)?;
        Some(format!("{prefix}{level}{delimiter}"))
    };
    let mut found =
        container.blobs.iter().filter(|(blob, _)| blob.starts_with(prefix) && blob.as_str() >= marker);
    let (mut blobs, mut levels, mut next) = (Vec::new(), Vec::<Prefix>::new(), "");
    for (blob, entry) in found.by_ref() {
        let level = level_of(blob);
        if levels.last().is_some_and(|last| level.as_ref() == Some(&last.name)) {
            continue;
        }
        if blobs.len() + levels.len() == most {
            next = blob;
            break;
        }
        match level {
            Some(name) => levels.push(Prefix { name }),
            None => blobs.push(Entry { name: blob, properties: entry.properties() }),
        }
    }
    let endpoint = format!("https://{host}/");
    let blobs = Entries { blob: blobs, blob_prefix: levels };
    xml(200, &Listing { endpoint, container: name, prefix, blobs, next_marker: next })
}

impl Blob {
    fn properties(&self) -> Properties<'_> {
        Properties {
            created: http_date(self.modified),
            modified: http_date(self.modified),
            etag: &self.etag,
            length: self.content.len(),
            content_type: &self.content_type,
            kind: "BlockBlob",
            lease: "unlocked",
            state: "available",
        }
    }
}

/// The error of this service: XML, and its code in a header, which is all that an answer to HEAD has.
pub(super) fn refusal(status: u16, code: &str, message: &str) -> Answer {
    #[derive(Serialize)]
    #[serde(rename = "Error", rename_all = "PascalCase")]
    struct Error<'a> {
        code: &'a str,
        message: &'a str,
    }
    xml(status, &Error { code, message }).header("x-ms-error-code", code)
}

fn no_container() -> Answer {
    refusal(404, "ContainerNotFound", "The specified container does not exist.")
}

fn no_blob() -> Answer {
    refusal(404, "BlobNotFound", "The specified blob does not exist.")
}

fn xml(status: u16, document: &impl Serialize) -> Answer {
    match se::to_string(document) {
        Ok(text) => Answer::text(status, format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>{text}"))
            .header("content-type", "application/xml"),
        Err(error) => Answer::text(500, error.to_string()),
    }
}

fn dated(answer: Answer, modified: i64, etag: &str) -> Answer {
    answer.header("last-modified", http_date(modified)).header("etag", etag)
}

fn http_date(seconds: i64) -> String {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + seconds)
}
