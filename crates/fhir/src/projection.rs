//! How much of a resource is written.

/// The parts of a resource that an answer shows. Everything but the full form is tagged `SUBSETTED`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Projection {
    /// Everything.
    #[default]
    Full,
    /// `_summary=true`: the elements that identify and classify it.
    Summary,
    /// `_summary=text`: text, id, meta and mandatory elements. Native resources have no text.
    Text,
    /// `_summary=data`: everything but text.
    Data,
    /// `_elements`: the named top-level elements, and id, meta and mandatory ones.
    Elements(Vec<String>),
}

impl Projection {
    /// The named elements; a choice may be named without its type (`effective`) or with (`effectiveDateTime`).
    pub fn elements(names: impl IntoIterator<Item = String>) -> Self {
        Self::Elements(names.into_iter().collect())
    }

    /// The smallest form: id, meta and mandatory elements.
    pub fn identity() -> Self {
        Self::Elements(Vec::new())
    }

    /// Whether the resource carries the `SUBSETTED` tag.
    pub fn is_partial(&self) -> bool {
        *self != Self::Full
    }

    /// Whether an element that is not mandatory is written. `name` is the element as the standard names it, with `[x]` for a
    /// choice; `in_summary` whether `_summary=true` keeps it.
    pub(crate) fn shows(&self, name: &str, in_summary: bool) -> bool {
        match self {
            Self::Full | Self::Data => true,
            Self::Summary => in_summary,
            Self::Text => false,
            Self::Elements(names) => match name.strip_suffix("[x]") {
                None => names.iter().any(|wanted| wanted == name),
                Some(base) => names.iter().any(|wanted| {
                    wanted.strip_prefix(base).is_some_and(|form| {
                        form.is_empty() || form == "[x]" || form.starts_with(|first: char| first.is_ascii_uppercase())
                    })
                }),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows() {
        let named = Projection::elements(["effectiveDateTime".to_owned(), "device".to_owned()]);
        assert!(named.shows("effective[x]", true) && named.shows("device", true));
        assert!(!named.shows("value[x]", false) && !named.shows("dev", false));
        assert!(Projection::elements(["value[x]".to_owned()]).shows("value[x]", false));
        assert!(Projection::Data.shows("device", false) && !Projection::Text.shows("device", true));
        assert!(Projection::Summary.shows("device", true) && !Projection::Summary.shows("value[x]", false));
        assert!(!Projection::Full.is_partial() && Projection::identity().is_partial());
    }
}
