use std::collections::BTreeSet;

use super::*;
use crate::api::{pages, route};

fn described() -> BTreeSet<(String, String)> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let methods = |(path, item): (&String, &Value)| -> Vec<(String, String)> {
        item.as_object().expect("an item").keys().map(|method| (path.clone(), method.clone())).collect()
    };
    paths.iter().flat_map(methods).collect()
}

#[test]
fn what_is_described_is_what_is_served() {
    let method = |allow| if allow == route::POST { "post" } else { "get" };
    let fixed = route::FIXED.iter().map(|(path, _, allow)| ((*path).to_owned(), method(*allow)));
    let of_a_lock = route::OF_A_LOCK.iter().map(|(end, _, allow)| (format!("/locks/{{name}}{end}"), method(*allow)));
    let pages = pages::ALL.iter().map(|page| (page.path.to_owned(), "get"));
    let served = fixed.chain(of_a_lock).chain(pages).map(|(path, method)| (path, method.to_owned()));
    assert_eq!(described(), served.collect());
}

#[test]
fn every_error_is_an_answer_of_some_operation() {
    // Those that come before any operation is found, and so belong to none.
    const BEFORE: [&str; 2] = ["not_found", "method_not_allowed"];
    let uses = concat!(include_str!("operations.rs"), include_str!("responses.rs"), include_str!("tokens.rs"));
    let constructors = include_str!("../error.rs").lines().filter_map(|line| line.strip_prefix("pub fn "));
    let names: Vec<&str> = constructors.filter_map(|rest| rest.split_once('(').map(|(name, _)| name)).collect();
    assert!(names.len() > 15, "the errors are not where they were: {names:?}");
    for name in names {
        let is_used = uses.contains(&format!("error::{name}("));
        assert_ne!(is_used, BEFORE.contains(&name), "{name}: give it to the operations that it can come from");
    }
    assert!(BEFORE.iter().all(|code| ABOUT.contains(code)) && ABOUT.contains("not_implemented"));
}

#[test]
fn every_refusal_of_the_http_side_is_described() {
    let text = document().to_string();
    for refusal in crate::http::REFUSALS {
        let details = Value::from(refusal.details).to_string();
        // Of the bad requests there is one example; the unknown methods belong to no operation.
        assert!(matches!(refusal.status, 400 | 501) || text.contains(&details), "{details}");
    }
}

#[test]
fn operations_have_ids_and_texts() {
    let mut ids = BTreeSet::new();
    for operation in operations::all() {
        let texts = [operation.id, operation.summary, operation.description];
        assert!(texts.iter().all(|text| !text.is_empty()), "{} {}", operation.method, operation.path);
        assert!(ids.insert(operation.id), "{} is there twice", operation.id);
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (document(), Vec::new());
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
