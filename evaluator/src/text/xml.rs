//! The XML that `toXML` and `--xml` write: one element a line, indented by two.

/// A document may have many megabytes, which a buffer that grows would hold twice; so it is written in pieces of about this size.
const PIECE: usize = 256 << 10;

/// Writes a document element by element.
#[derive(Debug)]
pub struct XmlWriter {
    /// The pieces that are full.
    full: Vec<Vec<u8>>,
    out: Vec<u8>,
    open: Vec<&'static str>,
}

/// The attributes of an element. Nix writes them in the order of their names; so must they be given.
pub type Attributes<'a> = [(&'static str, &'a [u8])];

impl Default for XmlWriter {
    fn default() -> XmlWriter {
        let out = b"<?xml version='1.0' encoding='utf-8'?>\n".to_vec();
        XmlWriter { full: Vec::new(), out, open: Vec::new() }
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

    /// Closes what is open and gives the document, in pieces.
    pub fn finish(mut self) -> Vec<Vec<u8>> {
        while !self.open.is_empty() {
            self.close();
        }
        self.full.push(self.out);
        self.full
    }

    fn start(&mut self, name: &str, attributes: &Attributes) {
        if self.out.len() >= PIECE {
            let next = Vec::with_capacity(PIECE + PIECE / 8);
            self.full.push(std::mem::replace(&mut self.out, next));
        }
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
        let mut rest = text;
        while let Some((at, escaped)) =
            rest.iter().enumerate().find_map(|(at, &byte)| Some((at, escape(byte)?)))
        {
            self.out.extend_from_slice(&rest[..at]);
            self.out.extend_from_slice(escaped);
            rest = &rest[at + 1..];
        }
        self.out.extend_from_slice(rest);
    }
}

fn escape(byte: u8) -> Option<&'static [u8]> {
    Some(match byte {
        b'"' => b"&quot;",
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'&' => b"&amp;",
        // As itself, a reader of the attribute would take it for a space.
        b'\n' => b"&#xA;",
        _ => return None,
    })
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
        assert_eq!(xml.finish().concat().as_bstr(), expected);
    }

    #[test]
    fn a_long_document_comes_in_pieces() {
        let mut xml = XmlWriter::default();
        for _ in 0..3 {
            xml.empty("string", &[("value", &[b'x'; PIECE])]);
        }
        let pieces = xml.finish();
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|piece| piece.ends_with(b"x\" />\n")));
    }
}
