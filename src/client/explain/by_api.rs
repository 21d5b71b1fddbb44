//! What the API says of a URL: its session, by the names that Portico answers to, which are read
//! off the URLs of sessions. What only a data plane knows (whether its gate is closed, and its
//! switches) is said as a condition.

use hyper::Uri;
use portico_core::domain::PATH_PREFIX;
use portico_core::label::{Label, SessionId};
use serde_json::{Value, json};

use super::super::api::{Api, Call};
use super::super::failure::{Failure, Outcome};

const SESSIONS: &str = "/v1/sessions";

/// The parts that decide.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    is_tls: bool,
    host: String,
    path: String,
}

/// The names of an install, as far as its sessions tell them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    connect_host: Option<String>,
    session_domain: Option<String>,
}

/// What the host and the path name, in the order in which a worker looks.
#[derive(Debug, PartialEq, Eq)]
enum Rule {
    Subdomain(String),
    Path(String),
    /// The connect host, on a path that is no session's.
    ConnectHost,
    None,
}

pub async fn told(api: &mut Api, url: &str, asked: &Asked) -> Outcome<Value> {
    let (names, session) = find(api, asked).await?;
    let rule = names.rule(asked);
    let allowed = match &session {
        Some(session) => is_allowed(api, session).await?,
        None => None,
    };
    Ok(in_words(url, asked, &rule, session.as_ref(), allowed))
}

impl Asked {
    pub fn of(url: &str) -> anyhow::Result<Self> {
        use anyhow::Context;
        // People leave the scheme out, as browsers do.
        let whole = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
        let uri: Uri = whole.parse().with_context(|| format!("`{url}` is no URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => anyhow::bail!("`{url}` is no http or https URL"),
        };
        let host = uri.host().with_context(|| format!("`{url}` has no host"))?;
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        Ok(Self { is_tls, host, path: uri.path().to_owned() })
    }

    /// The label in the path, without a look at the host.
    fn label_in_path(&self) -> Option<String> {
        let rest = self.path.strip_prefix(PATH_PREFIX)?;
        let label = rest.split('/').next().filter(|label| !label.is_empty())?;
        Some(label.to_ascii_lowercase())
    }

    fn label_in_host(&self) -> Option<String> {
        self.host.split_once('.').map(|(label, _)| label.to_owned())
    }
}

impl Names {
    /// Of one session, which tells as many of them as it has routings.
    fn learn(&mut self, session: &Value) {
        let host = |way: &str| {
            let uri: Uri = session["urls"][way].as_str()?.parse().ok()?;
            Some(uri.host()?.to_ascii_lowercase())
        };
        let label = session["label"].as_str().unwrap_or_default();
        if let Some(host) = host("path") {
            self.connect_host = Some(host);
        }
        let domain = host("subdomain");
        let domain = domain.and_then(|host| Some(host.strip_prefix(label)?.get(1..)?.to_owned()));
        self.session_domain = domain.or(self.session_domain.take());
    }

    /// A name that no session tells is taken to be as the URL has it: nothing speaks against it.
    fn rule(&self, asked: &Asked) -> Rule {
        let by_path = || asked.label_in_path().map_or(Rule::ConnectHost, Rule::Path);
        if self.connect_host.as_ref() == Some(&asked.host) {
            return by_path();
        }
        let (label, parent) = asked.host.split_once('.').unwrap_or((&asked.host, ""));
        match (&self.session_domain, &self.connect_host) {
            (Some(domain), _) if domain == parent => Rule::Subdomain(label.to_owned()),
            (None, Some(connect)) if connect == parent => Rule::Subdomain(label.to_owned()),
            // Children of the connect host are what installs have unless they say otherwise.
            (Some(domain), None) if *domain == asked.host => by_path(),
            (None, None) if asked.label_in_path().is_some() => by_path(),
            (None, None) => Rule::Subdomain(label.to_owned()),
            _ => Rule::None,
        }
    }
}

/// By the id that most labels are made of, else by looking through all sessions.
async fn find(api: &mut Api, asked: &Asked) -> Outcome<(Names, Option<Value>)> {
    let labels: Vec<_> =
        [asked.label_in_path(), asked.label_in_host()].into_iter().flatten().collect();
    let mut names = Names::default();
    for label in &labels {
        let id = label.strip_prefix(Label::OF_ID_PREFIX).and_then(|id| SessionId::parse(id).ok());
        let Some(id) = id else { continue };
        match api.send(Call::get(SESSIONS, &[id.as_str()])).await {
            Ok(answer) => {
                let session = answer.json()?;
                names.learn(&session);
                if is_named(&names, asked, &session) {
                    return Ok((names, Some(session)));
                }
            }
            Err(Failure::Refused(problem)) if problem.status == 404 => {}
            Err(failure) => return Err(failure),
        }
    }
    let mut candidates = Vec::new();
    api.pages(
        || Call::get(SESSIONS, &[]),
        None,
        None,
        |page| {
            for item in &page.items {
                let session: Value = serde_json::from_str(item.get()).map_err(Failure::ours)?;
                names.learn(&session);
                let label = session["label"].as_str().unwrap_or_default();
                if labels.iter().any(|one| one == label) {
                    candidates.push(session);
                }
            }
            Ok(())
        },
    )
    .await?;
    let session = candidates.into_iter().find(|session| is_named(&names, asked, session));
    Ok((names, session))
}

fn is_named(names: &Names, asked: &Asked, session: &Value) -> bool {
    match names.rule(asked) {
        Rule::Subdomain(label) | Rule::Path(label) => session["label"] == label,
        Rule::ConnectHost | Rule::None => false,
    }
}

/// None where the token may not know.
async fn is_allowed(api: &mut Api, session: &Value) -> Outcome<Option<bool>> {
    let answer = match api.send(Call::get("/v1/workspaces", &[])).await {
        Ok(answer) => answer.json()?,
        Err(Failure::Refused(problem)) if problem.status == 403 => return Ok(None),
        Err(failure) => return Err(failure),
    };
    Ok(Some(match answer["allowed"].as_array() {
        Some(names) => names.contains(&session["workspace"]),
        None => true,
    }))
}

fn in_words(
    url: &str,
    asked: &Asked,
    rule: &Rule,
    session: Option<&Value>,
    allowed: Option<bool>,
) -> Value {
    let (word, label) = match rule {
        Rule::Subdomain(label) => ("subdomain", Some(label)),
        Rule::Path(label) => ("path", Some(label)),
        Rule::ConnectHost => ("connect_host", None),
        Rule::None => ("none", None),
    };
    let listener = match asked.is_tls {
        true => "proxy.https, or proxy.http behind a balancer that ends TLS",
        false => "proxy.http",
    };
    let of = |field: &str| session.map_or(Value::Null, |session| session[field].clone());
    let offered = session.map(|session| {
        session["routing"].as_array().is_some_and(|words| words.contains(&json!(word)))
    });
    json!({
        "url": url,
        "listener": listener,
        "rule": word,
        "label": label,
        "session": of("id"),
        "state": of("state"),
        "reason": of("reason"),
        "workspace": of("workspace"),
        "workspace_allowed": allowed,
        "routing": of("routing"),
        "routing_offered": offered,
        "access": of("access"),
        "who": session.map(|session| who(session, rule)),
        "upstream": of("upstream"),
        "answer": answer(rule, session, offered, allowed),
    })
}

fn who(session: &Value, rule: &Rule) -> String {
    let word = |field: &str| session[field].as_str().unwrap_or_default().to_owned();
    let owner = word("owner");
    if let (Rule::Path(_), false) = (rule, word("access") == "private") {
        let whom = of_policy(session, &owner);
        return format!("{owner} alone by path, or with access.path_sharing {whom}");
    }
    of_policy(session, &owner)
}

fn of_policy(session: &Value, owner: &str) -> String {
    match session["access"].as_str().unwrap_or_default() {
        "public" => format!("everybody with access.public_sessions, else {owner}"),
        "workspace" => {
            let workspace = session["workspace"].as_str().unwrap_or_default();
            format!("{owner}, and members of the workspace {workspace}")
        }
        "users" => {
            let users = session["allowed_users"].as_array().map(Vec::as_slice).unwrap_or_default();
            let users: Vec<_> = users.iter().filter_map(Value::as_str).collect();
            format!("{owner}, and {}", users.join(", "))
        }
        _ => owner.to_owned(),
    }
}

/// In the order in which a worker decides.
fn answer(
    rule: &Rule,
    session: Option<&Value>,
    offered: Option<bool>,
    allowed: Option<bool>,
) -> String {
    match (rule, session) {
        (Rule::None, _) => "404: this host is neither the connect host nor a session's".to_owned(),
        (Rule::ConnectHost, _) => {
            "404: the connect host has nothing on this path, but for /_portico/ and /healthz".into()
        }
        (_, None) => "404: no session has this label, or 410 if it was deleted lately".to_owned(),
        (_, Some(_)) if allowed == Some(false) => {
            "403: the session's workspace is not on the allow-list".to_owned()
        }
        (_, Some(_)) if offered == Some(false) => {
            "404: the session has other routing than this URL's".to_owned()
        }
        (_, Some(session)) => match session["state"].as_str().unwrap_or_default() {
            "running" => {
                let upstream = session["upstream"].as_str().unwrap_or_default();
                format!("sent to {upstream}, for who may open it where the gate is closed")
            }
            state => format!("a page that says that it is {state}, for who may open it"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(session: Value) -> Names {
        let mut names = Names::default();
        names.learn(&session);
        names
    }

    fn rule(names: &Names, url: &str) -> Rule {
        names.rule(&Asked::of(url).unwrap())
    }

    #[test]
    fn a_url_is_read_as_a_worker_reads_it() {
        let children = names(json!({ "label": "a1", "urls": {
            "subdomain": "https://a1.connect.example.com/",
            "path": "https://connect.example.com/_studio/a1/",
        }}));
        let siblings = names(json!({ "label": "a1", "urls": {
            "subdomain": "https://a1.studios.example.com/",
            "path": "https://connect.studios.example.com/_studio/a1/",
        }}));
        let label = || "a1".to_owned();
        for (names, url, expected) in [
            (&children, "https://A1.connect.example.com/x", Rule::Subdomain(label())),
            (&children, "a1.connect.example.com:443", Rule::Subdomain(label())),
            (&children, "https://connect.example.com/_studio/a1", Rule::Path(label())),
            (&children, "https://connect.example.com/lab", Rule::ConnectHost),
            (&children, "https://a.b.connect.example.com/", Rule::None),
            (&children, "https://example.com/_studio/a1/", Rule::None),
            (&siblings, "https://a1.studios.example.com", Rule::Subdomain(label())),
            (&siblings, "https://connect.studios.example.com/_studio/a1/", Rule::Path(label())),
        ] {
            assert_eq!(rule(names, url), expected, "{url}");
        }
        assert!(Asked::of("ftp://connect.example.com").is_err());
    }
}
