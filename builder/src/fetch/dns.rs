//! DNS messages, as far as looking up a host's addresses needs them (RFC 1035, RFC 3596).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const CLASS_INTERNET: u16 = 1;
const FLAG_RECURSE: u16 = 0x0100;
const FLAG_ANSWER: u16 = 0x8000;
const FLAG_CUT_SHORT: u16 = 0x0200;
const NAME_ERROR: u16 = 3;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn record_type(self) -> u16 {
        match self {
            Family::V4 => 1,
            Family::V6 => 28,
        }
    }
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The addresses; none if the host has none of this family.
    Addresses(Vec<IpAddr>),
    /// The answer does not fit into a datagram.
    CutShort,
    NoSuchHost,
    /// With the code of the response.
    Failed(u16),
}

/// The question for the addresses of `host`; none if no host can have that name.
pub(super) fn question(id: u16, host: &str, family: Family) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(host.len() + 18);
    for field in [id, FLAG_RECURSE, 1, 0, 0, 0] {
        message.extend_from_slice(&field.to_be_bytes());
    }
    for label in host.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        message.push(length);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&family.record_type().to_be_bytes());
    message.extend_from_slice(&CLASS_INTERNET.to_be_bytes());
    // The name has one byte more than it is long, and at most 255.
    (message.len() - 16 <= 255).then_some(message)
}

/// Reads a message; none if it is malformed or does not answer the question `question`.
pub(super) fn read_answer(message: &[u8], question: &[u8], family: Family) -> Option<Answer> {
    let mut fields = Fields { message, position: 0 };
    let (id, flags) = (fields.u16()?, fields.u16()?);
    let (questions, answers) = (fields.u16()?, fields.u16()?);
    fields.skip(4)?;
    if id.to_be_bytes() != question[..2] || flags & FLAG_ANSWER == 0 {
        return None;
    }
    let asked = question.get(12..)?;
    if questions != 1 || !message.get(12..12 + asked.len())?.eq_ignore_ascii_case(asked) {
        return None;
    }
    fields.skip(asked.len())?;
    match flags & 0xf {
        0 if flags & FLAG_CUT_SHORT != 0 => return Some(Answer::CutShort),
        0 => {}
        NAME_ERROR => return Some(Answer::NoSuchHost),
        code => return Some(Answer::Failed(code)),
    }
    let mut addresses = Vec::new();
    for _ in 0..answers {
        fields.skip_name()?;
        let (record_type, class) = (fields.u16()?, fields.u16()?);
        fields.skip(4)?;
        let length = fields.u16()?;
        let data = fields.take(length.into())?;
        if record_type == family.record_type() && class == CLASS_INTERNET {
            addresses.push(address(data)?);
        }
    }
    Some(Answer::Addresses(addresses))
}

fn address(data: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(data) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?).into())
}

struct Fields<'a> {
    message: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.message.get(self.position..self.position.checked_add(length)?)?;
        self.position += length;
        Some(taken)
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        self.take(length).map(|_| ())
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A name ends with an empty label or with a pointer to the rest elsewhere.
    fn skip_name(&mut self) -> Option<()> {
        loop {
            match self.take(1)?[0] {
                0 => return Some(()),
                pointer if pointer >= 0xc0 => return self.skip(1),
                length => self.skip(length.into())?,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer to `question` with these records: type and data.
    fn response(question: &[u8], flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question.to_vec();
        message[2..4].copy_from_slice(&(FLAG_ANSWER | flags).to_be_bytes());
        message[6..8].copy_from_slice(&(records.len() as u16).to_be_bytes());
        for (record_type, data) in records {
            // Its name is the one at 12.
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&record_type.to_be_bytes());
            message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
            message.extend_from_slice(&(data.len() as u16).to_be_bytes());
            message.extend_from_slice(data);
        }
        message
    }

    #[test]
    fn questions_have_labels() {
        let expected = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x02ab\x07example\0\0\x01\0\x01";
        assert_eq!(question(0x1234, "ab.example", Family::V4).as_deref(), Some(&expected[..]));
        assert_eq!(question(0x1234, "ab.example.", Family::V4).as_deref(), Some(&expected[..]));
        for bad in ["", "a..b", &"a".repeat(64), &"a.".repeat(128)] {
            assert_eq!(question(1, bad, Family::V4), None, "{bad}");
        }
    }

    #[test]
    fn answers_give_addresses_of_the_family() {
        let asked = question(7, "a.example", Family::V4).unwrap();
        let alias: &[u8] = b"\x01b\xc0\x0e";
        let records: [(u16, &[u8]); 4] =
            [(5, alias), (1, &[192, 0, 2, 1]), (28, &[0; 16]), (1, &[192, 0, 2, 2])];
        let expected = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let answer = read_answer(&response(&asked, 0, &records), &asked, Family::V4);
        assert_eq!(answer, Some(Answer::Addresses(expected.to_vec())));
        let asked = question(7, "a.example", Family::V6).unwrap();
        let answer = read_answer(&response(&asked, 0, &records[2..3]), &asked, Family::V6);
        assert_eq!(answer, Some(Answer::Addresses(vec!["::".parse().unwrap()])));
        assert_eq!(read_answer(&response(&asked, 3, &[]), &asked, Family::V6), Some(Answer::NoSuchHost));
        assert_eq!(read_answer(&response(&asked, 2, &[]), &asked, Family::V6), Some(Answer::Failed(2)));
        assert_eq!(read_answer(&response(&asked, 0x200, &[]), &asked, Family::V6), Some(Answer::CutShort));
    }

    #[test]
    fn answers_to_other_questions_do_not_count() {
        let asked = question(7, "a.example", Family::V4).unwrap();
        let right = response(&asked, 0, &[(1, &[192, 0, 2, 1])]);
        for at in [0, 1, 13, asked.len() - 3] {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            assert_eq!(read_answer(&wrong, &asked, Family::V4), None, "{at}");
        }
        assert_eq!(read_answer(&asked, &asked, Family::V4), None);
        assert_eq!(read_answer(&right[..right.len() - 1], &asked, Family::V4), None);
        let short = response(&asked, 0, &[(1, &[192, 0, 2])]);
        assert_eq!(read_answer(&short, &asked, Family::V4), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let asked = question(7, "a.example", Family::V4).unwrap();
            let _ = read_answer(&bytes, &asked, Family::V4);
            let _ = read_answer(&[&response(&asked, 0, &[]), &bytes[..]].concat(), &asked, Family::V4);
            let mut message = response(&asked, 0, &[]);
            message[7] = 9;
            message.extend_from_slice(&bytes);
            let _ = read_answer(&message, &asked, Family::V4);
        }
    }
}
