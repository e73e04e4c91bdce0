//! Named profiles: settings in a file, under the names that they have on the command line.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::layers::variable;
use crate::secrets::STDIN;
use crate::settings::Settings;
use crate::{Failure, Result};

/// The file of profiles, as far as there is one.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    pub(crate) path: Option<PathBuf>,
    by_name: BTreeMap<String, Settings>,
}

/// The one that counts where none is named.
const DEFAULT: &str = "default";

impl Profiles {
    /// Of `$XDG_CONFIG_HOME/mtlspop/config.toml`, or `~/.config` in the place of that variable.
    pub(crate) fn read() -> Result<Self> {
        let absolute = |value: Option<String>| value.map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute(variable("HOME")?).map(|home| home.join(".config"));
        let Some(directory) = absolute(variable("XDG_CONFIG_HOME")?).or(home) else {
            return Ok(Self::default());
        };
        let directory = directory.join("mtlspop");
        let path = directory.join("config.toml");
        let by_name = match fs::read_to_string(&path) {
            Ok(text) => parse(&text, &path, &directory)?,
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(Failure::input(format!("{} cannot be read: {error}", path.display()))),
        };
        Ok(Self { path: Some(path), by_name })
    }

    /// One that was named must be there.
    pub(crate) fn named(&self, name: &str) -> Result<&Settings> {
        self.by_name.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            Failure::input(match &self.path {
                Some(path) if names.is_empty() => {
                    format!("there is no profile {name}: {} has none, or is not there; mtlspop config --help shows one", path.display())
                }
                Some(path) => {
                    format!("there is no profile {name} in {}; there: {}", path.display(), names.join(", "))
                }
                None => format!("there is no profile {name}, and no file of profiles, as HOME is not set"),
            })
        })
    }

    /// The one that counts without being named.
    pub(crate) fn unnamed(&self) -> Option<(&'static str, &Settings)> {
        self.by_name.get(DEFAULT).map(|settings| (DEFAULT, settings))
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// What is wrong is told with its line, and without what stands there: it may be a secret that was put into the wrong place.
fn parse(text: &str, path: &Path, directory: &Path) -> Result<BTreeMap<String, Settings>> {
    let mut profiles: BTreeMap<String, Settings> = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let message = match error.message() {
            told if told.starts_with("unknown field") => told,
            told if told.starts_with("invalid type") => "a value of another type belongs here",
            told if told.contains('"') => "this is not TOML",
            told => told,
        };
        Failure::input(format!("{}:{line}: {message}", path.display()))
    })?;
    for settings in profiles.values_mut() {
        let files = [
            &mut settings.certificate,
            &mut settings.key,
            &mut settings.certificate_password_file,
            &mut settings.secret_file,
            &mut settings.federated_token_file,
            &mut settings.tpm_auth_file,
        ];
        for file in files.into_iter().flatten().filter(|file| file.as_os_str() != STDIN) {
            // From wherever the program is started.
            *file = directory.join(&*file);
        }
        if let Some(key) = &mut settings.cache_key
            && let Some(path) = key.strip_prefix("file:")
        {
            *key = format!("file:{}", directory.join(path).display());
        }
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<BTreeMap<String, Settings>> {
        parse(text, Path::new("/etc/config.toml"), Path::new("/etc"))
    }

    /// Are members those of the command line, and paths from the directory of the file?
    #[test]
    fn members() {
        let text = "[a]\npop = true\nclient-id = \"x\"\ncertificate = \"app.pem\"\nkey = \"/k\"\nsecret-file = \"-\"\n[b]\n";
        let profiles = parsed(text).unwrap();
        let a = &profiles["a"];
        assert_eq!((a.pop, a.client_id.as_deref()), (true, Some("x")));
        let paths = [&a.certificate, &a.key, &a.secret_file].map(|path| path.as_deref().unwrap());
        assert_eq!(paths, ["/etc/app.pem", "/k", "-"].map(Path::new));
        assert!(profiles.contains_key("b"));
    }

    /// Is what is wrong named with its line, and no value repeated?
    #[test]
    fn mistakes() {
        for (text, says) in [
            ("[a]\npop = true\nclient-idd = \"hunter2\"\n", "config.toml:3: unknown field `client-idd`"),
            ("# so\nsecret = \"hunter2\"\n", "config.toml:2: a value of another type belongs here"),
            ("[a]\npop = \"hunter2\"\n", "config.toml:2: a value of another type belongs here"),
            ("[a]\n\npop = hunter2\n", "config.toml:3: "),
            ("[a]\nclient-id = \"x\"\nclient-id = \"hunter2\"\n", "config.toml:3: duplicate key"),
            ("[a]\nclient-secret = \"hunter2\"\n", "config.toml:2: unknown field `client-secret`"),
        ] {
            let said = format!("{:?}", parsed(text).unwrap_err());
            assert!(said.contains(says) && !said.contains("hunter2") && !said.contains('\n'), "{said}");
        }
    }
}
