//! The plugin that talks to TPMs: found, loaded once, and only in exactly our version.

#![allow(unsafe_code)]

use std::collections::HashMap;
use std::error::Error as _;
use std::ffi::{CStr, c_void};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use once_cell::sync::Lazy;
use zeroize::Zeroizing;

use super::interface::{self, Entry, Request, Response};
use super::unavailable;
use crate::env::is_shortage;
use crate::error::{Error, Result};
use crate::key::unusable;
use crate::runtime::PerProcess;

/// The functions of a loaded plugin. It is never unloaded.
#[derive(Clone, Copy)]
pub(super) struct Plugin(&'static interface::Plugin);

type Loaded = Mutex<HashMap<PathBuf, Plugin>>;

/// A device of the plugin, used by one thread at a time.
pub(super) struct Opened {
    plugin: Plugin,
    device: *mut c_void,
}

// SAFETY: the plugin asks only that two threads do not use a device at the same time, which `&mut` ensures.
unsafe impl Send for Opened {}

const FILE: &str = "libmtlspop_tpm.so";
/// Where Debian's packages have it below that: only libraries that programs link with may lie beside the library.
const PRIVATE: &str = "mtlspop";
/// Where `make install` puts both libraries.
const LIBRARY_DIRECTORY: Option<&str> = option_env!("MTLSPOP_LIBDIR");

impl Plugin {
    /// The plugin at `path`, as [`path`] gives it.
    pub(super) fn load(path: &Path) -> Result<Self> {
        static LOADED: Lazy<PerProcess<Loaded>> = Lazy::new(|| PerProcess::new(Loaded::default));
        let loaded = LOADED.get();
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plugin) = loaded.get(path) {
            return Ok(*plugin);
        }
        let plugin = load(path)?;
        loaded.insert(path.to_owned(), plugin);
        Ok(plugin)
    }

    pub(super) fn open(self, tcti: &str) -> Result<Opened> {
        // SAFETY: lends the text for the call.
        let device = unsafe { (self.0.open)(tcti.as_ptr(), tcti.len()) };
        if device.is_null() {
            return Err(Error::internal("the TPM plugin made no device"));
        }
        Ok(Opened { plugin: self, device })
    }
}

impl Opened {
    pub(super) fn call(&mut self, request: &Encoded) -> Result<Response> {
        unsafe extern "C" fn receive(userdata: *mut c_void, json: *const u8, length: usize) {
            // SAFETY: it is called during the call below, with the pointer given there and lent bytes.
            let (answer, json) = unsafe {
                (&mut *userdata.cast::<Option<Response>>(), std::slice::from_raw_parts(json, length))
            };
            *answer = serde_json::from_slice(json).ok();
        }
        let mut answer: Option<Response> = None;
        let userdata = std::ptr::from_mut(&mut answer).cast();
        // SAFETY: the device is ours alone; bytes and `answer` live until the call returns.
        unsafe { (self.plugin.0.call)(self.device, request.0.as_ptr(), request.1, receive, userdata) };
        answer.ok_or_else(|| Error::internal("the TPM plugin gave no answer"))
    }

    /// Lets other programs have the TPM until the next call.
    pub(super) fn rest(&mut self) {
        // SAFETY: the device is ours alone.
        unsafe { (self.plugin.0.rest)(self.device) };
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: made by `open` and not used again.
        unsafe { (self.plugin.0.close)(self.device) };
    }
}

/// A request on its way. It may hold an authorisation value, so it is wiped, and never copied by growing.
pub(super) struct Encoded(Zeroizing<Vec<u8>>, usize);

/// More than any request needs: a key and a challenge, each byte as a number of up to three digits with a comma.
const ROOM: usize = 32 * 1024;

impl Encoded {
    pub(super) fn new(request: &Request) -> Result<Self> {
        let mut room = Zeroizing::new(vec![0; ROOM]);
        let mut left = room.as_mut_slice();
        serde_json::to_writer(&mut left, request).map_err(|_| {
            unusable("the TPM key is malformed: it is larger than any").with_code("tpm_error")
        })?;
        let length = ROOM - left.len();
        Ok(Self(room, length))
    }
}

/// Where the plugin is: where `given` says, else beside this library, else where that was installed. Never in a search
/// path or the working directory.
pub(super) fn path(given: Option<&Path>) -> Result<PathBuf> {
    given.map_or_else(find, |path| Ok(path.to_owned()))
}

fn load(path: &Path) -> Result<Plugin> {
    let shown = path.display();
    if !path.is_absolute() {
        return Err(Error::argument(format!("the path of the TPM plugin is not absolute: {shown}")));
    }
    // The linker tells the reason in words alone.
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(unavailable(format!("the TPM plugin is missing: there is no {shown}")));
        }
        Err(error) if is_shortage(&error) => return Err(short(path, &error)),
        _ => {}
    }
    // SAFETY: a file that the caller or the installation names; what its initialisers do is that of Rust's
    // and tpm2-tss' libraries.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        // The linker's words are in the source.
        let text = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        match text.contains("libtss2") {
            true => unavailable(format!(
                "tpm2-tss is missing, which the TPM plugin needs (Debian: libtss2-esys-3.0.2-0, \
                 libtss2-tctildr0 and a libtss2-tcti library): {text}"
            )),
            false => unavailable(format!("the TPM plugin {shown} cannot be loaded: {text}")),
        }
    })?;
    // SAFETY: the type of this symbol in every version.
    let entry = unsafe { library.get::<Entry>(interface::SYMBOL) }
        .map(|entry| *entry)
        .map_err(|_| unavailable(format!("{shown} is not a TPM plugin of mtlspop")))?;
    // Its code must stay: devices may be in use until the process ends.
    std::mem::forget(library);
    // SAFETY: it returns its table, which lives as long as the code; the version comes first in each version.
    let (version, table) = unsafe {
        let table = entry();
        (CStr::from_ptr(((*table).version)()), table)
    };
    let (theirs, ours) = (version.to_string_lossy(), env!("CARGO_PKG_VERSION"));
    if theirs != ours {
        return Err(unavailable(format!(
            "the TPM plugin {shown} has the version {theirs}, this library has {ours}; install both together"
        )));
    }
    // SAFETY: of our version, so of our layout.
    Ok(Plugin(unsafe { &*table }))
}

fn find() -> Result<PathBuf> {
    let installed = LIBRARY_DIRECTORY.map(PathBuf::from).filter(|path| path.is_absolute());
    let directories = [own_directory()?, installed].into_iter().flatten();
    let places: Vec<PathBuf> = directories
        .flat_map(|directory| [directory.join(FILE), directory.join(PRIVATE).join(FILE)])
        .collect();
    places.iter().find(|path| path.exists()).cloned().ok_or_else(|| {
        let places: Vec<_> = places.iter().map(|path| path.display().to_string()).collect();
        unavailable(format!(
            "the TPM plugin is missing: looked for it as {}; build it (cargo build --package mtlspop-tpm) or \
             set its path",
            places.join(", ")
        ))
    })
}

/// Where the file is that this code was loaded from: the library, or the program it is linked into. Asked of
/// the kernel, whose paths are absolute.
fn own_directory() -> Result<Option<PathBuf>> {
    let maps = "/proc/self/maps";
    match fs::read_to_string(maps) {
        Ok(maps) => Ok(directory_of(own_directory as *const () as usize, &maps)),
        Err(error) if is_shortage(&error) => Err(short(Path::new(maps), &error)),
        Err(_) => Ok(None),
    }
}

fn directory_of(address: usize, maps: &str) -> Option<PathBuf> {
    let path = maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let bounds = usize::from_str_radix(from, 16).ok()?..usize::from_str_radix(to, 16).ok()?;
        bounds.contains(&address).then(|| rest.find('/').map(|at| PathBuf::from(&rest[at..])))?
    })?;
    path.parent().map(Path::to_owned)
}

fn short(file: &Path, error: &io::Error) -> Error {
    let message = format!("{} cannot be read now, which TPM keys need: {error}", file.display());
    unavailable(message).with_retryable(true)
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plugin")
    }
}
