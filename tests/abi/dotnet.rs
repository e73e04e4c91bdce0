//! Writes what the header declares as P/Invoke sees it: bindings/dotnet/src/Native.g.cs.

use crate::header::{self, Item};
use crate::prototype::{Parameter, Prototype};

/// What fits on a line, as in the other C# files.
const WIDTH: usize = 110;

const HEAD: &str = "// What include/mtlspop.h declares. Written by `make header` from src/ffi: do not edit.

using System;
using System.Runtime.InteropServices;

namespace Mtlspop
{
    /// <summary>The C ABI as it is: handles and text out are IntPtr, text in is UTF-8 with its NUL.</summary>
    internal static class Native
    {
        private const string Library = \"mtlspop\";
";

/// The file as it should be.
pub(crate) fn prototypes() -> String {
    let items = header::items();
    let mut text =
        format!("{HEAD}        internal const string VERSION = \"{}\";\n", env!("CARGO_PKG_VERSION"));
    for item in items.iter().filter(|item| item.is_define()) {
        let value = item.declaration.split_whitespace().nth(2).unwrap();
        text += &format!("        internal const int {} = {value};\n", constant(&item.name));
    }
    for item in items.iter().filter(|item| item.declaration.contains("(*")) {
        let function = callback(item);
        text += "\n        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]\n";
        let head = format!("internal delegate {} {}", result(&function.returns), class(&function.name));
        text += &declaration(&head, &function, handed_over);
    }
    for function in items.iter().filter(|item| item.is_function()).map(Prototype::parse) {
        text += "\n        [DllImport(Library, CallingConvention = CallingConvention.Cdecl)]\n";
        let head = format!("internal static extern {} {}", result(&function.returns), function.name);
        text += &declaration(&head, &function, passed);
    }
    text + "    }\n}\n"
}

/// One declaration, on as many lines as it takes.
fn declaration(head: &str, function: &Prototype, kind: fn(&Parameter) -> String) -> String {
    let list: Vec<_> = function
        .parameters
        .iter()
        .map(|parameter| format!("{} {}", kind(parameter), parameter.name))
        .collect();
    let line = format!("        {head}({});\n", list.join(", "));
    if line.trim_end().len() <= WIDTH {
        return line;
    }
    format!("        {head}(\n            {});\n", list.join(",\n            "))
}

/// `typedef int32_t (*mtlspop_x)(void *userdata);` as if it were a function.
fn callback(item: &Item) -> Prototype {
    let mut function = item.clone();
    let declaration = item.declaration.trim_start_matches("typedef ");
    function.declaration = declaration.replace(&format!("(*{})", item.name), &item.name);
    Prototype::parse(&function)
}

/// What a function takes.
fn passed(parameter: &Parameter) -> String {
    match parameter.kind.as_str() {
        "const char *" | "const uint8_t *" => "byte[]".to_owned(),
        "size_t *" => "out UIntPtr".to_owned(),
        _ if parameter.out().is_some() => "out IntPtr".to_owned(),
        _ if parameter.is_callback() => class(&parameter.kind),
        kind => result(kind),
    }
}

/// What a callback takes.
fn handed_over(parameter: &Parameter) -> String {
    result(&parameter.kind)
}

fn result(kind: &str) -> String {
    match kind {
        "void" => "void",
        "int32_t" | "mtlspop_status" => "int",
        "int64_t" => "long",
        "size_t" => "UIntPtr",
        _ if kind.ends_with(" *") => "IntPtr",
        _ => panic!("dotnet.rs does not know {kind}"),
    }
    .to_owned()
}

/// `MTLSPOP_E_TIMEOUT` as `E_TIMEOUT`.
fn constant(name: &str) -> &str {
    name.strip_prefix("MTLSPOP_").unwrap()
}

/// `mtlspop_sign_callback` as `SignCallback`.
fn class(name: &str) -> String {
    let words = name.strip_prefix("mtlspop_").unwrap().split('_');
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
