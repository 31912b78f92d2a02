//! The operations that issue tokens.

use serde_json::{Value, json};

use super::operations::{Operation, answer, body, for_everybody, unauthenticated};
use super::responses::with_headers;
use super::schemas::USER;
use crate::api::error;

/// All of them.
pub(super) fn all() -> [Operation; 3] {
    [begin(), finish(), rotate()]
}

fn begin() -> Operation {
    let away = json!({
        "description": "To GitHub",
        "headers": with_headers(&["Location", "Set-Cookie", "Cache-Control"]),
    });
    Operation {
        id: "signIn",
        tag: "Tokens",
        summary: "Sign in with GitHub",
        description: "For a browser: sends it to GitHub, with a state that counts once, from this browser, within ten minutes.",
        answers: vec![(302, away)],
        errors: vec![error::no_sign_in(), error::too_many_sign_ins(42), error::no_time_for_tokens()],
        ..for_everybody("/auth/github")
    }
}

fn finish() -> Operation {
    let parameter = |name, description| -> Value {
        let schema = json!({ "type": "string" });
        json!({ "name": name, "in": "query", "description": description, "schema": schema, "example": "" })
    };
    let token = answer("A token: shown this once", "Token", &["Cache-Control"], example());
    Operation {
        id: "signInCallback",
        tag: "Tokens",
        summary: "Come back from GitHub",
        description: "Where GitHub sends the browser. A client that accepts text/html gets a page, errors too; others get JSON. A \
                      second sign-in gives a second token; an account has at most ten, and the oldest makes room.",
        parameters: vec![
            parameter("code", "What GitHub gave the browser."),
            parameter("state", "What the browser was sent away with."),
            parameter("error", "GitHub's reason, if there is no code."),
        ],
        answers: vec![(200, token)],
        has_pages: true,
        errors: vec![
            error::no_sign_in(),
            error::too_many_sign_ins(42),
            error::bad_query("the code parameter is missing; begin at /auth/github"),
            error::sign_in_refused("you did not allow it at GitHub; sign in again"),
            error::upstream("GitHub cannot be reached, or takes too long; try again later"),
            error::no_time_for_tokens(),
        ],
        ..for_everybody("/auth/github/callback")
    }
}

fn rotate() -> Operation {
    let mut errors = unauthenticated();
    errors.extend([
        error::invalid_json("this is something else"),
        error::configured_token(),
        error::no_time_for_tokens(),
    ]);
    Operation {
        method: "post",
        id: "rotateToken",
        tag: "Tokens",
        summary: "Replace your token",
        description: "The token presented stops at once, everywhere: no request with it succeeds that begins after this \
                      answer. Your locks stay yours.",
        needs_token: true,
        body: Some(body("NoMembers", false, json!({}))),
        answers: vec![(200, answer("The new token: shown this once", "Token", &["Cache-Control"], example()))],
        errors,
        ..for_everybody("/auth/token/rotate")
    }
}

fn example() -> Value {
    json!({ "token": "mZ0nF1a7l0cQ4vJtq0X3G7xwS5dM2bK8uYhRr6eT9iA", "user_id": USER, "github_username": "ada" })
}
