//! One TPM for all threads of a process: requests queue, and a worker takes them to the plugin one by one.
//!
//! A TPM does one thing at a time and may take seconds for it, or for ever if it is broken. So its requests
//! run on a thread of their own, which lives while there are any, and callers wait no longer than they want.
//! When the queue has been empty for a moment the worker lets go of the TPM: other programs may need it, and
//! not every way to a TPM is shared by a resource manager.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use once_cell::sync::Lazy;

use super::interface::{Cause, Failure, Reply, Request, Response};
use super::plugin::{self, Encoded, Opened, Plugin};
use super::unavailable;
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{PerProcess, Promise, Wait};

/// A TPM, by the TCTI that leads to it.
pub(super) struct Device {
    plugin: Plugin,
    tcti: Arc<str>,
    queue: PerProcess<Arc<Queue>>,
}

struct Queue {
    state: Mutex<State>,
    added: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    has_worker: bool,
    /// What the plugin knows of the TPM, while no worker has it.
    opened: Option<Opened>,
}

struct Job {
    request: Encoded,
    promise: Promise<Result<Response>>,
}

/// TPMs by plugin and TCTI: all who use the same one share its queue.
type Devices = Mutex<HashMap<(PathBuf, String), Weak<Device>>>;

/// How long the TPM is kept when there is nothing to do: signatures of one handshake or one certificate follow
/// each other closely.
const LINGER: Duration = Duration::from_millis(50);
/// What a TPM that works never exceeds. Making an RSA key takes hardware up to a minute or two.
const SLOWEST: Duration = Duration::from_secs(60);
const SLOWEST_KEY: Duration = Duration::from_secs(300);

impl Device {
    /// The one at `tcti`. Loads the plugin; the TPM is not contacted.
    pub(super) fn get(plugin: Option<&Path>, tcti: &str) -> Result<Arc<Self>> {
        static DEVICES: Lazy<PerProcess<Devices>> = Lazy::new(|| PerProcess::new(Devices::default));
        let path = plugin::path(plugin)?;
        let name = (path.clone(), tcti.to_owned());
        let devices = DEVICES.get();
        let mut devices = devices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(device) = devices.get(&name).and_then(Weak::upgrade) {
            return Ok(device);
        }
        let plugin = Plugin::load(&path)?;
        let queue = PerProcess::new(|| Arc::new(Queue { state: Mutex::default(), added: Condvar::new() }));
        let device = Arc::new(Self { plugin, tcti: tcti.into(), queue });
        devices.retain(|_, device| device.strong_count() > 0);
        devices.insert(name, Arc::downgrade(&device));
        Ok(device)
    }

    pub(super) fn tcti(&self) -> &str {
        &self.tcti
    }

    /// Has the TPM do something. Waits for those who came before.
    pub(super) fn call(self: &Arc<Self>, request: &Request, wait: &Wait) -> Result<Reply> {
        let slowest = match request {
            Request::Create { .. } | Request::Attest { .. } => SLOWEST_KEY,
            _ => SLOWEST,
        };
        let request = Encoded::new(request)?;
        let queue = self.queue.get().clone();
        let answer = wait
            .limited(slowest)
            .until_kept("the TPM", |promise| self.enqueue(&queue, Job { request, promise }))?;
        answer?.map_err(|failure| self.failed(&failure))
    }

    fn enqueue(self: &Arc<Self>, queue: &Arc<Queue>, job: Job) -> Result<()> {
        let mut state = queue.lock();
        // Those that were left while the TPM was silent must not pile up.
        state.jobs.retain(|job| job.promise.is_wanted());
        state.jobs.push_back(job);
        if state.has_worker {
            queue.added.notify_one();
            return Ok(());
        }
        // It has the device until it has let go of the TPM: one that is opened anew meanwhile is still this one.
        let (device, works) = (self.clone(), queue.clone());
        let worker = thread::Builder::new().name("mtlspop-tpm".to_owned());
        match worker.spawn(move || work(&device, &works)) {
            Ok(_) => {
                state.has_worker = true;
                Ok(())
            }
            Err(error) => {
                state.jobs.pop_back();
                Err(unavailable(format!("there is no thread to ask the TPM with: {error}")))
            }
        }
    }

    /// What the plugin reported, as an error of ours.
    fn failed(&self, failure: &Failure) -> Error {
        let (tcti, said) = (&self.tcti, &failure.message);
        match failure.cause {
            Cause::BadTcti => Error::argument(format!("{said}: {tcti}")),
            Cause::Unreachable => {
                unavailable(format!("no TPM answers at {tcti}: {said}")).with_retryable(true)
            }
            Cause::Reset => {
                coded("tpm_busy", format!("the TPM was reset meanwhile: {said}")).with_retryable(true)
            }
            Cause::Busy => coded("tpm_busy", format!("the TPM is busy: {said}")).with_retryable(true),
            Cause::AuthWrong => coded(
                "tpm_auth_failed",
                format!("the TPM refuses the authorisation value of the key: {said}"),
            ),
            Cause::HierarchyAuthWrong => coded(
                "tpm_auth_failed",
                format!(
                    "the TPM refuses the authorisation value of a hierarchy; that of the owner hierarchy can be \
                     set, the endorsement hierarchy must have none: {said}"
                ),
            ),
            Cause::LockedOut => coded(
                "tpm_locked_out",
                format!(
                    "the TPM is locked, as wrong authorisation values were tried too often; wait for its \
                     lockout recovery, or reset it (tpm2_dictionarylockout): {said}"
                ),
            ),
            Cause::KeyLost => coded(
                "tpm_key_lost",
                format!("the key is not one of this TPM: it was cleared, or is another one: {said}"),
            ),
            Cause::Absent => coded("tpm_key_lost", said.clone()),
            Cause::Unsupported => coded("tpm_error", format!("this key or TPM cannot do that: {said}")),
            Cause::Other => coded("tpm_error", format!("the TPM failed: {said}")),
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job. Without one the TPM is let go of after a moment, and the worker ends.
    fn next(&self, opened: &mut Option<Opened>) -> Option<Job> {
        let mut state = self.lock();
        let mut resting = opened.is_none();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if resting {
                state.opened = opened.take();
                state.has_worker = false;
                return None;
            }
            let (waited, timeout) =
                self.added.wait_timeout(state, LINGER).unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if timeout.timed_out() && state.jobs.is_empty() {
                drop(state);
                if let Some(opened) = opened {
                    opened.rest();
                }
                resting = true;
                state = self.lock();
            }
        }
    }
}

fn work(device: &Device, queue: &Queue) {
    let mut opened = queue.lock().opened.take();
    while let Some(job) = queue.next(&mut opened) {
        if !job.promise.is_wanted() {
            continue;
        }
        let answer = match &mut opened {
            Some(opened) => opened.call(&job.request),
            none => {
                device.plugin.open(&device.tcti).and_then(|opened| none.insert(opened).call(&job.request))
            }
        };
        job.promise.keep(answer);
    }
}

fn coded(code: &str, message: String) -> Error {
    Error::new(ErrorKind::KeyUnavailable, code, message)
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("tcti", &self.tcti).finish_non_exhaustive()
    }
}
