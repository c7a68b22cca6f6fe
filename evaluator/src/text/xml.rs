//! The XML that `toXML` and `--xml` write: one element a line, indented by two.

/// Writes a document element by element.
#[derive(Debug)]
pub struct XmlWriter {
    out: Vec<u8>,
    open: Vec<&'static str>,
}

/// The attributes of an element. Nix writes them in the order of their names; so must they be given.
pub type Attributes<'a> = [(&'static str, &'a [u8])];

impl Default for XmlWriter {
    fn default() -> XmlWriter {
        XmlWriter { out: b"<?xml version='1.0' encoding='utf-8'?>\n".to_vec(), open: Vec::new() }
    }
}

impl XmlWriter {
    pub fn open(&mut self, name: &'static str, attributes: &Attributes) {
        self.start(name, attributes);
        self.out.extend(b">\n");
        self.open.push(name);
    }

    /// Closes the innermost open element, if there is one.
    pub fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.out.extend([b"</", name.as_bytes(), b">\n"].concat());
        }
    }

    /// An element with nothing inside.
    pub fn empty(&mut self, name: &'static str, attributes: &Attributes) {
        self.start(name, attributes);
        self.out.extend(b" />\n");
    }

    /// Closes what is open and gives the document.
    pub fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn start(&mut self, name: &str, attributes: &Attributes) {
        self.indent();
        self.out.push(b'<');
        self.out.extend(name.as_bytes());
        for (name, value) in attributes {
            self.out.extend([b" ", name.as_bytes(), b"=\""].concat());
            self.write_escaped(value);
            self.out.push(b'"');
        }
    }

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n(b' ', 2 * self.open.len()));
    }

    fn write_escaped(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                b'"' => self.out.extend(b"&quot;"),
                b'<' => self.out.extend(b"&lt;"),
                b'>' => self.out.extend(b"&gt;"),
                b'&' => self.out.extend(b"&amp;"),
                // As itself, a reader of the attribute would take it for a space.
                b'\n' => self.out.extend(b"&#xA;"),
                _ => self.out.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice;

    use super::*;

    #[test]
    fn writes_as_nix_does() {
        let mut xml = XmlWriter::default();
        xml.open("expr", &[]);
        xml.open("list", &[]);
        xml.empty("string", &[("value", b"x<>&\"\n\t\r'")]);
        xml.empty("null", &[]);
        xml.close();
        let expected = "<?xml version='1.0' encoding='utf-8'?>\n<expr>\n  <list>\n    \
            <string value=\"x&lt;&gt;&amp;&quot;&#xA;\t\r'\" />\n    <null />\n  </list>\n</expr>\n";
        assert_eq!(xml.finish().as_bstr(), expected);
    }
}
