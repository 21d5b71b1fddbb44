//! What is foretold of a request is what comes of it, and leaves no trace.

use super::*;

fn of<'a>(workspace: &'a str, asker: Asker<'a>) -> Foreseen<'a> {
    Foreseen { workspace, session: "s", asker }
}

#[track_caller]
fn counted(ledger: &Ledger, of: Foreseen<'_>) -> Counted {
    let [forecast] = <[Forecast; 1]>::try_from(ledger.foresee(of, at(0))).unwrap();
    forecast.counted
}

#[test]
fn a_forecast_is_what_a_request_is_told_and_opens_nothing() {
    let ledger = Ledger::with_room(policy(&quota(100, "60s", "fixed", "deny")), 2);
    let foreseen = of("w1", Asker::Unknown);
    let fresh = Counted::As { value: "w1".to_owned(), standing: Standing::Open, usage: Vec::new() };
    assert_eq!(counted(&ledger, foreseen), fresh);
    assert_eq!(ledger.accounts(), 0);
    let accounts = ledger.open(&known("w1"), at(0));
    accounts.charge(150);
    match counted(&ledger, foreseen) {
        Counted::As { value, standing, usage } => {
            assert_eq!((value.as_str(), standing), ("w1", accounts.standing(at(0))));
            assert_eq!((usage.len(), usage[0].used), (1, 150));
        }
        other => panic!("{other:?}"),
    }
    // Where there is no room a newcomer is counted with the others, which is foretold, too.
    let _second = ledger.open(&known("w2"), at(0));
    assert!(matches!(counted(&ledger, of("w3", Asker::Nobody)),
        Counted::As { value, .. } if value == "other"));
    assert!(Ledger::default().foresee(foreseen, at(0)).is_empty());
}

#[test]
fn what_the_request_decides_is_not_guessed() {
    let by = |sources: &[Source]| {
        let mut policy = policy(&quota(100, "60s", "fixed", "deny"));
        let mut of_kind = policy.buckets[0].extractors[0].clone();
        policy.buckets[0].extractors.clear();
        for source in sources {
            of_kind.source = source.clone();
            policy.buckets[0].extractors.push(of_kind.clone());
        }
        Ledger::new(policy)
    };
    let value = |counted| match counted {
        Counted::As { value, .. } => value,
        Counted::ByRequest(source) => format!("by {source}"),
        Counted::NotHere => "not here".to_owned(),
    };
    let field = Source::Header { name: "X-Team".into() };
    for (sources, asker, expected) in [
        (vec![Source::ClientIp, Source::Session], Asker::Nobody, "by client_ip"),
        (vec![Source::Session, Source::ClientIp], Asker::Nobody, "s"),
        (vec![field, Source::Session], Asker::User("bob"), "by header"),
        (vec![Source::User, Source::Workspace], Asker::User("bob"), "bob"),
        (vec![Source::User, Source::Workspace], Asker::Unknown, "by user"),
        (vec![Source::User, Source::Workspace], Asker::Nobody, "w"),
        (vec![Source::User], Asker::Nobody, "not here"),
    ] {
        assert_eq!(value(counted(&by(&sources), of("w", asker))), expected, "{sources:?}");
    }
}
