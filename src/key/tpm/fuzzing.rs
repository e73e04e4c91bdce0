//! What a fuzzer asks of the frames that go between the library and its plugin, and of key files.

#![allow(clippy::unwrap_used)]

use super::interface::{Request, Response};
use super::key_file::KeyFile;

/// Is each frame that can be read the same when it is written and read again?
pub(crate) fn fuzz_plugin_frame(data: &[u8]) {
    if let Ok(response) = serde_json::from_slice::<Response>(data) {
        let written = serde_json::to_vec(&response).unwrap();
        let again: Response = serde_json::from_slice(&written).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    }
    if let Ok(request) = serde_json::from_slice::<Request>(data) {
        let written = serde_json::to_vec(&request).unwrap();
        let again: Request = serde_json::from_slice(&written).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), written);
    }
    for file in [KeyFile::from_der(data), KeyFile::from_pem(data)].into_iter().flatten() {
        let written = file.to_der().unwrap();
        assert_eq!(KeyFile::from_der(&written).unwrap(), file);
        assert_eq!(KeyFile::from_pem(file.to_pem().unwrap().as_bytes()).unwrap(), file);
    }
}
