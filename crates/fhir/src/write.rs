//! Writing JSON members straight into a byte buffer.
//!
//! Resources are written member by member without building a `Value`; only strings go through serde_json, for escaping.

use serde::Serialize;

/// Appends any serializable value.
pub(crate) fn value<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let start = out.len();
    // Writing into a Vec cannot fail, and our types serialize infallibly; a `null` keeps the document well-formed anyway.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// An object under construction: knows whether a comma is due.
pub(crate) struct Members<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn object(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    fn comma(&mut self) {
        if self.first {
            self.first = false;
        } else {
            self.out.push(b',');
        }
    }

    /// Starts a member; `name` must need no escaping. The caller writes exactly one value into the returned buffer.
    pub(crate) fn raw(&mut self, name: &str) -> &mut Vec<u8> {
        self.comma();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) {
        value(self.raw(name), text);
    }

    pub(crate) fn optional_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.text(name, text);
        }
    }

    /// A member holding an id or number as JSON string.
    pub(crate) fn id(&mut self, name: &str, prefix: &str, id: i64) {
        let out = self.raw(name);
        out.push(b'"');
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(id.to_string().as_bytes());
        out.push(b'"');
    }

    pub(crate) fn literal(&mut self, name: &str, json: &str) {
        self.raw(name).extend_from_slice(json.as_bytes());
    }

    pub(crate) fn nested(&mut self, name: &str, fill: impl FnOnce(&mut Members<'_>)) {
        let mut object = Members::object(self.raw(name));
        fill(&mut object);
        object.end();
    }

    /// A member holding an array with one object per item.
    pub(crate) fn objects<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        fill: impl Fn(&mut Members<'_>, T),
    ) {
        let out = self.raw(name);
        out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let mut object = Members::object(out);
            fill(&mut object, item);
            object.end();
        }
        out.push(b']');
    }

    pub(crate) fn end(self) {
        self.out.push(b'}');
    }
}

/// `resourceType`, `id` and `meta`, which open every native resource.
pub(crate) fn header(
    members: &mut Members<'_>,
    kind: crate::types::ResourceType,
    id: i64,
    last_updated: chrono::DateTime<chrono::Utc>,
    projection: &crate::Projection,
) {
    members.text("resourceType", kind.as_str());
    members.id("id", "", id);
    members.nested("meta", |meta| {
        meta.text("versionId", &crate::time::version_id(last_updated));
        meta.text("lastUpdated", &crate::time::instant(last_updated));
        meta.text("source", crate::types::NATIVE_SOURCE);
        if projection.is_partial() {
            meta.literal(
                "tag",
                r#"[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]"#,
            );
        }
    });
}

/// `identifier`, unless there is none.
pub(crate) fn identifiers(members: &mut Members<'_>, identifiers: &[(Option<String>, String)]) {
    if !identifiers.is_empty() {
        members.objects("identifier", identifiers, |item, (system, value)| {
            item.optional_text("system", system.as_deref());
            item.text("value", value);
        });
    }
}

/// `name` of a person, unless both parts are empty.
pub(crate) fn human_name(members: &mut Members<'_>, family: Option<&str>, given: Option<&str>) {
    let given = given.filter(|given| !given.is_empty());
    if given.is_some() || family.is_some_and(|family| !family.is_empty()) {
        members.objects("name", [()], |name, ()| {
            name.optional_text("family", family);
            if let Some(given) = given {
                value(name.raw("given"), &[given]);
            }
        });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::{DateTime, Utc};

    /// `meta` of a resource last updated [`at`] that moment.
    pub(crate) const HEADER_REST: &str = r#""meta":{"versionId":"1792350841000000","lastUpdated":"2026-10-18T19:14:01Z","source":"https://jupyterhealth.org/jhe"}"#;

    pub(crate) fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(1_792_350_841, 0).unwrap()
    }

    /// Compares a written resource, and checks that it is valid R5.
    pub(crate) fn check(kind: &str, written: &str, expected: &str) {
        assert_eq!(written, expected);
        let body = serde_json::from_str(written).unwrap();
        assert_eq!(crate::structure::validate(kind, &body), Ok(()));
    }
}
