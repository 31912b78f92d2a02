//! A signed-in user with a connection: the calls of the API, by name.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Connection, Response, request};

/// A user. All its calls go over one keep-alive connection.
#[derive(Debug)]
pub struct User {
    /// What it presents, without the scheme.
    pub token: String,
    /// The connection, for requests that no client would make.
    pub connection: Connection,
}

/// What an acquire that succeeded has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The lease.
    pub lease_id: String,
    /// Its fencing token.
    pub token: u64,
}

impl Grant {
    /// What a 200 to an acquire says.
    #[track_caller]
    pub fn of(response: &Response) -> Grant {
        let body = response.expect(200);
        assert_eq!(body["status"], "acquired", "{body}");
        let lease_id = body["lease_id"].as_str().expect("a lease id").to_owned();
        Grant { lease_id, token: body["fencing_token"].as_u64().expect("an integer") }
    }
}

impl User {
    /// A user on a new connection.
    #[track_caller]
    pub fn connect(server: SocketAddr, token: &str) -> User {
        User { token: token.to_owned(), connection: Connection::open(server) }
    }

    /// The bytes of a POST.
    pub fn post_bytes(&self, target: &str, body: &[u8]) -> Vec<u8> {
        request("POST", target, &[("Authorization", &format!("Bearer {}", self.token))], body)
    }

    /// The bytes of a GET.
    pub fn get_bytes(&self, target: &str) -> Vec<u8> {
        request("GET", target, &[("Authorization", &format!("Bearer {}", self.token))], b"")
    }

    /// POST, the body as it is.
    #[track_caller]
    pub fn post_raw(&mut self, target: &str, body: &[u8]) -> Response {
        self.connection.call(&self.post_bytes(target, body))
    }

    /// POST of a JSON body.
    #[track_caller]
    pub fn post(&mut self, target: &str, body: Value) -> Response {
        self.post_raw(target, body.to_string().as_bytes())
    }

    /// GET.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.connection.call(&self.get_bytes(target))
    }

    /// Asks for a lock.
    #[track_caller]
    pub fn acquire(&mut self, name: &str, body: Value) -> Response {
        self.post(&format!("/locks/{name}/acquire"), body)
    }

    /// Asks for a lock that must be free.
    #[track_caller]
    pub fn grant(&mut self, name: &str, body: Value) -> Grant {
        Grant::of(&self.acquire(name, body))
    }

    /// Renews a lease, for its last TTL or as `extra` says.
    #[track_caller]
    pub fn renew(&mut self, name: &str, lease_id: &str, extra: Value) -> Response {
        let mut body = extra;
        body["lease_id"] = lease_id.into();
        self.post(&format!("/locks/{name}/renew"), body)
    }

    /// Releases a lease.
    #[track_caller]
    pub fn release(&mut self, name: &str, lease_id: &str) -> Response {
        self.post(&format!("/locks/{name}/release"), json!({ "lease_id": lease_id }))
    }

    /// The state of a lock.
    #[track_caller]
    pub fn status(&mut self, name: &str) -> Value {
        self.get(&format!("/locks/{name}")).expect(200)
    }

    /// Whether a lock is held; else it is free.
    #[track_caller]
    pub fn sees_held(&mut self, name: &str) -> bool {
        match self.status(name)["status"].as_str() {
            Some("held") => true,
            Some("free") => false,
            other => panic!("neither held nor free: {other:?}"),
        }
    }

    /// The caller's locks, as the query says (`?limit=…`, or nothing).
    #[track_caller]
    pub fn list(&mut self, query: &str) -> Value {
        self.get(&format!("/locks{query}")).expect(200)
    }

    /// The names in a list.
    #[track_caller]
    pub fn names(&mut self, query: &str) -> Vec<String> {
        names_of(&self.list(query))
    }
}

/// The names in a list, in its order.
#[track_caller]
pub fn names_of(list: &Value) -> Vec<String> {
    let rows = list["locks"].as_array().expect("a list of locks");
    rows.iter().map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}
