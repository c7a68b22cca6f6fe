//! Tar archives made by hand, so that they can be wrong.

/// An archive being made.
#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn file(self, name: &[u8], content: &[u8]) -> Tar {
        self.entry(name, b'0', b"", 0o644, content)
    }

    pub fn folder(self, name: &[u8]) -> Tar {
        self.entry(name, b'5', b"", 0o755, b"")
    }

    pub fn symlink(self, name: &[u8], target: &[u8]) -> Tar {
        self.entry(name, b'2', target, 0o777, b"")
    }

    pub fn hard_link(self, name: &[u8], target: &[u8]) -> Tar {
        self.entry(name, b'1', target, 0o644, b"")
    }

    pub fn entry(self, name: &[u8], kind: u8, link: &[u8], mode: u32, content: &[u8]) -> Tar {
        self.header(name, kind, link, mode, content.len() as u64, |_| {}).data(content)
    }

    /// Attributes of the next entry, as pax has them.
    pub fn pax(self, attributes: &[(&[u8], &[u8])]) -> Tar {
        let records: Vec<u8> = attributes.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.entry(b"pax", b'x', b"", 0o644, &records)
    }

    /// A header alone; `change` sees it before its sum is made.
    pub fn header(
        mut self,
        name: &[u8],
        kind: u8,
        link: &[u8],
        mode: u32,
        size: u64,
        change: impl FnOnce(&mut [u8; 512]),
    ) -> Tar {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name);
        block[100..108].copy_from_slice(format!("{mode:07o}\0").as_bytes());
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link);
        block[257..265].copy_from_slice(b"ustar\x0000");
        change(&mut block);
        block[148..156].copy_from_slice(b"        ");
        let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    /// Data, filled up to a block.
    pub fn data(mut self, content: &[u8]) -> Tar {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn unfinished(self) -> Vec<u8> {
        self.0
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    // The length counts its own digits.
    let length = (1..10)
        .map(|digits| rest + digits)
        .find(|length| length.to_string().len() + rest == *length)
        .unwrap();
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}
