//! What has become of accounts, on its way from the inbox to the one task of this core that acts on it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};

use crate::mesh::AccountNews;

/// The news that nobody has read yet.
#[derive(Default)]
pub(super) struct News {
    unread: RefCell<VecDeque<Arc<AccountNews>>>,
    reader: Cell<Option<Waker>>,
}

impl News {
    /// Adds news; gives the task that waits for some, if it does: it must be woken.
    pub fn add(&self, news: Arc<AccountNews>) -> Option<Waker> {
        self.unread.borrow_mut().push_back(news);
        self.reader.take()
    }

    /// The oldest, as soon as there is one.
    pub async fn next(&self) -> Arc<AccountNews> {
        poll_fn(|cx| match self.unread.borrow_mut().pop_front() {
            Some(news) => Poll::Ready(news),
            None => {
                self.reader.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }
}
