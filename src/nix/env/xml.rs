//! XML as Nix writes it: two spaces a level, attributes in the order of their names.

/// A document that is being written.
pub struct Xml {
    text: String,
    depth: usize,
    root: &'static str,
}

impl Xml {
    /// A document whose root has this name.
    pub fn new(root: &'static str) -> Xml {
        let text = format!("<?xml version='1.0' encoding='utf-8'?>\n<{root}>\n");
        Xml { text, depth: 1, root }
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, String)], end: &str) {
        let mut sorted: Vec<_> = attributes.iter().collect();
        sorted.sort();
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(&format!("<{name}"));
        for (name, value) in sorted {
            self.text.push_str(&format!(" {name}=\"{}\"", escaped(value)));
        }
        self.text.push_str(end);
    }

    /// Begins an element.
    pub fn open(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.tag(name, attributes, ">\n");
        self.depth += 1;
    }

    /// Ends an element.
    pub fn close(&mut self, name: &str) {
        self.depth -= 1;
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(&format!("</{name}>\n"));
    }

    /// An element with nothing in it.
    pub fn empty(&mut self, name: &str, attributes: &[(&str, String)]) {
        self.tag(name, attributes, " />\n");
    }

    /// The whole document.
    pub fn end(mut self) -> String {
        self.text.push_str(&format!("</{}>\n", self.root));
        self.text
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // As characters they would be read as spaces.
            '\n' => out.push_str("&#xA;"),
            c => out.push(c),
        }
    }
    out
}
