//! The C# samples of Microsoft's how-to, with only their `using` lines changed. It is not part of this
//! project: where it is not at hand, there is nothing to test.

use std::collections::BTreeSet;
use std::fs;

use devcloud::{Cloud, Options};

use super::runtimes::Runtime;
use super::{compile, programs, root, succeed_printing};

const HOW_TO: &str = "shared/spec/how_to_use_mtls_pop.md";

/// Do the samples compile and run, with the token types that the how-to promises? Mono presents no certificate by
/// HttpClientHandler, and takes ours instead.
#[test]
fn samples_of_the_how_to() {
    let places = ["..", "../.."].map(|place| root().join(place).join(HOW_TO));
    let Some(text) = places.iter().find_map(|place| fs::read_to_string(place).ok()) else {
        println!("skipped: the how-to is not here");
        return;
    };
    for runtime in Runtime::all() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mut source = program(&samples(&text));
        if runtime == Runtime::Mono {
            source = source.replace("new HttpClientHandler()", "new MtlsPopHttpMessageHandler()");
        }
        fs::write(at("HowTo.cs"), source).unwrap();
        fs::copy(programs().join("mtlspop.dll"), at("mtlspop.dll")).unwrap();
        let harness = root().join("bindings/dotnet/tests/how_to/Harness.cs");
        compile("exe", &at("how_to.exe"), &[at("HowTo.cs"), harness]);

        let cloud = Cloud::start(Options::default()).unwrap();
        succeed_printing(&mut runtime.command(&cloud, &at("how_to.exe")));
        assert_eq!((cloud.counter("imds_token"), cloud.counter("token")), (1, 4));
        assert_eq!(cloud.counter("graph"), 2, "2.2 and 3 call it");
    }
}

/// What stands between the fences of C#.
fn samples(text: &str) -> Vec<String> {
    let blocks = text.split("```csharp\n").skip(1);
    blocks.map(|block| block.split("\n```").next().unwrap().to_owned()).collect()
}

/// The samples as one program. Statements become methods that hand their result to Harness; members and
/// classes stay as they are.
fn program(samples: &[String]) -> String {
    assert_eq!(samples.len(), 6, "the how-to has other samples than it had");
    let mut usings = BTreeSet::from(["using System;".to_owned(), "using System.Threading.Tasks;".to_owned()]);
    let mut body = String::new();
    for (index, sample) in samples.iter().enumerate() {
        let (head, rest): (Vec<&str>, Vec<&str>) =
            sample.lines().partition(|line| line.starts_with("using "));
        usings.extend(head.iter().map(|line| {
            let line = line.split_once(';').unwrap().0.to_owned() + ";";
            line.replace("Microsoft.Identity.Client", "Mtlspop")
        }));
        let text = for_mcs(&rest.join("\n"));
        if text.contains("public static class") {
            body += &format!("{text}\n");
        } else if text.contains("public static async Task") {
            body += &format!("internal static partial class Samples\n{{\n{text}\n}}\n");
        } else {
            let result = text.split_once("AuthenticationResult ").unwrap().1.split_once(' ').unwrap().0;
            let promised = if text.contains("WithMtlsProofOfPossession") { "mtls_pop" } else { "Bearer" };
            body += &format!(
                "internal static partial class Samples\n{{\ninternal static async Task Sample{index}(string \
                 userAssignedClientId, string clientId, string tenantId)\n{{\n{text}\nCheck(\"{promised}\", \
                 {result});\n}}\n}}\n"
            );
        }
    }
    usings.into_iter().collect::<Vec<_>>().join("\n") + "\n" + &body
}

/// What mcs cannot: `using var` and, although it is C# 7, `is null`. And the assertion that the how-to leaves to its reader.
fn for_mcs(sample: &str) -> String {
    sample
        .replace("using var ", "var ")
        .replace(" is null)", " == null)")
        .replace("return \"<your-fic-jwt>\";", "return CreateFicJwt(options);")
}
