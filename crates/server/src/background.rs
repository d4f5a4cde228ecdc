//! What the server does by itself beside answering, until it is told to stop.

use std::time::Duration;

use jhe_app::App;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long after a panic a task begins again.
const BREATH: Duration = Duration::from_secs(1);

/// Starts all of it.
pub(crate) fn start(app: &App, stopped: &watch::Receiver<bool>) -> Vec<JoinHandle<()>> {
    let both = || (app.clone(), stopped.clone());
    let (mail, wearables, tidying, seals) = (both(), both(), both(), both());
    vec![
        keep("mail", move || deliver(mail.0.clone(), mail.1.clone())),
        keep("wearables", move || disconnect(wearables.0.clone(), wearables.1.clone())),
        keep("housekeeping", move || jhe_app::housekeeping::run(tidying.0.clone(), tidying.1.clone())),
        keep("audit seals", move || jhe_app::audit::run(seals.0.clone(), seals.1.clone())),
    ]
}

/// Does something until it ends. What panics is begun again, so that nothing stops without a word.
fn keep<F>(name: &'static str, begin: impl Fn() -> F + Send + 'static) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move {
        while tokio::spawn(begin()).await.is_err() {
            tracing::error!(task = name, "a task broke off and begins again");
            tokio::time::sleep(BREATH).await;
        }
    })
}

async fn deliver(app: App, stop: watch::Receiver<bool>) {
    if let Err(error) = jhe_app::mail::deliver(app, stop).await {
        tracing::error!(error = %error, "no mail is sent");
    }
}

async fn disconnect(app: App, stop: watch::Receiver<bool>) {
    if let Err(error) = jhe_app::wearable::disconnect(app, stop).await {
        tracing::error!(error = %error, "no connection to a wearable ends");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_panics_is_begun_again_and_what_ends_is_not() {
        let begun = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&begun);
        keep("a test", move || {
            let counted = Arc::clone(&counted);
            async move { assert!(counted.fetch_add(1, Ordering::SeqCst) > 0, "the first time") }
        })
        .await
        .unwrap();
        assert_eq!(begun.load(Ordering::SeqCst), 2);
    }
}
