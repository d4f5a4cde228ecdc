//! Choosing a password: with the old one, or with a link sent to the address (identity §4.6).

use std::net::IpAddr;

use chrono::TimeDelta;
use jhe_crypto::password::{self, Verdict};
use jhe_crypto::{OsEntropy, token};
use jhe_domain::audit::AuditAction;
use jhe_domain::error::Error;
use jhe_domain::{Phi, UserId};
use jhe_store::Work;
use jhe_store::credential::{LinkPurpose, LoginAccount};

use super::account_segment;
use crate::App;
use crate::identity::session::Visitor;
use crate::identity::sign_in;
use crate::identity::throttle::{self, Limit};
use crate::mail::{self, Letter};

/// What is said when the password was typed differently the second time.
pub const DIFFERENT: &str = "The two password fields didn’t match.";
/// The least length a setting can ask for.
const LEAST_LENGTH: i64 = 8;

/// Links one address may ask for.
const BY_ADDRESS: Limit = Limit::of_attempts("reset.address", TimeDelta::minutes(1), 20);
/// Links that may be asked for one account.
const BY_EMAIL: Limit = Limit::of_attempts("reset.email", TimeDelta::minutes(1), 5);
/// Wrong old passwords of one account.
const OLD: Limit = Limit::of_failures("password.old", TimeDelta::minutes(5), 5);

/// How long a password must be, by setting.
pub fn least_length(app: &App) -> usize {
    let length = app.settings().int("auth.password.min_length", LEAST_LENGTH).clamp(LEAST_LENGTH, 128);
    usize::try_from(length).unwrap_or(8)
}

/// What is wrong with a password somebody chooses for an account with these texts.
pub(super) fn faults(app: &App, chosen: &str, repeated: Option<&str>, email: &str, names: &[&str]) -> Vec<String> {
    let local = email.split('@').next().unwrap_or_default();
    let mut personal = vec![local];
    personal.extend(names);
    let mut faults = password::faults(chosen, least_length(app), &personal);
    if repeated.is_some_and(|repeated| repeated != chosen) {
        faults.push(DIFFERENT.to_owned());
    }
    faults
}

fn faults_for(app: &App, account: &LoginAccount, chosen: &str, repeated: &str) -> Vec<String> {
    let names: Vec<&str> = account.names.iter().map(|name| name.reveal().as_str()).collect();
    faults(app, chosen, Some(repeated), account.email.reveal(), &names)
}

/// Asks for a link to choose a new password. Whether there is such an account is told by the mail alone: without one the
/// same is done, and nothing of it kept but that somebody asked.
///
/// # Errors
/// [`Error::Throttled`] after too many, whether there is such an account or not.
pub async fn request_reset(app: &App, email: &Phi<String>, ip: Option<IpAddr>) -> Result<(), Error> {
    let account = sign_in::find(app, email.reveal()).await?;
    throttle::pass(app, &BY_ADDRESS, &throttle::address(ip)).await?;
    let subject = sign_in::account_subject(account.as_ref(), email.reveal());
    let account = account.filter(|account| account.is_active);
    let mut work = app.store().begin().await?;
    throttle::settle_within(app, &mut work, &BY_EMAIL, &subject, false).await?;
    let link = new_link(app, &mut work, account.as_ref().map(|account| account.id)).await?;
    if let Some(account) = account {
        let letter = Letter::reset_password(app, &account.email, &link);
        mail::queue(app, &mut work, &account.email, &letter).await?;
    } else {
        mail::queue_nothing(app, &mut work, email, &Letter::reset_password(app, email, &link)).await?;
    }
    work.commit().await
}

/// Makes a link to choose a password; for nobody, one that opens nothing.
async fn new_link(app: &App, work: &mut Work, user: Option<UserId>) -> Result<String, Error> {
    let text = token::random_base64url(&mut OsEntropy);
    let now = app.now();
    let expires = now + TimeDelta::seconds(app.config().tokens.email_link);
    work.insert_account_link(&token::digest(&text), user, LinkPurpose::ResetPassword, now, expires).await?;
    Ok(format!("{}/accounts/reset/{}/{text}/", app.settings().site_url(), account_segment(user.unwrap_or(UserId(0)))))
}

/// Sends a link to choose the first password of an account that was made for somebody.
pub(crate) async fn invite(app: &App, work: &mut Work, user: UserId, email: &Phi<String>) -> Result<(), Error> {
    let link = new_link(app, work, Some(user)).await?;
    mail::queue(app, work, email, &Letter::first_password(app, &link)).await
}

/// Whether a link to choose a password is good.
pub async fn is_reset_link(app: &App, segment: &str, text: &str) -> Result<bool, Error> {
    let mut work = app.store().begin().await?;
    let user = work.account_of_link(&token::digest(text), LinkPurpose::ResetPassword, app.now()).await?;
    Ok(user.is_some_and(|user| account_segment(user) == segment))
}

/// How choosing a password by link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reset {
    /// The link is unknown, used or too old.
    Invalid,
    /// What is wrong with the password.
    Refused(Vec<String>),
    /// It is the new one; all sessions and tokens of the account ended.
    Done,
}

/// Chooses a new password with a link, which that uses up.
pub async fn reset(
    app: &App,
    segment: &str,
    text: &str,
    chosen: &str,
    repeated: &str,
    ip: Option<IpAddr>,
) -> Result<Reset, Error> {
    let digest = token::digest(text);
    let account = {
        let mut work = app.store().begin().await?;
        let user = work.account_of_link(&digest, LinkPurpose::ResetPassword, app.now()).await?;
        match user.filter(|user| account_segment(*user) == segment) {
            Some(user) => work.account_by_id(user).await?,
            None => None,
        }
    };
    let Some(account) = account else { return Ok(Reset::Invalid) };
    let faults = faults_for(app, &account, chosen, repeated);
    if !faults.is_empty() {
        return Ok(Reset::Refused(faults));
    }
    // Hashed outside the transaction, which holds a connection; the link is looked at again inside.
    let hash = app.identity().hashing.place().await?.hash(chosen.to_owned()).await?;
    let mut work = app.store().begin().await?;
    // Attempts before the account and its link: the order in which signing in holds them.
    sign_in::unlock(app, &mut work, &account).await?;
    if work.account_of_link(&digest, LinkPurpose::ResetPassword, app.now()).await? != Some(account.id) {
        return Ok(Reset::Invalid);
    }
    work.attribute(Some(account.id), None, ip);
    work.end_account_link(&digest).await?;
    work.replace_password(account.id, &hash, AuditAction::PasswordReset).await?;
    work.end_all_access(account.id, app.now()).await?;
    mail::queue(app, &mut work, &account.email, &Letter::password_changed(app)).await?;
    work.commit().await?;
    Ok(Reset::Done)
}

/// How choosing a password with the old one ended.
pub enum Change {
    /// What is wrong with the old one and with the new one.
    Refused {
        /// The old one is wrong.
        old: bool,
        /// Faults of the new one.
        faults: Vec<String>,
    },
    /// It is the new one. The session goes on under this cookie; all others of the account ended.
    Done(Phi<String>),
}

/// Chooses a new password with the old one.
///
/// # Errors
/// [`Error::Throttled`] after too many wrong old passwords, also for the right one.
pub async fn change(
    app: &App,
    visitor: &Visitor,
    old: &str,
    chosen: &str,
    repeated: &str,
    ip: Option<IpAddr>,
) -> Result<Change, Error> {
    let account = {
        let mut work = app.store().read().await?;
        work.account_by_id(visitor.user_id).await?.ok_or_else(|| Error::internal("a session without an account"))?
    };
    let subject = token::digest(&format!("account {}", account.id.0));
    throttle::refuse(app, &OLD, &subject).await?;
    let place = app.identity().hashing.place().await?;
    let right = place.check(old.to_owned(), Some(account.password.clone())).await? != Verdict::NoMatch;
    throttle::settle(app, &OLD, &subject, !right).await?;
    let faults = faults_for(app, &account, chosen, repeated);
    if !right || !faults.is_empty() {
        return Ok(Change::Refused { old: !right, faults });
    }
    let hash = place.hash(chosen.to_owned()).await?;
    drop(place);
    let cookie = token::session_id(&mut OsEntropy);
    let mut work = app.store().begin().await?;
    work.attribute(Some(account.id), None, ip);
    work.replace_password(account.id, &hash, AuditAction::PasswordChange).await?;
    if !work.renew_session(account.id, &visitor.digest, &token::digest(&cookie), app.now()).await? {
        // Its access ended since the old password was checked, which may be another by now.
        return Ok(Change::Refused { old: true, faults: Vec::new() });
    }
    mail::queue(app, &mut work, &account.email, &Letter::password_changed(app)).await?;
    work.commit().await?;
    Ok(Change::Done(Phi::new(cookie)))
}
