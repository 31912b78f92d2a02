//! The pages in a real browser: headless Chromium, on a wide and on a narrow screen.

#[path = "../common/mod.rs"]
mod common;

mod docs;
mod home;
