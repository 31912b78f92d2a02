//! The directions in which the modules may depend on one another, and who may name what.
//!
//! The sources are read as text: comments, strings and test modules are taken out, then words are
//! looked for. That is enough, since `use crate::…` and paths are the only ways to depend on anything.
//! The checker itself is tested on sources made up to break each rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers, from the outside to the inside: a module names only modules below its own line.
/// Several on a line may name each other.
const LAYERS: [&[&str]; 14] = [
    &["main", "lib"],
    &["cli"],
    &["admin"],
    &["worker"],
    &["net"],
    &["front"],
    &["api"],
    &["hub", "mesh", "registrar", "shard", "tickets"],
    &["auth", "database_lock", "journal"],
    &["config"],
    &["logging"],
    &["process"],
    &["address", "clock", "http", "lease", "metrics"],
    &["calendar", "fence", "handoff", "quota", "sync", "vitals", "watermark"],
];

/// Who may name a thing: files, or directories that end with `/`.
const ONLY_IN: [(&str, &[&str]); 12] = [
    ("monoio", &["net/", "worker.rs", "worker/"]),
    ("io_uring", &["net/", "worker.rs", "worker/"]),
    ("rusqlite", &["journal/sqlite"]),
    ("std::time", &["clock.rs"]),
    ("Instant", &["clock.rs"]),
    ("SystemTime", &["clock.rs"]),
    ("clock_gettime", &["clock.rs"]),
    // The wall clock is for people: what shows dates may read it, nothing that decides, but for how far a restore raises the tokens.
    ("wall_ns()", &["clock.rs", "front.rs", "journal/sqlite.rs", "process.rs", "cli/restore.rs", "cli/status/"]),
    ("httparse", &["http/"]),
    ("ureq", &["auth/github.rs"]),
    ("oauth2", &["auth/github.rs"]),
    ("std::sync::atomic", &["sync.rs"]),
];

/// All that some modules may name of what is outside them: `use` and paths, by their beginnings.
const MAY_NAME: [(&str, &[&str]); 9] = [
    ("lease/", &["crate::lease", "crate::fence", "std", "uuid", "ahash", "compact_str", "hashbrown", "thiserror"]),
    ("http/", &["crate::http", "crate::calendar", "std", "httparse", "getrandom"]),
    ("calendar.rs", &["std"]),
    ("handoff.rs", &["crate::sync", "std"]),
    ("fence.rs", &["crate::sync", "std"]),
    ("watermark.rs", &["crate::sync", "std"]),
    ("quota.rs", &["crate::sync", "std"]),
    ("vitals.rs", &["crate::sync", "std"]),
    ("metrics/", &["crate::metrics", "crate::sync", "std"]),
];

/// Parts of std that mean a world outside, or other threads: not for the modules above.
const WORLDLY: [&str; 7] =
    ["std::fs", "std::net::Tcp", "std::io", "std::thread", "std::time", "std::sync", "std::process"];

/// The files that may hold `unsafe`, each time with a `SAFETY:` note.
const UNSAFE: [&str; 1] = ["net/clients.rs"];

#[test]
fn the_sources_keep_to_the_architecture() {
    let mut files = BTreeMap::new();
    read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut files);
    assert!(files.len() > 20, "the sources are not where they were: {:?}", files.keys());
    let tests: BTreeSet<String> = files.iter().flat_map(|(path, source)| test_files(path, source)).collect();
    assert!(!tests.is_empty(), "the test modules are not found");
    let product = files.iter().filter(|(path, _)| !tests.contains(*path));
    let faults: Vec<String> = product.flat_map(|(path, source)| faults(path, source)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn read_sources(directory: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).expect("src") {
        let entry = entry.expect("an entry");
        let name = format!("{prefix}{}", entry.file_name().to_str().expect("a name in UTF-8"));
        if entry.file_type().expect("its type").is_dir() {
            read_sources(&entry.path(), &format!("{name}/"), files);
        } else if name.ends_with(".rs") {
            files.insert(name, fs::read_to_string(entry.path()).expect("a source"));
        }
    }
}

/// All that is wrong with one file. `path` is below `src/`.
fn faults(path: &str, source: &str) -> Vec<String> {
    let code_and_tests = without_comments_and_strings(source);
    let code = without_tests(&code_and_tests);
    let mut faults = Vec::new();
    let mut fault = |text: String| faults.push(format!("src/{path}: {text}"));

    if code_and_tests.replace(' ', "").contains("cfg(loom)") {
        fault("cfg(loom) has no place in the server".into());
    }
    let count = |text: &str, part: &str| text.matches(part).count();
    if has_word(&code_and_tests, "unsafe") && !UNSAFE.contains(&path) {
        fault("unsafe code".into());
    }
    if count(&code_and_tests, "unsafe {") + count(&code_and_tests, "unsafe impl") > count(source, "// SAFETY:") {
        fault("unsafe code without a SAFETY note".into());
    }
    let mut named = named_paths(&code);
    // What a module's own children are called; the compiler sees to it that they are children.
    let children = children(&code);
    named.retain(|name| !children.contains(first_segment(name)));
    for (word, places) in ONLY_IN {
        let is_named = has_word(&code, word) || named.iter().any(|name| begins_with_path(name, word));
        if is_named && !places.iter().any(|place| path.starts_with(place)) {
            fault(format!("{word} may be named only in {places:?}"));
        }
    }
    let module = top_module(path);
    for target in named.iter().filter_map(|name| name.strip_prefix("crate::")).map(first_segment) {
        match (layer(module), layer(target)) {
            (Some(own), Some(its)) if its < own => fault(format!("{module} must not know {target}, which is above it")),
            (None, _) => fault(format!("{module} has no place in LAYERS")),
            (_, None) if target.starts_with(|c: char| c.is_ascii_lowercase()) => {
                fault(format!("{target} has no place in LAYERS"));
            }
            _ => {}
        }
    }
    for (_, allowed) in MAY_NAME.iter().filter(|(place, _)| path.starts_with(place)) {
        for name in &named {
            let worldly = WORLDLY.iter().any(|part| name.starts_with(part));
            if worldly || !allowed.iter().any(|part| begins_with_path(name, part)) {
                fault(format!("{name} is none of its business"));
            }
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// The names of the modules that a file declares.
fn children(code: &str) -> BTreeSet<&str> {
    let declared =
        code.split([';', '{', '}', '\n']).filter_map(|item| item.trim().rsplit_once("mod ").map(|(_, name)| name));
    declared.filter(|name| !name.is_empty() && name.bytes().all(is_word_byte)).collect()
}

/// The files that a file declares as test modules: `#[cfg(test)] mod name;`, with a `#[path = "…"]` or without.
fn test_files(path: &str, source: &str) -> Vec<String> {
    let (directory, file) = path.rsplit_once('/').map_or(("", path), |(directory, file)| (directory, file));
    let own = match file {
        "mod.rs" | "lib.rs" | "main.rs" => directory.to_owned(),
        _ => path.trim_end_matches(".rs").to_owned(),
    };
    let in_directory = |directory: &str, file: &str| format!("{directory}/{file}").trim_start_matches('/').to_owned();
    let items = source.match_indices("#[cfg(test)]").map(|(at, attribute)| source[at + attribute.len()..].trim_start());
    let named = items.filter_map(|item| match item.strip_prefix("#[path = \"") {
        Some(rest) => rest.split_once('"').map(|(file, _)| in_directory(directory, file)),
        None => {
            let name = item.strip_prefix("pub ").unwrap_or(item).strip_prefix("mod ")?.split_once([';', ' '])?;
            item[..item.find('\n')?].ends_with(';').then(|| in_directory(&own, &format!("{}.rs", name.0)))
        }
    });
    named.filter(|file| !file.contains("..")).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn top_module(path: &str) -> &str {
    first_segment(path.split('/').next().unwrap_or(path).trim_end_matches(".rs"))
}

fn first_segment(path: &str) -> &str {
    path.split("::").next().unwrap_or(path)
}

fn begins_with_path(name: &str, part: &str) -> bool {
    name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `word` stands in the code, not as a part of a longer one.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = at.checked_sub(1).map(|i| code.as_bytes()[i]);
        let after = code.as_bytes().get(at + word.len()).copied();
        !before.is_some_and(is_word_byte) && !after.is_some_and(is_word_byte)
    })
}

/// Every path that begins at a crate: what `use` trees spell out, and paths in the code.
fn named_paths(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = code;
    while let Some(at) = find_use(rest) {
        let tree = &rest[at..];
        let end = tree.find(';').unwrap_or(tree.len());
        expand_use("", &tree[..end].split_whitespace().collect::<Vec<_>>().join(" "), &mut names);
        rest = &tree[end..];
    }
    let roots = ["crate::", "std::", "core::", "alloc::"];
    for root in roots {
        for (at, _) in code.match_indices(root) {
            let inside = at > 0 && (is_word_byte(code.as_bytes()[at - 1]) || code.as_bytes()[at - 1] == b':');
            if !inside {
                let end = code[at..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'));
                names.push(code[at..end.map_or(code.len(), |end| at + end)].trim_end_matches(':').to_owned());
            }
        }
    }
    names.retain(|name| !["self", "super", "Self", ""].contains(&first_segment(name)) && name != "crate");
    names.sort();
    names.dedup();
    names
}

/// Where the tree of the next `use` begins.
fn find_use(code: &str) -> Option<usize> {
    let found = code.match_indices("use ").find(|(at, _)| *at == 0 || !is_word_byte(code.as_bytes()[at - 1]));
    found.map(|(at, word)| at + word.len())
}

/// `a::{b, c::{d, e}}` is `a::b`, `a::c::d`, `a::c::e`.
fn expand_use(prefix: &str, tree: &str, names: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        names.push(format!("{prefix}{path}").trim_end_matches("::self").trim_end_matches("::*").to_owned());
        return;
    };
    let prefix = format!("{prefix}{}", tree[..open].trim());
    let inner = tree[open + 1..].trim_end().trim_end_matches('}');
    // One closing brace belongs to this tree; what the trimming took beyond it is given back.
    let depth = tree.matches('}').count().saturating_sub(1) - inner.matches('}').count();
    let inner = format!("{inner}{}", "}".repeat(depth));
    let (mut level, mut start) = (0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            ',' if level == 0 => {
                if !inner[start..at].trim().is_empty() {
                    expand_use(&prefix, &inner[start..at], names);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The source with comments and the insides of strings and character literals blanked out, line by line as it was.
fn without_comments_and_strings(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment_length(rest)
        } else if is_raw_string(source, at) {
            let hashes = rest[1..].find('"').unwrap_or(0);
            let close = format!("\"{}", "#".repeat(hashes));
            rest[hashes + 2..].find(&close).map_or(rest.len(), |end| hashes + 2 + end + close.len())
        } else if rest.starts_with('"') {
            string_length(rest)
        } else if rest.starts_with('\'') {
            char_length(rest)
        } else {
            0
        };
        if skipped == 0 {
            let c = rest.chars().next().expect("a character");
            code.push(c);
            at += c.len_utf8();
        } else {
            code.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            at += skipped;
        }
    }
    code
}

fn is_raw_string(source: &str, at: usize) -> bool {
    let rest = &source[at..];
    let starts = rest.starts_with('r') && rest[1..].trim_start_matches('#').starts_with('"');
    let before = at.checked_sub(1).map(|i| source.as_bytes()[i]);
    starts && !before.is_some_and(|byte| is_word_byte(byte) && byte != b'b')
}

/// Block comments nest.
fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; 0 if it is a lifetime.
fn char_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, _))) => text[at + 1..].find('\'').map_or(0, |end| at + 1 + end + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// The code without what follows a `#[cfg(test)]`: one item, in braces or up to its semicolon.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find("#[cfg(test)]") {
        kept.push_str(&rest[..at]);
        let item = &rest[at..];
        let (semicolon, brace) = (item.find(';').unwrap_or(item.len()), item.find('{').unwrap_or(item.len()));
        let end = if semicolon < brace { semicolon + 1 } else { brace + braces_length(&item[brace..]) };
        rest = &item[end..];
    }
    kept + rest
}

fn braces_length(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

mod the_checker {
    use super::*;

    #[track_caller]
    fn assert_faulty(path: &str, source: &str, part: &str) {
        let found = faults(path, source);
        assert!(
            found.iter().any(|fault| fault.contains(part)),
            "{path} with {source:?} should be {part:?}, is {found:?}"
        );
    }

    #[track_caller]
    fn assert_clean(path: &str, source: &str) {
        assert_eq!(faults(path, source), [""; 0], "{path} with {source:?}");
    }

    #[test]
    fn finds_a_name_out_of_its_place() {
        assert_faulty("shard.rs", "use monoio::time::sleep;", "monoio may be named only");
        assert_faulty("journal/writer.rs", "fn f(c: &rusqlite::Connection) {}", "rusqlite may be named only");
        assert_faulty("mesh.rs", "use std::time::Duration;", "std::time may be named only");
        assert_faulty("mesh.rs", "use std::{fmt, sync::atomic::AtomicU64};", "std::sync::atomic may be named only");
        assert_faulty("worker.rs", "let now = SystemTime::now();", "SystemTime may be named only");
        assert_clean("net/conn.rs", "use monoio::net::TcpStream;");
        assert_clean("journal/sqlite_schema.rs", "use rusqlite::Connection;");
        assert_clean("mesh.rs", "struct InstantReply; fn monoios() {}");
    }

    #[test]
    fn finds_an_edge_that_points_upwards() {
        assert_faulty("lease/table.rs", "use crate::journal::Batch;", "lease must not know journal");
        assert_faulty("journal/mod.rs", "use crate::{\n    clock,\n    api::error,\n};", "journal must not know api");
        assert_faulty("journal/writer.rs", "fn f() { crate::worker::stop() }", "journal must not know worker");
        assert_faulty("api/mod.rs", "use crate::net as other;", "api must not know net");
        assert_faulty("newcomer.rs", "use crate::lease::Ttl;", "newcomer has no place");
        assert_faulty("shard.rs", "use crate::newcomer::Thing;", "newcomer has no place");
        assert_clean("cli/serve.rs", "use crate::{worker, net, api::x::{y, z}, journal::Writer};");
    }

    #[test]
    fn finds_what_a_pure_module_must_not_name() {
        assert_faulty("lease/table.rs", "use std::fs::File;", "std::fs::File is none of its business");
        assert_faulty("lease/table.rs", "use std::{collections::HashMap, sync::Mutex};", "std::sync::Mutex is none");
        assert_faulty("lease/expiry.rs", "fn f() { std::thread::sleep(d) }", "std::thread::sleep is none");
        assert_faulty("http/parse.rs", "use crate::lease::LockName;", "crate::lease::LockName is none");
        assert_faulty("http/parse.rs", "use serde_json::Value;", "serde_json::Value is none");
        assert_faulty("handoff.rs", "use crossbeam_queue::ArrayQueue;", "crossbeam_queue::ArrayQueue is none");
        assert_faulty("fence.rs", "use std::sync::Arc;", "std::sync::Arc is none");
        assert_clean(
            "lease/table.rs",
            "use std::{collections::BinaryHeap, fmt};\nuse super::Ttl;\nuse crate::fence::Fence;",
        );
    }

    #[test]
    fn finds_unsafe_code_and_loom() {
        assert_faulty("sync.rs", "fn f() { unsafe { g() } }", "unsafe code");
        assert_faulty("net/clients.rs", "fn f() { unsafe { g() } }", "without a SAFETY note");
        assert_clean("net/clients.rs", "fn f() {\n// SAFETY: g is harmless.\nunsafe { g() } }");
        assert_faulty("sync.rs", "#[cfg(loom)] use loom::sync::Arc;", "cfg(loom)");
        assert_faulty("sync.rs", "#[cfg(test)] mod tests { fn f() { unsafe { g() } } }", "unsafe code");
        assert_clean("sync.rs", "#![forbid(unsafe_code)]");
    }

    #[test]
    fn reads_over_comments_strings_and_tests() {
        assert_clean("shard.rs", "// monoio\n/* monoio /* nested */ monoio */ fn f() {}");
        assert_clean("shard.rs", r##"const A: &str = "monoio \" monoio"; const B: &str = r#"a " monoio"#;"##);
        assert_clean("shard.rs", "#[cfg(test)]\nmod tests { use std::time::Instant; fn f() { {} } }\nfn g() {}");
        assert_clean("shard.rs", "#[cfg(test)]\nmod tests;\nfn g() {}");
        let declarations =
            "#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod x;\n#[cfg(test)]\nmod y { }\n";
        assert_eq!(test_files("a/b.rs", declarations), ["a/b/tests.rs", "a/x_tests.rs"]);
        assert_eq!(test_files("a/mod.rs", declarations), ["a/tests.rs", "a/x_tests.rs"]);
        assert_eq!(test_files("lib.rs", declarations), ["tests.rs", "x_tests.rs"]);
    }

    #[test]
    fn goes_on_behind_comments_strings_and_tests() {
        assert_faulty("shard.rs", "#[cfg(test)] mod tests { {} }\nuse monoio::x;", "monoio");
        assert_faulty("shard.rs", "const Q: char = '\"'; use monoio::x; const R: char = '\"';", "monoio");
        assert_faulty("shard.rs", "fn f<'a>(x: &'a str, c: char) -> bool { c == '\\'' } use monoio::x;", "monoio");
        assert_faulty("shard.rs", "const B: &str = r#\"a \" b\"#; use monoio::x;", "monoio");
    }
}
