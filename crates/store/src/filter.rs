//! Conditions that lists take, as values. They are ANDed after the scope and are never the authorization.

use chrono::{DateTime, NaiveDate, Utc};
use jhe_domain::Phi;
use sqlx::{Postgres, QueryBuilder};

/// A FHIR token: what system, which code.
#[derive(Debug, Clone)]
pub struct Token {
    /// The system.
    pub system: TokenSystem,
    /// The code or value; none means any.
    pub value: Option<Phi<String>>,
}

/// The system part of a token.
#[derive(Debug, Clone)]
pub enum TokenSystem {
    /// Whichever.
    Any,
    /// Without one.
    Absent,
    /// One of these.
    OneOf(Vec<String>),
}

/// How a time compares with the interval of a search value (FHIR §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOp {
    /// Within.
    Eq,
    /// Not within.
    Ne,
    /// Reaches beyond.
    Gt,
    /// Begins before.
    Lt,
    /// Reaches into or beyond.
    Ge,
    /// Begins before its end.
    Le,
    /// Begins after its end.
    Sa,
    /// Ends before its start.
    Eb,
    /// Overlaps.
    Ap,
}

/// A comparison with the interval `[low, high)`.
#[derive(Debug, Clone, Copy)]
pub struct TimeMatch {
    /// How.
    pub op: TimeOp,
    /// Start of the interval.
    pub low: DateTime<Utc>,
    /// End of the interval.
    pub high: DateTime<Utc>,
}

/// A comparison of a date column.
#[derive(Debug, Clone, Copy)]
pub struct DateMatch {
    /// How.
    pub op: TimeOp,
    /// First day.
    pub low: NaiveDate,
    /// Day after the last.
    pub high: NaiveDate,
}

/// A comparison with text, ignoring case and accents unless exact.
#[derive(Debug, Clone)]
pub struct TextMatch {
    /// How.
    pub op: TextOp,
    /// With what.
    pub text: Phi<String>,
}

/// How text compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextOp {
    /// Begins with it.
    StartsWith,
    /// Holds it.
    Contains,
    /// Is it, letter for letter.
    Exact,
}

/// Pushes `(a OR b OR …)`; no alternatives match nothing.
pub(crate) fn push_any<T>(
    sql: &mut QueryBuilder<Postgres>,
    alternatives: &[T],
    mut push: impl FnMut(&mut QueryBuilder<Postgres>, &T),
) {
    if alternatives.is_empty() {
        sql.push("false");
        return;
    }
    sql.push("(");
    for (index, alternative) in alternatives.iter().enumerate() {
        if index > 0 {
            sql.push(" OR ");
        }
        push(sql, alternative);
    }
    sql.push(")");
}

/// Pushes a comparison of `lo` and `hi`, two SQL expressions that are null together when there is no time.
pub(crate) fn push_time(sql: &mut QueryBuilder<Postgres>, lo: &'static str, hi: &'static str, m: &TimeMatch) {
    let (low, high) = (m.low, m.high);
    push_range(
        sql,
        lo,
        hi,
        m.op,
        |sql| {
            sql.push_bind(low);
        },
        |sql| {
            sql.push_bind(high);
        },
    );
}

/// Pushes a comparison of a date column.
pub(crate) fn push_date(sql: &mut QueryBuilder<Postgres>, column: &'static str, m: &DateMatch) {
    let (low, high) = (m.low, m.high);
    push_range(
        sql,
        column,
        column,
        m.op,
        |sql| {
            sql.push_bind(low);
        },
        |sql| {
            sql.push_bind(high);
        },
    );
}

fn push_range(
    sql: &mut QueryBuilder<Postgres>,
    lo: &'static str,
    hi: &'static str,
    op: TimeOp,
    low: impl Fn(&mut QueryBuilder<Postgres>),
    high: impl Fn(&mut QueryBuilder<Postgres>),
) {
    let mut pair = |a: &'static str, a_op: &'static str, b: &dyn Fn(&mut QueryBuilder<Postgres>)| {
        sql.push(a).push(a_op);
        b(sql);
    };
    match op {
        TimeOp::Eq | TimeOp::Ne => {
            sql.push(if op == TimeOp::Ne { "NOT (" } else { "(" });
            sql.push(lo).push(" >= ");
            low(sql);
            sql.push(" AND ").push(hi).push(" < ");
            high(sql);
            sql.push(")");
        }
        TimeOp::Gt => pair(hi, " >= ", &high),
        TimeOp::Lt => pair(lo, " < ", &low),
        TimeOp::Ge => pair(hi, " >= ", &low),
        TimeOp::Le => pair(lo, " < ", &high),
        TimeOp::Sa => pair(lo, " >= ", &high),
        TimeOp::Eb => pair(hi, " < ", &low),
        TimeOp::Ap => {
            sql.push("(").push(lo).push(" < ");
            high(sql);
            sql.push(" AND ").push(hi).push(" >= ");
            low(sql);
            sql.push(")");
        }
    }
}

/// Pushes a comparison of a text column; wildcards in the text are letters like any other.
pub(crate) fn push_text(sql: &mut QueryBuilder<Postgres>, column: &'static str, m: &TextMatch) {
    let text = m.text.reveal();
    match m.op {
        TextOp::Exact => {
            sql.push(column).push(" = ").push_bind(text.clone());
        }
        TextOp::StartsWith => {
            sql.push("starts_with(jhe_fold(").push(column).push("), jhe_fold(").push_bind(text.clone()).push("))");
        }
        TextOp::Contains => {
            sql.push("strpos(jhe_fold(").push(column).push("), jhe_fold(").push_bind(text.clone()).push(")) > 0");
        }
    }
}

/// Conditions on patients: outer lists are ANDed, inner ones are alternatives.
#[derive(Debug, Clone, Default)]
pub struct PersonFilter {
    /// Identifiers.
    pub identifiers: Vec<Vec<Token>>,
    /// Family name.
    pub family: Vec<Vec<TextMatch>>,
    /// Given name.
    pub given: Vec<Vec<TextMatch>>,
    /// Either name.
    pub name: Vec<Vec<TextMatch>>,
    /// Birth date.
    pub birth_date: Vec<Vec<DateMatch>>,
    /// E-mail address of the account, ignoring case.
    pub email: Vec<Vec<Phi<String>>>,
    /// Phone number, digits only.
    pub phone: Vec<Vec<Phi<String>>>,
    /// Either of the two.
    pub telecom: Vec<Vec<Phi<String>>>,
    /// Last change.
    pub last_updated: Vec<Vec<TimeMatch>>,
    /// Free text: a name or e-mail address that begins with it, or an identifier that is it.
    pub search: Option<Phi<String>>,
    /// Conditions that must not hold together, each for itself.
    pub excluded: Vec<PersonFilter>,
}

impl PersonFilter {
    /// Whether it looks at anything of the person.
    pub const fn is_empty(&self) -> bool {
        self.identifiers.is_empty()
            && self.family.is_empty()
            && self.given.is_empty()
            && self.name.is_empty()
            && self.birth_date.is_empty()
            && self.email.is_empty()
            && self.phone.is_empty()
            && self.telecom.is_empty()
            && self.last_updated.is_empty()
            && self.search.is_none()
            && self.excluded.is_empty()
    }
}

/// Pushes ` AND …` for each condition on `core_patient AS p`.
pub(crate) fn push_person(sql: &mut QueryBuilder<Postgres>, filter: &PersonFilter) {
    for tokens in &filter.identifiers {
        sql.push(" AND EXISTS (SELECT 1 FROM core_patientidentifier AS pi WHERE pi.patient_id = p.id AND ");
        push_any(sql, tokens, |sql, token| push_token(sql, "pi.system", "pi.value", token));
        sql.push(")");
    }
    let texts = |sql: &mut QueryBuilder<Postgres>, all: &[Vec<TextMatch>], columns: &[&'static str]| {
        for alternatives in all {
            sql.push(" AND ");
            push_any(sql, alternatives, |sql, m| push_any(sql, columns, |sql, column| push_text(sql, column, m)));
        }
    };
    texts(sql, &filter.family, &["p.name_family"]);
    texts(sql, &filter.given, &["p.name_given"]);
    texts(sql, &filter.name, &["p.name_family", "p.name_given"]);
    for alternatives in &filter.birth_date {
        sql.push(" AND ");
        push_any(sql, alternatives, |sql, m| push_date(sql, "p.birth_date", m));
    }
    for alternatives in &filter.last_updated {
        sql.push(" AND ");
        push_any(sql, alternatives, |sql, m| push_time(sql, "p.last_updated", "p.last_updated", m));
    }
    let email = |sql: &mut QueryBuilder<Postgres>, value: &Phi<String>| {
        sql.push("EXISTS (SELECT 1 FROM core_jheuser AS pu WHERE pu.id = p.jhe_user_id AND lower(pu.email) = lower(");
        sql.push_bind(value.reveal().clone()).push("))");
    };
    let phone = |sql: &mut QueryBuilder<Postgres>, value: &Phi<String>| {
        let digits: String = value.reveal().chars().filter(char::is_ascii_digit).collect();
        sql.push("(regexp_replace(p.telecom_phone, '[^0-9]', '', 'g') = ").push_bind(digits.clone());
        sql.push(" AND ").push_bind(!digits.is_empty()).push(")");
    };
    for alternatives in &filter.email {
        sql.push(" AND ");
        push_any(sql, alternatives, email);
    }
    for alternatives in &filter.phone {
        sql.push(" AND ");
        push_any(sql, alternatives, phone);
    }
    for alternatives in &filter.telecom {
        sql.push(" AND ");
        push_any(sql, alternatives, |sql, value| {
            sql.push("(");
            email(sql, value);
            sql.push(" OR ");
            phone(sql, value);
            sql.push(")");
        });
    }
    if let Some(search) = &filter.search {
        let text = search.reveal();
        sql.push(" AND (starts_with(jhe_fold(p.name_family), jhe_fold(").push_bind(text.clone());
        sql.push(")) OR starts_with(jhe_fold(p.name_given), jhe_fold(").push_bind(text.clone());
        sql.push(")) OR EXISTS (SELECT 1 FROM core_jheuser AS pu WHERE pu.id = p.jhe_user_id AND starts_with(lower(pu.email), lower(");
        sql.push_bind(text.clone());
        sql.push(
            "))) OR EXISTS (SELECT 1 FROM core_patientidentifier AS pi WHERE pi.patient_id = p.id AND pi.value = ",
        );
        sql.push_bind(text.clone()).push("))");
    }
    for excluded in &filter.excluded {
        // What is not known is not a match either.
        sql.push(" AND NOT coalesce(true");
        push_person(sql, excluded);
        sql.push(", false)");
    }
}

/// Pushes a comparison of a system and a value column with a token.
pub(crate) fn push_token(sql: &mut QueryBuilder<Postgres>, system: &'static str, value: &'static str, token: &Token) {
    sql.push("(");
    match &token.system {
        TokenSystem::Any => {
            sql.push("true");
        }
        TokenSystem::Absent => {
            sql.push("coalesce(").push(system).push(", '') = ''");
        }
        TokenSystem::OneOf(systems) => {
            sql.push(system).push(" = ANY (").push_bind(systems.clone()).push(")");
        }
    }
    if let Some(text) = &token.value {
        sql.push(" AND ").push(value).push(" = ").push_bind(text.reveal().clone());
    }
    sql.push(")");
}

/// Pushes the condition that `u.email` is this address: found by the index, and equal but for the case of ASCII letters.
/// Other foldings take different letters for the same (the Kelvin sign is a `k`), and mail does not.
pub(crate) fn push_same_email(sql: &mut QueryBuilder<Postgres>, email: &Phi<String>) {
    sql.push("lower(u.email) = lower(").push_bind(email.reveal().clone());
    sql.push(r#") AND lower(u.email COLLATE "C") = lower("#)
        .push_bind(email.reveal().clone())
        .push(r#"::text COLLATE "C")"#);
}
