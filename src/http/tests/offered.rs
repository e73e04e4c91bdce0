//! What our clients offer in a handshake, read from the wire: docs/CRYPTOGRAPHY.md is held against it.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

use super::*;

/// Numbers of the TLS registries, by the names that they have there.
const NAMES: [(&str, &[(u16, &str)]); 4] = [
    ("version", &[(0x0303, "TLS 1.2"), (0x0304, "TLS 1.3")]),
    (
        "group",
        &[
            (0x0017, "secp256r1"),
            (0x0018, "secp384r1"),
            (0x0019, "secp521r1"),
            (0x001d, "x25519"),
            (0x11ec, "X25519MLKEM768"),
        ],
    ),
    (
        "suite",
        &[
            // Says that the renegotiation is to be bound to the connection (RFC 5746), and is no suite.
            (0x00ff, ""),
            (0x1301, "TLS_AES_128_GCM_SHA256"),
            (0x1302, "TLS_AES_256_GCM_SHA384"),
            (0x1303, "TLS_CHACHA20_POLY1305_SHA256"),
            (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
            (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
            (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
            (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
            (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
            (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
        ],
    ),
    (
        "signature",
        &[
            (0x0401, "rsa_pkcs1_sha256"),
            (0x0403, "ecdsa_secp256r1_sha256"),
            (0x0501, "rsa_pkcs1_sha384"),
            (0x0503, "ecdsa_secp384r1_sha384"),
            (0x0601, "rsa_pkcs1_sha512"),
            (0x0603, "ecdsa_secp521r1_sha512"),
            (0x0804, "rsa_pss_rsae_sha256"),
            (0x0805, "rsa_pss_rsae_sha384"),
            (0x0806, "rsa_pss_rsae_sha512"),
            (0x0807, "ed25519"),
            (0x0904, "mldsa44"),
            (0x0905, "mldsa65"),
            (0x0906, "mldsa87"),
        ],
    ),
];

/// Bytes of a message, taken from its front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> usize {
        self.take(bytes).iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    /// What comes behind its own length, a number of this many bytes.
    fn block(&mut self, bytes: usize) -> Bytes<'a> {
        let length = self.number(bytes);
        Bytes(self.take(length))
    }

    fn list<T>(mut self, mut each: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut list = Vec::new();
        while !self.0.is_empty() {
            list.push(each(&mut self));
        }
        list
    }
}

/// A ClientHello (RFC 8446, section 4.1.2), as the document tells of it.
fn offered(hello: &[u8]) -> Vec<(&'static str, String)> {
    let mut hello = Bytes(hello);
    // Kind of message, its length, the version of old, and random bytes.
    hello.take(1 + 3 + 2 + 32);
    let _session = hello.block(1);
    let suites = hello.block(2).list(|bytes| bytes.number(2));
    let compressions = hello.block(1).list(|bytes| bytes.number(1));
    assert_eq!(compressions, [0], "compression");
    let extensions: HashMap<_, _> =
        hello.block(2).list(|bytes| (bytes.number(2), bytes.block(2).0)).into_iter().collect();
    let numbers = |extension: usize, length: usize| {
        let found = extensions.get(&extension).map(|bytes| Bytes(bytes).block(length));
        found.map_or(Vec::new(), |block| block.list(|bytes| bytes.number(2)))
    };
    let versions = match numbers(43, 1) {
        // Where none is named, the newest is that of the handshake.
        none if none.is_empty() => vec![0x0303],
        versions => versions,
    };
    let shares = extensions.get(&51).map_or(Vec::new(), |bytes| {
        Bytes(bytes).block(2).list(|bytes| {
            let group = bytes.number(2);
            bytes.block(2);
            group
        })
    });
    // RFC 7627, and RFC 5746 by an extension or as a suite.
    assert!(extensions.contains_key(&23), "extended master secret");
    assert!(extensions.contains_key(&0xff01) || suites.contains(&0x00ff), "bound renegotiation");
    assert!(!extensions.contains_key(&42), "early data");
    vec![
        ("versions", named("version", versions)),
        ("key exchange", named("group", numbers(10, 2))),
        ("key shares", named("group", shares)),
        ("cipher suites", named("suite", suites)),
        ("signatures of servers", named("signature", numbers(13, 2))),
    ]
}

fn named(kind: &str, numbers: Vec<usize>) -> String {
    let (_, names) = NAMES.iter().find(|(known, _)| *known == kind).unwrap();
    let name = |number: &usize| {
        let known = names.iter().find(|(known, _)| usize::from(*known) == *number);
        known.map_or_else(|| format!("{kind} {number:#06x}"), |(_, name)| (*name).to_owned())
    };
    let names: Vec<_> = numbers.iter().map(name).filter(|name| !name.is_empty()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The first message of somebody who wants to speak TLS.
fn first_message(over: Over) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("https://localhost:{}/", listener.local_addr().unwrap().port())).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 5];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 22, "a handshake");
        let mut message = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut message).unwrap();
        message
    });
    over.visit(&pool(&Ca::new("ca")), &url).expect_err("nobody answers");
    server.join().unwrap()
}

/// Is what goes out what docs/CRYPTOGRAPHY.md says, to the last suite and in its order: the hybrid key exchange first, no
/// version before 1.2, nothing without forward secrecy?
#[test]
fn what_is_offered_is_what_is_documented() {
    let document = include_str!("../../../docs/CRYPTOGRAPHY.md");
    let columns: &[_] = match cfg!(feature = "fips") {
        false => &[(2, Over::Rustls), (3, Over::Libssl)],
        true => &[(4, Over::Rustls)],
    };
    for (column, over) in columns.iter().copied() {
        for (row, offered) in offered(&first_message(over)) {
            let line = document.lines().find(|line| line.starts_with(&format!("| {row} |")));
            let documented = line.and_then(|line| line.split('|').nth(column)).map(str::trim);
            assert_eq!(documented, Some(offered.as_str()), "{over:?}: {row} in docs/CRYPTOGRAPHY.md");
        }
    }
}
