//! Mail: letters are queued in the transaction that decides on them, and sent by a task of whichever process is free.

mod letter;

use std::time::Duration;

use jhe_domain::Phi;
use jhe_domain::error::Error;
use jhe_outbound::mail::{MailFault, Mailer, Outgoing};
use jhe_store::Work;
use jhe_store::mail::{DueMail, NewMail};
use tokio::sync::watch;

pub(crate) use letter::Letter;

use crate::App;

/// What texts in the queue are sealed for.
const PURPOSE: &str = "mail";
/// Attempts before a mail is given up.
const ATTEMPTS: i32 = 5;
/// Seconds between the attempts.
const BACK_OFF: [f64; 4] = [60.0, 300.0, 1_800.0, 7_200.0];
/// Mails taken at once.
const BATCH: i64 = 10;
/// Seconds after which a mail that was taken and never told about comes up again.
const LEASE: f64 = 600.0;
/// How often the queue is looked at.
const PAUSE: Duration = Duration::from_secs(1);

/// Queues a letter, sent once the unit of work is committed.
pub(crate) async fn queue(app: &App, work: &mut Work, recipient: &Phi<String>, letter: &Letter) -> Result<(), Error> {
    work.queue_mail(&sealed(app, recipient, letter)?, true).await
}

/// Does all that [`queue`] does, but sends nothing: for answers whose time must not tell whether there was a letter.
pub(crate) async fn queue_nothing(
    app: &App,
    work: &mut Work,
    recipient: &Phi<String>,
    letter: &Letter,
) -> Result<(), Error> {
    work.queue_mail(&sealed(app, recipient, letter)?, false).await
}

fn sealed(app: &App, recipient: &Phi<String>, letter: &Letter) -> Result<NewMail, Error> {
    let seal = |text: &Phi<String>| app.identity().sealing().seal(PURPOSE, text.reveal());
    Ok(NewMail {
        recipient: recipient.clone(),
        subject: letter.subject.clone(),
        text: seal(&letter.text)?,
        html: letter.html.as_ref().map(seal).transpose()?,
    })
}

/// Sends what is queued until it is told to stop; a mail under way is finished.
pub async fn deliver(app: App, mut stop: watch::Receiver<bool>) -> Result<(), Error> {
    let mailer = Mailer::new(&app.config().mail)?;
    while !*stop.borrow() {
        match send_due(&app, &mailer).await {
            Ok(sent) if sent > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(error = %error, "the mail queue cannot be read yet"),
        }
        tokio::time::timeout(PAUSE, stop.wait_for(|stopped| *stopped)).await.ok();
    }
    Ok(())
}

async fn send_due(app: &App, mailer: &Mailer) -> Result<usize, Error> {
    let due = {
        let mut work = app.store().begin().await?;
        let due = work.take_due_mail(BATCH, LEASE).await?;
        work.commit().await?;
        due
    };
    for mail in &due {
        let sent = match opened(app, mail) {
            Some(outgoing) => mailer.send(&outgoing).await,
            None => Err(MailFault::permanent("the text was sealed with another key")),
        };
        let mut work = app.store().begin().await?;
        match sent {
            Ok(()) => work.note_mail_sent(mail.id).await?,
            Err(fault) => {
                let again = usize::try_from(mail.attempts - 1).ok().and_then(|attempt| BACK_OFF.get(attempt)).copied();
                let again = again.filter(|_| !fault.permanent && mail.attempts < ATTEMPTS);
                tracing::warn!(
                    mail.id = mail.id,
                    reason = fault.reason,
                    gives_up = again.is_none(),
                    "a mail was not sent"
                );
                work.note_mail_failed(mail.id, &fault.reason, again).await?;
            }
        }
        work.commit().await?;
    }
    Ok(due.len())
}

fn opened(app: &App, mail: &DueMail) -> Option<Outgoing> {
    let open = |sealed: &str| app.identity().sealing().open(PURPOSE, sealed).map(Phi::new);
    let html = match &mail.body_html {
        Some(sealed) => Some(open(sealed)?),
        None => None,
    };
    Some(Outgoing {
        recipient: mail.recipient.clone(),
        subject: mail.subject.clone(),
        text: open(&mail.body_text)?,
        html,
    })
}
