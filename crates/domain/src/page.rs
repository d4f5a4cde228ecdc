//! Pages of a list.

/// Which rows of a totally ordered list are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Rows to skip.
    pub offset: i64,
    /// Rows wanted at most.
    pub limit: i64,
    /// Only rows below this place of the order.
    pub after: Option<Place>,
    /// Where the next page goes on is wanted too.
    pub by_place: bool,
}

impl Window {
    /// The first `limit` rows.
    pub const fn first(limit: i64) -> Self {
        Self::at(0, limit)
    }

    /// Rows by their position.
    pub const fn at(offset: i64, limit: i64) -> Self {
        Self { offset, limit, after: None, by_place: false }
    }

    /// Rows below a place, or the first ones; rows that come and go meanwhile shift nothing.
    pub const fn below(after: Option<Place>, limit: i64) -> Self {
        Self { offset: 0, limit, after, by_place: true }
    }

    /// Rows to read: one more than wanted where that tells whether there is a next page.
    pub const fn reach(&self) -> i64 {
        if self.by_place { self.limit.saturating_add(1) } else { self.limit }
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
    /// Where the next page goes on, if that was asked for and there is one.
    pub next: Option<Place>,
}

impl<T> Page<T> {
    /// A page without rows of an empty list.
    pub const fn empty() -> Self {
        Self { count: 0, rows: Vec::new(), next: None }
    }

    /// The page of a window, from the rows within its reach.
    pub fn of(window: &Window, count: i64, mut rows: Vec<T>, place: impl Fn(&T) -> Place) -> Self {
        let limit = usize::try_from(window.limit).unwrap_or(usize::MAX);
        let more = window.by_place && rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(place);
        Self { count, rows, next }
    }

    /// The same page of other values.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { count: self.count, rows: self.rows.into_iter().map(f).collect(), next: self.next }
    }
}

#[cfg(test)]
mod properties;
