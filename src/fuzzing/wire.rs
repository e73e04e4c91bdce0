//! What comes over connections: HTTP, the answers of proxies, and the records of TLS.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use mtlspop_libssl::{Context, Party, Refused, Session};
use once_cell::sync::Lazy;
use url::Url;

use super::answers::POOL;
use super::{SECRET, call, judge, judge_about};
use crate::http::{Client, Pool, Request, TransportOptions, scripted};
use crate::secret::Secret;

/// Long enough for what is in it to be more than one reads at once.
const LONGEST: usize = 1000;

/// What a server says over its connections, with form feeds between. The first letter says of what it is the answer: a GET, a
/// POST that announces its body, one that is read as a stream, one over plain HTTP.
pub(super) fn http(data: &[u8]) {
    let (letter, rest) = data.split_first().map_or((0, data), |(letter, rest)| (*letter, rest));
    let url = Url::parse(if letter == b'p' { "http://127.0.0.1:9/" } else { "https://api.test/" }).unwrap();
    let client = if letter == b'p' { POOL.direct() } else { POOL.plain() }.unwrap();
    let body = vec![b'x'; if letter == b'e' { 2 << 20 } else { 10 }];
    let request = match letter {
        b'P' | b'e' => Request::post(&url, &body),
        _ => Request::get(&url),
    };
    let request = request.header("Authorization", SECRET).max_response_bytes(LONGEST);
    scripted(rest.split(|byte| *byte == b'\x0c').map(<[u8]>::to_vec), || match letter {
        b's' => stream(&client, &request),
        _ => match client.send(&request, &call()) {
            Ok(response) => {
                assert!(response.body.len() <= LONGEST && (100..1000).contains(&response.status));
                for (name, value) in &response.headers {
                    assert!(!name.is_empty() && !value.contains(['\r', '\n', '\0']), "{name}: {value:?}");
                }
            }
            Err(error) => judge_about(&error, data),
        },
    });
}

fn stream(client: &Client, request: &Request<'_>) {
    let (_, mut body) = match client.open(request, &call()) {
        Ok(opened) => opened,
        Err(error) => return judge(&error),
    };
    let idle = std::time::Duration::from_secs(1);
    let mut buffer = [0; 7];
    let (mut ended, mut failed) = (0, 0);
    while ended < 2 && failed < 2 {
        match body.read(&mut buffer, idle) {
            Ok(0) => ended += 1,
            Ok(count) => assert!(count <= buffer.len() && ended + failed == 0, "more after the end"),
            Err(error) => {
                assert_eq!(ended, 0, "an end that becomes an error: {error}");
                failed += 1;
                judge(&error);
            }
        }
    }
    assert!(ended == 0 || failed == 0, "an end and an error");
}

/// What a proxy says that is asked for a tunnel.
pub(super) fn proxy(data: &[u8]) {
    static THROUGH: Lazy<Pool> = Lazy::new(|| {
        let proxy = format!("http://user:{}@proxy.test:3128", SECRET.replace('/', "%2F"));
        let options = TransportOptions {
            proxy: Some(Secret::new(proxy)),
            roots_pem: Some(include_bytes!("../../fuzz/given/rsa.pem").to_vec()),
            ..TransportOptions::default()
        };
        Pool::new(options, Arc::new(HashMap::new())).unwrap()
    });
    let url = Url::parse("https://api.test/").unwrap();
    let client = THROUGH.plain().unwrap();
    if let Err(error) = scripted([data.to_vec()], || client.send(&Request::get(&url), &call())) {
        judge_about(&error, data);
    }
}

/// What a server says that speaks TLS 1.2, or does not.
pub(super) fn renegotiation(data: &[u8]) {
    static CONTEXT: Lazy<Context> = Lazy::new(|| Context::new(None).unwrap());
    let told = Told { data: data.to_vec(), at: 0 };
    match Session::connect(&CONTEXT, "api.test", told, Believes) {
        // Nobody who did not see our first message can answer it.
        Ok(_) => panic!("a handshake with a recording"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A connection over which these bytes come, a few at a time.
struct Told {
    data: Vec<u8>,
    at: usize,
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = &self.data[self.at..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

impl Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Any server, to get further.
struct Believes;

impl Party for Believes {
    fn verify(&mut self, chain: &[&[u8]], _: &[u8]) -> Result<(), Refused> {
        assert!(!chain.is_empty());
        Ok(())
    }

    fn sign(&mut self, _: u16, _: &[u8]) -> io::Result<Vec<u8>> {
        Err(io::Error::other("there is nothing to sign with"))
    }

    fn certificate_requested(&mut self) {}
}
