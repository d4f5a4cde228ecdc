//! The queue of mail: written in the transaction that decides on a mail, emptied by whichever process is free.
//!
//! Times are the database's own, so that several processes agree. Texts are sealed by the caller.

use jhe_domain::Phi;
use jhe_domain::error::Error;

use crate::fault::Db;
use crate::work::Work;

/// A mail to queue.
#[derive(Debug, Clone)]
pub struct NewMail {
    /// Address.
    pub recipient: Phi<String>,
    /// Subject.
    pub subject: String,
    /// Plain text, sealed.
    pub text: String,
    /// The same as HTML, sealed.
    pub html: Option<String>,
}

/// A mail whose turn has come.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueMail {
    /// Row id.
    pub id: i64,
    /// Address.
    #[sqlx(try_from = "String")]
    pub recipient: Phi<String>,
    /// Subject.
    pub subject: String,
    /// Plain text, sealed.
    pub body_text: String,
    /// HTML, sealed.
    pub body_html: Option<String>,
    /// Attempts so far, this one included.
    pub attempts: i32,
}

impl Work {
    /// Queues a mail, sent once this unit of work is committed. One that is not to be sent is not kept, and takes as long.
    pub async fn queue_mail(&mut self, mail: &NewMail, is_sent: bool) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO jhe_mail (recipient, subject, body_text, body_html)
             SELECT $1, $2, $3, $4 WHERE $5",
        )
        .bind(mail.recipient.reveal())
        .bind(&mail.subject)
        .bind(&mail.text)
        .bind(&mail.html)
        .bind(is_sent)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Takes up to `most` mails whose turn has come and counts the attempt. Should this process end before it tells the
    /// outcome, they come up again after the lease.
    pub async fn take_due_mail(&mut self, most: i64, lease_seconds: f64) -> Result<Vec<DueMail>, Error> {
        sqlx::query_as(
            "UPDATE jhe_mail AS m
                SET attempts = m.attempts + 1, next_attempt = clock_timestamp() + make_interval(secs => $2)
              WHERE m.id IN (SELECT id FROM jhe_mail WHERE state = 'queued' AND next_attempt <= clock_timestamp()
                              ORDER BY next_attempt, id LIMIT $1 FOR UPDATE SKIP LOCKED)
             RETURNING m.id, m.recipient, m.subject, m.body_text, m.body_html, m.attempts",
        )
        .bind(most)
        .bind(lease_seconds)
        .fetch_all(self.connection())
        .await
        .db()
    }

    /// A mail was sent: its texts are not kept.
    pub async fn note_mail_sent(&mut self, id: i64) -> Result<(), Error> {
        sqlx::query(
            "UPDATE jhe_mail SET state = 'sent', sent_at = clock_timestamp(), body_text = '', body_html = NULL, last_error = NULL
              WHERE id = $1",
        )
        .bind(id)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// A mail was not sent: again after some seconds, or never.
    pub async fn note_mail_failed(&mut self, id: i64, reason: &str, again_after: Option<f64>) -> Result<(), Error> {
        sqlx::query(
            "UPDATE jhe_mail
                SET last_error = $2,
                    state = CASE WHEN $3::float8 IS NULL THEN 'failed' ELSE state END,
                    body_text = CASE WHEN $3::float8 IS NULL THEN '' ELSE body_text END,
                    body_html = CASE WHEN $3::float8 IS NULL THEN NULL ELSE body_html END,
                    next_attempt = clock_timestamp() + make_interval(secs => coalesce($3::float8, 0))
              WHERE id = $1",
        )
        .bind(id)
        .bind(reason)
        .bind(again_after)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }
}
