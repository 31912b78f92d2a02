//! The Dockerfile, as far as it can be checked without an engine: what it copies is there, what it builds from is enough,
//! and the health check that it names tells a server that is well from one that is not.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{acquire_until_it_ends, project, project_text, said};
use crate::common::options::{clear_environment, text};
use crate::common::process::Process;
use crate::common::{Driver, Failed, Home, Options, Server, eventually};

const DOCKERFILE: &str = "packaging/docker/Dockerfile";

/// The instructions, with what was continued on the next line joined.
fn instructions() -> Vec<String> {
    let joined = project_text(DOCKERFILE).replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[track_caller]
fn the_last(name: &str) -> String {
    let found =
        instructions().into_iter().rev().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn the_image_runs_the_release_build_of_the_locked_sources_and_not_as_root() {
    let all = instructions();
    assert!(all.iter().any(|line| line.contains("cargo build --release --locked --bin octostore")), "{all:?}");
    assert!(project_text("scripts/run").contains("cargo run --release --locked"), "the same build as scripts/run");
    assert!(all.contains(&"COPY --from=build /octostore/target/release/octostore /usr/local/bin/octostore".to_owned()));
    let version = project_text("Cargo.toml");
    let (_, version) = version.split_once("rust-version = \"").expect("a version of Rust");
    let wanted = format!("FROM rust:{}-", version.split('"').next().expect("a version"));
    assert!(all[0].starts_with(&wanted), "{} is not {wanted}", all[0]);
    let user = the_last("USER");
    let id: u32 = user.split(':').next().and_then(|id| id.parse().ok()).expect("a number: Kubernetes looks at it");
    assert!(id > 0, "{user}");
    assert_eq!(the_last("ENTRYPOINT"), r#"["octostore"]"#);
    assert_eq!(the_last("CMD"), r#"["serve"]"#);
    for line in all.iter().filter(|line| line.starts_with("ENV ") || line.starts_with("ARG ")) {
        assert!(!line.contains("TOKEN") && !line.contains("SECRET"), "a secret in the image: {line}");
    }
}

/// What the ignore file lets through, copied: all that a build in the image gets to see.
fn copy_the_context(to: &Path) {
    let rules = project_text(&format!("{DOCKERFILE}.dockerignore"));
    let mut rules = rules.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(rules.next(), Some("*"), "all is kept out but what is named");
    for name in rules.filter_map(|rule| rule.strip_prefix('!')).filter(|name| project(name).exists()) {
        said(Command::new("cp").args(["-r", text(&project(name)), text(to)]));
    }
}

#[test]
fn the_images_build_gets_all_that_it_reads_and_no_secret() {
    let home = Home::new();
    copy_the_context(&home.path);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--locked", "--offline", "--edges", "normal,build"]).current_dir(&home.path);
    assert!(said(&mut cargo).starts_with("octostore v"), "the workspace is whole");
    for kept_out in ["target", "scripts", ".git", "local.token", "octostore.db"] {
        assert!(!home.file(kept_out).exists(), "{kept_out}");
    }
    // What a source takes in from outside of src must be there too.
    let mut sources = vec![home.file("src")];
    while let Some(path) = sources.pop() {
        if path.is_dir() {
            sources.extend(fs::read_dir(&path).expect("src").map(|entry| entry.expect("an entry").path()));
            continue;
        }
        let source = fs::read_to_string(&path).unwrap_or_default();
        for (at, _) in source.match_indices("include_str!(\"").chain(source.match_indices("include_bytes!(\"")) {
            let file = source[at..].split('"').nth(1).expect("a path");
            assert!(path.with_file_name(file).exists(), "{} takes in {file}", path.display());
        }
    }
}

/// Runs the image's health check beside a server that was told to listen at `bind`.
fn health_check(bind: &str) -> Failed {
    let line = the_last("HEALTHCHECK");
    let (_, command) = line.split_once("CMD ").expect("a command");
    let words: Vec<String> = serde_json::from_str(command).expect("the exec form: the image needs no shell");
    assert_eq!(words[0], "octostore");
    let mut command = Command::new(env!("CARGO_BIN_EXE_octostore"));
    clear_environment(&mut command).args(&words[1..]).env("BIND_ADDR", bind);
    Process::spawn(command).failed()
}

#[test]
fn the_health_check_tells_a_server_that_is_well_from_one_that_is_gone() {
    let everywhere = Options { bind: "0.0.0.0:0".into(), ..Options::new(Driver::Epoll) };
    let mut server = Server::start(everywhere);
    let bind = format!("0.0.0.0:{}", server.address.port());
    let well = health_check(&bind);
    assert!(well.status.success() && well.stdout.contains("\"ok\""), "{well:?}");
    assert!(server.terminate().success());
    let gone = health_check(&bind);
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(gone.error().contains("no server answers"), "{}", gone.error());
}

#[test]
fn the_health_check_fails_while_the_disk_hangs() {
    let options = Options::new(Driver::Epoll);
    let server = Server::start(options.inject("fdatasync", "delay_enter=10000000:when=30"));
    acquire_until_it_ends(&server);
    let mut ill = None;
    eventually("the health check fails", || {
        let check = health_check(&server.address.to_string());
        let is_ill = !check.status.success();
        ill = Some(check);
        is_ill
    });
    let ill = ill.expect("a check");
    assert_eq!(ill.status.code(), Some(1), "{ill:?}");
    assert!(ill.error().contains("is not well: 503"), "{}", ill.error());
}
