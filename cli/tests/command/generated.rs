//! Completions and manual, which are made of the options.

use std::fs;

use crate::support::{bare, fail, succeed, tool};

/// Does each shell's script complete what there is, and does each command that is not hidden have a page?
#[test]
fn completions_and_pages() {
    let place = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(&mut bare(&format!("completion {shell}")));
        assert!(script.contains("federated-token-file") && script.contains("inspect"), "{shell}");
        fs::write(place.path().join(shell), script).unwrap();
    }
    let asked = "set +u; . ./bash; COMP_WORDS=(mtlspop token --cert); COMP_CWORD=2; _mtlspop mtlspop --cert token; echo ${COMPREPLY[*]}";
    fs::write(place.path().join("script"), asked).unwrap();
    let said = tool(place.path(), "bash script");
    assert_eq!(said.trim(), "--certificate --certificate-password-file");

    let pages = place.path().join("pages");
    fs::create_dir(&pages).unwrap();
    succeed(&mut bare(&format!("manual {}", pages.display())));
    let help = succeed(&mut bare("--help"));
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"token") && !commands.contains(&"manual"), "{help}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = fs::read_to_string(pages.join(format!("mtlspop-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(!pages.join("mtlspop-manual.1").exists());
    fail(&mut bare("manual /nowhere"), 23);
}

/// Can the examples of each command be copied from a terminal of 80 columns: is no line of them broken by anything but themselves?
#[test]
fn examples_fit() {
    let help = succeed(&mut bare("--help"));
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands = commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    for command in commands.chain([""]) {
        let examples = |columns: &str| {
            let help = succeed(bare(&format!("{command} --help")).env("COLUMNS", columns));
            help.split_once("\nEXAMPLE").map(|(_, examples)| examples.to_owned())
        };
        assert_eq!(examples("80"), examples("100"), "{command}");
    }
}

/// Do zsh and fish load their scripts where `make install` puts them by name, without a word and without running anything of it, and complete
/// options, their values and commands?
#[test]
fn other_shells() {
    let place = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = place.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("zsh/_mtlspop", &succeed(&mut bare("completion zsh")));
    write("fish/completions/mtlspop.fish", &succeed(&mut bare("completion fish")));
    // What a script runs by mistake says so.
    write("bin/mtlspop", "#!/bin/sh\necho it was run >&2\n");
    write("type.zsh", TYPE);
    let home = "chmod +x bin/mtlspop; export HOME=\"$PWD\" XDG_CONFIG_HOME=\"$PWD\" TERM=dumb PATH=\"$PWD/bin:$PATH\"";
    for (typed, ends, wanted) in [
        ("mtlspop token --cert", "password-file", &["--certificate", "--certificate-password-file"][..]),
        ("mtlspop token --output ", "token alone", &["table", "json", "token", "header", "env"]),
        ("mtlspop ca", "Call an API", &["cache", "call"]),
    ] {
        let fish = tool(place.path(), &format!("{home}; fish -c 'complete -C \"{typed}\"' 2>&1"));
        let names: Vec<&str> = fish.lines().filter_map(|line| line.split('\t').next()).collect();
        let (mut names, mut wanted) = (names, wanted.to_vec());
        names.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(names, wanted, "{fish}");
        let zsh = tool(place.path(), &format!("{home}; timeout 60 zsh -f type.zsh '{typed}' '{ends}' 2>&1"));
        assert!(wanted.iter().all(|name| zsh.contains(name)), "{typed}: {zsh}");
        assert!(
            !["it was run", "not found", "parse error", "_arguments"].iter().any(|bad| zsh.contains(bad)),
            "{zsh}"
        );
    }
}

/// Types into a zsh of its own, on a terminal, and shows what that shows until it has said how it ends.
const TYPE: &str = r#"
zmodload zsh/zpty
zpty shell 'PS1= zsh -f -i'
zpty -w shell "fpath=($PWD/zsh \$fpath); autoload -U compinit; compinit -u -d $PWD/dump; print LOA''DED"
zpty -r shell said '*LOADED*'
zpty -w -n shell "$1"$'\t\t'
zpty -r shell said "*$2*"
print -r -- "$said"
zpty -d shell
"#;
