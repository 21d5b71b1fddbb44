//! The API's first token: given, in a file, or made at the first start. Beside an embedded store it
//! is kept in a file that only its owner reads; for a store on another machine it is put there,
//! hashed, and shown once. Its text is never logged.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use portico_control::store::{Author, Expected, Store, StoreSettings, Write as StoreWrite};
use portico_control::token::{Scopes, StoredToken, Token};
use portico_core::record::{DocumentKey, Kind};
use portico_core::session::Timestamp;

use crate::failure::{Failure, Outcome};
use crate::settings::{Mistake, Mistakes, TokenSource};

/// None where the tokens of the store are all that there are.
pub fn obtain(source: &TokenSource, store: &StoreSettings) -> Outcome<Option<Token>> {
    match (source, store) {
        (TokenSource::Given(token), _) => Ok(Some(token.clone())),
        // The store's directory is there already.
        (TokenSource::Kept, StoreSettings::Embedded(directory)) => {
            let path = directory.join("token");
            let token = kept(&path)?;
            tracing::info!(file = %path.display(), "the API token is in this file");
            Ok(Some(token))
        }
        (TokenSource::Kept, StoreSettings::Redis(_)) => Ok(None),
    }
}

/// Makes the first token of a store that has none, and shows it this once. With the store away
/// there is nothing to be done: whoever starts next tries again.
pub async fn first(store: &dyn Store) {
    let made = make_first(store).await;
    match made {
        Ok(Some(token)) => crate::say(&format!(
            "The first token of the API, with every right. It is not shown again:\n{}\n",
            token.secret()
        )),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "it is not known whether there are tokens"
            );
        }
    }
}

async fn make_first(store: &dyn Store) -> anyhow::Result<Option<Token>> {
    if !store.documents(Kind::Token).await?.is_empty() {
        return Ok(None);
    }
    let token = Token::generate()?;
    let name: portico_core::session::Name = "first".parse().context("a constant")?;
    let by = Author::portico().saying("the first token");
    let Timestamp(now) = by.at;
    let stored = StoredToken::new(name.clone(), &token, Scopes::ADMIN, Timestamp(now));
    let key = DocumentKey { kind: Kind::Token, name };
    let write =
        StoreWrite::PutDocument { key, body: stored.encode(), expected: Some(Expected::Absent) };
    // Another replica may have been faster; then that one has shown it.
    Ok(store.write(write, by).await?.is_ok().then_some(token))
}

fn read(path: &Path) -> Outcome<Token> {
    let parse = || Ok(Token::parse(&fs::read_to_string(path)?)?);
    parse().map_err(|error: anyhow::Error| {
        let mistake = Mistake {
            name: "control.token".to_owned(),
            origin: None,
            wrong: format!("no token in {}: {error}", path.display()),
            fix: "remove the file to have a new token made, or set control.token_file".to_owned(),
        };
        Mistakes(vec![mistake]).into()
    })
}

fn kept(path: &Path) -> Outcome<Token> {
    // The store is locked by this process, so nobody else makes the file at the same moment.
    match fs::exists(path) {
        Ok(true) => return read(path),
        Ok(false) => {}
        Err(error) => return Err(Failure::machine(error)),
    }
    let token = Token::generate().map_err(Failure::machine)?;
    write(path, &token)
        .with_context(|| format!("cannot write the API token to {}", path.display()))
        .map_err(Failure::machine)?;
    Ok(token)
}

/// Beside and renamed, so that a crash leaves no half of a token.
fn write(path: &Path, token: &Token) -> anyhow::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    writeln!(file, "{}", token.secret())?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreSettings::Embedded(directory.path().to_owned());
        let first = obtain(&TokenSource::Kept, &store).unwrap().unwrap();
        let second = obtain(&TokenSource::Kept, &store).unwrap().unwrap();
        assert_eq!(first.secret(), second.secret());
        let path = directory.path().join("token");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let failure = obtain(&TokenSource::Kept, &store).unwrap_err().to_string();
        assert!(failure.contains("token") && !failure.contains("short"), "{failure}");
    }
}
