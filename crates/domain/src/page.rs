//! Pages of a list.

/// Which rows of a totally ordered list are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows to skip.
    pub offset: i64,
    /// Rows wanted at most.
    pub limit: i64,
}

impl Window {
    /// The first `limit` rows.
    pub const fn first(limit: i64) -> Self {
        Self { offset: 0, limit }
    }
}

/// A row's place in an order: where the next page goes on, whatever becomes of the row meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The values of the order's keys as text, which PostgreSQL reads back; none where the row has none.
    pub keys: Vec<Option<String>>,
    /// The id, on which every order ends.
    pub id: i64,
}

/// Some rows of a list, and how many there are in all.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// All rows that match, before paging.
    pub count: i64,
    /// The rows of this page.
    pub rows: Vec<T>,
}

impl<T> Page<T> {
    /// A page without rows of an empty list.
    pub const fn empty() -> Self {
        Self { count: 0, rows: Vec::new() }
    }

    /// The same page of other values.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { count: self.count, rows: self.rows.into_iter().map(f).collect() }
    }
}
