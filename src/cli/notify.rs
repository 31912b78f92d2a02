//! What a service manager is told: systemd with `Type=notify`, or whatever else listens at `NOTIFY_SOCKET`.
//!
//! Without that variable all of this does nothing. Signs of life are sent only if they are asked for, by `WATCHDOG_USEC`.

use sd_notify::NotifyState;

/// The way to the service manager.
pub struct Manager {
    watches: bool,
}

impl Manager {
    /// The one that the environment names, if any.
    pub fn of_the_environment() -> Manager {
        Manager { watches: sd_notify::watchdog_enabled().is_some() }
    }

    /// The server can be used; `status` is a line for `systemctl status`.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The server is about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        tell(&[NotifyState::Status(status)]);
    }

    /// A sign of life.
    pub fn alive(&self) {
        if self.watches {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

/// A manager that cannot be told must not keep the server from serving.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager at NOTIFY_SOCKET cannot be told: {error}");
    }
}
