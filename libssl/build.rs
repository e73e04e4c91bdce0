//! Compiles AWS-LC's libssl: the sources lie beside those of libcrypto in the package aws-lc-sys, which builds the latter alone.

#![allow(clippy::print_stderr)]

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Put in front of every name, so that a program can have another libssl, too.
const PREFIX: &str = "mtlspop_libssl_";

/// Names beside those of the functions in ssl.h: of C++, and of what macros declare.
const OTHER_NAMES: [&str; 19] = [
    "bssl",
    "ssl_st",
    "ssl_ctx_st",
    "ssl_custom_extension",
    "ssl_ech_keys_st",
    "ssl_session_st",
    "lhash_st_SSL_SESSION",
    "lh_SSL_SESSION_call_cmp_func",
    "lh_SSL_SESSION_call_cmp_key",
    "lh_SSL_SESSION_call_doall_arg",
    "lh_SSL_SESSION_call_hash_func",
    "stack_st_SSL_CUSTOM_EXTENSION",
    "sk_SSL_CUSTOM_EXTENSION_call_free_func",
    "sk_SSL_CUSTOM_EXTENSION_new_null",
    "tls_print_all_supported_cipher_suites",
    "PEM_read_SSL_SESSION",
    "PEM_read_bio_SSL_SESSION",
    "PEM_write_SSL_SESSION",
    "PEM_write_bio_SSL_SESSION",
];

/// The public headers that libssl uses.
const HEADERS: [&str; 5] = ["bytestring.h", "err.h", "pool.h", "x509.h", "ssl.h"];

fn main() -> ExitCode {
    let flags = without_exceptions();
    let outcome = if flags.is_empty() { build().map(|()| true) } else { once_more(flags) };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mtlspop-libssl: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Settings of CXXFLAGS without what they must not have. Exceptions, which Fedora's packages switch on, ask for the C++
/// library; and `cc` puts these flags behind ours, where they count.
fn without_exceptions() -> Vec<(String, String)> {
    let fits = |flag: &&str| !matches!(*flag, "-fexceptions" | "-frtti");
    let flags = variables().filter(|(name, _)| name.contains("CXXFLAGS"));
    let unfit = flags.filter(|(_, flags)| !flags.split_whitespace().all(|flag| fits(&flag)));
    unfit
        .map(|(name, flags)| (name, flags.split_whitespace().filter(fits).collect::<Vec<_>>().join(" ")))
        .collect()
}

/// Runs this script with other settings, as it cannot change its own. What it says goes to Cargo all the same.
fn once_more(settings: Vec<(String, String)>) -> Result<bool, Box<dyn Error>> {
    Ok(Command::new(env::current_exe()?).envs(settings).status()?.success())
}

/// The environment, as far as it is text.
fn variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn build() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let (version, include) = aws_lc()?;
    let sources = sources(&version, &out)?;

    let crypto = fs::read_to_string(include.join("openssl/boringssl_prefix_symbols.h"))?;
    let crypto_prefix = crypto.lines().find_map(|line| line.strip_prefix("#define BORINGSSL_PREFIX "));
    let crypto_prefix = crypto_prefix.ok_or("aws-lc-sys was built without a prefix for its symbols")?;
    println!("cargo:rustc-env=MTLSPOP_LIBCRYPTO_PREFIX={}_", crypto_prefix.trim());
    println!("cargo:rustc-env=MTLSPOP_LIBSSL_PREFIX={PREFIX}");
    // For a test.
    println!("cargo:rustc-env=MTLSPOP_LIBSSL_INCLUDE={}", include.display());

    let names = out.join("names.h");
    fs::write(&names, renamed(&fs::read_to_string(include.join("openssl/ssl.h"))?, &crypto))?;

    let mut build = cc::Build::new();
    build.cpp(true).cpp_link_stdlib(None).std("c++17").warnings(false).debug(false).include(&include);
    build.define("BORINGSSL_IMPLEMENTATION", None).flag("-include").flag(&names);
    build.flag("-fno-exceptions").flag("-fno-rtti").flag("-fvisibility=hidden");
    // Its errors carry the names of source files. Where they lie here is nobody's business.
    for (path, name) in [(&sources, "aws-lc"), (&include, "aws-lc/include"), (&out, "libssl")] {
        build.flag(format!("-ffile-prefix-map={}={name}", path.display()));
    }
    if env::var("OPT_LEVEL").is_ok_and(|level| level != "0") {
        build.define("NDEBUG", None);
    }
    // Objects are named after the directories of their sources: from there these are the same on every machine.
    env::set_current_dir(&sources)?;
    let mut files: Vec<_> = fs::read_dir("ssl")?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| {
        path.extension().is_some_and(|extension| extension == "cc")
            && path.file_stem().is_some_and(|stem| !stem.to_string_lossy().ends_with("_test"))
    });
    files.sort();
    build.files(files);
    build.try_compile("mtlspop_libssl").map_err(|error| {
        format!(
            "{error}\nIt takes a compiler for C++17: install g++ (Debian, Ubuntu: apt-get install g++), or name one in CXX"
        )
    })?;
    Ok(())
}

/// The version of the aws-lc-sys that is linked, and where it put its headers. Both are in what Cargo tells of it, since its
/// `links` key has the version in its name.
fn aws_lc() -> Result<(String, PathBuf), Box<dyn Error>> {
    let found = variables().find_map(|(name, value)| {
        let version = name.strip_prefix("DEP_AWS_LC_")?.strip_suffix("_INCLUDE")?;
        Some((version.replace('_', "."), PathBuf::from(value)))
    });
    found.ok_or_else(|| "aws-lc-sys does not say where its headers are".into())
}

/// The directory `aws-lc` in the sources of aws-lc-sys: in Cargo's registry, among what `cargo vendor` copied, or where a
/// distribution has it. Cargo alone knows. It is asked for a package that depends on this one and nothing else, since other
/// packages need not be there, and there may be no network: nor need what other machines than this one would build it with.
fn sources(version: &str, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let asking = out.join("asking");
    fs::create_dir_all(&asking)?;
    fs::write(asking.join("lib.rs"), "")?;
    let manifest = asking.join("Cargo.toml");
    fs::write(
        &manifest,
        format!(
            "[package]\nname = \"asking\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n[workspace]\n\
             [dependencies]\naws-lc-sys = {{ version = \"={version}\", default-features = false }}\n"
        ),
    )?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let answer = cargo
        .args(["metadata", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .args(["--filter-platform", &env::var("HOST")?])
        .output()?;
    if !answer.status.success() {
        return Err(format!(
            "cargo does not say where aws-lc-sys {version} is: {}",
            String::from_utf8_lossy(&answer.stderr).trim()
        )
        .into());
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout)?;
    let packages = answer["packages"].as_array().map(Vec::as_slice).unwrap_or_default();
    let package = packages.iter().find(|package| package["name"] == "aws-lc-sys");
    let manifest = package.and_then(|package| package["manifest_path"].as_str());
    let directory = manifest.and_then(|manifest| Some(Path::new(manifest).parent()?.join("aws-lc")));
    let directory = directory.ok_or("cargo does not say where aws-lc-sys is")?;
    if !directory.join("ssl/ssl_lib.cc").is_file() {
        return Err(format!("the sources of libssl are not in {}", directory.display()).into());
    }
    Ok(directory)
}

/// A header that comes before all others. It renames all that libssl defines, but for what `crypto` renames already. The inline functions of public
/// headers become those of one file: as the program's, those of another libssl would take their place.
fn renamed(ssl: &str, crypto: &str) -> String {
    let names = exports(ssl).into_iter().filter(|name| !crypto.contains(&format!("#define {name} ")));
    let renames = names.chain(OTHER_NAMES).map(|name| format!("#define {name} {PREFIX}{name}\n"));
    let headers = HEADERS.map(|header| format!("#include <openssl/{header}>\n"));
    let inline = |how| format!("#undef OPENSSL_INLINE\n#define OPENSSL_INLINE {how}\n");
    [
        // What they end with is in libstdc++. GCC 15 has them wherever it does not optimize, and distributions always.
        "#undef _GLIBCXX_ASSERTIONS\n#define _GLIBCXX_NO_ASSERTIONS\n".to_owned(),
        renames.collect(),
        "#include <openssl/base.h>\n".to_owned(),
        inline("static inline OPENSSL_UNUSED"),
        headers.concat(),
        inline("inline"),
    ]
    .concat()
}

/// The functions that a header declares with `OPENSSL_EXPORT`: of each declaration, the first name with arguments.
fn exports(header: &str) -> Vec<&str> {
    let declarations =
        header.split("OPENSSL_EXPORT").skip(1).filter_map(|rest| rest.split([';', '{']).next());
    let mut names: Vec<_> = declarations
        .filter_map(|declaration| {
            declaration.split_inclusive('(').find_map(|part| {
                let part = part.strip_suffix('(')?;
                let start =
                    part.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
                let name = &part[start..];
                (!name.is_empty() && name != "STACK_OF").then_some(name)
            })
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
