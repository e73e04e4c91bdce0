//! What runs a program of .NET here: Mono always, and .NET where a runtime of version 8 or later is on the PATH.

use std::fs;
use std::path::Path;
use std::process::Command;

use devcloud::Cloud;

use crate::support::{hermetic, library_directory, run, succeed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Mono,
    DotNet,
}

impl Runtime {
    /// Those that are here; it is told where .NET is not.
    pub(crate) fn all() -> Vec<Self> {
        if is_dotnet_here() {
            return vec![Self::Mono, Self::DotNet];
        }
        println!("skipped for .NET: no runtime of version 8 or later on the PATH");
        vec![Self::Mono]
    }

    /// A program in the cloud's environment, with the cloud's certificates in PFX.
    pub(crate) fn command(self, cloud: &Cloud, program: &Path) -> Command {
        let home = cloud.state_dir().join("home");
        fs::create_dir_all(&home).unwrap();
        let mut command = match self {
            Self::Mono => hermetic("mono", 200),
            Self::DotNet => hermetic("dotnet", 200),
        };
        match self {
            Self::Mono => command.arg("--debug").arg(program),
            Self::DotNet => command.arg(program.with_extension("run.dll")),
        };
        command.envs(cloud.env()).env("HOME", &home);
        command.env("LD_LIBRARY_PATH", library_directory()).env("TSS2_LOG", "all+none");
        let files = cloud.files();
        for (variable, pem) in [("SNI_PFX", files.sni()), ("FIC_PFX", files.fic_binding())] {
            let pfx = pem.with_extension("pfx");
            self.write_pfx(&pem, &pfx);
            command.env(variable, pfx);
        }
        command
    }

    /// Certificates and key of a PEM file, in the kind of PFX that it reads.
    pub(crate) fn write_pfx(self, pem: &Path, pfx: &Path) {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkcs12", "-export", "-passout", "pass:pfx", "-in"]).arg(pem).arg("-out").arg(pfx);
        if self == Self::Mono {
            openssl.arg("-legacy");
        }
        succeed(&mut openssl);
    }
}

fn is_dotnet_here() -> bool {
    let output = run(hermetic("dotnet", 60).arg("--list-runtimes"));
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let majors = listed.lines().filter_map(|line| {
        let version = line.strip_prefix("Microsoft.NETCore.App ")?;
        version.split('.').next()?.parse::<u32>().ok()
    });
    majors.max().is_some_and(|major| major >= 8)
}

/// Puts beside a program that mcs compiled what `dotnet` takes: a library by its name, and what runs it.
pub(crate) fn prepare(program: &Path) {
    fs::copy(program, program.with_extension("run.dll")).unwrap();
    let runtime = r#"{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "8.0.0"},
        "rollForward": "LatestMajor", "configProperties": {"System.Globalization.Invariant": true}}}"#;
    fs::write(program.with_extension("run.runtimeconfig.json"), runtime).unwrap();
}
