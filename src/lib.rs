//! libmtlspop
