//! Showing that mail to an account's address arrives (identity §4.6).

use chrono::TimeDelta;
use jhe_crypto::{OsEntropy, token};
use jhe_domain::UserId;
use jhe_domain::error::Error;
use jhe_store::Work;
use jhe_store::credential::{LinkPurpose, LoginAccount};

use super::account_segment;
use crate::App;
use crate::identity::throttle::{self, Limit};
use crate::mail::{self, Letter};

/// Mails one account may ask for.
const BY_ACCOUNT: Limit = Limit::of_attempts("verify.account", TimeDelta::minutes(3), 1);

/// Whether an account may go on although its address is not confirmed.
pub fn suffices(app: &App, account: &LoginAccount) -> bool {
    account.email_is_verified || !app.settings().bool("auth.require_verified_email", false)
}

/// What came of asking for a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// It is on its way.
    Sent,
    /// There is nothing left to confirm.
    Complete,
}

/// Sends the mail again.
///
/// # Errors
/// [`Error::Throttled`] when one was asked for a moment ago.
pub async fn send_again(app: &App, user: UserId) -> Result<Verification, Error> {
    let account = {
        let mut work = app.store().read().await?;
        work.account_by_id(user).await?
    };
    let Some(account) = account.filter(|account| account.is_active && !account.email_is_verified) else {
        return Ok(Verification::Complete);
    };
    throttle::pass(app, &BY_ACCOUNT, &token::digest(&format!("account {}", user.0))).await?;
    let mut work = app.store().begin().await?;
    send(app, &mut work, &account).await?;
    work.commit().await?;
    Ok(Verification::Sent)
}

/// Queues the mail with the link.
pub(super) async fn send(app: &App, work: &mut Work, account: &LoginAccount) -> Result<(), Error> {
    let text = token::random_base64url(&mut OsEntropy);
    let now = app.now();
    let expires = now + TimeDelta::seconds(app.config().tokens.email_link);
    work.insert_account_link(&token::digest(&text), Some(account.id), LinkPurpose::VerifyEmail, now, expires).await?;
    let segment = account_segment(account.id);
    let link = format!("{}/accounts/verify_email_confirm/{segment}/{text}/", app.settings().site_url());
    mail::queue(app, work, &account.email, &Letter::verify_email(app, &link)).await
}

/// Whether a link would confirm an address.
pub async fn is_good(app: &App, segment: &str, text: &str) -> Result<bool, Error> {
    let mut work = app.store().begin().await?;
    let user = work.account_of_link(&token::digest(text), LinkPurpose::VerifyEmail, app.now()).await?;
    Ok(user.is_some_and(|user| account_segment(user) == segment))
}

/// Confirms an address by its link, which that uses up. `false` when the link is not good.
pub async fn confirm(app: &App, segment: &str, text: &str) -> Result<bool, Error> {
    let digest = token::digest(text);
    let mut work = app.store().begin().await?;
    let user = work.account_of_link(&digest, LinkPurpose::VerifyEmail, app.now()).await?;
    let Some(user) = user.filter(|user| account_segment(*user) == segment) else { return Ok(false) };
    work.end_account_link(&digest).await?;
    work.note_email_verified(user).await?;
    work.commit().await?;
    Ok(true)
}
