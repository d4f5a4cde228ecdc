//! The hash chain: what the trail says is summed up now and then, each sum bound to the one before.
//!
//! Entries are written by many transactions at once and appear in any order, so a seal covers transactions, not numbers: all
//! from the last sealed one to the oldest that is still open. What it covers can neither change nor grow any more. After
//! a database moves to another cluster its transactions are numbered anew; one seal then covers what was left.

use chrono::{DateTime, Utc};
use jhe_domain::audit::{AuditAction, AuditEntry, Removal, Seal};
use jhe_domain::error::Error;
use sqlx::{Postgres, QueryBuilder};

use crate::fault::Db;
use crate::work::Work;

/// What entries sum up to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Summed {
    /// How many.
    pub rows: i64,
    /// The first; 0 when there is none.
    pub first_id: i64,
    /// The last; 0 when there is none.
    pub last_id: i64,
    /// SHA-256 over their digests, by id.
    pub digest: Vec<u8>,
}

/// What can be sealed next: a seal without number and keyed digest.
#[derive(Debug, Clone)]
pub struct Unsealed {
    /// As [`Seal::after_id`].
    pub after_id: i64,
    /// As [`Seal::from_xact`].
    pub from_xact: i64,
    /// As [`Seal::below_xact`].
    pub below_xact: i64,
    /// As [`Seal::closes`].
    pub closes: bool,
    /// The entries.
    pub summed: Summed,
}

#[derive(sqlx::FromRow)]
struct SealRow {
    seq: i64,
    after_id: i64,
    from_xact: i64,
    below_xact: i64,
    rows: i64,
    first_id: i64,
    last_id: i64,
    closes: bool,
    digest: Vec<u8>,
    seal: String,
}

impl From<SealRow> for Seal {
    fn from(row: SealRow) -> Self {
        let SealRow { seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest, seal } = row;
        Self { seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest, seal }
    }
}

#[derive(sqlx::FromRow)]
struct RemovalRow {
    seq: i64,
    seal: String,
    last_id: i64,
    rows: i64,
    mac: String,
}

/// Which entries are meant.
#[derive(Debug, Clone, Copy)]
struct Range {
    after_id: i64,
    up_to: i64,
    from_xact: i64,
    below_xact: i64,
    /// Also entries after this one, whatever their transaction.
    or_after: Option<i64>,
}

impl Range {
    /// What `seal` covers; `before` is the greatest id that earlier seals cover. It is looked for from the first entry on, not
    /// among all that was removed before; what somebody put below that is found as sealed by nothing.
    fn of(seal: &Seal, before: i64) -> Self {
        Self {
            after_id: seal.after_id.max(seal.first_id - 1),
            up_to: seal.last_id,
            from_xact: seal.from_xact,
            below_xact: seal.below_xact,
            or_after: seal.closes.then_some(before),
        }
    }

    /// As a condition on `e`, in numbers that the planner can see: it must not go through the whole trail for its end.
    fn push(self, sql: &mut QueryBuilder<Postgres>) {
        sql.push("e.id > ").push(self.after_id).push(" AND e.id <= ").push(self.up_to);
        sql.push(" AND ((e.xact >= ").push(self.from_xact).push(" AND e.xact < ").push(self.below_xact).push(")");
        if let Some(id) = self.or_after {
            sql.push(" OR e.id > ").push(id);
        }
        sql.push(")");
    }
}

/// Sums up in two steps, so that however many entries there are, they are never in memory at once.
fn sum(range: Range) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "SELECT coalesce(sum(part.rows), 0)::bigint AS rows, coalesce(min(part.first_id), 0) AS first_id,
                coalesce(max(part.last_id), 0) AS last_id,
                sha256(coalesce(string_agg(part.digest, ''::bytea ORDER BY part.first_id), ''::bytea)) AS digest
           FROM (SELECT count(*) AS rows, min(e.id) AS first_id, max(e.id) AS last_id,
                        sha256(string_agg(jhe_audit_digest(e), ''::bytea ORDER BY e.id)) AS digest
                   FROM jhe_audit_event AS e WHERE ",
    );
    range.push(&mut sql);
    sql.push(" GROUP BY e.id / 8192) AS part");
    sql
}

impl Work {
    /// Lets the statements of this unit of work, which must be one that writes, take as long as they need.
    pub async fn take_time(&mut self) -> Result<(), Error> {
        sqlx::query("SET LOCAL statement_timeout = 0").execute(self.connection()).await.db()?;
        Ok(())
    }

    /// Refuses every change in this unit of work.
    pub async fn only_read(&mut self) -> Result<(), Error> {
        sqlx::query("SET TRANSACTION READ ONLY").execute(self.connection()).await.db()?;
        Ok(())
    }

    /// Up to `most` seals of the chain after number `after`, in order.
    pub async fn seals(&mut self, after: i64, most: i64) -> Result<Vec<Seal>, Error> {
        let rows: Vec<SealRow> = sqlx::query_as(
            "SELECT seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest, seal
               FROM jhe_audit_seal WHERE seq > $1 ORDER BY seq LIMIT $2",
        )
        .bind(after)
        .bind(most)
        .fetch_all(self.connection())
        .await
        .db()?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// The end of the chain, and the greatest id it covers or covered.
    pub async fn last_seal(&mut self) -> Result<(Option<Seal>, i64), Error> {
        let row: Option<SealRow> = sqlx::query_as(
            "SELECT seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest, seal
               FROM jhe_audit_seal ORDER BY seq DESC LIMIT 1",
        )
        .fetch_optional(self.connection())
        .await
        .db()?;
        let greatest = sqlx::query_scalar(
            "SELECT greatest((SELECT max(last_id) FROM jhe_audit_seal), (SELECT max(last_id) FROM jhe_audit_removal), 0)",
        )
        .fetch_one(self.connection())
        .await
        .db()?;
        Ok((row.map(Into::into), greatest))
    }

    /// The entries that are settled and not sealed, after `last` with `greatest` as [`Work::last_seal`] told them.
    pub async fn unsealed(&mut self, last: Option<&Seal>, greatest: i64) -> Result<Unsealed, Error> {
        let oldest: i64 = sqlx::query_scalar("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
            .fetch_one(self.connection())
            .await
            .db()?;
        let (after_id, from_xact) = match last {
            Some(seal) if seal.closes => (greatest, 0),
            Some(seal) => (seal.after_id, seal.below_xact),
            None => (0, 0),
        };
        let closes = from_xact > oldest;
        if closes {
            // Nobody writes until this is sealed: whatever is there then belongs to it.
            sqlx::query("LOCK TABLE jhe_audit_event IN SHARE MODE").execute(self.connection()).await.db()?;
        }
        let below_xact = if closes { i64::MAX } else { oldest };
        let or_after = closes.then_some(greatest);
        let range = Range { after_id, up_to: i64::MAX, from_xact, below_xact, or_after };
        let summed = sum(range).build_query_as().persistent(false).fetch_one(self.connection()).await.db()?;
        Ok(Unsealed { after_id, from_xact, below_xact, closes, summed })
    }

    /// What the entries that `seal` covers sum up to now; `before` is the greatest id that earlier seals cover.
    pub async fn sum_again(&mut self, seal: &Seal, before: i64) -> Result<Summed, Error> {
        sum(Range::of(seal, before)).build_query_as().persistent(false).fetch_one(self.connection()).await.db()
    }

    /// How many entries there are, and how many of them may still be waiting for the seal after `last`.
    pub async fn audit_extent(&mut self, last: Option<&Seal>) -> Result<(i64, i64), Error> {
        let (after_id, from_xact) = match last {
            Some(seal) if seal.closes => (seal.last_id, 0),
            Some(seal) => (seal.after_id, seal.below_xact),
            None => (0, 0),
        };
        sqlx::query_as("SELECT count(*), count(*) FILTER (WHERE id > $1 AND xact >= $2) FROM jhe_audit_event")
            .bind(after_id)
            .bind(from_xact)
            .fetch_one(self.connection())
            .await
            .db()
    }

    /// Adds a link to the chain.
    pub async fn insert_seal(&mut self, seal: &Seal) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO jhe_audit_seal (seq, after_id, from_xact, below_xact, rows, first_id, last_id, closes, digest, seal)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(seal.seq)
        .bind(seal.after_id)
        .bind(seal.from_xact)
        .bind(seal.below_xact)
        .bind(seal.rows)
        .bind(seal.first_id)
        .bind(seal.last_id)
        .bind(seal.closes)
        .bind(&seal.digest)
        .bind(&seal.seal)
        .execute(self.connection())
        .await
        .db()?;
        Ok(())
    }

    /// Where the chain begins, when its beginning was removed.
    pub async fn last_removal(&mut self) -> Result<Option<Removal>, Error> {
        let row: Option<RemovalRow> =
            sqlx::query_as("SELECT seq, seal, last_id, rows, mac FROM jhe_audit_removal ORDER BY seq DESC LIMIT 1")
                .fetch_optional(self.connection())
                .await
                .db()?;
        Ok(row.map(|RemovalRow { seq, seal, last_id, rows, mac }| Removal { seq, seal, last_id, rows, mac }))
    }

    /// When the newest of the entries that `seal` covers was written; `before` is the greatest id that earlier seals cover.
    pub async fn newest_sealed(&mut self, seal: &Seal, before: i64) -> Result<Option<DateTime<Utc>>, Error> {
        let mut sql = QueryBuilder::new("SELECT max(e.occurred_at) FROM jhe_audit_event AS e WHERE ");
        Range::of(seal, before).push(&mut sql);
        sql.build_query_scalar().persistent(false).fetch_one(self.connection()).await.db()
    }

    /// Removes the first seals of the chain with all that they cover, as `removal` notes. Each comes with the greatest id
    /// that earlier ones cover. The removal is itself an entry.
    ///
    /// # Errors
    /// `Internal` when a seal does not cover as many entries as it says.
    pub async fn remove_sealed(&mut self, removal: &Removal, seals: &[(Seal, i64)]) -> Result<(), Error> {
        // First, since nothing goes without it.
        sqlx::query("INSERT INTO jhe_audit_removal (seq, seal, last_id, rows, mac) VALUES ($1, $2, $3, $4, $5)")
            .bind(removal.seq)
            .bind(&removal.seal)
            .bind(removal.last_id)
            .bind(removal.rows)
            .bind(&removal.mac)
            .execute(self.connection())
            .await
            .db()?;
        let mut rows = 0;
        for (seal, before) in seals {
            let mut sql = QueryBuilder::new("DELETE FROM jhe_audit_event AS e WHERE ");
            Range::of(seal, *before).push(&mut sql);
            let gone = sql.build().persistent(false).execute(self.connection()).await.db()?.rows_affected();
            if u64::try_from(seal.rows) != Ok(gone) {
                return Err(Error::internal(format!("seal {} covers {} entries, not {gone}", seal.seq, seal.rows)));
            }
            rows += seal.rows;
        }
        sqlx::query("DELETE FROM jhe_audit_seal WHERE seq <= $1")
            .bind(removal.seq)
            .execute(self.connection())
            .await
            .db()?;
        self.audit(AuditEntry::new(AuditAction::Delete, "AuditEvent").rows(rows));
        Ok(())
    }
}
