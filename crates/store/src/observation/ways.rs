//! The ways to the rows of a page: from the readable pairs, whose counters tell where the newest are; by time through all
//! there is; or by asking for each pair.

use jhe_authz::{AccessScope, resource};
use sqlx::{Postgres, QueryBuilder};

use super::filter::{ObservationFilter, Use, push_not_after, push_row_filter, push_rows_of_pair};
use super::page::ObservationPage;
use super::row::OF_PAIR;
use crate::filter::{push_any, push_person, push_token};
use crate::keyset::{Order, push_below, push_keys, push_order, push_order_of_keys};
use crate::scope::{Access, push_readable_pairs};

/// Pushes `WITH pair AS (…)`: the readable pairs, narrowed by what can be said of patient and code; `counted` with the
/// number of their observations and the newest time among them, and only those that have any.
pub(super) fn push_pairs(
    sql: &mut QueryBuilder<Postgres>,
    scope: &AccessScope<resource::Observation>,
    filter: &ObservationFilter,
    access: Access,
    counted: bool,
) {
    sql.push("WITH pair AS MATERIALIZED (SELECT q.patient_id, q.scope_code_id");
    sql.push(if counted { ", s.n, s.newest FROM (" } else { " FROM (" });
    push_readable_pairs(sql, scope, access);
    sql.push(") AS q");
    if counted {
        sql.push(
            " JOIN jhe_observation_stats AS s
                ON s.patient_id = q.patient_id AND s.scope_code_id = q.scope_code_id AND s.n > 0",
        );
    }
    if !filter.codes.is_empty() {
        sql.push(" JOIN core_codeableconcept AS k ON k.id = q.scope_code_id");
    }
    if !filter.person.is_empty() {
        sql.push(" JOIN core_patient AS p ON p.id = q.patient_id");
    }
    sql.push(" WHERE true");
    for code in &filter.codes {
        sql.push(if code.negated { " AND NOT " } else { " AND " });
        push_any(sql, &code.tokens, |sql, token| push_token(sql, "k.coding_system", "k.coding_code", token));
    }
    push_person(sql, &filter.person);
    sql.push(") ");
}

/// How far the readable pairs reach, beside a count; from `pair` with counters.
pub(super) const EXTENT: &str = ", count(*) AS pairs, coalesce(sum(pair.n), 0)::bigint AS readable,
    (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'core_observation'::regclass) AS stored";

/// Pushes `w`: the newest rows. The first so many can only come from as many pairs, those with the newest rows, or from
/// those that are as new as the last of these, and are not older than its newest row.
pub(super) fn push_newest(sql: &mut QueryBuilder<Postgres>, page: &ObservationPage) {
    let reach = page.offset.saturating_add(page.limit);
    sql.push(
        ", top AS MATERIALIZED (
              SELECT patient_id, scope_code_id, newest FROM pair ORDER BY newest DESC FETCH FIRST (",
    );
    sql.push_bind(reach).push(") ROWS WITH TIES), of_pair AS MATERIALIZED (SELECT top.*, ").push(OF_PAIR).push(
        " FROM top JOIN core_patient AS pt ON pt.id = top.patient_id
                   JOIN core_codeableconcept AS k ON k.id = top.scope_code_id),
          w AS (SELECT w.id, w.k0, top.* FROM of_pair AS top CROSS JOIN LATERAL (
              SELECT o.id, o.last_updated AS k0 FROM core_observation AS o
               WHERE o.subject_patient_id = top.patient_id AND o.codeable_concept_id = top.scope_code_id
                 AND o.last_updated >= (SELECT CASE WHEN count(*) >= ",
    );
    sql.push_bind(reach).push(" THEN min(newest) ELSE '-infinity' END FROM top)");
    sql.push(" ORDER BY o.last_updated DESC, o.id DESC LIMIT ").push_bind(reach);
    sql.push(") AS w ORDER BY w.k0 DESC, w.id DESC OFFSET ").push_bind(page.offset);
    sql.push(" LIMIT ").push_bind(page.limit).push(") ");
}

/// Pushes `w`: rows by time, whoever's they are, of which those are taken that may be read.
pub(super) fn push_walk(
    sql: &mut QueryBuilder<Postgres>,
    filter: &ObservationFilter,
    page: &ObservationPage,
    order: &Order,
) {
    // Inside CASE the pairs are looked up in a hash; elsewhere the planner might read all rows to join them.
    sql.push(
        ", w AS (SELECT w.* FROM (SELECT o.id, o.last_updated AS k0 FROM core_observation AS o
           WHERE CASE WHEN (o.subject_patient_id, o.codeable_concept_id) IN (SELECT patient_id, scope_code_id FROM pair)
                      THEN true ELSE false END",
    );
    push_row_filter(sql, filter);
    push_rest(sql, page, order);
    push_order(sql, order);
    // A number that the planner can see, so that it knows that few rows are wanted; they are read one by one.
    let reach = u64::try_from(page.offset.saturating_add(page.limit)).unwrap_or_default();
    sql.push(" LIMIT ").push(reach.max(1024).next_power_of_two()).push(") AS w");
    push_order_of_keys(sql, order);
    sql.push(" OFFSET ").push_bind(page.offset).push(" LIMIT ").push_bind(page.limit).push(") ");
}

/// Pushes `w`: rows found by asking for each pair.
pub(super) fn push_probes(
    sql: &mut QueryBuilder<Postgres>,
    filter: &ObservationFilter,
    page: &ObservationPage,
    order: &Order,
) {
    sql.push(", w AS (SELECT w.* FROM pair CROSS JOIN LATERAL (SELECT ");
    push_keys(sql, order);
    sql.push(" FROM ");
    push_rows_of_pair(sql, filter, if page.walks() { Use::Sorted } else { Use::InOrder });
    push_row_filter(sql, filter);
    push_rest(sql, page, order);
    push_order(sql, order);
    sql.push(" LIMIT ").push_bind(page.offset.saturating_add(page.limit)).push(") AS w");
    push_order_of_keys(sql, order);
    sql.push(" OFFSET ").push_bind(page.offset).push(" LIMIT ").push_bind(page.limit).push(") ");
}

/// Pushes ` AND …` for what is below the last page and was there when the first one was read.
pub(super) fn push_rest(sql: &mut QueryBuilder<Postgres>, page: &ObservationPage, order: &Order) {
    match page.after.as_ref().map(|place| (place, place.keys.as_slice())) {
        // The same as below, in the form that an index range serves.
        Some((place, [Some(time)])) if page.walks() => {
            let compare =
                if order.id_descending { " AND (o.last_updated, o.id) < (" } else { " AND (o.last_updated, o.id) > (" };
            sql.push(compare).push_bind(time.clone()).push("::timestamptz, ").push_bind(place.id).push(")");
        }
        Some((place, _)) => {
            sql.push(" AND ");
            push_below(sql, order, place);
        }
        None => {}
    }
    push_not_after(sql, page.not_after);
}
