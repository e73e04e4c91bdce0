//! What is kept between runs, where that is asked for: tokens of apps and certificates of managed identities, encrypted.

mod key;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use mtlspop::{BindingStore, FileLock, SecretBytes, Token, TokenCache, TokenFiles, TokenStore as _};
use zeroize::Zeroizing;

pub(crate) use self::key::Key;
use crate::credential::tpm;
use crate::layers::{Layers, variable};
use crate::output::print;
use crate::settings::Settings;
use crate::{Failure, Result};

/// Whether something is kept.
#[derive(Args, Debug)]
pub(crate) struct CacheArgs {
    /// Keep the token of an app for the next run, encrypted, in $XDG_CACHE_HOME/mtlspop (~/.cache/mtlspop); of a managed
    /// identity the certificate of bound tokens, never a token
    #[arg(long, help_heading = "Between runs")]
    cache: bool,
    #[command(flatten)]
    key: KeyArgs,
}

/// What it is encrypted under.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    /// Where the secret is that it is encrypted under: keyring, that of the kernel; tpm, which makes it again for each run; or
    /// file:PATH, which is made where it is not there [default: keyring]
    #[arg(long, value_name = "KEY", value_parser = key::known, help_heading = "Between runs")]
    cache_key: Option<String>,
}

/// Remove what --cache has kept
#[derive(Args, Debug)]
pub(crate) struct CacheCommandArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Remove all tokens and certificates that are kept, and their secret from the kernel's keyring, or what is needed for it
    /// beside the TPM
    Clear,
}

/// An open cache.
pub(crate) struct Cache {
    files: Arc<TokenFiles>,
    secret: SecretBytes,
}

/// Under which name the token of the last run is kept, which is no partition of the library's.
const LAST: &str = "last";
/// How long a run waits for another that asks for a token of the same app: longer than that takes as a rule.
const TURN: Duration = Duration::from_secs(10);
/// The same for another that makes the secret.
const MAKING: Duration = Duration::from_secs(2);

impl CacheArgs {
    /// The settings with what is asked for here.
    pub(crate) fn with(&self, settings: &Settings) -> Settings {
        Settings { cache: self.cache, ..self.key.with(settings) }
    }
}

impl KeyArgs {
    pub(crate) fn with(&self, settings: &Settings) -> Settings {
        Settings { cache_key: self.cache_key.clone(), ..settings.clone() }
    }
}

pub(crate) fn run(args: &CacheCommandArgs) -> Result<()> {
    let Command::Clear = args.command;
    let directory = directory()?;
    let removed = match directory.symlink_metadata() {
        Ok(_) => TokenFiles::open(&directory)?.clear()?,
        Err(_) => 0,
    };
    key::forget(&directory);
    print(&format!("removed {removed} files from {}\n", directory.display()))
}

impl Cache {
    /// Where the settings ask for it.
    pub(crate) fn wanted(layers: &Layers) -> Result<Option<Key>> {
        match layers.any(|layer| layer.settings.cache) {
            true => Self::key(layers).map(Some),
            false => Ok(None),
        }
    }

    pub(crate) fn key(layers: &Layers) -> Result<Key> {
        let key = layers.first(|layer| layer.settings.cache_key.clone());
        key.map_or(Ok(Key::Keyring), |text| Key::named(&text, || tpm(layers)))
    }

    /// Makes directory and secret where they are not there. One that others may enter is refused; a disk that is full or
    /// read-only is none to write to, and no failure.
    pub(crate) fn open(key: &Key) -> Result<Self> {
        let directory = directory()?;
        let files = TokenFiles::open(&directory)?;
        let making = files.lock("secret", MAKING);
        let secret = key.secret(&directory)?;
        drop(making);
        let files = files.with_secret(&secret).map_err(|error| key.refused(&error))?;
        Ok(Self { files: Arc::new(files), secret })
    }

    /// Waits until no other run asks for a token of this app: what it gets is then there. Not for ever.
    pub(crate) fn turn(&self, app: &str) -> Option<FileLock> {
        self.files.lock(app, TURN)
    }

    pub(crate) fn tokens(&self) -> TokenCache {
        TokenCache::new().with_store(self.files.clone())
    }

    pub(crate) fn certificates(&self) -> BindingStore {
        BindingStore::encrypted(self.files.directory(), SecretBytes::new(self.secret.expose()))
    }

    /// Keeps it as the last one. That it cannot was said when it was to be kept as a token.
    pub(crate) fn remember(&self, token: &Token) {
        let text = token.access_token();
        if self.last().is_none_or(|last| last.as_slice() != text.as_bytes()) {
            let _ = self.files.save(LAST, text.as_bytes(), token.expires_on());
        }
    }

    /// The token of the last run, as long as it lives.
    pub(crate) fn last(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.files.load(LAST).ok().flatten().map(Zeroizing::new)
    }
}

/// `$XDG_CACHE_HOME/mtlspop`, or `~/.cache` in the place of that variable.
fn directory() -> Result<PathBuf> {
    let absolute = |value: Option<String>| value.map(PathBuf::from).filter(|path| path.is_absolute());
    let home = absolute(variable("HOME")?).map(|home| home.join(".cache"));
    let parent = absolute(variable("XDG_CACHE_HOME")?).or(home);
    let parent = parent.ok_or_else(|| {
        Failure::input(
            "there is no place for a cache, as HOME is not set: set XDG_CACHE_HOME to an absolute path",
        )
    })?;
    Ok(parent.join(Path::new("mtlspop")))
}
