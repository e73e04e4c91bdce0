//! What children of the process inherit: not the TPM, which tpm2-tss leaves open to them.

use std::collections::HashSet;
use std::fs;
use std::os::fd::{BorrowedFd, RawFd};
use std::path::PathBuf;

use rustix::io::{FdFlags, fcntl_setfd};

/// What a TCTI without a path opens.
const DEVICES: [&str; 2] = ["/dev/tpmrm0", "/dev/tpm0"];

/// Does `open`, which reaches the TPM by `tcti`. A child that held the device would keep others from it as long as it
/// lives, and could use the TPM whatever it is allowed to open.
///
/// A child that starts in the middle of `open` may still get it. TCTIs that are sockets connect for each command,
/// and are left as they are.
pub(crate) fn kept<T>(tcti: &str, open: impl FnOnce() -> T) -> T {
    let devices: Vec<PathBuf> = match tcti.split_once(':') {
        None if tcti == "device" => DEVICES.iter().map(PathBuf::from).collect(),
        Some(("device", path)) => fs::canonicalize(path).into_iter().collect(),
        _ => return open(),
    };
    let before = descriptors(&devices);
    let opened = open();
    for descriptor in descriptors(&devices).difference(&before) {
        keep(*descriptor);
    }
    opened
}

/// Those of this process that are one of these files.
fn descriptors(files: &[PathBuf]) -> HashSet<RawFd> {
    let all = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    all.filter(|entry| fs::read_link(entry.path()).is_ok_and(|file| files.contains(&file)))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[allow(unsafe_code)]
fn keep(descriptor: RawFd) {
    // SAFETY: tpm2-tss, which opened it a moment ago, closes it only when it is told to by this thread.
    let descriptor = unsafe { BorrowedFd::borrow_raw(descriptor) };
    // It was open a moment ago, and nothing else can be wrong.
    let _ = fcntl_setfd(descriptor, FdFlags::CLOEXEC);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::io::fcntl_getfd;
    use tss_esapi::Context;
    use tss_esapi::tcti_ldr::TctiNameConf;

    use super::*;

    /// Is a device that tpm2-tss opens closed in children, and are other descriptors of it left alone?
    #[test]
    fn devices_are_not_inherited() {
        // Not a TPM, but nobody asks it anything.
        let (tcti, device) = ("device:/dev/zero", "/dev/zero");
        let open = || Context::new(tcti.parse::<TctiNameConf>().unwrap()).unwrap();
        let inherited = || {
            let all = descriptors(&[PathBuf::from(device)]);
            #[allow(unsafe_code)]
            // SAFETY: this test alone has the device open.
            let flags = all.iter().map(|fd| fcntl_getfd(unsafe { BorrowedFd::borrow_raw(*fd) }).unwrap());
            flags.filter(|flags| !flags.contains(FdFlags::CLOEXEC)).count()
        };
        let _others = open();
        // One, unless this tpm2-tss does better.
        let before = inherited();
        let _ours = kept(tcti, open);
        assert_eq!((descriptors(&[PathBuf::from(device)]).len(), inherited()), (2, before));
    }
}
