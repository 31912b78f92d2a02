//! One setting: where it is looked up, and how it is judged.
//!
//! A flag wins over the environment, and that over the default. An empty variable counts as unset, as container tools
//! leave them. A value keeps the name it came by, for the error that names it.

use std::ffi::OsString;
use std::path::PathBuf;

use super::Secret;

/// A setting that makes no sense. One line, for whoever starts the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {shown}; it must be {wanted}")]
pub struct ConfigError {
    pub(super) name: &'static str,
    pub(super) shown: String,
    pub(super) wanted: &'static str,
}

/// Where the settings are looked up, beside the command line: gives the value of an environment variable.
#[derive(Clone, Copy)]
pub(super) struct LookUp<'a>(pub &'a dyn Fn(&str) -> Option<OsString>);

/// A value, and the flag or variable it came from.
pub(super) struct Setting {
    pub name: &'static str,
    pub value: OsString,
}

pub(super) const DATABASE_WANTED: &str =
    "the path of an SQLite file, such as /var/lib/octostore/octostore.db, or sqlite:PATH";
pub(super) const SECONDS_WANTED: &str = "a number of seconds from 0.1 to 3600";

impl LookUp<'_> {
    /// What was typed after the flag, else what is in the variable.
    pub fn optional(self, typed: &Option<OsString>, flag: &'static str, variable: &'static str) -> Option<Setting> {
        let typed = typed.clone().map(|value| Setting { name: flag, value });
        typed.or_else(|| self.variable(variable))
    }

    /// What is in the variable. For secrets, which have no flag: the list of processes would show them.
    pub fn variable(self, variable: &'static str) -> Option<Setting> {
        let value = (self.0)(variable).filter(|value| !value.is_empty());
        value.map(|value| Setting { name: variable, value })
    }

    /// As [`LookUp::optional`], or else the default, which goes through the same judge as a value that was given: so it
    /// cannot mean what nobody could say.
    pub fn or(self, typed: &Option<OsString>, flag: &'static str, variable: &'static str, default: &str) -> Setting {
        let otherwise = || Setting { name: "the default", value: default.into() };
        self.optional(typed, flag, variable).unwrap_or_else(otherwise)
    }

    /// The path of the database, as given: relative paths stay relative.
    pub fn database(self, typed: &Option<OsString>) -> Result<PathBuf, ConfigError> {
        self.or(typed, "--database", "DATABASE_URL", "octostore.db").database()
    }
}

impl Setting {
    pub fn parsed<T>(&self, wanted: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ConfigError> {
        self.value.to_str().and_then(parse).ok_or_else(|| self.refused(wanted))
    }

    pub fn number(&self, max: u32, wanted: &'static str) -> Result<u32, ConfigError> {
        self.parsed(wanted, |text| text.parse().ok().filter(|n| (1..=max).contains(n)))
    }

    pub fn seconds_as_ms(&self) -> Result<u64, ConfigError> {
        let seconds = self.parsed(SECONDS_WANTED, |text| text.parse::<f64>().ok())?;
        // A NaN is in no range.
        if (0.1..=3600.0).contains(&seconds) {
            Ok((seconds * 1000.0).round() as u64)
        } else {
            Err(self.refused(SECONDS_WANTED))
        }
    }

    pub fn secret(self, wanted: &'static str) -> Result<Secret, ConfigError> {
        let refused = |_| ConfigError { name: self.name, shown: "no text".into(), wanted };
        self.value.into_string().map(Secret::new).map_err(refused)
    }

    pub fn file(self) -> Result<PathBuf, ConfigError> {
        if self.value.is_empty() { Err(self.refused("the path of a file")) } else { Ok(self.value.into()) }
    }

    /// A path, or `sqlite:PATH`, or `sqlite://PATH`.
    pub fn database(&self) -> Result<PathBuf, ConfigError> {
        let Some(text) = self.value.to_str() else { return Ok(self.value.clone().into()) };
        let url_path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        let path = url_path.unwrap_or(text);
        if let Some((scheme, _)) = path.split_once("://") {
            // What follows may hold a password.
            let shown = format!("'{}://...'", clipped(scheme));
            return Err(ConfigError { name: self.name, shown, wanted: DATABASE_WANTED });
        }
        // Neither a database in memory, nor SQLite's own kind of URL, nor a directory, nor options nobody would heed.
        let unfit = path.is_empty() || path.starts_with(":memory:") || path.starts_with("file:") || path.ends_with('/');
        if unfit || (url_path.is_some() && path.contains('?')) {
            return Err(self.refused(DATABASE_WANTED));
        }
        Ok(path.into())
    }

    pub fn refused(&self, wanted: &'static str) -> ConfigError {
        ConfigError { name: self.name, shown: format!("'{}'", clipped(&self.value.to_string_lossy())), wanted }
    }
}

/// The text on one line, and not longer than a line.
fn clipped(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    shown
}
