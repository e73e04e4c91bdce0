//! Many tokens: what a cached one costs beside a million others, what one more costs, and the memory each takes.

use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use devcloud::{Cloud, directory};
use mtlspop::{
    App, AppOptions, Credential, Result, Secret, TokenCache, TokenRequest, TokenSource, TokenStore,
};

use crate::hits::Limit;
use crate::measure::{Repetition, Spread, calls, compare};
use crate::raw::{Raw, Step};
use crate::report::Report;
use crate::{SCOPE, plot, sni_options};

/// Requests that are measured, spread over all that the cache holds: a single one would stay in the
/// processor's own cache.
const ASKED: usize = 1000;
const NUMBERS: [usize; 4] = [1, 1_000, 100_000, 1_000_000];
/// As long as Entra's are.
const TEXT: usize = 1500;

pub(crate) fn look_ups(report: &mut Report, cloud: &Cloud) {
    report.section(
        "Beside many other tokens",
        "SN/I, Bearer, Rust API. Hot key: one request, again and again. Spread: each time another one of 1,000, so that neither the \
         entry nor its neighbours are in the processor's cache. The cache is filled from a token store. A miss: its own work is the \
         processor time of the calling thread, less that of a raw rustls client which sends the same bytes over a kept connection \
         and reads the same answer: so neither network nor service count, and system calls only where they are more. Client \
         secret, so that nothing is signed; N = 1,000,000 is measured with a token store that keeps nothing, since the cache is \
         filled from one. Under callgrind a miss takes 131,000 instructions: 44,000 in ureq and what is below it (14,000 of them \
         TLS, which the raw client has, too), 18,000 to read the answer, 10,000 for the key; malloc is a quarter of all. Memory: what \
         malloc has given out for 100,000 tokens with texts of 1,500 bytes each (mallinfo2), less these texts.",
    );
    let one = one_token(cloud);
    let mut series = [
        ("limit: hot key in a HashMap", Vec::new()),
        ("hot key", Vec::new()),
        ("spread over 1,000 keys", Vec::new()),
    ];
    let mut last = None;
    for number in NUMBERS {
        let cache = filled(cloud, &one, "token", number);
        let app = App::new(sni_options(cloud).with_token_cache(cache.clone())).expect("options are right");
        let asked = ASKED.min(number);
        let requests: Vec<_> = (0..asked).map(|n| TokenRequest::new(&scope(n * (number / asked)))).collect();
        for request in &requests {
            let token = app.acquire_token(request).expect("a token from the store");
            assert_eq!(token.source(), TokenSource::Cache);
        }
        let map: Limit = (0..number).map(|n| (scope(n), Arc::from("token"))).collect();
        let (hot, mut next) = (scope(0), 0);
        let rows: [Repetition<'_>; 3] = [
            calls(|| drop(black_box(map.get(black_box(&hot)).cloned()))),
            calls(|| drop(app.acquire_token(&requests[0]))),
            calls(|| {
                next = (next + 1) % asked;
                drop(app.acquire_token(&requests[next]));
            }),
        ];
        for ((name, medians), spread) in series.iter_mut().zip(compare(rows)) {
            report.row(&format!("{name}, N = {}", grouped(number)), &spread);
            medians.push(spread.median);
        }
        last = Some(cache);
    }
    let (first, million) = (series[1].1[0], series[1].1[NUMBERS.len() - 1]);
    let measured = format!("{million:.0} ns, {first:.0} ns alone");
    report.at_most(
        "hot key beside 1,000,000 tokens",
        "flat: at most 1.5 times",
        1.5,
        million / first,
        measured,
    );
    let own = of_misses(report, cloud, &last.expect("four of them"));
    let measured = format!("{:.1} us", own / 1e3);
    report.at_most("miss beside 1,000,000 tokens, own work", "at most 20 us", 20_000.0, own, measured);
    let beside = memory(cloud, &one);
    report.value("memory for each of 100,000 tokens, beside its text", format!("{beside:.0} bytes"));
    let measured = format!("{beside:.0} bytes");
    report.at_most("memory for a token, beside its text", "at most 250 bytes", 250.0, beside, measured);
    let svg = plot::lines(
        "A cached token, by number of tokens in the cache",
        "tokens",
        "ns",
        &NUMBERS.map(grouped).each_ref().map(String::as_str),
        &series,
    );
    report.plot("tokens.svg", "Cost of a hit by number of tokens", svg);
}

/// A cache that has loaded `number` tokens.
fn filled(cloud: &Cloud, one: &str, text: &str, number: usize) -> TokenCache {
    let one = one.replace("\"token\":\"token\"", &format!("\"token\":\"{text}\""));
    let cache = TokenCache::new().with_max_entries(4_000_000).with_max_bytes(8 << 30);
    let cache = cache.with_store(Arc::new(Copies { one, number }));
    let app = App::new(sni_options(cloud).with_token_cache(cache.clone())).expect("options are right");
    app.acquire_token(&TokenRequest::new(&scope(0))).expect("a token from the store");
    assert_eq!(cache.statistics().entries, number);
    cache
}

/// Own work of misses in nanoseconds, with an empty cache and with `full`: the median of the latter.
fn of_misses(report: &mut Report, cloud: &Cloud, full: &TokenCache) -> f64 {
    let mut medians = Vec::new();
    for (name, cache) in [("no other token", &TokenCache::new()), ("N = 1,000,000", full)] {
        let secret = Credential::Secret(Secret::new(directory::APP_A_SECRET.to_owned()));
        let app =
            App::new(options(cloud, secret).with_token_cache(cache.clone())).expect("options are right");
        let mut number = 0;
        let mut miss = || {
            number += 1;
            let request = TokenRequest::new(SCOPE).with_cache_partition_key("n", &number.to_string());
            let started = processor_time();
            let token = app.acquire_token(&request).expect("a token");
            let took = processor_time() - started;
            assert_eq!(token.source(), TokenSource::IdentityProvider);
            took
        };
        miss();
        cloud.reset();
        miss();
        let step = Step::received(cloud).pop().expect("a request");
        let raw = Raw::new(cloud, "");
        let (mut stream, mut answer) = (raw.connect(step.host()).expect("a connection"), Vec::new());
        let mut by_hand = || {
            let started = processor_time();
            assert_eq!(stream.exchange(step.bytes(), &mut answer), 200);
            processor_time() - started
        };
        let (mut ours, mut limit) = (Vec::new(), Vec::new());
        for _ in 0..300 {
            ours.push(miss());
            limit.push(by_hand());
        }
        let (ours, limit) = (Spread::of(ours), Spread::of(limit));
        report.row(&format!("miss, {name}: processor time of the calling thread"), &ours);
        report.row(&format!("miss, {name}: that of the same bytes by hand"), &limit);
        report.value(
            &format!("miss, {name}: own work"),
            format!("{:.1} us", (ours.median - limit.median) / 1e3),
        );
        medians.push(ours.median - limit.median);
    }
    medians[1]
}

fn options(cloud: &Cloud, credential: Credential) -> AppOptions {
    // Another tenant than that of the tokens which the cache is full of: the store has nothing for it.
    AppOptions::confidential_client(directory::APP_A_CLIENT_ID)
        .with_authority(&format!("https://login.microsoftonline.com/{}", directory::OTHER_TENANT_ID))
        .with_credential(credential)
        .with_env(Arc::new(crate::environment(cloud)))
}

/// What the processor has spent on this thread, in nanoseconds.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes into the struct.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Bytes for each token beside its text.
fn memory(cloud: &Cloud, one: &str) -> f64 {
    const NUMBER: usize = 100_000;
    let text = "t".repeat(TEXT);
    let before = given_out();
    let cache = filled(cloud, one, &text, NUMBER);
    let taken = given_out() - before;
    drop(cache);
    taken / NUMBER as f64 - TEXT as f64
}

/// What malloc has given out and not got back.
fn given_out() -> f64 {
    // SAFETY: it only tells.
    let all = unsafe { libc::mallinfo2() };
    (all.uordblks + all.hblkhd) as f64
}

fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// As many tokens as wanted in one partition, made of one: with other scopes of the same length.
struct Copies {
    one: String,
    number: usize,
}

impl TokenStore for Copies {
    fn load(&self, partition_key: &str) -> Result<Option<Vec<u8>>> {
        if partition_key.contains(directory::OTHER_TENANT_ID) {
            return Ok(None);
        }
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
