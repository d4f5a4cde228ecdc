//! Tokens that need no transaction: refreshes as they nearly always are, and those of clients of their own. Those that
//! come at the same time share a statement and a commit.

use std::net::IpAddr;

use jhe_domain::UserId;
use jhe_domain::audit::AuditAction;
use jhe_domain::client::Client;
use jhe_domain::error::Error;
use jhe_store::credential::{Issue, RefreshRow, Rotation};
use jhe_store::gather::Desk;
use jhe_store::{Sender, Store};

use super::Tokens;
use super::mint::{Family, Mint, Minted, Source};
use crate::App;

/// Stores tokens.
pub(crate) struct Issuing(pub(crate) Store);

impl Desk for Issuing {
    type Question = Issue;
    type Answer = bool;

    async fn answer(&self, issues: &[Issue]) -> Result<Vec<bool>, Error> {
        self.0.single().await?.issue_tokens(issues).await
    }
}

/// Where a client gets tokens at once.
pub struct Counter<'a> {
    mint: Mint<'a>,
    client: &'a Client,
    ip: Option<IpAddr>,
}

impl<'a> Counter<'a> {
    /// For a client that comes from somewhere.
    pub fn new(app: &'a App, client: &'a Client, ip: Option<IpAddr>) -> Self {
        Self { mint: Mint { app, now: app.now() }, client, ip }
    }

    /// A live refresh token of the client that was never replaced: the usual case.
    pub fn untouched(&self, row: Option<RefreshRow>) -> Option<RefreshRow> {
        row.filter(|row| row.replaced_at.is_none() && row.is_active && self.mint.may_refresh(row, self.client))
    }

    /// Replaces a refresh token; `scope` is what the new access token gets, the refresh token keeps all. `None`, and
    /// nothing is done, when it was replaced or revoked since it was read.
    pub async fn rotate(&self, row: &RefreshRow, scope: &str) -> Result<Option<Tokens>, Error> {
        let source = Source::of_refresh(row, scope);
        let address = Some((&row.email, row.email_is_verified));
        let Minted { tokens, access, refresh } =
            self.mint.mint(self.client, &source, address, Some(Family::Of(row)))?;
        // A client that has lost the grant keeps what it has until it ends, and gets no more.
        let Some(refresh) = refresh else { return Ok(None) };
        let issue = Issue {
            access,
            rotation: Some(Rotation { refresh, replaces: row.id }),
            sender: Sender::of_client(Some(source.user_id), self.client.id, self.ip),
            action: AuditAction::TokenRefresh,
            resource: "JheUser",
            resource_id: row.user_id,
        };
        Ok(self.mint.app.gathers().tokens.ask(issue).await?.then_some(tokens))
    }

    /// Issues a token to the client, which acts as its owner.
    pub async fn issue(&self, scope: &str) -> Result<Tokens, Error> {
        let Minted { tokens, access, .. } = self.mint.access(self.client, None::<UserId>, scope)?;
        let issue = Issue {
            access,
            rotation: None,
            sender: Sender::of_client(None, self.client.id, self.ip),
            action: AuditAction::TokenIssue,
            resource: "Application",
            resource_id: self.client.id.0,
        };
        if self.mint.app.gathers().tokens.ask(issue).await? {
            Ok(tokens)
        } else {
            Err(Error::internal("a token of its own replaces none"))
        }
    }
}
