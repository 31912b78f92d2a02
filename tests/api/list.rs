//! `GET /locks`: the caller's own locks, from all workers, sorted, page by page.

use serde_json::{Value, json};

use crate::common::user::names_of;
use crate::common::{Driver, Options, Server, User, assert_expires_in, assert_fields};

crate::both_drivers! {
    a_list_shows_each_lock_with_its_lease,
    nobodys_list_shows_the_locks_of_another,
    a_list_is_sorted_over_all_workers,
    a_prefix_narrows_list_and_total,
    pages_of_any_size_make_up_the_whole_list,
    a_page_goes_on_where_the_last_one_ended_whatever_has_changed,
    a_limit_is_from_one_to_a_thousand_and_a_hundred_without,
    a_cursor_that_nobody_gave_is_refused,
    released_locks_leave_the_list,
}

/// Some locks whose names sort differently from the order in which they are taken.
fn take(user: &mut User, prefix: &str, count: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|i| format!("{prefix}{}", i * 7919 % 104_729)).collect();
    for name in &names {
        user.grant(name, json!({}));
    }
    names.sort_unstable();
    names
}

/// All pages, each asked for with `query` (`limit=…&prefix=…`) and the cursor of the one before.
#[track_caller]
fn pages(user: &mut User, query: &str) -> Vec<Value> {
    let mut pages = vec![user.list(&format!("?{query}"))];
    while let Some(cursor) = pages.last().expect("a page")["next_cursor"].as_str() {
        let url_safe = cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        assert!(url_safe && !cursor.is_empty(), "{cursor:?} would need quoting in a URL");
        pages.push(user.list(&format!("?{query}&cursor={cursor}")));
        assert!(pages.len() <= 1000, "the pages have no end");
    }
    pages
}

fn a_list_shows_each_lock_with_its_lease(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grant = alice.grant("job", json!({ "ttl_seconds": 120, "metadata": "host-7" }));
    let list = alice.list("");
    assert_fields(&list, &["locks", "total", "next_cursor"]);
    assert_eq!((&list["total"], &list["next_cursor"]), (&json!(1), &Value::Null));
    let row = &list["locks"][0];
    assert_fields(row, &["name", "lease_id", "fencing_token", "expires_at", "metadata"]);
    assert_eq!((&row["name"], &row["metadata"]), (&json!("job"), &json!("host-7")));
    assert_eq!((&row["lease_id"], &row["fencing_token"]), (&json!(grant.lease_id), &json!(grant.token)));
    assert_expires_in(&row["expires_at"], 120);
    alice.release("job", &grant.lease_id).expect(200);
    assert_eq!(alice.list(""), json!({ "locks": [], "total": 0, "next_cursor": null }));
}

fn nobodys_list_shows_the_locks_of_another(driver: Driver) {
    let server = Server::on(driver);
    let (mut alice, mut bob) = (server.user("alice"), server.user("bob"));
    let hers = take(&mut alice, "hers-", 20);
    let his = take(&mut bob, "his-", 30);
    assert_eq!(alice.names(""), hers);
    assert_eq!(bob.names(""), his);
    assert_eq!((&alice.list("")["total"], &bob.list("")["total"]), (&json!(20), &json!(30)));
    assert_eq!(bob.list("?prefix=hers-"), json!({ "locks": [], "total": 0, "next_cursor": null }));
}

fn a_list_is_sorted_over_all_workers(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(4));
    let mut alice = server.user("alice");
    let mut names: Vec<String> =
        ["a", "A", "0", "-", "a.b", "a-b", "ab", "Z", "z", "10", "9"].map(str::to_owned).into();
    for name in &names {
        alice.grant(name, json!({}));
    }
    names.extend(take(&mut alice, "m", 60));
    names.sort_unstable();
    assert_eq!(alice.names(""), names, "in the order of their bytes");
}

fn a_prefix_narrows_list_and_total(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(3));
    let mut alice = server.user("alice");
    let (jobs, _) = (take(&mut alice, "job.", 30), take(&mut alice, "jog", 20));
    assert_eq!(alice.names("?prefix=job."), jobs);
    assert_eq!(alice.list("?prefix=job.")["total"], 30);
    assert_eq!(alice.list("?prefix=job.&limit=10")["total"], 30, "the total counts all pages");
    assert_eq!(alice.names("?prefix=job%2E"), jobs, "a query is percent-decoded");
    assert_eq!(alice.list("?prefix=jo")["total"], 50);
    assert_eq!(alice.list("?prefix=")["total"], 50);
    assert_eq!(alice.names(&format!("?prefix={}", jobs[7]))[0], jobs[7]);
    assert_eq!(alice.list("?prefix=none")["total"], 0);
}

fn pages_of_any_size_make_up_the_whole_list(driver: Driver) {
    let server = Server::start(Options::new(driver).workers(4).args(&["--max-locks-per-user", "1000"]));
    let mut alice = server.user("alice");
    let names = take(&mut alice, "lock-", 230);
    for (limit, count) in [(1, 230), (7, 33), (23, 10), (100, 3), (229, 2), (230, 1), (1000, 1)] {
        let pages = pages(&mut alice, &format!("limit={limit}"));
        assert_eq!(pages.len(), count, "pages of {limit}");
        assert_eq!(pages.iter().flat_map(names_of).collect::<Vec<_>>(), names);
        assert!(pages.iter().all(|page| page["total"] == 230));
        assert!(pages[..count - 1].iter().all(|page| names_of(page).len() == limit));
    }
    let narrowed = pages(&mut alice, "prefix=lock-1&limit=9");
    let wanted: Vec<_> = names.iter().filter(|name| name.starts_with("lock-1")).cloned().collect();
    assert_eq!(narrowed.iter().flat_map(names_of).collect::<Vec<_>>(), wanted);
}

fn a_page_goes_on_where_the_last_one_ended_whatever_has_changed(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    for name in ["a", "b", "c", "e", "f"] {
        alice.grant(name, json!({ "lease_id": "c0ffee00-0000-4000-8000-000000000000" }));
    }
    let first = alice.list("?limit=3");
    assert_eq!(names_of(&first), ["a", "b", "c"]);
    let cursor = first["next_cursor"].as_str().expect("a cursor").to_owned();
    alice.release("c", "c0ffee00-0000-4000-8000-000000000000").expect(200);
    alice.grant("bb", json!({}));
    alice.grant("d", json!({}));
    assert_eq!(alice.names(&format!("?cursor={cursor}")), ["d", "e", "f"], "none skipped, none shown twice");
}

fn a_limit_is_from_one_to_a_thousand_and_a_hundred_without(driver: Driver) {
    let server = Server::start(Options::new(driver).args(&["--max-locks-per-user", "1000"]));
    let mut alice = server.user("alice");
    take(&mut alice, "lock-", 130);
    assert_eq!(alice.names("").len(), 100);
    assert_eq!(alice.names("?limit=1").len(), 1);
    assert_eq!(alice.names("?limit=1000").len(), 130);
    for bad in ["0", "1001", "-1", "ten", "1.5", "", "99999999999999999999"] {
        alice.get(&format!("/locks?limit={bad}")).refusal(400);
    }
}

fn a_cursor_that_nobody_gave_is_refused(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    alice.grant("a", json!({}));
    for bad in ["%20", "!!!", "%ff%fe", "%zz"] {
        alice.get(&format!("/locks?cursor={bad}")).refusal(400);
    }
}

fn released_locks_leave_the_list(driver: Driver) {
    let server = Server::on(driver);
    let mut alice = server.user("alice");
    let grants: Vec<_> =
        (10..20).map(|i| (format!("lock-{i}"), alice.grant(&format!("lock-{i}"), json!({})))).collect();
    for (i, (name, grant)) in grants.iter().enumerate() {
        assert_eq!(alice.release(name, &grant.lease_id).status, 200);
        let list = alice.list("");
        assert_eq!(list["total"], 9 - i);
        assert!(!names_of(&list).contains(name));
    }
}
