//! `mtlspop_token_cache`: where tokens are kept, and the store of the caller's that may stand behind it.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::callback::{Asked, Callback, Operation, UserData, answer, mtlspop_destroy, set_error};
use super::draft::{Draft, change};
use super::guard::guard_or;
use super::handle::{Handle, boxed, free, value};
use super::text::{Lent, bytes, lend, no_length};
use crate::clock::unix_seconds;
use crate::error::{Error, Result};
use crate::token::{TokenCache, TokenCacheStatistics, TokenStore};

/// What a store is asked for: what it has.
pub const MTLSPOP_STORE_LOAD: i32 = 0;
/// What a store is asked for: to keep something.
pub const MTLSPOP_STORE_SAVE: i32 = 1;

/// A token cache that apps can be given, to share tokens or for limits of its own. Any number of threads
/// may use one that no thread is changing. It lives as long as an app uses it, also when its handles are
/// freed.
pub struct mtlspop_token_cache {
    _private: [u8; 0],
}

/// One question to a store. Valid during the callback only; never freed by the caller.
pub struct mtlspop_store_op {
    _private: [u8; 0],
}

/// A store that several processes can share: keeps bytes under the key of a partition, and gives them back.
///
/// Asked on the thread that asks for a token, inside that call, with no lock held: to load where the memory
/// has no token, and to load and save around a token request. Returns 0 for success, also where a load found
/// nothing. Anything else, and the text of mtlspop_store_op_set_error(), is logged as a warning; the call goes
/// on without the store. It must not ask for tokens. No exception may leave it.
pub type mtlspop_store_callback =
    Option<unsafe extern "C" fn(userdata: *mut c_void, operation: *mut mtlspop_store_op) -> i32>;

pub(super) struct Question {
    kind: i32,
    partition_key: String,
    partition_key_text: Lent,
    data: Zeroizing<Vec<u8>>,
    expires_on: i64,
}

impl Handle for mtlspop_token_cache {
    type Value = Draft<TokenCache>;
    const NAME: &'static str = "token_cache";
    const TAG: u64 = 0x6d74_6c73_5443_4143;
}

impl Handle for mtlspop_store_op {
    type Value = Asked<Question, Option<Zeroizing<Vec<u8>>>>;
    const NAME: &'static str = "store_op";
    const TAG: u64 = 0x6d74_6c73_5354_4f50;
}

impl Operation for mtlspop_store_op {
    type Question = Question;
    type Answer = Option<Zeroizing<Vec<u8>>>;
    const CALLBACK: &'static str = "store";
    const FAILED: &'static str = "store_callback_failed";
}

impl Question {
    fn new(kind: i32, partition_key: &str, data: &[u8], expires_on: i64) -> Self {
        let (partition_key, data) = (partition_key.to_owned(), Zeroizing::new(data.to_vec()));
        Self { kind, partition_key, partition_key_text: Lent::default(), data, expires_on }
    }
}

impl TokenStore for Callback<mtlspop_store_op> {
    fn load(&self, partition_key: &str) -> Result<Option<Vec<u8>>> {
        let answer = self.ask(Question::new(MTLSPOP_STORE_LOAD, partition_key, &[], 0))?;
        Ok(answer.map(|mut data| std::mem::take(&mut *data)))
    }

    fn save(&self, partition_key: &str, data: &[u8], suggested_expiry: SystemTime) -> Result<()> {
        let expires_on = unix_seconds(suggested_expiry);
        self.ask(Question::new(MTLSPOP_STORE_SAVE, partition_key, data, expires_on)).map(drop)
    }
}

/// Makes an empty cache for 50,000 tokens and 256 MiB.
///
/// @return the cache, yours to free; NULL only when memory is exhausted
#[unsafe(no_mangle)]
pub extern "C" fn mtlspop_token_cache_new() -> *mut mtlspop_token_cache {
    guard_or(std::ptr::null_mut(), || Ok(boxed(Draft::new(TokenCache::new()))))
}

/// Sets how many tokens a cache holds at most; the least recently used go first. Before it is given to an app:
/// a setter makes the handle stand for another, empty cache.
///
/// @param cache        the cache
/// @param max_entries  the number; with 0 nothing is kept
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_set_max_entries(
    cache: *mut mtlspop_token_cache,
    max_entries: usize,
) {
    let apply = |cache: TokenCache, max_entries| cache.with_max_entries(max_entries);
    unsafe { change(cache, "mtlspop_token_cache_set_max_entries", || Ok(max_entries), apply) }
}

/// Sets how much memory the tokens of a cache take at most, about. Before it is given to an app: a setter makes the handle
/// stand for another, empty cache.
///
/// @param cache      the cache
/// @param max_bytes  the number of bytes; with 0 nothing is kept
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_set_max_bytes(
    cache: *mut mtlspop_token_cache,
    max_bytes: usize,
) {
    let apply = |cache: TokenCache, max_bytes| cache.with_max_bytes(max_bytes);
    unsafe { change(cache, "mtlspop_token_cache_set_max_bytes", || Ok(max_bytes), apply) }
}

/// Puts a store behind a cache, which several processes can share. Before it is given to an app: a setter makes the
/// handle stand for another, empty cache. Tokens of managed identities are not stored, nor bound tokens whose
/// certificate comes from a callback. An app with a store replaces tokens early on the caller's thread, unless
/// mtlspop_app_options_set_background_refresh() says otherwise.
///
/// What is stored holds tokens: protect it. Private keys are never in it; a bound token is found only by an
/// app that has its certificate.
///
/// @param cache     the cache
/// @param callback  loads and saves
/// @param userdata  passed to callback
/// @param destroy   releases userdata, exactly once, also when this call fails; may be NULL
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_set_store(
    cache: *mut mtlspop_token_cache,
    callback: mtlspop_store_callback,
    userdata: *mut c_void,
    destroy: mtlspop_destroy,
) {
    let userdata = UserData::new(userdata, destroy);
    let parse = || Ok(Arc::new(Callback::new(callback, userdata)?));
    let apply = |cache: TokenCache, store: Arc<Callback<_>>| cache.with_store(store);
    unsafe { change(cache, "mtlspop_token_cache_set_store", parse, apply) }
}

/// How many calls got their token without asking the token service themselves.
///
/// @param cache  the cache
/// @return the number since the cache was made, -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_hits(cache: *const mtlspop_token_cache) -> i64 {
    unsafe { number(cache, |statistics| statistics.hits) }
}

/// How many calls asked the token service, or failed.
///
/// @param cache  the cache
/// @return the number since the cache was made, -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_misses(cache: *const mtlspop_token_cache) -> i64 {
    unsafe { number(cache, |statistics| statistics.misses) }
}

/// How many tokens went because a limit was reached.
///
/// @param cache  the cache
/// @return the number since the cache was made, -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_evictions(cache: *const mtlspop_token_cache) -> i64 {
    unsafe { number(cache, |statistics| statistics.evictions) }
}

/// How many tokens a cache holds, expired ones included.
///
/// @param cache  the cache
/// @return the number, -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_entries(cache: *const mtlspop_token_cache) -> i64 {
    unsafe { number(cache, |statistics| statistics.entries as u64) }
}

/// How much memory the tokens of a cache take, about.
///
/// @param cache  the cache
/// @return bytes, -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_bytes(cache: *const mtlspop_token_cache) -> i64 {
    unsafe { number(cache, |statistics| statistics.bytes as u64) }
}

/// Frees a handle of a cache. Apps that use the cache keep it.
///
/// @param cache  the cache; NULL is fine
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_token_cache_free(cache: *mut mtlspop_token_cache) {
    guard_or((), || {
        unsafe { free(cache) };
        Ok(())
    });
}

/// What the store is to do.
///
/// @param operation  the question
/// @return MTLSPOP_STORE_LOAD or MTLSPOP_STORE_SAVE, -1 for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_store_op_kind(operation: *const mtlspop_store_op) -> i32 {
    guard_or(-1, || Ok(unsafe { value(operation, "operation") }?.question.kind))
}

/// Under which key: what MSAL calls the suggested cache key. It names client, tenant and, for bound tokens,
/// the certificate; it is no secret.
///
/// @param operation  the question
/// @return one line, borrowed from operation; NULL only for an invalid handle
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_store_op_partition_key(operation: *const mtlspop_store_op) -> *const c_char {
    guard_or(std::ptr::null(), || {
        let question = &unsafe { value(operation, "operation") }?.question;
        Ok(question.partition_key_text.get(|| Some(&question.partition_key)))
    })
}

/// What to save. It holds tokens.
///
/// @param operation   the question
/// @param out_length  receives the number of bytes; may be NULL
/// @return bytes, borrowed from operation; NULL for a load
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_store_op_data(
    operation: *const mtlspop_store_op,
    out_length: *mut usize,
) -> *const u8 {
    unsafe {
        no_length(out_length);
        guard_or(std::ptr::null(), || match value(operation, "operation")?.question.data.as_slice() {
            [] => Ok(std::ptr::null()),
            data => Ok(lend(data, out_length)),
        })
    }
}

/// When nothing of what is saved will be worth keeping any more.
///
/// @param operation  the question
/// @return seconds since 1970-01-01T00:00:00Z; 0 for a load
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_store_op_expires_on(operation: *const mtlspop_store_op) -> i64 {
    guard_or(0, || Ok(unsafe { value(operation, "operation") }?.question.expires_on))
}

/// Answers a load with what was saved. Without it there is nothing.
///
/// @param operation  the question
/// @param data       the bytes; copied
/// @param length     their number
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_store_op_set_data(
    operation: *mut mtlspop_store_op,
    data: *const u8,
    length: usize,
) {
    let parse = || match data.is_null() {
        true => Err(Error::argument("data is NULL")),
        false => unsafe { bytes(data, length, "data") },
    };
    unsafe {
        answer(operation, "mtlspop_store_op_set_data", parse, |answer, data| {
            *answer = Some(Zeroizing::new(data.to_vec()))
        });
    }
}

/// Says why the store failed; the text becomes part of a warning.
///
/// @param operation  the question
/// @param message    one line for a person, without secrets; copied
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mtlspop_store_op_set_error(
    operation: *mut mtlspop_store_op,
    message: *const c_char,
) {
    unsafe { set_error(operation, "mtlspop_store_op_set_error", message) }
}

unsafe fn number(cache: *const mtlspop_token_cache, get: impl FnOnce(TokenCacheStatistics) -> u64) -> i64 {
    guard_or(-1, || {
        let statistics = unsafe { value(cache, "cache") }?.settings()?.statistics();
        Ok(i64::try_from(get(statistics)).unwrap_or(i64::MAX))
    })
}
