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

/// The names in one place of the document: all `$.parameters[].name` with this `in`, of one operation or of all.
fn parameters(place: &str, id: Option<&str>) -> BTreeSet<String> {
    let of = operations::all().into_iter().filter(|operation| id.is_none_or(|id| operation.id == id));
    let all = of.flat_map(|operation| operation.parameters);
    all.filter(|one| one["in"] == place).map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Learns which members a type takes: serde tells any deserializer.
struct MembersOf<'a>(&'a mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for MembersOf<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        members: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = members;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("there is no value"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn the_members_that_requests_may_have_are_those_that_are_read() {
    use serde::Deserialize;
    let mut read: &[&str] = &[];
    let nothing = crate::api::wire::LockFields::deserialize(MembersOf(&mut read));
    assert!(nothing.is_err() && !read.is_empty());
    let schemas = schemas::all();
    let requests = schemas.as_object().expect("schemas").iter().filter(|(name, _)| name.ends_with("Request"));
    let members = requests.flat_map(|(_, schema)| schema["properties"].as_object().expect("members").keys().cloned());
    assert_eq!(members.collect::<BTreeSet<_>>(), names(read));
}

#[test]
fn the_query_parameters_that_are_described_are_those_that_are_read() {
    use crate::api::{list, sign_in};
    assert_eq!(parameters("query", Some("listLocks")), names(&list::PARAMETERS));
    assert_eq!(parameters("query", Some("signInCallback")), names(&sign_in::PARAMETERS));
    assert_eq!(parameters("query", None).len(), list::PARAMETERS.len() + sign_in::PARAMETERS.len());
}

#[test]
fn the_request_headers_that_are_described_are_those_that_are_read() {
    // No parameters in OpenAPI: what a client takes is said by the content types and by Content-Encoding; the cookie is
    // the browser's business, and the address the proxy's.
    const OTHERWISE: [&str; 4] = ["accept", "accept-encoding", "cookie", "x-forwarded-for"];
    fn read(directory: &std::path::Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).expect("the sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read(&path, found);
            } else if !path.to_str().is_some_and(|path| path.ends_with("tests.rs")) {
                let text = std::fs::read_to_string(&path).expect("a source");
                let names = text.split("fields.named(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(str::to_ascii_lowercase));
            }
        }
    }
    let mut found = BTreeSet::new();
    read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let described = parameters("header", None).into_iter().map(|name| name.to_ascii_lowercase());
    assert_eq!(found, described.chain(names(&OTHERWISE)).collect());
}
