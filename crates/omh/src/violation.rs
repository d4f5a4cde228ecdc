//! What is wrong with a data point, for the caller and in words.

/// Code of the schema that every header must conform to.
pub const HEADER_CODE: &str = "ieee:header:1.0";

/// The part of a data point that a violation is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The data point as a whole.
    Document,
    /// Its `header`.
    Header,
    /// Its `body`.
    Body,
}

/// What sort of violation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViolationKind {
    /// A member that the schema requires is missing.
    Required,
    /// A value does not conform to the schema.
    Invalid,
    /// No schema is installed for the code, so nothing could be checked.
    NotInstalled,
}

/// One way in which a data point does not conform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OmhViolation {
    /// Where it is.
    pub part: Part,
    /// What sort of violation it is.
    pub kind: ViolationKind,
    /// What is wrong, naming the offending value or member. Holds personal data: for the caller, never for a log.
    pub message: String,
    /// JSON pointer (RFC 6901) inside the part; empty for the part itself.
    pub pointer: String,
    /// The code whose schema was asked.
    pub code: String,
}

impl OmhViolation {
    /// The text for the client.
    ///
    /// The part itself is shown as `/`, because the empty pointer would look like a mistake.
    pub fn diagnostics(&self) -> String {
        let Self { message, code, .. } = self;
        if self.kind == ViolationKind::NotInstalled {
            return format!("No JSON schema is installed for {code}.");
        }
        let part = match self.part {
            Part::Document => return format!("OMH document is invalid: {message}"),
            Part::Header => "header",
            Part::Body => "body",
        };
        let pointer = if self.pointer.is_empty() { "/" } else { &self.pointer };
        format!("OMH {part} does not conform to {code}: {message} (at {pointer})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(part: Part, kind: ViolationKind, pointer: &str, expected: &str) {
        let violation = OmhViolation {
            part,
            kind,
            message: "\"MGDL\" is not one of [\"mg/dL\",\"mmol/L\"]".to_owned(),
            pointer: pointer.to_owned(),
            code: "omh:blood-glucose:4.0".to_owned(),
        };
        assert_eq!(violation.diagnostics(), expected);
    }

    #[test]
    fn diagnostics_name_part_code_value_and_place() {
        check(
            Part::Body,
            ViolationKind::Invalid,
            "/blood_glucose/unit",
            "OMH body does not conform to omh:blood-glucose:4.0: \"MGDL\" is not one of [\"mg/dL\",\"mmol/L\"] (at /blood_glucose/unit)",
        );
        check(
            Part::Header,
            ViolationKind::Required,
            "",
            "OMH header does not conform to omh:blood-glucose:4.0: \"MGDL\" is not one of [\"mg/dL\",\"mmol/L\"] (at /)",
        );
        check(Part::Body, ViolationKind::NotInstalled, "", "No JSON schema is installed for omh:blood-glucose:4.0.");
        check(
            Part::Document,
            ViolationKind::Invalid,
            "",
            "OMH document is invalid: \"MGDL\" is not one of [\"mg/dL\",\"mmol/L\"]",
        );
    }
}
