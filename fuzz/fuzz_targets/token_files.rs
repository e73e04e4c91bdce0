#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mtlspop::fuzzing::run("token_files", data));
