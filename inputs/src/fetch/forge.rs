//! Repositories of sites that serve revisions as archives: GitHub, GitLab and SourceHut.

use serde_json::Value;
use zeval_model::Hash;

use super::{Fetcher, Made, failed};
use crate::{Input, InputError, Result, input::parse_revision};

type Header = (String, String);

impl Fetcher {
    pub(super) fn forge(&self, input: &Input) -> Result<Made> {
        let mut input = input.clone();
        let site = Site::of(&input)?;
        let headers = self.headers(&site)?;
        let revision = match input.revision()? {
            Some(revision) => revision,
            None => self.head(&site, input.reference().unwrap_or("HEAD"), &headers, &input)?,
        };
        let revision = revision.to_base16();
        input.attrs.remove("ref");
        input.set("rev", revision.as_str());
        let address = self.settings.forges.clone() + &site.archive(&revision, !headers.is_empty());
        let (store_path, modified) = self.unpack_revision(&address, &input.name(), &headers, &revision)?;
        input.set("lastModified", modified);
        self.made(store_path, input)
    }

    /// The header that shows who asks, if a token is known for the repository or its host.
    fn headers(&self, site: &Site) -> Result<Vec<Header>> {
        let path = format!("{}/{}/{}", site.host, site.owner, site.repo);
        let is_for = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let tokens = &self.settings.access_tokens;
        let token = tokens.iter().filter(|(prefix, _)| is_for(prefix)).max_by_key(|(prefix, _)| prefix.len());
        let Some((_, token)) = token else { return Ok(Vec::new()) };
        let header = |name: &str, value: String| vec![(name.to_owned(), value)];
        Ok(match site.kind {
            Kind::GitHub => header("Authorization", format!("token {token}")),
            Kind::SourceHut => header("Authorization", format!("Bearer {token}")),
            Kind::GitLab => match token.split_once(':') {
                Some(("OAuth2", token)) => header("Authorization", format!("Bearer {token}")),
                Some(("PAT", token)) => header("Private-token", token.to_owned()),
                other => {
                    let (name, value) = other.unwrap_or((token, token));
                    self.settings.warn(format!("Unrecognized GitLab token type {name}"));
                    header(name, value.to_owned())
                }
            },
        })
    }

    /// The revision of a branch or tag.
    fn head(&self, site: &Site, reference: &str, headers: &[Header], input: &Input) -> Result<Hash> {
        let read = |address: String| -> Result<String> {
            let address = self.settings.forges.clone() + &address;
            let file = self.download_file(&address, "source", headers)?;
            let text = std::fs::read(self.store.physical(&file.store_path)).map_err(failed)?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let json = |text: String| -> Result<Value> { serde_json::from_str(&text).map_err(failed) };
        let Site { host, owner, repo, .. } = site;
        match site.kind {
            Kind::GitHub => {
                let address = match host.as_str() {
                    "github.com" => format!("api.{host}/repos/{owner}/{repo}/commits/{reference}"),
                    _ => format!("{host}/api/v3/repos/{owner}/{repo}/commits/{reference}"),
                };
                let answer = json(read(address)?)?;
                let revision = answer["sha"].as_str();
                parse_revision(revision.ok_or_else(|| unexpected("GitHub", &answer))?)
            }
            Kind::GitLab => {
                let answer = json(read(format!(
                    "{host}/api/v4/projects/{owner}%2F{repo}/repository/commits?ref_name={reference}"
                ))?)?;
                if answer.as_array().is_some_and(Vec::is_empty) {
                    return Err(InputError::new(
                        "No commits returned by GitLab API -- does the git ref really exist?",
                    ));
                }
                let revision = answer[0]["id"].as_str();
                parse_revision(revision.ok_or_else(|| unexpected("GitLab", &answer))?)
            }
            Kind::SourceHut => {
                let base = format!("{host}/{owner}/{repo}");
                let names = match reference {
                    "HEAD" => {
                        let head = read(format!("{base}/HEAD"))?;
                        let line = head.lines().next().unwrap_or_default();
                        vec![line.trim_start_matches("ref: ").trim().to_owned()]
                    }
                    name => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
                };
                let listing = read(format!("{base}/info/refs"))?;
                let found = listing.lines().find_map(|line| {
                    let (revision, name) = line.split_once('\t')?;
                    names.iter().any(|wanted| wanted == name).then_some(revision)
                });
                let missing = || {
                    InputError::bad_url(format!("in '{}', couldn't find ref '{reference}'", input.shown()))
                };
                parse_revision(found.ok_or_else(missing)?)
            }
        }
    }
}

fn unexpected(site: &str, answer: &Value) -> InputError {
    InputError::new(format!("Unexpected response received from {site}: {answer}"))
}

#[derive(Clone, Copy)]
enum Kind {
    GitHub,
    GitLab,
    SourceHut,
}

/// A repository of a site.
struct Site {
    kind: Kind,
    host: String,
    owner: String,
    repo: String,
}

impl Site {
    fn of(input: &Input) -> Result<Site> {
        let (kind, host) = match input.kind() {
            "github" => (Kind::GitHub, "github.com"),
            "gitlab" => (Kind::GitLab, "gitlab.com"),
            _ => (Kind::SourceHut, "git.sr.ht"),
        };
        let text = |name| input.required_text(name).map(str::to_owned);
        let host = input.text("host")?.unwrap_or(host).to_owned();
        Ok(Site { kind, host, owner: text("owner")?, repo: text("repo")? })
    }

    /// Where the archive of a revision is, without the scheme.
    fn archive(&self, revision: &str, with_token: bool) -> String {
        let Site { host, owner, repo, .. } = self;
        match self.kind {
            Kind::GitHub if host != "github.com" => {
                format!("{host}/api/v3/repos/{owner}/{repo}/tarball/{revision}")
            }
            Kind::GitHub if with_token => {
                format!("api.{host}/repos/{owner}/{repo}/tarball/{revision}")
            }
            Kind::GitLab => {
                format!("{host}/api/v4/projects/{owner}%2F{repo}/repository/archive.tar.gz?sha={revision}")
            }
            Kind::GitHub | Kind::SourceHut => {
                format!("{host}/{owner}/{repo}/archive/{revision}.tar.gz")
            }
        }
    }

    /// Where git finds the repository.
    fn clone_address(&self) -> String {
        let end = if matches!(self.kind, Kind::SourceHut) { "" } else { ".git" };
        format!("git+https://{}/{}/{}{end}", self.host, self.owner, self.repo)
    }
}

/// The repository of a site as an input for git.
pub fn clone_address(input: &Input) -> Result<String> {
    Ok(Site::of(input)?.clone_address())
}
