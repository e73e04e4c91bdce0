//! Writes what the header declares as Python's ctypes sees it: bindings/python/src/mtlspop/_prototypes.py.

use crate::header::{self, Item};
use crate::prototype::Prototype;

/// What fits on a line, as in the other Python files.
const WIDTH: usize = 110;

const HEAD: &str = r#""""What include/mtlspop.h declares. Written by `make header` from src/ffi: do not edit."""

from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int32, c_int64, c_size_t, c_void_p

"#;

/// The file as it should be.
pub(crate) fn prototypes() -> String {
    let items = header::items();
    let mut text = format!("{HEAD}VERSION = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    for item in items.iter().filter(|item| item.is_define()) {
        let value = item.declaration.split_whitespace().nth(2).unwrap();
        text += &format!("{} = {value}\n", constant(&item.name));
    }
    text +=
        "\n# Types of their own, so that no handle is taken for another, or for an int and cut to 32 bits.\n";
    for item in items.iter().filter(|item| item.is_handle()) {
        text += &format!("\n\nclass {}(c_void_p):\n    __slots__ = ()\n", class(&item.name));
    }
    text += "\n\n# Callbacks: these objects must live as long as the library may call them.\n";
    for callback in items.iter().filter(|item| item.declaration.contains("(*")).map(callback) {
        let types = std::iter::once(result(&callback.returns)).chain(arguments(&callback));
        text += &format!("{} = CFUNCTYPE({})\n", class(&callback.name), types.collect::<Vec<_>>().join(", "));
    }
    text += "\n# What each function returns and takes.\nFUNCTIONS = {\n";
    for function in items.iter().filter(|item| item.is_function()).map(Prototype::parse) {
        text += &entry(&function);
    }
    text + "}\n"
}

/// One function, on as many lines as it takes.
fn entry(function: &Prototype) -> String {
    let head = format!("    \"{}\": (", function.name);
    let mut types = vec![result(&function.returns)];
    types.extend(arguments(function));
    let line = format!("{head}{}),\n", tuple(&types));
    if line.trim_end().len() <= WIDTH {
        return line;
    }
    let wrapped = format!("{head}\n        {},\n    ),\n", types.join(", "));
    assert!(wrapped.lines().all(|line| line.len() <= WIDTH), "python.rs must wrap {}", function.name);
    wrapped
}

fn tuple(types: &[String]) -> String {
    if let [one] = types { format!("{one},") } else { types.join(", ") }
}

/// `typedef int32_t (*mtlspop_x)(void *userdata);` as if it were a function.
fn callback(item: &Item) -> Prototype {
    let mut function = item.clone();
    let declaration = item.declaration.trim_start_matches("typedef ");
    function.declaration = declaration.replace(&format!("(*{})", item.name), &item.name);
    Prototype::parse(&function)
}

fn arguments(function: &Prototype) -> impl Iterator<Item = String> {
    function.parameters.iter().map(|parameter| {
        if let Some(handle) = parameter.out() {
            return format!("POINTER({})", class(handle));
        }
        match parameter.kind.as_str() {
            // bytes are passed as they are, whatever is in them.
            "const char *" | "const uint8_t *" => "c_char_p".to_owned(),
            // A place for bytes.
            "uint8_t *" => "c_void_p".to_owned(),
            "size_t *" => "POINTER(c_size_t)".to_owned(),
            "size_t" => "c_size_t".to_owned(),
            _ if parameter.is_callback() => class(&parameter.kind),
            _ => parameter.handle().map_or_else(|| plain(&parameter.kind), class),
        }
    })
}

/// What comes back: text as a copy, bytes as an address, for their length is elsewhere.
fn result(kind: &str) -> String {
    let kind = kind.strip_prefix("const ").unwrap_or(kind);
    match (kind, kind.strip_suffix(" *")) {
        ("char *", _) => "c_char_p".to_owned(),
        ("uint8_t *", _) => "c_void_p".to_owned(),
        (_, Some(handle)) if handle.starts_with("mtlspop_") => class(handle),
        _ => plain(kind),
    }
}

fn plain(kind: &str) -> String {
    match kind {
        "void" => "None",
        "void *" => "c_void_p",
        "int32_t" | "mtlspop_status" => "c_int32",
        "int64_t" => "c_int64",
        "size_t" => "c_size_t",
        _ => panic!("python.rs does not know {kind}"),
    }
    .to_owned()
}

/// `MTLSPOP_E_TIMEOUT` as `E_TIMEOUT`.
fn constant(name: &str) -> &str {
    name.strip_prefix("MTLSPOP_").unwrap()
}

/// `mtlspop_token_request` as `TokenRequest`.
fn class(name: &str) -> String {
    let words = name.strip_prefix("mtlspop_").unwrap().split('_');
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
