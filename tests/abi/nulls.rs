//! Writes a C program that calls every function with NULL for each of its pointers in turn.
//!
//! Its hand-written half, which brings the handles along, is nulls.c.

use crate::prototype::{Parameter, Prototype};

/// The operations, whose functions work only in the callback that is asked with them.
const OPERATIONS: [&str; 7] =
    ["assertion_op", "attestation_op", "body_op", "metric", "secret_op", "sign_op", "store_op"];

/// Handles that need not be there.
const OPTIONAL: [(&str, &str); 1] = [("mtlspop_app_managed_identity_capabilities", "cancel")];

/// The generated half: `call_all()`, and one like `call_assertion_op()` for each kind of callback.
pub(crate) fn program(functions: &[Prototype]) -> String {
    let operation = |function: &Prototype| {
        OPERATIONS.into_iter().find(|operation| function.name.starts_with(&format!("mtlspop_{operation}_")))
    };
    let body = |of| functions.iter().filter(|f| operation(f) == of).map(calls).collect::<String>();
    let one = |name: &str, of| format!("static void call_{name}(void)\n{{\n{}}}\n\n", body(of));
    OPERATIONS.into_iter().map(|name| one(name, Some(name))).collect::<String>() + &one("all", None)
}

/// One call with everything in place, and one for each pointer with NULL in its place.
fn calls(function: &Prototype) -> String {
    let pointers = function.parameters.iter().filter(|parameter| parameter.is_pointer());
    let cases = pointers.map(|pointer| Some(pointer.name.as_str()));
    // With everything in place, a _free would free what the other calls need.
    let complete = (!function.name.ends_with("_free")).then_some(None);
    complete.into_iter().chain(cases).map(|null| call(function, null)).collect()
}

fn call(function: &Prototype, null: Option<&str>) -> String {
    let name = &function.name;
    let is_null = |parameter: &Parameter| null == Some(parameter.name.as_str());
    let outs: Vec<_> = function.parameters.iter().filter(|p| p.out().is_some() && !is_null(p)).collect();
    let mut text = format!("    at(\"{name}: {} NULL\");\n    {{\n", null.unwrap_or("nothing"));
    for out in &outs {
        text += &format!("        {} *{} = (void *)have_bytes;\n", out.out().unwrap(), out.name);
    }
    let arguments: Vec<String> = function.parameters.iter().map(|p| argument(p, null)).collect();
    let call = format!("{name}({})", arguments.join(", "));
    let missing = function.parameters.iter().find(|parameter| is_null(parameter));
    let needed = |p: &Parameter| p.handle().is_some() && !OPTIONAL.contains(&(name, &p.name));
    let must_fail = missing.is_some_and(|p| needed(p) || (p.out().is_some() && p.name != "out_error"));
    text += &match (function.returns.as_str(), function.returns_owned()) {
        (_, Some(handle)) => format!("        {handle}_free({call});\n"),
        ("mtlspop_status", _) if must_fail && !outs.is_empty() => {
            format!("        check({call} != MTLSPOP_OK);\n")
        }
        ("void", _) => format!("        {call};\n"),
        _ => format!("        (void){call};\n"),
    };
    for out in &outs {
        // Set or NULL, never left as it was: a _free of anything else aborts.
        text += &format!("        {}_free({});\n", out.out().unwrap(), out.name);
    }
    text + "    }\n"
}

fn argument(parameter: &Parameter, null: Option<&str>) -> String {
    if null == Some(parameter.name.as_str()) {
        return "NULL".to_owned();
    }
    if let Some(handle) = parameter.handle() {
        return handle.replace("mtlspop_", "have_");
    }
    if parameter.out().is_some() {
        return format!("&{}", parameter.name);
    }
    match parameter.kind.as_str() {
        "const char *" => "\"text\"".to_owned(),
        "const uint8_t *" | "uint8_t *" | "void *" => "have_bytes".to_owned(),
        "size_t *" => "&have_length".to_owned(),
        "size_t" => "sizeof have_bytes".to_owned(),
        "int32_t" | "mtlspop_status" => "1".to_owned(),
        "int64_t" => "20000".to_owned(),
        kind if parameter.is_callback() => kind.replace("mtlspop_", "have_"),
        kind => panic!("nulls.rs does not know what to pass for {kind} {}", parameter.name),
    }
}
