//! The files of a path, and where in its archive their contents are: what `.ls` files hold.

use serde_json::{Map, Value, json};
use zeval_model::nar::Position;
use zeval_model::tree::{Event, TreeError, TreeSource};

/// The text of a `.ls` file.
pub fn file(source: &mut dyn TreeSource) -> Result<String, TreeError> {
    Ok(json!({ "version": 1, "root": listing(source)? }).to_string())
}

/// A tree as JSON, as `nix nar ls --json --recursive` prints it.
pub fn listing(source: &mut dyn TreeSource) -> Result<Value, TreeError> {
    let mut open: Vec<(String, Map<String, Value>)> = Vec::new();
    let mut position = Position::default();
    let mut root = Value::Null;
    while let Some(event) = source.next_event()? {
        let offset = position.follow(&event);
        let (name, value) = match event {
            Event::DirectoryStart { name } => {
                open.push((name.to_string(), Map::new()));
                continue;
            }
            Event::DirectoryEnd => {
                let (name, entries) = open.pop().unwrap_or_default();
                (name, json!({ "type": "directory", "entries": entries }))
            }
            Event::Symlink { name, target } => {
                (name.to_string(), json!({ "type": "symlink", "target": target.to_string() }))
            }
            Event::Regular { name, executable, size } => {
                let mut file = json!({ "type": "regular", "size": size, "narOffset": offset });
                if executable {
                    file["executable"] = json!(true);
                }
                (name.to_string(), file)
            }
        };
        match open.last_mut() {
            Some((_, entries)) => drop(entries.insert(name, value)),
            None => root = value,
        }
    }
    Ok(root)
}
