//! Orders of rows, and going on below a row of an order (keyset paging).

use chrono::{DateTime, Utc};
use jhe_domain::page::Place;
use sqlx::{Postgres, QueryBuilder};

/// One key of an order. Rows without the value come last, in both directions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// The SQL expression.
    pub(crate) expression: &'static str,
    /// Its type.
    pub(crate) sql_type: &'static str,
    /// Greatest first.
    pub(crate) descending: bool,
}

/// An order: keys, then the id, which tells all rows apart.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) keys: Vec<Key>,
    /// The SQL expression of the id.
    pub(crate) id: &'static str,
    /// Greatest id first where all keys tie.
    pub(crate) id_descending: bool,
}

/// Pushes ` ORDER BY …`.
pub(crate) fn push_order(sql: &mut QueryBuilder<Postgres>, order: &Order) {
    sql.push(" ORDER BY ");
    for key in &order.keys {
        sql.push(key.expression).push(if key.descending { " DESC NULLS LAST, " } else { " NULLS LAST, " });
    }
    sql.push(order.id).push(if order.id_descending { " DESC" } else { "" });
}

/// Pushes ` AND …` for the rows below `place` in an order.
pub(crate) fn push_below(sql: &mut QueryBuilder<Postgres>, order: &Order, place: &Place) {
    sql.push(" AND ");
    for (key, value) in order.keys.iter().zip(&place.keys) {
        let Key { expression, sql_type, descending } = *key;
        let bind = |sql: &mut QueryBuilder<Postgres>, value: &str| {
            sql.push_bind(value.to_owned()).push("::").push(sql_type);
        };
        match value {
            Some(value) => {
                sql.push("(").push(expression).push(if descending { " < " } else { " > " });
                bind(sql, value);
                sql.push(" OR ").push(expression).push(" IS NULL OR (").push(expression).push(" = ");
                bind(sql, value);
            }
            // Nothing comes after the rows without the value.
            None => {
                sql.push("((").push(expression).push(" IS NULL");
            }
        }
        sql.push(" AND ");
    }
    sql.push(order.id).push(if order.id_descending { " < " } else { " > " }).push_bind(place.id);
    for _ in order.keys.iter().zip(&place.keys) {
        sql.push("))");
    }
}

/// A time as a key.
pub(crate) fn time_key(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_come_last_and_ids_decide_ties() {
        let name = Key { expression: "n", sql_type: "text", descending: false };
        let born = Key { expression: "b", sql_type: "date", descending: true };
        let order = Order { keys: vec![name, born], id: "id", id_descending: false };
        let below = |keys: [Option<&str>; 2]| {
            let mut sql = QueryBuilder::new("");
            let keys = keys.into_iter().map(|key| key.map(str::to_owned)).collect();
            push_below(&mut sql, &order, &Place { keys, id: 7 });
            sql.sql().as_str().to_owned()
        };
        assert_eq!(
            below([Some("x"), Some("2000-01-01")]),
            " AND (n > $1::text OR n IS NULL OR (n = $2::text AND (b < $3::date OR b IS NULL OR (b = $4::date AND id > $5))))"
        );
        assert_eq!(below([None, None]), " AND ((n IS NULL AND ((b IS NULL AND id > $1))))");
        let mut sql = QueryBuilder::new("");
        push_order(&mut sql, &order);
        assert_eq!(sql.sql().as_str(), " ORDER BY n NULLS LAST, b DESC NULLS LAST, id");
    }
}
