//! The API's bearer token: given, in a file, or made at the first start and kept beside the
//! sessions with rights for its owner only. Its text is never logged.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use portico_control::token::Token;

use crate::failure::{Failure, Outcome};
use crate::settings::{Mistake, Mistakes, StoreUrl, TokenSource};

/// The store's directory is there already.
pub fn obtain(source: &TokenSource, store: &StoreUrl) -> Outcome<Token> {
    match source {
        TokenSource::Given(token) => Ok(token.clone()),
        TokenSource::Kept => {
            let path = store.directory.join("token");
            let token = kept(&path)?;
            tracing::info!(file = %path.display(), "the API token is in this file");
            Ok(token)
        }
    }
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
        let store = StoreUrl { directory: directory.path().to_owned() };
        let first = obtain(&TokenSource::Kept, &store).unwrap();
        let second = obtain(&TokenSource::Kept, &store).unwrap();
        assert_eq!(first.secret(), second.secret());
        let path = directory.path().join("token");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        let failure = obtain(&TokenSource::Kept, &store).unwrap_err().to_string();
        assert!(failure.contains("token") && !failure.contains("short"), "{failure}");
    }
}
