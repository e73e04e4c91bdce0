//! One way to a TPM: the connection while it is in use, and what makes loading a key again cheap.

use std::collections::HashMap;
use std::str::FromStr;

use tss_esapi::Context;
use tss_esapi::handles::{KeyHandle, ObjectHandle};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{Private, Public};
use tss_esapi::tcti_ldr::TctiNameConf;
use tss_esapi::traits::UnMarshall;
use tss_esapi::utils::TpmsContext;

use crate::attest;
use crate::descriptors;
use crate::failure::{failed, failed_in_hierarchy, kind, other};
use crate::interface::{Auth, Cause, Failure, Key, Reply, Request, Response};
use crate::keys;

pub(crate) struct Device {
    tcti: String,
    open: Option<Context>,
    /// Contexts of keys that were loaded before: to load one of them again costs no RSA operation and no
    /// parent. They end with a reset of the TPM.
    saved: HashMap<Place, TpmsContext>,
}

/// Parent, public and private part: another value for the same key is another place.
type Place = (u32, Vec<u8>, Vec<u8>);

/// A host has one key for each identity, and their predecessors.
const MOST_SAVED: usize = 16;

impl Device {
    pub(crate) fn new(tcti: &str) -> Self {
        Self { tcti: tcti.to_owned(), open: None, saved: HashMap::new() }
    }

    /// Ends the connection.
    pub(crate) fn rest(&mut self) {
        self.open = None;
    }

    pub(crate) fn answer(&mut self, request: Request) -> Response {
        let answer = self.work(&request);
        let Err(failure) = &answer else { return answer };
        match failure.cause {
            Cause::Reset => {
                // What was loaded is gone, and with it the contexts; a key that is left is loaded anew.
                self.open = None;
                self.saved.clear();
                self.work(&request)
            }
            Cause::Unreachable | Cause::Other => {
                // Whatever state the connection is in, it is not to be used again.
                self.open = None;
                answer
            }
            _ => answer,
        }
    }

    fn work(&mut self, request: &Request) -> Response {
        match request {
            Request::Ping => {
                self.open()?.get_random(1).map_err(failed("asking the TPM"))?;
                Ok(Reply::Done)
            }
            Request::Create { owner, auth, decrypts } => {
                keys::create(self.open()?, owner, auth, *decrypts).map(Reply::Key)
            }
            Request::Persist { owner, key, handle } => self.with_key(owner, key, |context, loaded| {
                keys::persist(context, owner, loaded, *handle)?;
                Ok(Reply::Done)
            }),
            Request::Describe { owner, key } => self.with_key(owner, key, |context, loaded| {
                let (public, _, _) = context.read_public(loaded).map_err(failed("reading the key"))?;
                keys::describe(&public, |public| match key {
                    Key::Blob { parent, private, .. } => {
                        Key::Blob { parent: *parent, public, private: private.clone() }
                    }
                    Key::Persistent { handle, .. } => Key::Persistent { handle: *handle, public },
                })
                .map(Reply::Key)
            }),
            Request::Sign { owner, key, auth, padding, hash, digest } => {
                self.with_key(owner, key, |context, loaded| {
                    with_auth(context, loaded.into(), auth, |context| {
                        keys::sign(context, loaded, *padding, *hash, digest).map(Reply::Bytes)
                    })
                })
            }
            Request::Exponentiate { owner, key, auth, block } => {
                self.with_key(owner, key, |context, loaded| {
                    with_auth(context, loaded.into(), auth, |context| {
                        keys::exponentiate(context, loaded, block).map(Reply::Bytes)
                    })
                })
            }
            Request::Attest { owner, key, auth, challenge, pcrs } => {
                self.with_key(owner, key, |context, loaded| {
                    with_auth_session(context, loaded.into(), auth, |context, session| {
                        let evidence = attest::evidence(context, owner, loaded, session, challenge, pcrs)?;
                        Ok(Reply::Evidence(Box::new(evidence)))
                    })
                })
            }
        }
    }

    fn open(&mut self) -> Result<&mut Context, Failure> {
        if self.open.is_none() {
            let tcti = TctiNameConf::from_str(&self.tcti).map_err(|_| Failure {
                cause: Cause::BadTcti,
                message:
                    "the TCTI is none of device:<path>, swtpm:host=..,port=.., mssim:host=..,port=.. and \
                          tabrmd:bus_type=..,bus_name=.."
                        .to_owned(),
            })?;
            let context = descriptors::kept(&self.tcti, || Context::new(tcti))
                .map_err(|error| Failure { cause: Cause::Unreachable, ..failed("opening the TPM")(error) })?;
            self.open = Some(context);
        }
        self.open.as_mut().ok_or_else(|| other("the TPM is not open"))
    }

    /// Does `work` with `key`, loaded for as long as that takes: a TPM has few places for keys, and without a
    /// resource manager nobody clears those of a program that ends.
    fn with_key<T>(
        &mut self,
        owner: &Auth,
        key: &Key,
        work: impl FnOnce(&mut Context, KeyHandle) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let (handle, persistent) = match key {
            Key::Persistent { handle, public } => (keys::at(self.open()?, *handle, public)?, true),
            Key::Blob { parent, public, private } => (self.load(owner, *parent, public, private)?, false),
        };
        let context = self.open()?;
        let done = work(context, handle);
        let released = match persistent {
            true => context.tr_close(&mut handle.into()),
            false => context.flush_context(handle.into()),
        };
        let done = done?;
        released.map_err(failed("unloading the key"))?;
        Ok(done)
    }

    fn load(
        &mut self,
        owner: &Auth,
        parent: u32,
        public: &[u8],
        private: &[u8],
    ) -> Result<KeyHandle, Failure> {
        let place = (parent, public.to_vec(), private.to_vec());
        if let Some(handle) = self.load_saved(&place)? {
            return Ok(handle);
        }
        let malformed = |_| other("the key is malformed");
        let template = Public::unmarshall(public).map_err(malformed)?;
        let blob = Private::try_from(private).map_err(malformed)?;
        let context = self.open()?;
        let handle = keys::load(context, owner, parent, template, blob)?;
        // Where it cannot be saved, it is loaded, and that is what counts.
        if let Ok(saved) = context.context_save(handle.into()) {
            if self.saved.len() >= MOST_SAVED {
                self.saved.clear();
            }
            self.saved.insert(place, saved);
        }
        Ok(handle)
    }

    fn load_saved(&mut self, place: &Place) -> Result<Option<KeyHandle>, Failure> {
        let Some(saved) = self.saved.get(place).cloned() else { return Ok(None) };
        match self.open()?.context_load(saved) {
            Ok(handle) => Ok(Some(handle.into())),
            // The TPM was reset or cleared since; loading the key itself tells which.
            Err(error) if kind(error).is_some() => {
                self.saved.remove(place);
                Ok(None)
            }
            Err(error) => Err(failed("loading the key")(error)),
        }
    }
}

/// Does `work` with an object whose authorisation value is `auth`.
pub(crate) fn with_auth<T>(
    context: &mut Context,
    object: ObjectHandle,
    auth: &Auth,
    work: impl FnOnce(&mut Context) -> Result<T, Failure>,
) -> Result<T, Failure> {
    with_auth_session(context, object, auth, |context, session| {
        context.execute_with_session(Some(session), work)
    })
}

/// The same where `work` uses more than one session. A value is never sent: an HMAC session proves that we
/// know it. Without a value there is nothing to prove.
pub(crate) fn with_auth_session<T>(
    context: &mut Context,
    object: ObjectHandle,
    auth: &Auth,
    work: impl FnOnce(&mut Context, AuthSession) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let set = failed("setting the authorisation value");
    context.tr_set_auth(object, keys::auth_value(auth)?).map_err(&set)?;
    if auth.is_empty() {
        return work(context, AuthSession::Password);
    }
    let done = keys::with_hmac_session(context, None, work);
    // Over the copy that tpm2-tss keeps with the object, and does not wipe.
    let forgotten = context.tr_set_auth(object, keys::auth_value(&Auth::default())?).map_err(&set);
    let done = done?;
    forgotten?;
    Ok(done)
}

/// Does `work` with what belongs to a hierarchy whose authorisation value is `auth`.
pub(crate) fn in_hierarchy<T>(
    context: &mut Context,
    hierarchy: ObjectHandle,
    auth: &Auth,
    doing: &'static str,
    work: impl FnOnce(&mut Context) -> tss_esapi::Result<T>,
) -> Result<T, Failure> {
    with_auth(context, hierarchy, auth, |context| work(context).map_err(failed_in_hierarchy(doing)))
}
