//! What a service manager is told: systemd with `Type=notify`, or whatever else listens at `NOTIFY_SOCKET`.
//!
//! Without that variable all of this does nothing. Signs of life are sent only if they are asked for, by `WATCHDOG_USEC`.

use std::cell::Cell;

use sd_notify::NotifyState;

/// The way to the service manager.
pub struct Manager {
    watches: bool,
    /// The last message did not arrive, and the log says so. It says it once, not at each sign of life.
    is_deaf: Cell<bool>,
}

impl Manager {
    /// The one that the environment names, if any.
    pub fn of_the_environment() -> Manager {
        Manager { watches: sd_notify::watchdog_enabled().is_some(), is_deaf: Cell::new(false) }
    }

    /// The server can be used; `status` is a line for `systemctl status`.
    pub fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The server is about to end.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// A line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.tell(&[NotifyState::Status(status)]);
    }

    /// A sign of life.
    pub fn alive(&self) {
        if self.watches {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    /// A manager that cannot be told must not keep the server from serving.
    fn tell(&self, states: &[NotifyState<'_>]) {
        let told = sd_notify::notify(states);
        let was_deaf = self.is_deaf.replace(told.is_err());
        if let Err(error) = told
            && !was_deaf
        {
            tracing::warn!("the service manager at NOTIFY_SOCKET cannot be told: {error}");
        }
    }
}
