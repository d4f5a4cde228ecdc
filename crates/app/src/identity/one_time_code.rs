//! Signing in with a code sent by mail (identity §4.7): how patients of some clients come in, who have no password.

use std::net::IpAddr;

use chrono::TimeDelta;
use jhe_crypto::{OsEntropy, token};
use jhe_domain::Phi;
use jhe_domain::audit::AuditAction;
use jhe_domain::error::Error;
use jhe_store::Work;
use jhe_store::credential::{LoginAccount, PendingSignIn};

use crate::App;
use crate::identity::sign_in;
use crate::identity::throttle::{self, Limit};
use crate::mail::{self, Letter};

/// How long a code is good.
const LIFE: TimeDelta = TimeDelta::seconds(180);
/// Wrong codes at most.
const ATTEMPTS: i32 = 3;
/// New codes that may be asked for.
const RESENDS: i32 = 2;
/// What a code's letters are, upper case without vowels, so that it spells no word.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// How many letters.
const LENGTH: usize = 8;
/// What digests of codes are keyed for.
const PURPOSE: &str = "one-time code";

/// Codes one address may ask for.
const BY_ADDRESS: Limit = Limit::of_attempts("code.address", TimeDelta::minutes(1), 20);
/// Codes that may be asked for one account.
const BY_EMAIL: Limit = Limit::of_attempts("code.email", TimeDelta::minutes(1), 3);

/// Whether sign-ins on behalf of a client use codes.
pub fn is_for_client(app: &App, client_id: &str) -> bool {
    app.settings().strings("auth.patient_access_clients").iter().any(|listed| listed == client_id)
}

/// A code as it is shown: two halves.
fn spelled(code: &str) -> String {
    let (first, second) = code.split_at_checked(LENGTH / 2).unwrap_or((code, ""));
    format!("{first}-{second}")
}

/// A code as it is compared: letters only, in upper case.
fn normalized(typed: &str) -> String {
    typed.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_uppercase).take(64).collect()
}

fn new_code() -> String {
    token::letters(&mut OsEntropy, LETTERS, LENGTH)
}

fn mac(app: &App, cookie: &str, code: &str) -> String {
    app.identity().sealing().mac(PURPOSE, &format!("{cookie}\0{code}"))
}

/// Sends a code to an address, known or not, and begins to wait for it. The answer is the browser's cookie, which alone
/// can use the code.
///
/// # Errors
/// [`Error::Throttled`] after too many, for known and unknown addresses alike.
pub async fn request(
    app: &App,
    email: &Phi<String>,
    earlier: Option<&str>,
    ip: Option<IpAddr>,
) -> Result<Phi<String>, Error> {
    let account = sign_in::find(app, email.reveal()).await?;
    throttle::pass(app, &BY_ADDRESS, &throttle::address(ip)).await?;
    throttle::pass(app, &BY_EMAIL, &sign_in::account_subject(account.as_ref(), email.reveal())).await?;
    let cookie = token::session_id(&mut OsEntropy);
    let account = account.filter(|account| account.is_active);
    let mut work = app.store().begin().await?;
    if let Some(earlier) = earlier {
        work.end_pending_sign_in(&token::digest(earlier)).await?;
    }
    let pending = PendingSignIn {
        email: email.clone(),
        user_id: account.as_ref().filter(|account| !account.is_superuser).map(|account| account.id),
        code_mac: String::new(),
        expires: app.now() + LIFE,
        failed: 0,
        resent: 0,
    };
    send(app, &mut work, &cookie, pending, account.as_ref()).await?;
    work.commit().await?;
    Ok(Phi::new(cookie))
}

/// Makes a code, keeps its digest and mails it.
async fn send(
    app: &App,
    work: &mut Work,
    cookie: &str,
    pending: PendingSignIn,
    account: Option<&LoginAccount>,
) -> Result<(), Error> {
    let code = new_code();
    let pending = PendingSignIn { code_mac: mac(app, cookie, &code), ..pending };
    work.keep_pending_sign_in(&token::digest(cookie), &pending, app.now()).await?;
    let letter = match account {
        Some(account) if account.is_superuser => Letter::password_needed(app),
        Some(_) => Letter::one_time_code(app, &spelled(&code)),
        None => Letter::unknown_account(app, &pending.email),
    };
    // To the address that was verified, not to how it was typed.
    mail::queue(app, work, account.map_or(&pending.email, |account| &account.email), &letter).await
}

/// What a browser that waits for a code is shown.
#[derive(Debug, Clone)]
pub enum Waiting {
    /// It does not wait, or no longer.
    Not,
    /// Too many codes were wrong: it starts anew.
    Spent,
    /// It waits for a code sent here.
    For(Phi<String>),
}

fn waiting(app: &App, pending: Option<&PendingSignIn>) -> Waiting {
    match pending {
        Some(pending) if pending.failed >= ATTEMPTS => Waiting::Spent,
        Some(pending) if pending.expires > app.now() => Waiting::For(pending.email.clone()),
        _ => Waiting::Not,
    }
}

/// What a browser waits for.
pub async fn state(app: &App, cookie: &str) -> Result<Waiting, Error> {
    let mut work = app.store().begin().await?;
    let pending = work.pending_sign_in(&token::digest(cookie)).await?;
    Ok(waiting(app, pending.as_ref()))
}

/// Sends another code, which replaces the last one.
pub async fn resend(app: &App, cookie: &str) -> Result<Waiting, Error> {
    let mut work = app.store().begin().await?;
    let pending = work.pending_sign_in(&token::digest(cookie)).await?;
    let state = waiting(app, pending.as_ref());
    let (Some(pending), Waiting::For(_)) = (pending, &state) else { return Ok(state) };
    if pending.resent >= RESENDS {
        return Err(throttle::until(pending.expires, app.now()));
    }
    let account = match pending.user_id {
        Some(user) => work.account_by_id(user).await?.filter(|account| account.is_active),
        None => None,
    };
    let next = PendingSignIn { resent: pending.resent + 1, expires: app.now() + LIFE, ..pending };
    // Without an account there was a letter about that already.
    if account.is_some() {
        send(app, &mut work, cookie, next, account.as_ref()).await?;
    } else {
        work.keep_pending_sign_in(&token::digest(cookie), &next, app.now()).await?;
    }
    work.commit().await?;
    Ok(state)
}

/// How a code was taken.
pub enum Outcome {
    /// The browser does not wait for one.
    NotWaiting,
    /// It is wrong.
    Wrong(Phi<String>),
    /// It is wrong, and the last one: it starts anew.
    Spent,
    /// The account has proved who it is, and that mail to its address arrives.
    Proved(Box<LoginAccount>),
}

/// Takes a code. The right one ends the waiting.
pub async fn confirm(app: &App, cookie: &str, typed: &str, ip: Option<IpAddr>) -> Result<Outcome, Error> {
    let digest = token::digest(cookie);
    let now = app.now();
    let mut work = app.store().begin().await?;
    let pending = work.pending_sign_in(&digest).await?;
    let (Some(pending), Waiting::For(email)) = (pending.clone(), waiting(app, pending.as_ref())) else {
        return Ok(match waiting(app, pending.as_ref()) {
            Waiting::Spent => Outcome::Spent,
            Waiting::Not | Waiting::For(_) => Outcome::NotWaiting,
        });
    };
    let right =
        app.identity().sealing().verify_mac(PURPOSE, &format!("{cookie}\0{}", normalized(typed)), &pending.code_mac);
    let account = match pending.user_id {
        Some(user) => work.account_by_id(user).await?,
        None => None,
    };
    // An account may have become an administrator's, or closed, since the code was sent, or have another address now, of
    // which the code proves nothing.
    let is_same = |account: &LoginAccount| account.email.reveal().eq_ignore_ascii_case(email.reveal());
    let account = account.filter(|account| right && is_same(account) && account.is_active && !account.is_superuser);
    work.attribute(None, None, ip);
    let Some(account) = account else {
        let failed = pending.failed + 1;
        work.audit_event(AuditAction::LoginFailed, "JheUser", pending.user_id.map(|id| id.0));
        work.keep_pending_sign_in(&digest, &PendingSignIn { failed, ..pending }, now).await?;
        work.commit().await?;
        return Ok(if failed >= ATTEMPTS { Outcome::Spent } else { Outcome::Wrong(email) });
    };
    work.end_pending_sign_in(&digest).await?;
    // Attempts before the account: the order in which signing in holds them.
    sign_in::unlock(app, &mut work, &account).await?;
    work.note_email_verified(account.id).await?;
    work.note_login(account.id, now).await?;
    work.commit().await?;
    Ok(Outcome::Proved(Box::new(account)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_people_type_them() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "b.c-d f:g(h)j k"] {
            assert_eq!(normalized(typed), "BCDFGHJK", "{typed}");
        }
        assert_eq!(spelled("BCDFGHJK"), "BCDF-GHJK");
        let code = new_code();
        assert!(code.len() == LENGTH && code.bytes().all(|letter| LETTERS.contains(&letter)), "{code}");
    }
}
