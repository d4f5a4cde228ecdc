//! Forms of any text: the first value of a field, without what nothing can mean.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn the_first_value_of_a_field_is_read(sent in vec(("[a-c]", any::<String>()), 0..6)) {
        let parts: Vec<String> = sent.iter().map(|(name, value)| format!("{name}={}", query::encode(value))).collect();
        let form = Form(query::pairs(&parts.join("&")));
        for name in ["a", "b", "c"] {
            let first = sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
            prop_assert_eq!(form.get(name), first);
            prop_assert_eq!(form.text(name), first.unwrap_or_default().replace('\0', ""));
        }
    }

    #[test]
    fn any_text_is_a_form(raw in any::<String>()) {
        let form = Form(query::pairs(&raw));
        prop_assert!(!form.text("next").contains('\0'));
    }
}
