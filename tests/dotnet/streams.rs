//! Bodies that stream: does HttpClient send and read them through the handler as they come?

use super::test;

/// Do contents of any kind arrive whole, and responses too, without room for all of them at once?
#[test]
fn both() {
    test("Both", |_| {});
}

/// Does what a content throws come out, and does one that is not as long as it said fail?
#[test]
fn broken() {
    test("Broken", |_| {});
}

/// Do tokens, disposal and HttpClient's own limit end a read?
#[test]
fn stopped() {
    test("Stopped", |_| {});
}
