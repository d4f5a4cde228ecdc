//! Text between tags. Quotes need no escape there, and pages people search and scripts read keep them as they are.

use std::fmt::{self, Display, Write as _};

/// Text, shown with `|safe` because it escapes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prose(String);

impl Prose {
    /// Whether there is none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<String>> From<T> for Prose {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_escaped_and_quotes_are_not() {
        assert_eq!(Prose::from("We've <b>\"a\" & b</b>").to_string(), "We've &lt;b&gt;\"a\" &amp; b&lt;/b&gt;");
    }
}
