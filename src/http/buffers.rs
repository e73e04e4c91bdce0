//! The buffers of a connection: ureq's, but the head of a request can wait in them for the first part of its body.
//!
//! ureq sends the two one after the other. In one write they are one TLS record, one system call and one packet.

use ureq::unversioned::transport::{Buffers, LazyBuffers};

/// A longer head waits for nothing: most of a record should be left for the body.
const LONGEST: usize = 8 * 1024;

/// Input and output of one connection.
pub(super) struct HttpBuffers {
    ureq: LazyBuffers,
    /// How much of the output is a head that waits.
    held: usize,
}

impl HttpBuffers {
    pub(super) fn new(input_size: usize, output_size: usize) -> Self {
        Self { ureq: LazyBuffers::new(input_size, output_size), held: 0 }
    }

    /// Keeps the first `amount` bytes of the output for the next write, where they are few enough.
    pub(super) fn hold(&mut self, amount: usize) -> bool {
        let holds = self.held == 0 && amount <= LONGEST;
        if holds {
            self.held = amount;
        }
        holds
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held > 0
    }

    /// No longer: it was written.
    pub(super) fn let_go(&mut self) {
        self.held = 0;
    }

    /// What is to be written: what waits, and `amount` bytes behind it.
    pub(super) fn written(&mut self, amount: usize) -> &[u8] {
        let held = self.held;
        &self.ureq.output()[..held + amount]
    }
}

impl Buffers for HttpBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.ureq.output()[self.held..]
    }

    fn input(&self) -> &[u8] {
        self.ureq.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.ureq.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.ureq.input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.ureq.input_consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let (tmp, output) = self.ureq.tmp_and_output();
        (tmp, &mut output[self.held..])
    }

    fn can_use_input(&self) -> bool {
        self.ureq.can_use_input()
    }
}
