//! Orders of rows, and going on below a row of an order (keyset paging).

use chrono::{DateTime, Utc};
use jhe_domain::error::{Error, Lookup};
use jhe_domain::page::{Place, Window};
use sqlx::{Postgres, QueryBuilder};

/// How many rows match, and the greatest id among them.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Counted {
    /// Rows.
    pub count: i64,
    /// Greatest id; 0 where there is none.
    pub newest: i64,
}

/// One key of an order. Where the value may be missing, rows without it come last, in both directions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key {
    /// The SQL expression.
    pub(crate) expression: &'static str,
    /// Its type.
    pub(crate) sql_type: &'static str,
    /// Greatest first.
    pub(crate) descending: bool,
    /// The expression is the value in lower case.
    pub(crate) folded: bool,
    /// Every row has the value, as indexes need to know.
    pub(crate) always: bool,
}

impl Key {
    /// A key that is the value itself.
    pub(crate) const fn new(expression: &'static str, sql_type: &'static str, descending: bool) -> Self {
        Self { expression, sql_type, descending, folded: false, always: false }
    }
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

impl Order {
    /// By id.
    pub(crate) const fn by_id(id: &'static str) -> Self {
        Self { keys: Vec::new(), id, id_descending: false }
    }

    /// By time, newest first, then the greatest id.
    pub(crate) fn newest(time: &'static str, id: &'static str) -> Self {
        Self { keys: vec![Key { always: true, ..Key::new(time, "timestamptz", true) }], id, id_descending: true }
    }

    /// By name whatever its case, then as it is written; both expressions with the collation of bytes, so that every
    /// installation sorts alike.
    pub(crate) fn by_name(lower: &'static str, name: &'static str, id: &'static str) -> Self {
        let folded = Key { folded: true, ..Key::new(lower, "text", false) };
        Self { keys: vec![folded, Key::new(name, "text", false)], id, id_descending: false }
    }

    /// Places come back from callers, who may have made them up.
    pub(crate) fn check(&self, place: &Place) -> Result<(), Error> {
        let fits = |(key, value): (&Key, &Option<String>)| match value {
            Some(value) if key.sql_type == "timestamptz" => DateTime::parse_from_rfc3339(value).is_ok(),
            Some(value) => !value.contains('\0'),
            None => true,
        };
        let good = self.keys.len() == place.keys.len() && self.keys.iter().zip(&place.keys).all(fits);
        if good { Ok(()) } else { Err(Error::NotFound(Lookup::Cursor)) }
    }
}

/// Pushes what a window wants of an order; `joint` is ` WHERE ` or ` AND `.
pub(crate) fn push_window(
    sql: &mut QueryBuilder<Postgres>,
    joint: &'static str,
    order: &Order,
    window: &Window,
) -> Result<(), Error> {
    if let Some(place) = &window.after {
        order.check(place)?;
        sql.push(joint);
        push_below(sql, order, place);
    }
    push_order(sql, order);
    sql.push(" OFFSET ").push_bind(window.offset).push(" LIMIT ").push_bind(window.reach());
    Ok(())
}

/// A place by a name.
pub(crate) fn named(name: Option<&str>, id: i64) -> Place {
    Place { keys: vec![name.map(str::to_owned); 2], id }
}

/// A place by a time.
pub(crate) fn dated(time: DateTime<Utc>, id: i64) -> Place {
    Place { keys: vec![Some(time_key(time))], id }
}

/// A place by nothing but an id.
pub(crate) const fn numbered(id: i64) -> Place {
    Place { keys: Vec::new(), id }
}

const fn direction(key: &Key) -> &'static str {
    match (key.descending, key.always) {
        (true, true) => " DESC, ",
        (true, false) => " DESC NULLS LAST, ",
        (false, true) => ", ",
        (false, false) => " NULLS LAST, ",
    }
}

/// Pushes ` ORDER BY …` over the columns that [`push_keys`] made, of a query called `w`.
pub(crate) fn push_order_of_keys(sql: &mut QueryBuilder<Postgres>, order: &Order) {
    sql.push(" ORDER BY ");
    for (index, key) in order.keys.iter().enumerate() {
        sql.push("w.k").push(index).push(direction(key));
    }
    sql.push("w.id").push(if order.id_descending { " DESC" } else { "" });
}

/// Pushes the id and the keys of an order as columns.
pub(crate) fn push_keys(sql: &mut QueryBuilder<Postgres>, order: &Order) {
    sql.push(order.id);
    for (index, key) in order.keys.iter().enumerate() {
        sql.push(", ").push(key.expression).push(" AS k").push(index);
    }
}

/// Pushes ` ORDER BY …`.
pub(crate) fn push_order(sql: &mut QueryBuilder<Postgres>, order: &Order) {
    sql.push(" ORDER BY ");
    for key in &order.keys {
        sql.push(key.expression).push(direction(key));
    }
    sql.push(order.id).push(if order.id_descending { " DESC" } else { "" });
}

/// Pushes the condition for the rows below `place` in an order.
pub(crate) fn push_below(sql: &mut QueryBuilder<Postgres>, order: &Order, place: &Place) {
    for (key, value) in order.keys.iter().zip(&place.keys) {
        let Key { expression, sql_type, descending, folded, always } = *key;
        let bind = |sql: &mut QueryBuilder<Postgres>, value: &str| {
            sql.push(if folded { "lower(" } else { "" }).push_bind(value.to_owned()).push("::").push(sql_type);
            sql.push(if folded { ")" } else { "" });
        };
        match value {
            Some(value) => {
                sql.push("(").push(expression).push(if descending { " < " } else { " > " });
                bind(sql, value);
                if !always {
                    sql.push(" OR ").push(expression).push(" IS NULL");
                }
                sql.push(" OR (").push(expression).push(" = ");
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
        let name = Key::new("n", "text", false);
        let born = Key::new("b", "date", true);
        let order = Order { keys: vec![name, born], id: "id", id_descending: false };
        let below = |keys: [Option<&str>; 2]| {
            let mut sql = QueryBuilder::new("");
            let keys = keys.into_iter().map(|key| key.map(str::to_owned)).collect();
            push_below(&mut sql, &order, &Place { keys, id: 7 });
            sql.sql().as_str().to_owned()
        };
        assert_eq!(
            below([Some("x"), Some("2000-01-01")]),
            "(n > $1::text OR n IS NULL OR (n = $2::text AND (b < $3::date OR b IS NULL OR (b = $4::date AND id > $5))))"
        );
        assert_eq!(below([None, None]), "((n IS NULL AND ((b IS NULL AND id > $1))))");
        let mut sql = QueryBuilder::new("");
        push_order(&mut sql, &order);
        assert_eq!(sql.sql().as_str(), " ORDER BY n NULLS LAST, b DESC NULLS LAST, id");
    }
}
