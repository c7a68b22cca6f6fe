//! Each case is what Nix 2.34 answers, as it prints it.

#[rustfmt::skip]
const FULL: &[(&[u8], &[u8], &[u8])] = &[
    (b"a", b"a", b"[ ]"),
    (b"", b"", b"[ ]"),
    (b"", b"a", b"null"),
    (b"(a*)*", b"aa", br#"[ "" ]"#),
    (b"(a|(b))*", b"ba", br#"[ "a" "b" ]"#),
    (b"[[=a=]]", b"A", b"[ ]"),
    (b"[[.a.]]", b"a", b"[ ]"),
    (b"[[.hyphen.]]", b"-", b"[ ]"),
    (b"[[:ALPHA:]]", b"a", b"[ ]"),
    (b"[[:w:]]", b"_", b"[ ]"),
    (b"a{2}{3}", b"aaaaaa", b"[ ]"),
    (b"(a?)*", b"a", br#"[ "" ]"#),
    (b"((a*)|b)*", b"aab", br#"[ "" "" ]"#),
    (b"(a{0,2})*", b"a", br#"[ "" ]"#),
    (b"(x|xy)(yz|z)", b"xyz", br#"[ "x" "yz" ]"#),
    (b"(a*)+", b"b", b"null"),
    (b"(a*)+", b"", br#"[ "" ]"#),
    (b"(|a)*", b"aa", br#"[ "" ]"#),
    (b"(|a)+", b"aa", br#"[ "" ]"#),
    (b"(a|b)*?", b"ab", br#"[ "b" ]"#),
    (b"[]a]+", b"]a", b"[ ]"),
    (b"[^]a]", b"b", b"[ ]"),
    (b"[a-]", b"-", b"[ ]"),
    (b"[--/]", b".", b"[ ]"),
    (br#"[a\]"#, br#"\"#, b"[ ]"),
    (b".", b"\n", b"[ ]"),
    (br#"(.*)\.(nix|zx)"#, b"a.b.nix", br#"[ "a.b" "nix" ]"#),
    (br#"([0-9]+)\.([0-9]+)(\.([0-9]+))?"#, b"1.22", br#"[ "1" "22" null null ]"#),
    (b"([[:alpha:]]|_)+", b"a_b", br#"[ "b" ]"#),
    (b"a{2,}", b"aaaa", b"[ ]"),
    (b"a{,2}", b"a", b"invalid regular expression 'a{,2}'"),
    (b"(^a|b)$", b"a", br#"[ "a" ]"#),
    (b"a^b", b"a^b", b"null"),
    (b"((a)|(b))*", b"abab", br#"[ "b" "a" "b" ]"#),
    (b"(((a*)b*)*)", b"aabab", br#"[ "aabab" "" "" ]"#),
    (b"(a|ab)(c|bcd)(d*)", b"abcd", br#"[ "a" "bcd" "" ]"#),
    (b"[[:alpha:]-z]", b"a", b"invalid regular expression '[[:alpha:]-z]'"),
    (b"[z-a]", b"b", b"invalid regular expression '[z-a]'"),
    (br#"\d"#, b"1", br#"invalid regular expression '\d'"#),
    (br#"a\.b"#, b"a.b", b"[ ]"),
    (b"*a", b"a", b"invalid regular expression '*a'"),
    (b"a**", b"aa", b"[ ]"),
    (b"(*a)", b"a", b"invalid regular expression '(*a)'"),
    (b"a|*", b"a", b"invalid regular expression 'a|*'"),
    (b"()", b"", br#"[ "" ]"#),
    (b"(()|a)+", b"a", br#"[ "" "" ]"#),
    (b"[\xc3\xa9]+", b"\xc3\xa9", b"[ ]"),
    (b"(.)(.)", b"\xc3\xa9", b"[ \"\xc3\" \"\xa9\" ]"),
    (b"[a-\xc3\xa9]", b"b", b"invalid regular expression '[a-\xc3\xa9]'"),
    (b"[[.space.]-~]+", b"a b", b"[ ]"),
    (b"[[.space.]-[.tilde.]]", b"a", b"invalid regular expression '[[.space.]-[.tilde.]]'"),
    (br#"\{\}"#, b"{}", br#"invalid regular expression '\{\}'"#),
    (b"a}", b"a}", b"[ ]"),
    (b"a]", b"a]", b"[ ]"),
    (b"[", b"a", b"invalid regular expression '['"),
    (b"(", b"a", b"invalid regular expression '('"),
    (b")", b"a", b"invalid regular expression ')'"),
    (b"{", b"a", b"invalid regular expression '{'"),
    (b"a{", b"a", b"invalid regular expression 'a{'"),
    (b"a{1", b"a", b"invalid regular expression 'a{1'"),
    (b"a{1,", b"a", b"invalid regular expression 'a{1,'"),
    (b"a{2,1}", b"a", b"invalid regular expression 'a{2,1}'"),
    (br#"\"#, b"a", br#"invalid regular expression '\'"#),
    (b"[a-c-e]", b"d", b"invalid regular expression '[a-c-e]'"),
    (b"[-a]", b"-", b"[ ]"),
    (b"[]-a]", b"]", b"[ ]"),
    (b"[a-]", b"a", b"[ ]"),
    (b"[-----]", b"-", b"invalid regular expression '[-----]'"),
    (b"[[:foo:]]", b"a", b"invalid regular expression '[[:foo:]]'"),
    (b"[[=aa=]]", b"a", b"invalid regular expression '[[=aa=]]'"),
    (b"[[.-.]]", b"-", b"invalid regular expression '[[.-.]]'"),
    (b"[[:alpha:", b"a", b"invalid regular expression '[[:alpha:'"),
    (b"a{99990}", b"a", b"null"),
    (b"a{99991}", b"a", b"null"),
    (b"a{99992}", b"a", b"null"),
    (b"a{99993}", b"a", b"null"),
    (b"a{99994}", b"a", b"memory limit exceeded by regular expression 'a{99994}'"),
    (b"(a|b|c){9000}", b"a", b"memory limit exceeded by regular expression '(a|b|c){9000}'"),
    (b"(a|b|c){11100}", b"a", b"memory limit exceeded by regular expression '(a|b|c){11100}'"),
    (b"((a?){300}){100}", b"a", b"memory limit exceeded by regular expression '((a?){300}){100}'"),
    (b"((a*b+){3,}x?){1000}", b"a", b"null"),
    (b"((a*b+){3,5}x?){2000}", b"a", b"null"),
    (b"a{99999999999}", b"a", b"invalid regular expression 'a{99999999999}'"),
];

#[rustfmt::skip]
const SPLIT: &[(&[u8], &[u8], &[u8])] = &[
    (b"(a*)(ab)*", b"xaaby", br#"[ "" [ "" null ] "x" [ "aa" null ] "" [ "" null ] "b" [ "" null ] "y" [ "" null ] "" ]"#),
    (b"^", b"ab", br#"[ "" [ ] "ab" ]"#),
    (b"$", b"ab", br#"[ "ab" [ ] "" ]"#),
    (b"", b"ab", br#"[ "" [ ] "a" [ ] "b" [ ] "" ]"#),
    (b"^a", b"aaa", br#"[ "" [ ] "aa" ]"#),
    (b"b*", b"abbac", br#"[ "" [ ] "a" [ ] "" [ ] "a" [ ] "c" [ ] "" ]"#),
    (b"(a|ab)", b"xaby", br#"[ "x" [ "ab" ] "y" ]"#),
    (b"a*(b|$)", b"aab", br#"[ "" [ "b" ] "" [ "" ] "" ]"#),
    (b",", b"a,b,,c", br#"[ "a" [ ] "b" [ ] "" [ ] "c" ]"#),
    (b"([,;])", b"a,b;c", br#"[ "a" [ "," ] "b" [ ";" ] "c" ]"#),
    (b"(a)|(b)", b"xaybz", br#"[ "x" [ "a" null ] "y" [ null "b" ] "z" ]"#),
    (b" +", b" a  b ", br#"[ "" [ ] "a" [ ] "b" [ ] "" ]"#),
    (b"[^a-z]*", b"ab12c", br#"[ "" [ ] "a" [ ] "b" [ ] "" [ ] "c" [ ] "" ]"#),
    (b"x", b"abc", br#"[ "abc" ]"#),
    (b"", b"", br#"[ "" [ ] "" ]"#),
    (b"a", b"", br#"[ "" ]"#),
    (b"(a?)", b"ba", br#"[ "" [ "" ] "b" [ "a" ] "" [ "" ] "" ]"#),
    (b"a|ab|abc", b"xabcx", br#"[ "x" [ ] "x" ]"#),
    (b"(a|ab)(c|bcd)", b"abcdabc", br#"[ "" [ "a" "bcd" ] "" [ "ab" "c" ] "" ]"#),
    (b"(foo|foobar)", b"a foobar b", br#"[ "a " [ "foobar" ] " b" ]"#),
    (b"(a|ab)*c?", b"ababc", br#"[ "" [ "ab" ] "" [ null ] "" ]"#),
    (br#"\$\{([^}]*)\}"#, b"a${b}c${d}", br#"invalid regular expression '\$\{([^}]*)\}'"#),
    (b"(^|x)a", b"axaa", br#"[ "" [ "" ] "" [ "x" ] "a" ]"#),
    (b"a$", b"aa", br#"[ "a" [ ] "" ]"#),
    (b"(a*)(b|abc)", b"aabc", br#"[ "" [ "aa" "b" ] "c" ]"#),
    (b"(|a)", b"aa", br#"[ "" [ "a" ] "" [ "a" ] "" [ "" ] "" ]"#),
    (b"(a||b)", b"ab", br#"[ "" [ "a" ] "" [ "b" ] "" [ "" ] "" ]"#),
    (b"(a|b*)", b"abba", br#"[ "" [ "a" ] "" [ "bb" ] "" [ "a" ] "" [ "" ] "" ]"#),
    (b"\xc3\xa9", b"a\xc3\xa9b", br#"[ "a" [ ] "b" ]"#),
    (b"(.)", b"\xc3\xa9", b"[ \"\" [ \"\xc3\" ] \"\" [ \"\xa9\" ] \"\" ]"),
];

use bstr::{BStr, ByteSlice};

use super::*;

/// Prints a list of groups as Nix would.
fn print_groups(text: &[u8], groups: &[Option<Range<usize>>]) -> Vec<u8> {
    let mut out = b"[ ".to_vec();
    for group in groups {
        match group {
            Some(range) => out.extend([b"\"", &text[range.clone()], b"\" "].concat()),
            None => out.extend(b"null "),
        }
    }
    out.push(b']');
    out
}

/// What `builtins.split` gives, as Nix prints it.
fn print_split(regex: &Regex, text: &[u8]) -> Vec<u8> {
    let mut out = b"[ ".to_vec();
    let mut end = 0;
    for found in regex.matches(text) {
        assert_eq!(found.prefix.start, end);
        out.extend([b"\"", &text[found.prefix], b"\" "].concat());
        out.extend(print_groups(text, &found.groups));
        out.push(b' ');
        end = found.range.end;
    }
    out.extend([b"\"", &text[end..], b"\" ]"].concat());
    out
}

fn check(cases: &[(&[u8], &[u8], &[u8])], answer: impl Fn(&Regex, &[u8]) -> Vec<u8>) {
    for &(pattern, text, expected) in cases {
        let actual = match Regex::new(pattern) {
            Ok(regex) => answer(&regex, text),
            Err(error) => error.to_string().into_bytes(),
        };
        // Printing escapes these; no case needs more.
        let actual = actual.replace("${", "\\${");
        assert_eq!(actual.as_bstr(), BStr::new(expected), "{} on {}", BStr::new(pattern), BStr::new(text));
    }
}

#[test]
fn full_matches_as_nix_does() {
    check(FULL, |regex, text| {
        regex.full_match(text).map_or(b"null".to_vec(), |groups| print_groups(text, &groups))
    });
}

#[test]
fn splits_as_nix_does() {
    check(SPLIT, print_split);
}

#[test]
fn needs_no_exponential_time() {
    let text = "a".repeat(1000);
    for pattern in ["(a*)*b", "(a|a)*b", "(a?){50}(a|aa)+b", "((a*)*)*b", "(a|ab|a*)*[bc]"] {
        let regex = Regex::new(pattern.as_bytes()).unwrap();
        assert_eq!(regex.full_match(text.as_bytes()), None, "{pattern}");
    }
    let text = "a".repeat(300);
    for pattern in ["(a|a)*b", "(a|aa)+c", "(a*)*b"] {
        let regex = Regex::new(pattern.as_bytes()).unwrap();
        assert_eq!(regex.matches(text.as_bytes()).count(), 0, "{pattern}");
    }
}

#[test]
fn copes_with_deep_nesting_and_long_texts() {
    let deep = format!("{}a{}", "(".repeat(20_000), ")".repeat(20_000));
    let groups = Regex::new(deep.as_bytes()).unwrap().full_match(b"a").unwrap();
    assert_eq!(groups.len(), 20_000);
    let too_deep = "(".repeat(200_000);
    assert!(matches!(Regex::new(too_deep.as_bytes()), Err(RegexError::TooLarge(_))));
    let long = "ab".repeat(500_000);
    assert!(Regex::new(b"(ab|c)*").unwrap().full_match(long.as_bytes()).is_some());
}

#[test]
fn the_cache_gives_the_same_regex_again() {
    let first = Regex::cached(b"a(cached)?").unwrap();
    assert!(Arc::ptr_eq(&first, &Regex::cached(b"a(cached)?").unwrap()));
    assert!(Regex::cached(b"a(").is_err());
}
