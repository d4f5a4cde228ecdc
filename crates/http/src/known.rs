//! Who is behind the request that is running, as far as that is known by now: for its line in the log and for the audit
//! trail. Ids only.
//!
//! It is kept beside the request, not in its answer, so that it is also known of one that is cut off.

use std::sync::{Arc, Mutex, PoisonError};

use jhe_domain::{ApplicationId, UserId};

tokio::task_local! {
    static CURRENT: Arc<Mutex<Known>>;
}

/// Who is behind a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// The account.
    pub user_id: Option<UserId>,
    /// The client.
    pub application_id: Option<ApplicationId>,
    /// The account administers the server.
    pub superuser: bool,
}

impl Known {
    /// An account.
    pub const fn user(id: UserId) -> Self {
        Self { user_id: Some(id), application_id: None, superuser: false }
    }

    /// A client.
    pub const fn client(id: ApplicationId) -> Self {
        Self { user_id: None, application_id: Some(id), superuser: false }
    }
}

/// Notes who is behind the request that is running; what is missing stays as it was known before.
pub fn note(who: Known) {
    CURRENT
        .try_with(|known| {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.user_id = who.user_id.or(known.user_id);
            known.application_id = who.application_id.or(known.application_id);
            known.superuser |= who.superuser;
        })
        .ok();
}

/// Who is behind the request that is running.
pub fn current() -> Known {
    CURRENT.try_with(|known| *known.lock().unwrap_or_else(PoisonError::into_inner)).unwrap_or_default()
}

/// Runs a request, whose callees [`note`] who is behind it.
pub(crate) async fn within<F: Future>(request: F) -> F::Output {
    CURRENT.scope(Arc::default(), request).await
}
