//! Reads the prototypes in the header, as far as our ABI goes: opaque pointers, numbers, text, callbacks.

use crate::header::Item;

/// A function as C sees it.
#[derive(Debug)]
pub(crate) struct Prototype {
    /// What it returns, for example `const char *`.
    pub(crate) returns: String,
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) comment: String,
}

/// A parameter: `const mtlspop_app *` and `app`.
#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl Parameter {
    /// Whether NULL can be passed for it.
    pub(crate) fn is_pointer(&self) -> bool {
        self.kind.ends_with('*') || self.is_callback()
    }

    pub(crate) fn is_callback(&self) -> bool {
        self.kind.ends_with("_callback") || self.kind == "mtlspop_destroy"
    }

    /// The handle type that it points to: `mtlspop_app`.
    pub(crate) fn handle(&self) -> Option<&str> {
        handle(&self.kind)
    }

    /// The handle type that it receives: `mtlspop_app` for `mtlspop_app **`.
    pub(crate) fn out(&self) -> Option<&str> {
        self.kind.strip_suffix(" **").filter(|kind| kind.starts_with("mtlspop_"))
    }
}

impl Prototype {
    pub(crate) fn parse(item: &Item) -> Self {
        let text = item.declaration.split_whitespace().collect::<Vec<_>>().join(" ");
        let (head, parameters) = text.trim_end_matches(");").split_once('(').unwrap();
        let head = declared(head);
        let parameters = match parameters {
            "void" => Vec::new(),
            list => list.split(", ").map(declared).collect(),
        };
        Self { returns: head.kind, name: head.name, parameters, comment: item.comment.clone() }
    }

    /// The handle type that it returns for the caller to free.
    pub(crate) fn returns_owned(&self) -> Option<&str> {
        handle(&self.returns).filter(|_| !self.returns.starts_with("const "))
    }
}

fn handle(kind: &str) -> Option<&str> {
    let kind = kind.strip_prefix("const ").unwrap_or(kind);
    kind.strip_suffix(" *").filter(|kind| kind.starts_with("mtlspop_"))
}

/// `const char *name` as kind and name.
fn declared(text: &str) -> Parameter {
    let at = text.rfind([' ', '*']).unwrap() + 1;
    Parameter { kind: text[..at].trim().to_owned(), name: text[at..].to_owned() }
}
