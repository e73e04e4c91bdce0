//! What a cached token costs: through the C ABI of the installed library, in Rust, and on several threads.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use devcloud::Cloud;
use mtlspop::App;

use crate::installed::{COptions, CRequest, Functions};
use crate::measure::{Spread, calls, compare};
use crate::report::Report;
use crate::{SCOPE, plot, pop, sni_options};

/// The look-up that no cache can do without, and the count of those who hold what it found.
pub(crate) type Limit = HashMap<String, Arc<str>, foldhash::fast::FixedState>;

/// What a hit costs where the request is made for it, for comparison with other libraries.
pub(crate) struct Hit {
    pub(crate) reused: f64,
    pub(crate) made_each_time: f64,
}

pub(crate) fn of_one_token(report: &mut Report, f: Functions, cloud: &Cloud) -> Hit {
    let app = App::new(sni_options(cloud)).expect("options are right");
    let request = pop(SCOPE);
    app.acquire_token(&request).expect("the first token");
    let map: Limit = [(SCOPE.to_owned(), Arc::from("token"))].into_iter().collect();
    let c = COptions::new(f, cloud).app();
    c.acquire();

    report.section(
        "A cached token",
        "SN/I, `mtls_pop`. C ABI: the library as `make install` builds it, loaded by the program that measures. Rust API: that of \
         `cargo bench`.",
    );
    let [limit, reused, read, made, rust] = compare([
        calls(|| drop(black_box(map.get(black_box(SCOPE)).cloned()))),
        calls(|| c.acquire()),
        calls(|| c.acquire_and_read()),
        calls(|| c.acquire_with_new_request()),
        calls(|| drop(app.acquire_token(&request))),
    ]);
    report.row("limit: HashMap look-up and Arc clone", &limit);
    report.row("C ABI, request reused, token freed", &reused);
    report.row("C ABI, the same, and the access token read", &read);
    report.row("C ABI, request made and freed each time", &made);
    report.row("Rust API, request reused", &rust);
    let ratio = reused.median / limit.median;
    let measured = format!("{:.0} ns, {ratio:.1} times the limit", reused.median);
    report.at_most(
        "hit through the C ABI, request reused",
        "at most 4 times the limit",
        4.0,
        ratio,
        measured,
    );
    let measured = format!("{:.0} ns", made.median);
    report.at_most("hit, request made and freed each time", "at most 300 ns", 300.0, made.median, measured);
    Hit { reused: reused.median, made_each_time: made.median }
}

/// Threads that the plot shows.
const THREADS: [usize; 4] = [1, 2, 3, 4];
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(60);
/// What the control has to gain from a second thread for a round to say anything about others.
const TWO_CORES: f64 = 1.8;

pub(crate) fn of_threads(report: &mut Report, f: Functions, cloud: &Cloud) {
    report.section(
        "Threads",
        "Time of one call of all threads together: half of it with two threads is what two cores can give. The control looks into \
         a map of each thread's own; rounds in which it gained less than 1.8 times from a second thread are left out, where there \
         are others. Hot key: all threads ask one app for one token, each with a request of its own. Distinct keys: each for \
         another token of the same app. C ABI, the installed library.",
    );
    let options = COptions::new(f, cloud);
    let c = options.app();
    c.acquire();
    let own: Vec<CRequest> = THREADS.iter().map(|_| c.another_request()).collect();
    // Scopes that devcloud knows as those of a resource each.
    let others: Vec<CRequest> = [
        "https://graph.microsoft.com",
        "https://vault.azure.net",
        "https://management.azure.com",
        "https://storage.azure.com",
    ]
    .map(|resource| c.request_for(&format!("{resource}/.default")))
    .into();
    others.iter().for_each(|request| c.acquire_with(request));
    let maps: Vec<Limit> =
        THREADS.iter().map(|_| [(SCOPE.to_owned(), Arc::from("token"))].into_iter().collect()).collect();

    let control = |n: usize| drop(black_box(maps[n].get(black_box(SCOPE)).cloned()));
    let hot = |n: usize| c.acquire_with(&own[n]);
    let distinct = |n: usize| c.acquire_with(&others[n]);
    let mut rounds: Vec<[[f64; 4]; 3]> = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push([
            THREADS.map(|threads| per_call(threads, &control)),
            THREADS.map(|threads| per_call(threads, &hot)),
            THREADS.map(|threads| per_call(threads, &distinct)),
        ]);
    }
    let scaled = |round: &&[[f64; 4]; 3]| round[0][0] / round[0][1] >= TWO_CORES;
    let qualified: Vec<_> = rounds.iter().filter(scaled).copied().collect();
    let (number, of) = (qualified.len(), rounds.len());
    let rounds = if qualified.is_empty() { rounds } else { qualified };

    let names = ["control: a map of each thread's own", "one hot key", "distinct keys"];
    let mut series = Vec::new();
    for (case, name) in names.into_iter().enumerate() {
        let mut medians = Vec::new();
        for (index, threads) in THREADS.into_iter().enumerate() {
            let spread = Spread::of(rounds.iter().map(|round| round[case][index]).collect());
            report.row(&format!("{name}, {threads} threads"), &spread);
            medians.push(spread.median);
        }
        series.push((name, medians));
    }
    let gain = |case: usize| Spread::of(rounds.iter().map(|round| round[case][0] / round[case][1]).collect());
    let gains = [0, 1, 2].map(|case| gain(case).median);
    for (name, gain) in names.into_iter().zip(gains) {
        report.value(&format!("{name}: calls of 2 threads over those of 1"), format!("{gain:.2} times"));
    }
    report.value("rounds in which the control gained 1.8 times", format!("{number} of {of}"));
    let measured = format!("{:.2} times, control {:.2} times", gains[1], gains[0]);
    report.wanted("2 threads on one hot key", "at least 1.6 times the calls of 1", measured, gains[1] >= 1.6);
    let svg = plot::lines(
        "A cached token, by number of threads",
        "threads",
        "ns for one call of all threads together",
        &["1", "2", "3", "4"],
        &series,
    );
    report.plot("threads.svg", "Cost of a hit by number of threads", svg);
}

/// Nanoseconds for one call of all threads together. `call` is told which thread it is on.
fn per_call(threads: usize, call: &(impl Fn(usize) + Sync)) -> f64 {
    let stop = AtomicBool::new(false);
    let (started, calls) = thread::scope(|scope| {
        let stop = &stop;
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut calls = 0_u64;
                    while !stop.load(Ordering::Relaxed) {
                        (0..100).for_each(|_| call(thread));
                        calls += 100;
                    }
                    calls
                })
            })
            .collect();
        let started = Instant::now();
        thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
        let elapsed = started.elapsed();
        let calls = running.into_iter().map(|thread| thread.join().expect("it ends")).sum::<u64>();
        (elapsed, calls)
    });
    started.as_secs_f64() * 1e9 / calls as f64
}
