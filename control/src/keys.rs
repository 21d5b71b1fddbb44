//! Who makes the keys that grants are signed with, exchanges them while they are still young, and
//! forgets them when nothing is left that they signed. Every process does so; the store decides
//! which of them was first.

use std::sync::Arc;
use std::time::Duration;

use portico_core::access::{Key, KeyId, Revocation};
use portico_core::limits;
use portico_core::record::{Document, Kind, Version};
use portico_core::session::Timestamp;

use crate::access::{key_document, key_of};
use crate::clock;
use crate::store::{Author, Expected, Store, StoreError, Write};

#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Of a key that signs.
    pub key: Duration,
    /// Of what it signed, at the most.
    pub login: Duration,
}

/// Runs until it is dropped.
pub async fn keep(store: Arc<dyn Store>, lifetimes: Lifetimes) {
    let mut failing = false;
    loop {
        let pause = match look(&*store, lifetimes, clock::now()).await {
            Ok(()) => limits::KEYS_CHECK,
            Err(error) => {
                // The feed tells loudly when the store is away.
                if !std::mem::replace(&mut failing, true) {
                    let error = crate::with_causes(&error);
                    tracing::warn!(error, "the keys of grants cannot be looked after");
                }
                tokio::time::sleep(limits::KEYS_RETRY).await;
                continue;
            }
        };
        failing = false;
        tokio::time::sleep(pause).await;
    }
}

/// What there is to do at this moment.
pub async fn look(
    store: &dyn Store,
    lifetimes: Lifetimes,
    now: Timestamp,
) -> Result<(), StoreError> {
    let documents = store.documents(Kind::SigningKey).await?;
    let mut keys: Vec<(Key, Version)> = documents
        .iter()
        .filter_map(|document| Some((key_of(document)?, document.version)))
        .collect();
    keys.sort_by_key(|(key, _)| key.id);
    match keys.last() {
        None => add(store, KeyId(1), now, "the first key of grants").await?,
        Some((newest, _)) if now.since(newest.signs_from) >= lifetimes.key => {
            let from = now.plus(limits::KEY_LEAD);
            add(store, KeyId(newest.id.0.saturating_add(1)), from, "a new key of grants").await?;
        }
        Some(_) => {}
    }
    for ((old, version), (next, _)) in keys.iter().zip(keys.iter().skip(1)) {
        if now.since(next.signs_from) > lifetimes.login + limits::KEY_GRACE {
            let write =
                Write::DeleteDocument { key: key_document(old.id), expected: Some(*version) };
            // Another replica may have been faster.
            let _ =
                store.write(write, Author::portico().saying("nothing it signed is left")).await?;
        }
    }
    forget_revocations(store, now).await
}

async fn add(
    store: &dyn Store,
    id: KeyId,
    signs_from: Timestamp,
    words: &str,
) -> Result<(), StoreError> {
    let mut secret = [0; Key::BYTES];
    getrandom::fill(&mut secret).map_err(StoreError::Random)?;
    let body = Key::new(id, secret, signs_from).encode();
    let write =
        Write::PutDocument { key: key_document(id), body, expected: Some(Expected::Absent) };
    // Who comes second takes the first one's.
    store.write(write, Author::portico().saying(words)).await.map(drop)
}

/// Of sign-ins that have ended by themselves.
async fn forget_revocations(store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    let over = |document: &Document| {
        let revocation = Revocation::decode(&document.body);
        let kept = limits::LOGIN_LIFETIME_MAX + limits::KEY_GRACE;
        revocation.is_ok_and(|revocation| now.since(revocation.before) > kept)
    };
    let documents = store.documents(Kind::Revocation).await?;
    for document in
        documents.iter().filter(|document| over(document)).take(limits::REVOCATIONS_FORGET_PER_LOOK)
    {
        let write =
            Write::DeleteDocument { key: document.key.clone(), expected: Some(document.version) };
        let author = Author::portico().saying("the sign-ins that it took back are over");
        let _ = store.write(write, author).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use portico_core::access::{LoginId, Revoked};

    use super::*;
    use crate::store::{Bounds, embedded::Embedded};

    const LIFETIMES: Lifetimes =
        Lifetimes { key: Duration::from_secs(100), login: Duration::from_secs(500) };

    async fn ids(store: &dyn Store) -> Vec<u32> {
        let documents = store.documents(Kind::SigningKey).await.unwrap();
        documents.iter().map(|document| key_of(document).unwrap().id.0).collect()
    }

    #[tokio::test]
    async fn keys_are_made_exchanged_and_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path().into(), Bounds::default()).await.unwrap();
        let at = |seconds: u64| Timestamp(1_000_000 + seconds * 1_000);
        for (seconds, expected) in [
            (0, vec![1]),
            (99, vec![1]),
            (100, vec![1, 2]),
            (101, vec![1, 2]),
            // The second signs from 110 on.
            (210, vec![1, 2, 3]),
            (110 + 500 + 3_600, vec![1, 2, 3, 4]),
            (110 + 500 + 3_601, vec![2, 3, 4]),
        ] {
            look(&store, LIFETIMES, at(seconds)).await.unwrap();
            assert_eq!(ids(&store).await, expected, "after {seconds} s");
        }
    }

    #[tokio::test]
    async fn a_revocation_is_forgotten_when_nothing_is_left_to_revoke() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path().into(), Bounds::default()).await.unwrap();
        let of = Revoked::Login(LoginId([1; 16]));
        let name = crate::access::revocation_name(&of);
        let key = portico_core::record::DocumentKey { kind: Kind::Revocation, name };
        let body = Revocation { of, before: Timestamp(1_000) }.encode();
        let write = Write::PutDocument { key, body, expected: None };
        store.write(write, Author::portico()).await.unwrap().unwrap();
        // Whatever sign-ins last now: that one may have begun when they lasted longer.
        let longest = limits::LOGIN_LIFETIME_MAX.as_secs();
        for (seconds, left) in [(500 + 3_600, 1), (longest + 3_600, 1), (longest + 3_602, 0)] {
            look(&store, LIFETIMES, Timestamp(1_000 + seconds * 1_000)).await.unwrap();
            assert_eq!(store.documents(Kind::Revocation).await.unwrap().len(), left);
        }
    }
}
