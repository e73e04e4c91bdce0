//! Which codes the source raises. Read from its syntax: a code is the second argument of `Error::new`, or
//! the argument of a function that calls its parameter `code`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, FnArg, ImplItemFn, ItemFn, ItemMod, Lit, Local, Macro, Pat, Path as Name, Signature,
    Type, Visibility,
};

use crate::support::root;

/// One place where a code is raised.
pub(crate) struct Raised {
    pub(crate) code: String,
    /// The variant of `ErrorKind` that stands beside it; `None` where it is not written there.
    pub(crate) kind: Option<String>,
    pub(crate) place: String,
}

/// Every code that is raised anywhere in src outside of tests.
pub(crate) fn everywhere() -> Vec<Raised> {
    let files = rust_files(&root().join("src")).into_iter().map(|path| {
        let place = path.strip_prefix(root()).unwrap().display().to_string();
        (place, fs::read_to_string(path).unwrap())
    });
    raised_in(&files.collect::<Vec<_>>())
}

/// The same for files given by name and text.
fn raised_in(files: &[(String, String)]) -> Vec<Raised> {
    let files: Vec<_> = files.iter().map(|(place, text)| (place, syn::parse_file(text).unwrap())).collect();
    let mut shared = Helpers { visible: true, ..Helpers::default() };
    for (_, file) in &files {
        shared.visit_file(file);
    }
    let mut raised = Vec::new();
    for (place, file) in &files {
        let mut own = Helpers::default();
        own.visit_file(file);
        let place = place.to_string();
        let mut reader = Reader { place, own, shared: &shared, scope: Vec::new(), raised: Vec::new() };
        reader.visit_file(file);
        raised.extend(reader.raised);
    }
    raised
}

/// The functions that are handed a code, and those that are not: by name, the index of the parameter
/// `code`, and the kind that they raise it with.
#[derive(Default)]
struct Helpers {
    /// Only those that other files may call.
    visible: bool,
    functions: BTreeMap<String, Option<(usize, Option<String>)>>,
}

impl Helpers {
    fn add(&mut self, visibility: &Visibility, signature: &Signature, body: &syn::Block) {
        if self.visible && matches!(visibility, Visibility::Inherited) {
            return;
        }
        let parameters = signature.inputs.iter().filter(|input| matches!(input, FnArg::Typed(_)));
        let index = parameters.into_iter().position(is_code);
        let mut kinds = Kinds::default();
        kinds.visit_block(body);
        let kind = (kinds.0.len() == 1).then(|| kinds.0.remove(0));
        let name = signature.ident.to_string();
        let helper = index.map(|index| (index, kind));
        // One function of this name that takes a code is enough to look at the calls of all of them.
        if name != "new" && (helper.is_some() || !self.functions.contains_key(&name)) {
            self.functions.insert(name, helper);
        }
    }
}

impl<'ast> Visit<'ast> for Helpers {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.vis, &function.sig, &function.block);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.vis, &function.sig, &function.block);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}

/// The variants of `ErrorKind` that are written somewhere.
#[derive(Default)]
struct Kinds(Vec<String>);

impl<'ast> Visit<'ast> for Kinds {
    fn visit_path(&mut self, path: &'ast Name) {
        self.0.extend(kind_of(path));
    }
}

struct Reader<'a> {
    place: String,
    own: Helpers,
    shared: &'a Helpers,
    /// For each function around: whether `code` is its parameter, and the texts that a `let` gave it.
    scope: Vec<(bool, Vec<String>)>,
    raised: Vec<Raised>,
}

impl Reader<'_> {
    fn inside(&mut self, signature: &Signature, visit: impl FnOnce(&mut Self)) {
        self.scope.push((signature.inputs.iter().any(is_code), Vec::new()));
        visit(self);
        self.scope.pop();
    }

    fn judge(&mut self, code: Option<&Expr>, kind: Option<String>) {
        let found = match code {
            Some(Expr::Lit(literal)) => match &literal.lit {
                Lit::Str(text) => vec![text.value()],
                _ => Vec::new(),
            },
            Some(Expr::Path(path)) if path.path.is_ident("code") => match self.scope.last() {
                // Whoever calls this function says which.
                Some((true, _)) => return,
                Some((false, texts)) => texts.clone(),
                None => Vec::new(),
            },
            // The code of a callback's operation: an associated constant, read where it is given.
            Some(Expr::Path(path))
                if path.path.segments.last().is_some_and(|last| last.ident == "FAILED") =>
            {
                return;
            }
            _ => Vec::new(),
        };
        let place = &self.place;
        assert!(!found.is_empty(), "{place}: write a code as a literal, or call the variable `code`");
        self.raised.extend(found.into_iter().map(|code| Raised {
            code,
            kind: kind.clone(),
            place: place.clone(),
        }));
    }

    /// A call of `name`, which may be a helper. What this file declares hides what others do.
    fn call(&mut self, name: &str, arguments: &[&Expr]) {
        let helper =
            self.own.functions.get(name).or_else(|| self.shared.functions.get(name)).cloned().flatten();
        if let Some((index, kind)) = helper {
            self.judge(arguments.get(index).copied(), kind);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_impl_item_const(&mut self, constant: &'ast syn::ImplItemConst) {
        if constant.ident == "FAILED" {
            self.judge(Some(&constant.expr), None);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.inside(&function.sig, |reader| visit::visit_item_fn(reader, function));
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.inside(&function.sig, |reader| visit::visit_impl_item_fn(reader, function));
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let (true, Some(value), Some((_, texts))) =
            (binds_code(&local.pat), &local.init, self.scope.last_mut())
        {
            let mut found = Texts::default();
            found.visit_expr(&value.expr);
            texts.extend(found.0);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let Expr::Path(function) = &*call.func {
            let names: Vec<String> =
                function.path.segments.iter().map(|part| part.ident.to_string()).collect();
            let arguments: Vec<&Expr> = call.args.iter().collect();
            let kind = match arguments.first() {
                Some(Expr::Path(first)) => kind_of(&first.path),
                _ => None,
            };
            match names.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
                ["Error", "new"] => self.judge(arguments.get(1).copied(), kind),
                ["Self", "new"] if kind.is_some() => self.judge(arguments.get(1).copied(), kind),
                [.., name] => self.call(name, &arguments),
                [] => {}
            }
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.call(&call.method.to_string(), &call.args.iter().collect::<Vec<_>>());
        visit::visit_expr_method_call(self, call);
    }

    /// What stands in macros is not read, so nothing may be raised there.
    fn visit_macro(&mut self, call: &'ast Macro) {
        let text = call.tokens.to_string();
        assert!(!text.contains("Error :: new") && !text.contains("with_code"), "{}: {text}", self.place);
    }
}

/// The texts in an expression that can be codes.
#[derive(Default)]
struct Texts(Vec<String>);

impl<'ast> Visit<'ast> for Texts {
    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        let text = literal.value();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if !text.is_empty() && text.bytes().all(plain) {
            self.0.push(text);
        }
    }
}

/// Whether this parameter is a code: a text of that name. Numbers may be called so too.
fn is_code(parameter: &FnArg) -> bool {
    let FnArg::Typed(typed) = parameter else { return false };
    let is_text = match &*typed.ty {
        Type::Reference(_) | Type::ImplTrait(_) => true,
        Type::Path(name) => name.path.is_ident("String"),
        _ => false,
    };
    is_text && binds_code(&typed.pat)
}

fn binds_code(pattern: &Pat) -> bool {
    match pattern {
        Pat::Ident(name) => name.ident == "code",
        Pat::Tuple(tuple) => tuple.elems.iter().any(binds_code),
        Pat::Type(typed) => binds_code(&typed.pat),
        _ => false,
    }
}

fn kind_of(path: &Name) -> Option<String> {
    let mut names = path.segments.iter().rev().map(|part| part.ident.to_string());
    let variant = names.next()?;
    (names.next()? == "ErrorKind").then_some(variant)
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Name>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// The files of the library. Tests live in `mod tests`; where that is a folder, it is named so.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::codes::{CODES, Origin, Row};
    use crate::never::NEVER_RAISED;

    const SAMPLE: &str = r#"
        fn direct() -> Error { Error::new(ErrorKind::Network, "direct", "text") }
        fn renamed(error: Error) -> Error { error.with_code("renamed").context("text") }
        fn helper(message: &str, code: &str) -> Error { Error::new(ErrorKind::Timeout, code, message) }
        fn helped() -> Error { helper("text", "helped") }
        fn chosen(proxy: bool) -> Error {
            let (code, advice) = if proxy { ("one-way", "; text") } else { ("other-way", "") };
            helper(advice, code)
        }
        fn number(code: u32) -> Error { helper(&code.to_string(), "number") }
        fn numbered() -> Error { number(7) }
        fn foreign() -> io::Error { io::Error::new(io::ErrorKind::Other, "foreign") }
        #[cfg(test)]
        mod tests { fn unseen() -> Error { Error::new(ErrorKind::Network, "unseen", "text") } }
    "#;

    /// Is a code seen in each way in which the source raises one, with its kind, and nothing else?
    #[test]
    fn each_way_to_raise_is_seen() {
        let error = "impl Error { pub(crate) fn with_code(self, code: &str) -> Self { self } }";
        let files = [error, SAMPLE].map(|text| (String::from("x.rs"), text.to_owned()));
        let found: Vec<_> = raised_in(&files).into_iter().map(|raised| (raised.code, raised.kind)).collect();
        let expected = [
            ("direct", Some("Network")),
            ("renamed", None),
            ("helped", Some("Timeout")),
            ("one-way", Some("Timeout")),
            ("other-way", Some("Timeout")),
            ("number", Some("Timeout")),
        ];
        assert_eq!(found, expected.map(|(code, kind)| (code.to_owned(), kind.map(str::to_owned))));
    }

    /// Is a code that cannot be read an error, rather than overlooked?
    #[test]
    #[should_panic = "write a code as a literal"]
    fn what_cannot_be_read_is_an_error() {
        let text = r#"fn f(c: &str) -> Error { Error::new(ErrorKind::Network, c, "text") }"#;
        raised_in(&[("x.rs".to_owned(), text.to_owned())]);
    }

    /// Does every code that the source raises have a row, with the status it is raised with?
    #[test]
    fn what_is_raised_is_in_the_table() {
        let mut missing = Vec::new();
        for raised in everywhere() {
            let row = CODES.iter().find(|row| row.code == raised.code);
            let fits = |row: &Row| {
                raised
                    .kind
                    .as_ref()
                    .is_none_or(|kind| row.kinds.iter().any(|known| format!("{known:?}") == *kind))
            };
            if !row.is_some_and(fits) {
                missing.push(format!("{}: {} as {:?}", raised.place, raised.code, raised.kind));
            }
        }
        assert!(
            missing.is_empty(),
            "tests/errors/codes.rs lacks these rows or kinds:\n{}",
            missing.join("\n")
        );
    }

    /// Is every code of the table raised somewhere, unless it is passed through from the service? And is
    /// none that is listed as never raised?
    #[test]
    fn what_is_in_the_table_is_raised() {
        let raised: BTreeSet<String> = everywhere().into_iter().map(|raised| raised.code).collect();
        let own = CODES.iter().filter(|row| row.origin != Origin::Service);
        let idle: Vec<_> = own.map(|row| row.code).filter(|code| !raised.contains(*code)).collect();
        assert!(idle.is_empty(), "nobody raises these, take the rows out of tests/errors/codes.rs: {idle:?}");
        let never = NEVER_RAISED.iter().flat_map(|(codes, _)| *codes);
        let wrong: Vec<_> = never.filter(|code| raised.contains(**code)).collect();
        assert!(
            wrong.is_empty(),
            "these are raised now, move them from tests/errors/never.rs to tests/errors/codes.rs: {wrong:?}"
        );
    }
}
