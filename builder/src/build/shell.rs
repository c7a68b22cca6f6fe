//! Structured attributes as declarations for Bash.

use serde_json::Value;

/// A line for every attribute that Bash can hold: strings, whole numbers, null, yes and no, and lists and sets of these.
pub fn declarations(attributes: &Value) -> String {
    let mut text = String::new();
    for (name, value) in attributes.as_object().into_iter().flatten() {
        if !is_variable_name(name) {
            continue;
        }
        let declaration = match value {
            Value::Array(items) => list(items).map(|items| format!("declare -a {name}=({items})\n")),
            Value::Object(entries) => set(entries).map(|entries| format!("declare -A {name}=({entries})\n")),
            simple => word(simple).map(|word| format!("declare {name}={word}\n")),
        };
        text.push_str(&declaration.unwrap_or_default());
    }
    text
}

fn list(items: &[Value]) -> Option<String> {
    items.iter().map(|item| Some(word(item)? + " ")).collect()
}

fn set(entries: &serde_json::Map<String, Value>) -> Option<String> {
    entries.iter().map(|(key, value)| Some(format!("[{}]={} ", quote(key), word(value)?))).collect()
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(quote(text)),
        Value::Number(number) => whole(number),
        Value::Null => Some("''".to_owned()),
        Value::Bool(yes) => Some(if *yes { "1".to_owned() } else { String::new() }),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Nix looks at the number as a 32-bit float to tell whether it is whole, and prints it as a C `int`.
fn whole(number: &serde_json::Number) -> Option<String> {
    let float = number.as_f64()? as f32;
    let integer =
        number.as_i64().map_or_else(|| number.as_f64().unwrap_or_default() as i32, |wide| wide as i32);
    (float.ceil() == float).then(|| integer.to_string())
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// `[A-Za-z_][A-Za-z0-9_]*`
fn is_variable_name(name: &str) -> bool {
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts_well && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_bash_can_hold_is_declared() {
        for (value, declaration) in [
            (json!("a'b"), "declare x='a'\\''b'\n"),
            (json!(3), "declare x=3\n"),
            (json!(1.5), ""),
            (json!(2.0), "declare x=2\n"),
            (json!(null), "declare x=''\n"),
            (json!(true), "declare x=1\n"),
            (json!(false), "declare x=\n"),
            (json!(["a", 1]), "declare -a x=('a' 1 )\n"),
            (json!([]), "declare -a x=()\n"),
            (json!({"k": "v"}), "declare -A x=(['k']='v' )\n"),
            (json!([["nested"]]), ""),
        ] {
            assert_eq!(declarations(&json!({ "x": value, "not-a-name": 1 })), declaration);
        }
    }
}
