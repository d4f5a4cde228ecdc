//! Signing up with the site's invite code (identity §4.5). Makes practitioners: patients are registered by them.

use std::net::IpAddr;

use chrono::TimeDelta;
use jhe_crypto::constant_time_eq;
use jhe_domain::Phi;
use jhe_domain::error::{Conflict, Error};
use jhe_domain::organization::parse_memberships;
use jhe_domain::text::normalize_email;
use jhe_store::credential::{LoginAccount, NewPractitioner};

use super::{email, password};
use crate::App;
use crate::identity::sign_in;
use crate::identity::throttle::{self, Limit};

/// Attempts of one address.
const BY_ADDRESS: Limit = Limit::of_attempts("sign_up.address", TimeDelta::minutes(1), 20);

const WRONG_CODE: &str = "Your Invite Code is invalid.";
const TAKEN: &str = "This Email already exists";

/// What is said about a text that is no address.
pub const MALFORMED_EMAIL: &str = "Enter a valid email address.";

/// What somebody who signs up typed.
#[derive(Clone, Copy)]
pub struct Application<'a> {
    /// Invite code of the site.
    pub code: &'a str,
    /// Address.
    pub email: &'a str,
    /// Password.
    pub password: &'a str,
    /// The same again, where the form had it.
    pub repeated: Option<&'a str>,
}

/// What a fault is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The invite code.
    Code,
    /// The address.
    Email,
    /// The password, or its repetition.
    Password,
}

/// Something that is wrong with an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it is in.
    pub part: Part,
    /// A sentence about it.
    pub text: String,
}

impl Part {
    fn fault(self, text: impl Into<String>) -> Fault {
        Fault { part: self, text: text.into() }
    }
}

/// Makes the account, or tells what is wrong. A wrong code hides everything else: who does not hold it learns nothing
/// about addresses.
pub async fn sign_up(
    app: &App,
    application: Application<'_>,
    ip: Option<IpAddr>,
) -> Result<Result<LoginAccount, Vec<Fault>>, Error> {
    throttle::pass(app, &BY_ADDRESS, &throttle::address(ip)).await?;
    let code = app.settings().string("site.registration_invite_code");
    // Without a code in the settings, signing up is closed.
    if code.is_empty() || !constant_time_eq(code.as_bytes(), application.code.as_bytes()) {
        return Ok(Err(vec![Part::Code.fault(WRONG_CODE)]));
    }
    let normalized = normalize_email(application.email);
    let mut faults = Vec::new();
    match &normalized {
        None => faults.push(Part::Email.fault(MALFORMED_EMAIL)),
        Some(email) if sign_in::find(app, email).await?.is_some() => faults.push(Part::Email.fault(TAKEN)),
        Some(_) => {}
    }
    let of_password = password::faults(app, application.password, application.repeated, application.email, &[]);
    faults.extend(of_password.into_iter().map(|text| Part::Password.fault(text)));
    let Some(email) = normalized.filter(|_| faults.is_empty()) else { return Ok(Err(faults)) };
    let hash = app.identity().hashing.place().await?.hash(application.password.to_owned()).await?;
    let new = NewPractitioner { email: Phi::new(email), password_hash: hash, memberships: memberships(app) };
    match make(app, &new, ip).await {
        Ok(account) => Ok(Ok(account)),
        // Somebody was faster.
        Err(Error::Conflict(Conflict::EmailTaken)) => Ok(Err(vec![Part::Email.fault(TAKEN)])),
        Err(other) => Err(other),
    }
}

/// Where new practitioners belong, by setting. A setting that does not say makes nobody a member.
fn memberships(app: &App) -> Vec<(jhe_domain::OrganizationId, jhe_domain::role::Role)> {
    parse_memberships(&app.settings().string("auth.default_orgs")).unwrap_or_else(|| {
        tracing::error!("the setting auth.default_orgs is malformed; a new account is made without memberships");
        Vec::new()
    })
}

async fn make(app: &App, new: &NewPractitioner, ip: Option<IpAddr>) -> Result<LoginAccount, Error> {
    let mut work = app.store().begin().await?;
    work.attribute(None, None, ip);
    let (id, placed) = work.sign_up(new).await?;
    if !placed {
        tracing::error!("the setting auth.default_orgs names an unknown organization; an account has no memberships");
    }
    work.note_login(id, app.now()).await?;
    let account = work.account_by_id(id).await?.ok_or_else(|| Error::internal("an account just made is gone"))?;
    email::send(app, &mut work, &account).await?;
    work.commit().await?;
    Ok(account)
}
