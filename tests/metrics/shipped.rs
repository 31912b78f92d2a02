//! What is shipped beside the binary for Prometheus and Grafana.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{page, some_traffic};
use crate::common::{Driver, Server};

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file)
}

/// The words in a text that are the name of a figure.
fn figures_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("octostore_") || word.starts_with("process_")).map(str::to_owned).collect()
}

/// The names of all samples that a server shows.
fn figures_of_a_server() -> BTreeSet<String> {
    let server = Server::on(Driver::Auto);
    some_traffic(&server);
    let page = page(&server);
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.split(['{', ' ']).next().expect("a name").to_owned()).collect()
}

#[track_caller]
fn assert_known(named: &BTreeSet<String>) {
    let known = figures_of_a_server();
    let unknown: Vec<&String> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "no server shows {unknown:?}");
}

#[test]
fn the_dashboard_names_only_figures_that_a_server_shows() {
    let text = std::fs::read_to_string(packaging("grafana/octostore.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().expect("an expression"))
        .collect();
    assert!(queries.len() > 20, "{}", queries.len());
    let named: BTreeSet<String> = queries.iter().flat_map(|query| figures_in(query)).collect();
    assert!(named.len() > 20, "{named:?}");
    assert_known(&named);
}

#[test]
fn the_alerts_are_rules_and_name_only_figures_that_a_server_shows() {
    let file = packaging("prometheus/octostore.rules.yml");
    let output = Command::new("promtool").args(["check", "rules"]).arg(&file).output().expect("promtool is needed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
    let text = std::fs::read_to_string(file).expect("the rules");
    let code: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let named = figures_in(&code);
    assert!(named.len() > 8, "{named:?}");
    assert_known(&named);
}

/// Each alert fires on the figures of its trouble, and none fires on those of a healthy server.
#[test]
fn the_alerts_fire_when_their_trouble_comes_and_not_before() {
    let tests = packaging("prometheus/octostore.rules.test.yml");
    let output = Command::new("promtool").args(["test", "rules"]).arg(&tests).output().expect("promtool is needed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("SUCCESS"), "{said}");
}
