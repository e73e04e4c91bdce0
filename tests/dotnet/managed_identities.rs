//! What the hosts of managed identities differ in.

use devcloud::{Cloud, Fault, Options, directory};
use serde_json::json;

use crate::runtimes::Runtime;
use crate::test_in;

/// since_july_2026 spec, section 2: is a token asked for over mTLS a Bearer one of the token service?
#[test]
fn request_over_mtls() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        test_in(&cloud, runtime, "RequestOverMtls", &[]);
        assert_eq!((cloud.counter("imds_token"), cloud.counter("token")), (0, 1));
    }
}

/// since_july_2026 spec, section 3: with IMDSv2 turned off, are there Bearer tokens only, with the reason told?
#[test]
fn imds_v2_disabled() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        test_in(&cloud, runtime, "ImdsV2Disabled", &[("MSAL_MI_DISABLE_IMDS_V2", "true")]);
        assert_eq!((cloud.counter("imds_token"), cloud.counter("metadata")), (2, 0));
    }
}

/// since_july_2026 spec, section 1: is a token of Azure Arc's agent given that it says is for the identity asked for, and
/// no other?
#[test]
fn azure_arc() {
    for runtime in Runtime::all() {
        let cloud = Cloud::start(Options::default()).unwrap();
        for echo in [json!(directory::USER_ASSIGNED_CLIENT_ID), json!(null)] {
            let answer = json!({ "access_token": "confirmed", "expires_on": 3600, "client_id": echo });
            cloud.fault(Fault { body: Some(answer.to_string()), ..Fault::on("arc") }).unwrap();
        }
        let env = cloud.source_env(devcloud::Source::AzureArc);
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        test_in(&cloud, runtime, "AzureArc", &env);
        assert_eq!(cloud.counter("arc"), 2);
    }
}
