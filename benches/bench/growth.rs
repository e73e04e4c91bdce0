//! What a cached token costs beside a thousand, a hundred thousand and a million others.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use devcloud::Cloud;
use mtlspop::{App, Result, TokenCache, TokenRequest, TokenSource, TokenStore};

use super::{SCOPE, nanoseconds, row, sni_options};

/// Requests that are measured, spread over all that the cache holds: a single one would stay in the
/// processor's own cache.
const ASKED: usize = 1000;

pub(super) fn look_ups(cloud: &Cloud) {
    println!("cached token (SN/I, Bearer), each time another of 1,000 requests, beside N others");
    let one = one_token(cloud);
    for number in [1_000, 100_000, 1_000_000] {
        let store = Arc::new(Copies { one: one.clone(), number });
        let cache = TokenCache::new().with_max_entries(4_000_000).with_max_bytes(8 << 30).with_store(store);
        let app = App::new(sni_options(cloud).with_token_cache(cache.clone())).expect("options are right");
        let requests: Vec<_> = (0..ASKED).map(|n| TokenRequest::new(&scope(n * (number / ASKED)))).collect();
        for request in &requests {
            let token = app.acquire_token(request).expect("a token from the store");
            assert_eq!(token.source(), TokenSource::Cache);
        }
        assert_eq!(cache.statistics().entries, number);
        let mut next = 0;
        let hit = || {
            next = (next + 1) % ASKED;
            drop(app.acquire_token(&requests[next]));
        };
        row(&format!("  Rust API, N = {number}"), &nanoseconds(hit));
    }
}

/// As many tokens as wanted in one partition, made of one: with other scopes of the same length.
struct Copies {
    one: String,
    number: usize,
}

impl TokenStore for Copies {
    fn load(&self, _: &str) -> Result<Option<Vec<u8>>> {
        let start = self.one.find("[{").expect("a list") + 1;
        let end = self.one.rfind("}]}").expect("its end") + 1;
        let mut all = self.one[..start].to_owned();
        for n in 0..self.number {
            if n > 0 {
                all.push(',');
            }
            all += &self.one[start..end].replace(SCOPE, &scope(n));
        }
        all += &self.one[end..];
        Ok(Some(all.into_bytes()))
    }

    fn save(&self, _: &str, _: &[u8], _: SystemTime) -> Result<()> {
        Ok(())
    }
}

fn scope(n: usize) -> String {
    format!("https://graph.microsoft.com/{n:08}")
}

/// What the library stores for one token, with a short text in the token's place.
fn one_token(cloud: &Cloud) -> String {
    #[derive(Default)]
    struct Last(Mutex<String>);

    impl TokenStore for Last {
        fn load(&self, _: &str) -> Result<Option<Vec<u8>>> {
            Ok(None)
        }

        fn save(&self, _: &str, data: &[u8], _: SystemTime) -> Result<()> {
            *self.0.lock().expect("no panic") = String::from_utf8_lossy(data).into_owned();
            Ok(())
        }
    }

    let store = Arc::new(Last::default());
    let options = sni_options(cloud).with_token_cache(TokenCache::new().with_store(store.clone()));
    let token = App::new(options).expect("options are right").acquire_token(&TokenRequest::new(SCOPE));
    let token = token.expect("a token");
    let data = store.0.lock().expect("no panic").replace(token.access_token(), "token");
    assert_eq!(scope(0).len(), SCOPE.len(), "the key tells the length of the scope");
    data
}
