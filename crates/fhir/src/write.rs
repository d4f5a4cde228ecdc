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
    pub(crate) fn objects<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, fill: impl Fn(&mut Members<'_>, T)) {
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
