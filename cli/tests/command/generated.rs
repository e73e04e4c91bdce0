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
