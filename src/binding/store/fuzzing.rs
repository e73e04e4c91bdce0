//! What a fuzzer asks of the files of a store.

#![allow(clippy::unwrap_used, clippy::panic)]

use once_cell::sync::Lazy;

use super::entry::{self, Keys, Opened};
use crate::key::KeyHome;
use crate::runtime::Wait;
use crate::secret::SecretBytes;

/// For which the seeds were written.
const IDENTITY: &str = "the-identity";

/// Is whatever is opened a certificate with its key, for an https endpoint, and the same when it is written and read again?
pub(crate) fn fuzz_entry(data: &[u8], now: i64) {
    static KEYS: Lazy<Keys> = Lazy::new(|| Keys::new(SecretBytes::new(*b"the secret of a fuzzer")));
    let file = SecretBytes::new(data);
    let home = KeyHome::Software;
    for keys in [None, Some(&*KEYS)] {
        let open = |file| entry::open(file, IDENTITY, keys, &home, now, &Wait::default());
        let opened = match open(&file) {
            Ok(Opened::Binding(opened)) => opened,
            // It is said to be in a TPM, and there is none.
            Ok(Opened::KeyUnusable(_)) => continue,
            Err(why) => {
                assert!(!why.is_empty());
                continue;
            }
        };
        assert_eq!(opened.endpoint.scheme(), "https");
        let sealed = entry::seal(&opened, IDENTITY, keys).unwrap();
        assert_eq!(
            entry::expiry(&sealed).is_some_and(|end| end > now),
            opened.certificate.not_after() > crate::clock::from_unix_seconds(now)
        );
        if let Ok(Opened::Binding(again)) = open(&sealed) {
            assert!(again.is(&opened) && again.endpoint == opened.endpoint);
            assert_eq!((&again.client_id, &again.tenant_id), (&opened.client_id, &opened.tenant_id));
        }
        let other = entry::open(&sealed, "another identity", keys, &home, now, &Wait::default());
        assert!(other.is_err(), "it is not for another identity");
    }
    let _ = entry::expiry(&file);
    if let Some(identity) = entry::read_name(&file, "the-name") {
        let again = SecretBytes::new(entry::write_name("the-name", &identity));
        assert_eq!(entry::read_name(&again, "the-name"), Some(identity));
    }
}
