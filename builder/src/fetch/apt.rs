//! Reads from apt's configuration which Debian archives a machine uses.
//!
//! Formats: sources.list(5), both the one-line and the deb822 style.

use std::path::{Path, PathBuf};

/// One archive that apt is told to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The folder that holds `dists` and `pool`, without a trailing slash.
    pub base: String,
    pub suites: Vec<String>,
    pub components: Vec<String>,
}

impl Archive {
    /// How likely it is that this is a main Debian archive, best first: several repositories of other makers may be listed
    /// beside it, and nothing in apt's configuration says which is which.
    fn rank(&self) -> u8 {
        let security = self.base.ends_with("-security")
            || self.suites.iter().any(|suite| suite.ends_with("-security") || suite.ends_with("/updates"));
        let main = self.components.iter().any(|component| component == "main");
        let named_debian = self.base.split('/').any(|segment| segment == "debian");
        match (main, security, named_debian) {
            (true, false, true) if self.base.ends_with("/debian") => 0,
            (true, false, true) => 1,
            (true, true, _) => 2,
            (true, false, false) => 3,
            (false, _, _) => 4,
        }
    }
}

/// The base addresses of `archives`, the likeliest main archive first, none twice.
pub fn bases(archives: &[Archive]) -> Vec<String> {
    let mut ranked: Vec<&Archive> = archives.iter().collect();
    ranked.sort_by_key(|archive| archive.rank());
    let mut bases: Vec<String> = Vec::new();
    for archive in ranked {
        if !bases.contains(&archive.base) {
            bases.push(archive.base.clone());
        }
    }
    bases
}

/// The archives that the configuration under `root` (`/etc/apt` on a machine) names. Files that cannot be read count as empty:
/// a machine without apt has none.
pub fn read(root: &Path) -> Vec<Archive> {
    let read = |path: &Path| std::fs::read(path).ok().map(|text| String::from_utf8_lossy(&text).into_owned());
    let mut archives = Vec::new();
    if let Some(text) = read(&root.join("sources.list")) {
        archives.extend(parse_list(&text));
    }
    for path in sorted_files(&root.join("sources.list.d")) {
        let Some(text) = read(&path) else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => archives.extend(parse_list(&text)),
            Some("sources") => archives.extend(parse_deb822(&text)),
            _ => {}
        }
    }
    archives.into_iter().flat_map(|archive| expand_mirror_file(archive, &read)).collect()
}

fn sorted_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// Replaces `mirror+file:/PATH` (apt-transport-mirror(1), as Debian's cloud images have it) by the addresses that the file lists.
/// What cannot be fetched from by us (`cdrom:`, `tor+http:` and the like) is dropped.
fn expand_mirror_file(archive: Archive, read: &dyn Fn(&Path) -> Option<String>) -> Vec<Archive> {
    let bases = match archive.base.strip_prefix("mirror+file:") {
        Some(path) => {
            let text = read(Path::new(&format!("/{}", path.trim_start_matches('/')))).unwrap_or_default();
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            lines.filter_map(|line| line.split_whitespace().next()).map(normalise).collect()
        }
        None => vec![archive.base.clone()],
    };
    let ours =
        |base: &String| ["http://", "https://", "file:///"].iter().any(|scheme| base.starts_with(scheme));
    bases.into_iter().filter(ours).map(|base| Archive { base, ..archive.clone() }).collect()
}

/// Parses the one-line style: `deb [ option=value ... ] uri suite [component ...]`. Lines that are none are passed over, as their
/// errors are apt's to report.
pub fn parse_list(text: &str) -> Vec<Archive> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Archive> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    if kind != "deb" && kind != "deb-src" {
        return None;
    }
    let rest = match rest.trim_start().strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    let base = normalise(words.next()?);
    let suites = vec![words.next()?.to_owned()];
    Some(Archive { base, suites, components: words.map(str::to_owned).collect() })
}

/// Parses the deb822 style: stanzas of `Field: value` lines, continued by indented ones.
pub fn parse_deb822(text: &str) -> Vec<Archive> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines.split(|line| line.trim().is_empty()).flat_map(parse_stanza).collect()
}

fn parse_stanza(lines: &[&str]) -> Vec<Archive> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let words = |name: &str| -> Vec<String> { field(name).split_whitespace().map(str::to_owned).collect() };
    if ["no", "false", "off", "without", "disable"].contains(&field("enabled").to_ascii_lowercase().as_str())
    {
        return Vec::new();
    }
    let archive = |base: String| Archive { base, suites: words("suites"), components: words("components") };
    field("uris").split_whitespace().map(normalise).map(archive).collect()
}

/// Without trailing slashes, and `file:/path` and `copy:/path` as `file:///path`.
fn normalise(base: &str) -> String {
    let base = base.trim_end_matches('/');
    for scheme in ["file:", "copy:"] {
        if let Some(path) = base.strip_prefix(scheme) {
            return format!("file:///{}", path.trim_start_matches('/'));
        }
    }
    base.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases_of_list(text: &str) -> Vec<String> {
        bases(&parse_list(text))
    }

    #[test]
    fn one_line_style() {
        let cases: &[(&str, &[&str])] = &[
            ("deb http://deb.example.org/debian trixie main", &["http://deb.example.org/debian"]),
            ("deb http://deb.example.org/debian/ trixie main contrib", &["http://deb.example.org/debian"]),
            ("deb-src   http://deb.example.org/debian\ttrixie  main", &["http://deb.example.org/debian"]),
            (
                "deb [ arch=amd64,arm64 signed-by=/k.gpg ] http://a.example.org/debian sid main",
                &["http://a.example.org/debian"],
            ),
            ("deb [trusted=yes] file:/srv/debian sid main", &["file:///srv/debian"]),
            ("deb copy:/srv/debian sid main", &["file:///srv/debian"]),
            ("# deb http://a.example.org/debian sid main", &[]),
            ("deb http://a.example.org/debian sid main # comment", &["http://a.example.org/debian"]),
            ("deb [broken http://a.example.org/debian sid main", &[]),
            ("rpm http://a.example.org/debian sid main", &[]),
            ("deb http://a.example.org/debian", &[]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(bases_of_list(text), *expected, "{text}");
        }
    }

    #[test]
    fn main_archives_come_first_and_none_twice() {
        let text = "\
            deb http://packages.example.com/apt stable other\n\
            deb http://security.example.org/debian-security trixie-security main\n\
            deb http://snapshot.example.org/archive/debian/20250101T000000Z trixie main\n\
            deb http://tools.example.com/apt trixie main\n\
            deb http://deb.example.org/debian trixie main\n\
            deb http://deb.example.org/debian trixie-updates main\n";
        assert_eq!(
            bases_of_list(text),
            [
                "http://deb.example.org/debian",
                "http://snapshot.example.org/archive/debian/20250101T000000Z",
                "http://security.example.org/debian-security",
                "http://tools.example.com/apt",
                "http://packages.example.com/apt",
            ]
        );
    }

    #[test]
    fn deb822_style() {
        let text = "\
# The machine's archive
Types: deb deb-src
# in the middle of a stanza
URIs: http://deb.example.org/debian/
 https://other.example.org/debian
Suites: trixie trixie-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdA

Types: deb
Enabled: no
URIs: http://off.example.org/debian
Suites: trixie
Components: main

types: deb
uris: http://security.example.org/debian-security
suites: trixie-security
components: main
";
        let archives = parse_deb822(text);
        assert_eq!(archives.len(), 3);
        assert_eq!(archives[0].suites, ["trixie", "trixie-updates"]);
        assert_eq!(
            bases(&archives),
            [
                "http://deb.example.org/debian",
                "https://other.example.org/debian",
                "http://security.example.org/debian-security"
            ]
        );
    }

    #[test]
    fn reads_all_files_of_a_configuration_and_expands_mirror_lists() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        std::fs::create_dir(path("sources.list.d")).unwrap();
        std::fs::write(
            path("mirrors"),
            "# two\nhttps://m.example.org/debian/\tpriority:1\n\nftp://no.example.org/debian\n",
        )
        .unwrap();
        std::fs::write(
            path("sources.list"),
            "deb cdrom:[Disc]/ sid main\ndeb http://a.example.org/debian sid main\n",
        )
        .unwrap();
        std::fs::write(path("sources.list.d/b.list"), "deb http://b.example.org/debian sid main\n").unwrap();
        let sources = format!(
            "Types: deb\nURIs: mirror+file://{}\nSuites: sid\nComponents: main\n",
            path("mirrors").display()
        );
        std::fs::write(path("sources.list.d/c.sources"), sources).unwrap();
        std::fs::write(path("sources.list.d/d.save"), "deb http://d.example.org/debian sid main\n").unwrap();
        assert_eq!(
            bases(&read(root.path())),
            ["http://a.example.org/debian", "http://b.example.org/debian", "https://m.example.org/debian"]
        );
        assert!(read(&path("nowhere")).is_empty());
    }
}
