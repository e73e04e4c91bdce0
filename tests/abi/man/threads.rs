//! Who may use what at the same time: the part of the header's contract that is called Threads, noun by noun.

/// How threads share the handles of a noun.
#[derive(Clone, Copy)]
enum Sharing {
    /// Any number of them may use it.
    Free,
    /// Any number may read it while none changes it.
    UnlessChanged,
    /// One at a time may use it.
    One,
    /// One at a time may read its body, and any the rest.
    Body,
    /// The thread of the callback has it, while that runs.
    Callback,
}

/// A new noun gets its row here.
const NOUNS: [(&str, Sharing); 21] = [
    ("mtlspop_app", Sharing::Free),
    ("mtlspop_app_options", Sharing::One),
    ("mtlspop_assertion_op", Sharing::Callback),
    ("mtlspop_attestation_op", Sharing::Callback),
    ("mtlspop_body_op", Sharing::Callback),
    ("mtlspop_buffer", Sharing::Free),
    ("mtlspop_cancel", Sharing::Free),
    ("mtlspop_capabilities", Sharing::Free),
    ("mtlspop_certificate", Sharing::Free),
    ("mtlspop_error", Sharing::Free),
    ("mtlspop_http_request", Sharing::UnlessChanged),
    ("mtlspop_http_response", Sharing::Free),
    ("mtlspop_http_stream", Sharing::Body),
    ("mtlspop_metric", Sharing::Callback),
    ("mtlspop_secret_op", Sharing::Callback),
    ("mtlspop_sign_op", Sharing::Callback),
    ("mtlspop_store_op", Sharing::Callback),
    ("mtlspop_token", Sharing::Free),
    ("mtlspop_tpm_options", Sharing::One),
    ("mtlspop_token_cache", Sharing::UnlessChanged),
    ("mtlspop_token_request", Sharing::UnlessChanged),
];

fn sharing(noun: &str) -> Sharing {
    let row = NOUNS.iter().find(|(name, _)| *name == noun);
    row.unwrap_or_else(|| panic!("say in NOUNS of tests/abi/man/threads.rs how threads share a {noun}")).1
}

/// What holds of a handle.
pub(super) fn of_noun(noun: &str) -> &'static str {
    match sharing(noun) {
        Sharing::Free => {
            "Any number of threads may use one at the same time. Only one frees it, when no other uses it any more."
        }
        Sharing::UnlessChanged => {
            "Any number of threads may use one at the same time, while none of them changes or frees it."
        }
        Sharing::One => "One thread at a time may use one; which, may change.",
        Sharing::Body => {
            "One thread at a time may read its body; any number may ask for status and headers meanwhile."
        }
        Sharing::Callback => "The thread that the callback runs on may use it, until the callback returns.",
    }
}

/// What holds of a parameter of a function that reads it, or changes it.
pub(super) fn of_parameter(noun: &str, changes: bool) -> &'static str {
    match (sharing(noun), changes) {
        (Sharing::Free, _) => "any number of threads may use it at the same time.",
        (Sharing::UnlessChanged, false) => {
            "any number of threads may use it at the same time, while none changes it."
        }
        (Sharing::UnlessChanged, true) => "is changed: no other thread may use it meanwhile.",
        (Sharing::Body, false) => "any number of threads may use it at the same time, also while one reads.",
        (Sharing::Body, true) => "one thread at a time may read it.",
        (Sharing::One, _) => "one thread at a time may use it.",
        (Sharing::Callback, _) => "is used on the thread of the callback, until that returns.",
    }
}
