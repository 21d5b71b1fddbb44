//! `portico workspace|template|token|replica|audit …`.

use portico_bench::world::eventually;
use portico_bench::world::process::{Process, Signal};
use serde_json::{Value, json};

use super::{BINARY, Cli, SESSION, parsed, row, world};

#[test]
fn workspaces_are_allowed_limited_and_listed() {
    let world = world();
    let cli = Cli::of(&world);
    assert_eq!(cli.done("workspace list"), "All workspaces are allowed (by the settings).\n");
    let problem = cli.refused("workspace disallow genomics", 64);
    assert!(problem.contains("allow --only"), "{problem}");
    cli.done("workspace allow --only genomics");
    let list = cli.done("workspace allow imaging chemistry");
    assert!(list.starts_with("3 workspaces are allowed (by the API)"), "{list}");
    assert_eq!(row(&list, "imaging")[1], "yes");
    cli.done("workspace disallow chemistry imaging");
    assert_eq!(cli.json("workspace list")["allowed"], json!(["genomics"]));
    let elsewhere = SESSION.replace("genomics", "imaging");
    let refused = |line: &str| cli.run(line).code == Some(77);
    eventually("the list is in force", || {
        refused(&format!("session create {elsewhere}")).then_some(())
    });
    assert_eq!(cli.json("workspace disallow --all")["allowed"], json!([]));
    assert_eq!(cli.json("workspace allow-all")["allowed"], Value::Null);

    let limited = cli.done("workspace limit genomics --sessions-max 5 --connections-max 50");
    assert_eq!(row(&limited, "sessions_max")[1], "5");
    cli.done("workspace limit genomics --connections-max none --bytes-per-second-max 1000000");
    let shown = cli.json("workspace show genomics");
    assert_eq!(shown["sessions_max"], 5, "what is not given stays: {shown}");
    assert_eq!(
        (&shown["connections_max"], &shown["bytes_per_second_max"]),
        (&Value::Null, &json!(1_000_000))
    );
    let list = cli.done("workspace list");
    assert_eq!(row(&list, "genomics"), ["genomics", "yes", "5", "-", "-", "1000000"]);
    cli.done("workspace unlimit genomics");
    cli.refused("workspace unlimit genomics", 2);
    cli.refused("workspace limit genomics --sessions-max 0", 64);
    assert_eq!(cli.done("workspace reset"), "The list of the settings is in force.\n");
    assert_eq!(cli.json("workspace list")["origin"], "settings");
}

#[test]
fn templates_are_put_shown_and_deleted() {
    let world = world();
    let cli = Cli::of(&world);
    assert_eq!(row(&cli.done("template list"), "xpra")[1], "xpra");
    assert_eq!(row(&cli.done("template show xpra"), "path_routing")[1], "no");
    let put = cli.done(
        "template put notes --tool notes --repository example/notes --port 9000 \
         --status experimental --path-routing false --path-refusal absolute-links",
    );
    assert_eq!(row(&put, "origin")[1], "api");
    let shown = cli.json("template show notes");
    assert_eq!((&shown["port"], &shown["status"]), (&json!(9_000), &json!("experimental")));
    assert_eq!(
        (&shown["path_routing"], &shown["path_refusal"]),
        (&json!(false), &json!("absolute-links"))
    );
    let fields = json!({ "tool": "notes", "repository": "example/notes", "port": 9001 });
    let put = cli.run_with("template put notes --file - --json", &fields.to_string());
    assert_eq!(parsed(&put.stdout)["port"], 9_001, "{put:?}");
    let list = cli.json("template list");
    assert!(list.as_array().is_some_and(|list| list.iter().any(|t| t["key"] == "notes")));
    cli.done("template delete notes");
    cli.refused("template delete notes", 2);
    cli.refused("template delete xpra", 2);
    let problem = cli.refused("template put notes --port 0", 64);
    for mistake in ["\n  tool is required", "\n  repository is required", "\n  port must"] {
        assert!(problem.contains(mistake), "{mistake}: {problem}");
    }
}

#[test]
fn a_secret_is_shown_once_and_a_bounded_token_reaches_its_part() {
    let world = world();
    let cli = Cli::of(&world);
    let elsewhere = SESSION.replace("genomics", "other");
    cli.done(&format!("session create {SESSION} --id mine"));
    cli.done(&format!("session create {elsewhere} --id theirs"));
    let created =
        cli.done("token create ci --scope sessions:write --workspace genomics --expires-in 90d");
    assert!(created.contains("will not be shown again"), "{created}");
    let secret = created.lines().nth(2).map(str::trim).expect("a line of its own").to_owned();
    for line in ["token list", "token show ci", "token list --json", "audit"] {
        assert!(!cli.done(line).contains(&secret), "{line}");
    }
    assert_eq!(row(&cli.done("token list"), "ci")[1..3], ["sessions:write", "genomics"]);

    let file = world.directory().join("ci.token");
    std::fs::write(&file, format!("{secret}\n")).expect("a file can be written");
    // The flag wins over the variable.
    let bounded = |line: &str| format!("{line} --token-file {}", file.display());
    eventually("the token is in force", || {
        (cli.run(&bounded("session list")).code == Some(0)).then_some(())
    });
    let seen = cli.done(&bounded("session list"));
    assert!(seen.contains("mine") && !seen.contains("theirs"), "{seen}");
    cli.refused(&bounded("session show theirs"), 2);
    let problem = cli.refused(&bounded(&format!("session create {elsewhere}")), 77);
    assert!(problem.contains("does not reach other"), "{problem}");
    let problem = cli.refused(&bounded("token list"), 77);
    assert!(problem.contains("admin"), "the scope that it lacks: {problem}");
    cli.done(&bounded("session delete mine"));

    let rotated = cli.json("token rotate ci")["token"].as_str().map(str::to_owned);
    assert!(rotated.is_some_and(|rotated| rotated != secret));
    eventually("the old secret is out of force", || {
        (cli.run(&bounded("session list")).code == Some(77)).then_some(())
    });
    assert_eq!(cli.done("token revoke ci"), "The token ci is out of force.\n");
    cli.refused("token show ci", 2);
    cli.refused("token create ci --scope everything", 64);
}

#[test]
fn replicas_are_listed() {
    let world = world();
    let cli = Cli::of(&world);
    let titles = ["ID", "ROLE", "ALIVE", "HOST", "VERSION", "STARTED"];
    assert_eq!(row(&cli.done("replica list"), "ID"), titles);
    assert!(cli.json("replica list").is_array());
}

#[test]
fn the_audit_log_is_read_and_followed() {
    let world = world();
    let cli = Cli::of(&world);
    // Its own start is the first record, which comes in its own time.
    eventually("the replica is listed", || cli.done("replica list").contains("all-").then_some(()));
    for id in ["one", "two", "three"] {
        cli.done(&format!("session create {SESSION} --id {id}"));
    }
    let log = cli.done("audit");
    assert_eq!(row(&log, "POSITION")[2..5], ["ACTOR", "ADDRESS", "ACTION"]);
    assert_eq!(log.lines().count(), 5, "{log}");
    assert!(log.contains("replica.created"), "{log}");
    let last = cli.done("audit --last 1 --json");
    assert!(parsed(&last)["subject"].as_str().is_some_and(|s| s.contains("three")), "{last}");
    let first: Vec<_> = cli.done("audit --limit 3 --json").lines().map(parsed).collect();
    assert_eq!(first.len(), 3);
    let rest = cli.done(&format!("audit --after {} --json", first[2]["position"]));
    assert_eq!(rest, last);

    let arguments = ["audit", "--follow", "--last", "1"].map(str::to_owned);
    let mut follower =
        Process::start("audit", BINARY.as_ref(), &arguments, &cli.environment, world.directory());
    eventually("the last one is told", || follower.stdout().contains("three").then_some(()));
    cli.done("session delete one");
    eventually("the next one, too", || follower.stdout().contains("deleted").then_some(()));
    assert_eq!(follower.stdout().lines().count(), 2, "{}", follower.stdout());
    follower.signal(Signal::SIGINT);
    assert_eq!(follower.ended().code(), Some(0));
}

#[test]
fn usage_and_activity_are_told() {
    let world = world();
    let cli = Cli::of(&world);
    let table = cli.done("usage --from 7d --step day");
    assert!(table.starts_with("AT  ") && table.contains("RTT-99"), "{table}");
    assert_eq!(cli.json("usage --by session --from 2026-02-01 --to 2026-03-01"), json!([]));
    assert!(cli.done("usage --csv").starts_with("at,workspace,user,session,connections,"));
    let problem = cli.refused("usage --by week --from noon --to 1h", 64);
    for mistake in ["\n  by is not one of session, workspace, user", "\n  from must be a time"] {
        assert!(problem.contains(mistake), "{mistake}: {problem}");
    }
    for both in ["usage --csv --json", "usage --csv --limit 5"] {
        assert_eq!(cli.run(both).code, Some(64), "{both}");
    }
    cli.done(&format!("session create --id one {SESSION}"));
    assert_eq!(row(&cli.done("session activity one"), "open.websockets")[1], "0");
    assert_eq!(cli.json("session activity one")["replicas"], json!([]));
    cli.refused("session activity none", 2);
}
