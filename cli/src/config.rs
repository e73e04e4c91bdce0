//! `mtlspop config`: which settings count, and where each comes from.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::layers::{Layers, Source};
use crate::output::{Format, print, table};
use crate::profile::Profiles;
use crate::settings::Settings;
use crate::{Context, Result};

/// Show which settings count, and where each comes from
///
/// A setting counts from the first place that has it: the command line, the profile that --profile names, the environment, the profile
/// that MTLSPOP_PROFILE names or else the one called default. Of secrets it is only shown where they are.
///
/// Profiles are in $XDG_CONFIG_HOME/mtlspop/config.toml (~/.config where that is not set), each a table with the options of
/// mtlspop token by their names; paths are from the directory of that file.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConfigArgs {
    /// How it is printed [default: table on a terminal, else json]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

const EXAMPLES: &str = "\
EXAMPLE, config.toml:
  [graph]
  resource = \"https://graph.microsoft.com\"
  pop = true
  tenant = \"contoso.com\"
  client-id = \"00000000-0000-0000-0000-000000000000\"
  certificate = \"/etc/mtlspop/app.pfx\"
  certificate-password-file = \"/etc/mtlspop/password\"";

pub(crate) fn run(args: &ConfigArgs, context: &Context) -> Result<()> {
    let layers = Layers::new(&Settings::default(), context)?;
    let profiles = Profiles::read()?;
    let settings = effective(&layers);
    let file = profiles.path.as_ref().map(|path| path.display().to_string());
    print(&match Format::of(args.output) {
        Format::Table => {
            let file = file.unwrap_or_else(|| "none, as HOME is not set".to_owned());
            let names: Vec<&str> = profiles.names().collect();
            let mut rows = vec![("file".to_owned(), file), ("profiles".to_owned(), names.join(", "))];
            rows.extend(
                settings
                    .iter()
                    .map(|(name, value, source)| (name.clone(), format!("{} ({source})", plain(value)))),
            );
            table(&rows)
        }
        Format::Json => {
            let settings: Map<String, Value> = settings
                .iter()
                .map(|(name, value, source)| {
                    (name.clone(), json!({ "value": value, "from": source.to_string() }))
                })
                .collect();
            let names: Vec<&str> = profiles.names().collect();
            format!("{:#}\n", json!({ "file": file, "profiles": names, "settings": settings }))
        }
    })
}

/// Each setting that has a value, with the place that it counts from.
fn effective(layers: &Layers) -> Vec<(String, Value, &Source)> {
    let mut found: Vec<(String, Value, &Source)> = Vec::new();
    for layer in layers.all() {
        for (name, value) in layer.shown() {
            if !found.iter().any(|(known, _, _)| *known == name) {
                found.push((name, value, &layer.source));
            }
        }
    }
    found.sort_by(|(one, _, _), (other, _, _)| one.cmp(other));
    found
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
