use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::config::Secret;
use crate::scratch::directory;

const ALICE: &str = "alice-0123456789";
const BOB: &str = "bob-0123456789ab";

fn private(path: PathBuf, text: impl AsRef<[u8]>) -> PathBuf {
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    path
}

fn inline(text: &str) -> TokenSources {
    TokenSources { inline: Some(Secret::new(text.into())), file: None, github: None }
}

fn file(path: PathBuf) -> TokenSources {
    TokenSources { inline: None, file: Some(path), github: None }
}

/// What the sources give: names, and hashes of tokens.
fn gathered(sources: &TokenSources) -> Result<Vec<(String, TokenHash)>, String> {
    let gathered = credentials(sources, Path::new("/nowhere/octostore.db")).map_err(|e| e.to_string())?;
    assert!(gathered.new_local_token.is_none());
    assert!(gathered.credentials.iter().all(|credential| credential.kind == STATIC));
    Ok(gathered.credentials.into_iter().map(|credential| (credential.external_id, credential.token_hash)).collect())
}

fn entry(name: &str, token: &str) -> (String, TokenHash) {
    (name.into(), hash_of(token.as_bytes()))
}

/// An error without a newline and without any of the tokens.
fn refusal(sources: &TokenSources) -> String {
    let text = gathered(sources).unwrap_err();
    for secret in [ALICE, BOB, "0123456789", "\n"] {
        assert!(!text.contains(secret), "{text:?} shows {secret:?}");
    }
    text
}

#[test]
fn the_variable_gives_names_and_tokens() {
    let wanted = vec![entry("alice", ALICE), entry("bob.b_b-2", BOB)];
    assert_eq!(gathered(&inline(&format!("alice:{ALICE},bob.b_b-2:{BOB}"))), Ok(wanted.clone()));
    assert_eq!(gathered(&inline(&format!(" alice:{ALICE} ,\n bob.b_b-2:{BOB},"))), Ok(wanted));
}

#[test]
fn a_token_may_hold_a_colon() {
    assert_eq!(gathered(&inline("a:0123:4567:89ab:cdef")), Ok(vec![entry("a", "0123:4567:89ab:cdef")]));
}

#[test]
fn the_file_gives_one_a_line_between_comments_and_blank_lines() {
    let directory = directory("file");
    let text = format!("# who may\n\nalice:{ALICE}\r\n   bob:{BOB}  \n#carol:0123456789abcdefgh\n");
    let path = private(directory.join("tokens"), text);
    assert_eq!(gathered(&file(path)), Ok(vec![entry("alice", ALICE), entry("bob", BOB)]));
}

#[test]
fn both_sources_add_up_and_one_user_may_have_several_tokens() {
    let path = private(directory("both").join("tokens"), format!("alice:{BOB}\n"));
    let sources = TokenSources { file: Some(path), ..inline(&format!("alice:{ALICE}")) };
    assert_eq!(gathered(&sources), Ok(vec![entry("alice", ALICE), entry("alice", BOB)]));
}

#[test]
fn the_same_token_twice_is_refused_wherever_it_stands() {
    let text = refusal(&inline(&format!("alice:{ALICE},bob:{ALICE}")));
    let wanted = "STATIC_TOKENS, entry 2 (bob): the same token as in STATIC_TOKENS, entry 1; every entry needs its own";
    assert_eq!(text, wanted);
    let path = private(directory("twice").join("tokens"), format!("\nbob:{ALICE}\n"));
    let text = refusal(&TokenSources { file: Some(path), ..inline(&format!("alice:{ALICE}")) });
    assert!(text.contains("line 2 (bob)") && text.contains("entry 1"), "{text}");
}

#[test]
fn a_bad_entry_is_named_by_its_place_and_name_alone() {
    for (bad, wanted) in [
        ("0123456789abcdef", "no ':'"),
        (":0123456789abcdef", "1 to 64"),
        ("al ice:0123456789abcdef", "1 to 64"),
        (&format!("{}:0123456789abcdef", "x".repeat(65)), "1 to 64"),
        ("alice:", "alice is shorter than 16"),
        ("alice:0123456789abcde", "alice is shorter than 16"),
        (&format!("alice:{}", "0123456789".repeat(26)), "alice is longer than 256"),
        ("alice:0123456789 abcdef", "alice has a blank"),
        ("alice:0123456789abcdéf", "alice has a blank"),
    ] {
        let text = refusal(&inline(&format!("first:first-0123456789,{bad}")));
        assert!(text.starts_with("STATIC_TOKENS, entry 2: ") && text.contains(wanted), "{text}");
        let path = private(directory("bad").join("tokens"), format!("# one\n{bad}\n"));
        let text = refusal(&file(path));
        assert!(text.contains("line 2: ") && text.contains(wanted), "{text}");
    }
    let path = private(directory("bad").join("tokens"), "alice:0123456789,abcdef\n");
    assert!(refusal(&file(path)).contains("alice has a blank, a comma"));
}

#[test]
fn a_source_without_a_token_is_a_mistake() {
    assert!(refusal(&inline(" , ")).starts_with("STATIC_TOKENS has no token"));
    assert!(refusal(&file(private(directory("empty").join("tokens"), "# none\n"))).contains("has no token"));
}

#[test]
fn a_tokens_file_that_others_can_read_is_missing_or_is_no_text_is_refused() {
    let directory = directory("refused");
    let path = private(directory.join("tokens"), format!("alice:{ALICE}\n"));
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let shown = path.display().to_string();
    let wanted = format!("the tokens file {shown}: is open to other users (mode 640); run: chmod 600 '{shown}'");
    assert_eq!(refusal(&file(path)), wanted);
    assert!(refusal(&file(directory.join("none"))).contains("does not exist"));
    assert!(
        refusal(&file(private(directory.join("bytes"), b"alice:\xff0123456789abcdef\n"))).contains("no UTF-8 text")
    );
    assert!(refusal(&file(directory)).contains("is a directory"));
}

#[test]
fn a_linked_tokens_file_is_judged_by_what_the_link_leads_to() {
    let directory = directory("linked");
    private(directory.join("tokens"), format!("alice:{ALICE}\n"));
    symlink("tokens", directory.join("link")).unwrap();
    assert_eq!(gathered(&file(directory.join("link"))), Ok(vec![entry("alice", ALICE)]));
}

#[test]
fn with_nothing_configured_the_first_start_makes_a_token_and_later_ones_use_it() {
    let database = directory("first").join("octostore.db");
    let first = credentials(&TokenSources::default(), &database).unwrap();
    let made = first.new_local_token.unwrap();
    assert_eq!(made.path, local_token_path(&database));
    assert!(!made.replaces);
    let token = made.token.reveal().to_owned();
    assert_eq!(token.len(), 43);
    assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{token}");
    assert_eq!(fs::read_to_string(&made.path).unwrap(), format!("{token}\n"));
    assert_eq!(fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
    let local = Credential { kind: LOCAL, external_id: LOCAL.into(), token_hash: hash_of(token.as_bytes()) };
    assert_eq!(first.credentials, std::slice::from_ref(&local));
    assert_eq!(fs::read_dir(made.path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");

    let later = credentials(&TokenSources::default(), &database).unwrap();
    assert_eq!(later.credentials, [local]);
    assert!(later.new_local_token.is_none());
}

#[test]
fn a_token_that_is_gone_is_replaced_by_another_and_it_is_said() {
    let database = directory("gone").join("octostore.db");
    let first = credentials(&TokenSources::default(), &database).unwrap();
    fs::write(&database, "").unwrap();
    fs::remove_file(local_token_path(&database)).unwrap();
    let second = credentials(&TokenSources::default(), &database).unwrap();
    assert!(second.new_local_token.unwrap().replaces);
    assert_ne!(first.credentials, second.credentials);
}

#[test]
fn a_local_token_that_others_can_read_or_that_is_none_is_refused() {
    let database = directory("spoilt").join("octostore.db");
    let refusal = || credentials(&TokenSources::default(), &database).map(drop).unwrap_err().to_string();
    credentials(&TokenSources::default(), &database).unwrap();
    let path = local_token_path(&database);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    assert!(refusal().contains(&format!("chmod 600 '{}'", path.display())), "{}", refusal());
    for bad in ["", "\n", "short\n", &format!("{}\n", "x".repeat(44)), &format!("{}\n\n", "A".repeat(43))] {
        private(path.clone(), bad);
        assert!(refusal().contains("delete it to have a new one made"), "{}", refusal());
    }
    fs::remove_file(&path).unwrap();
    symlink("nowhere", &path).unwrap();
    assert!(refusal().contains("leads nowhere"), "{}", refusal());
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let database = directory("absent").join("no/octostore.db");
    let text = credentials(&TokenSources::default(), &database).map(drop).unwrap_err().to_string();
    assert!(text.contains("cannot make") && text.contains("local.token"), "{text}");
}

#[test]
fn any_configured_token_switches_the_local_user_off() {
    let database = directory("off").join("octostore.db");
    let gathered = credentials(&inline(&format!("alice:{ALICE}")), &database).unwrap();
    assert!(gathered.new_local_token.is_none());
    assert!(gathered.credentials.iter().all(|credential| credential.kind == STATIC));
    assert!(!local_token_path(&database).exists());
}

#[test]
fn nothing_that_is_printed_for_debugging_shows_a_token() {
    let database = directory("debug").join("octostore.db");
    let gathered = credentials(&TokenSources::default(), &database).unwrap();
    let token = fs::read_to_string(local_token_path(&database)).unwrap();
    assert!(!format!("{gathered:?}").contains(token.trim()));
}
