//! The API's description as a judge: what any test gets for an answer must be one of those described.
//!
//! An answer with a status, a code, a member or a header that the document does not have fails the test that got it.
//! So what is served and what is described cannot part unseen, whoever adds to either.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use octostore::api::openapi;
use serde_json::{Value, json};

use super::Response;

/// Headers that any answer may have, and of which the document does not speak.
const HTTP_ITSELF: [&str; 4] = ["content-type", "content-length", "date", "connection"];

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi::document);
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Asserts that `response` is described as an answer to `request`. What is no GET or POST in whole is not judged.
#[track_caller]
pub fn check(request: &[u8], response: &Response) {
    let Some((method, path)) = asked(request) else { return };
    let Some((template, operation)) = operation(method, path) else {
        let is_before = [400, 404, 405, 408, 413, 414, 417, 431, 501, 503, 505].contains(&response.status);
        assert!(is_before, "{method} {path} is not described, and is answered {}", response.status);
        return;
    };
    if let Err(fault) = judge(&operation, response) {
        panic!("{method} {template}, answered {} {}: {fault}", response.status, response.text());
    }
}

/// Method, in lower case, and path.
fn asked(request: &[u8]) -> Option<(&'static str, &str)> {
    let line = std::str::from_utf8(request.split(|&b| b == b'\r').next()?).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let (target, version) = rest.split_once(' ')?;
    let method = match method {
        "GET" => "get",
        "POST" => "post",
        _ => return None,
    };
    let is_path = target.starts_with('/') && version == "HTTP/1.1";
    is_path.then(|| (method, target.split('?').next().unwrap_or(target)))
}

/// The operation that the document has for it, and its path there.
fn operation(method: &str, path: &str) -> Option<(&'static str, Value)> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let (template, item) = paths.iter().find(|(template, _)| is_like(template, path))?;
    Some((template.as_str(), item.get(method)?.clone()))
}

/// Whether a path is one of a template's: piece by piece.
fn is_like(template: &str, path: &str) -> bool {
    let (wanted, found) = (template.split('/'), path.split('/'));
    wanted.clone().count() == found.clone().count() && wanted.zip(found).all(|(w, f)| w.starts_with('{') || w == f)
}

/// What is wrong with a response.
fn judge(operation: &Value, response: &Response) -> Result<(), String> {
    let described = resolved(&operation["responses"][response.status.to_string()]);
    if described.is_null() {
        return Err("the status is not described".into());
    }
    judge_headers(described, response)?;
    let Some(content) = described["content"].as_object() else {
        return if response.body.is_empty() { Ok(()) } else { Err("no body is described".into()) };
    };
    let content_type = response.header("content-type").unwrap_or_default();
    let media = content.get(content_type).ok_or_else(|| format!("it is {content_type}, which is not described"))?;
    if content_type == "application/json" {
        validate(&media["schema"], &response.json())?;
    }
    Ok(())
}

/// What a reference leads to; anything else is itself.
fn resolved(value: &Value) -> &Value {
    let target = value["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
    target.map_or(value, |target| DOCUMENT.pointer(target).expect("it leads somewhere"))
}

fn judge_headers(described: &Value, response: &Response) -> Result<(), String> {
    let empty = serde_json::Map::new();
    let headers = described["headers"].as_object().unwrap_or(&empty);
    let names: Vec<String> = headers.keys().map(|name| name.to_ascii_lowercase()).collect();
    let undescribed = response
        .headers
        .iter()
        .map(|(name, _)| name)
        .find(|name| !HTTP_ITSELF.contains(&name.as_str()) && !names.contains(name));
    if let Some(name) = undescribed {
        return Err(format!("the header {name} is not described"));
    }
    for (name, header) in headers {
        let header = resolved(header);
        if header["required"] == true && response.header(&name.to_ascii_lowercase()).is_none() {
            return Err(format!("the header {name} is missing"));
        }
    }
    Ok(())
}

/// Says what of a value its schema does not allow.
pub fn validate(schema: &Value, value: &Value) -> Result<(), String> {
    let key = schema.to_string();
    let known = VALIDATORS.lock().expect("the validators").get(&key).cloned();
    let validator = known.unwrap_or_else(|| {
        let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true);
        let made = Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{error}: {schema}")));
        VALIDATORS.lock().expect("the validators").insert(key, Arc::clone(&made));
        made
    });
    let faults: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{} at '{}'", error, error.instance_path())).collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}
