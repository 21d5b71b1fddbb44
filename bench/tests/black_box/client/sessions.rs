//! `portico session …` and `portico bulk`.

use serde_json::{Value, json};

use super::{Cli, SESSION, parsed, row, world};

#[test]
fn a_session_from_creation_to_deletion_as_people_see_it() {
    let world = world();
    let cli = Cli::of(&world);
    let created = cli.done(&format!("session create {SESSION} --id one --lifespan 8h"));
    assert!(created.contains("one is running"), "{created}");
    assert!(created.contains("http://aone.connect.example.com/"), "{created}");
    assert!(created.contains("http://connect.example.com/_studio/aone/"), "{created}");

    let list = cli.done("session list");
    let titles = ["ID", "STATE", "WORKSPACE", "OWNER", "TOOL", "CREATED", "EXPIRES", "URL"];
    assert_eq!(row(&list, "ID"), titles);
    assert_eq!(row(&list, "one")[1..5], ["running", "genomics", "ada", "jupyter"]);

    let shown = cli.done("session show one");
    assert_eq!(row(&shown, "lifespan_seconds")[1], "28800");
    assert_eq!(row(&shown, "image")[1], "-");
    // 1, or 2 behind the record of the replica's own start.
    let version = row(&shown, "version")[1].to_owned();

    let change = format!("session change one --label team=imaging --if-version {version}");
    let changed = cli.done(&format!("{change} --reason busy"));
    assert_eq!(row(&changed, "one")[1], "running");
    let problem = cli.refused(&format!("{change} --reason idle"), 3);
    assert!(problem.contains("another version"), "{problem}");
    assert_eq!(cli.json("session show one")["reason"], "busy");
    cli.done("session change one --clear reason --clear labels --strip-prefix");
    let session = cli.json("session show one");
    assert_eq!((&session["reason"], &session["labels"]), (&Value::Null, &json!({})));
    assert_eq!(session["strip_prefix"], true);

    cli.done("session extend one 1h30m");
    assert_eq!(cli.json("session show one")["lifespan_seconds"], 5_400);
    cli.done("session extend one 0");
    assert_eq!(cli.json("session show one")["expires_at"], Value::Null);
    assert_eq!(row(&cli.done("session stop one --reason done"), "one")[1], "stopped");
    assert_eq!(cli.json("session show one")["reason"], "done");
    cli.refused("session change one --state running", 3);
    cli.refused(&format!("session delete one --if-version {version}"), 3);
    assert_eq!(cli.done("session delete one"), "The session one is deleted.\n");
    let problem = cli.refused("session show one", 2);
    assert!(problem.contains("No such session"), "{problem}");
}

#[test]
fn scripts_get_the_answers_of_the_api_as_they_are() {
    let world = world();
    let cli = Cli::of(&world);
    assert_eq!(cli.json("session list"), json!([]));
    let created = cli.json(&format!("session create {SESSION} --id one --dns-label mine"));
    assert_eq!(created["label"], "mine");
    let raw = world.api("GET", "/v1/sessions/one", None).text();
    assert_eq!(cli.done("session show one --json").trim_end(), raw);
    assert_eq!(cli.json("session change one --reason busy")["reason"], "busy");
    assert_eq!(cli.json("session extend one 60")["lifespan_seconds"], 60);
    assert_eq!(cli.json("session stop one")["state"], "stopped");
    assert_eq!(cli.done("session delete one --json"), "");
}

#[test]
fn a_session_is_shared_and_taken_back() {
    let world = world();
    let cli = Cli::of(&world);
    let shared = "--access users --allow-user eve,bob --allow-user dan";
    let created = cli.json(&format!("session create {SESSION} --id one {shared}"));
    assert_eq!(created["allowed_users"], json!(["bob", "dan", "eve"]));
    let shown = cli.done("session show one");
    assert_eq!(row(&shown, "access")[1], "users");
    assert_eq!(row(&shown, "allowed_users")[1], "bob,dan,eve");
    let changed = cli.json("session change one --allow-user ada");
    assert_eq!(changed["allowed_users"], json!(["ada"]), "the list is replaced");
    let changed = cli.json("session change one --access private");
    assert_eq!(
        (&changed["access"], &changed["allowed_users"]),
        (&json!("private"), &json!(["ada"]))
    );
    assert_eq!(cli.json("session change one --allow-user")["allowed_users"], json!([]));
    let problem = cli.refused("session change one --access public", 64);
    assert!(problem.contains("access.public_sessions"), "{problem}");
}

#[test]
fn lists_are_filtered_as_the_api_has_it() {
    let world = world();
    let cli = Cli::of(&world);
    for (id, more) in [
        ("one", "--label team=imaging --label stage=test --routing subdomain"),
        ("two", "--label team=imaging --state starting --host-header upstream"),
        ("three", ""),
    ] {
        cli.done(&format!("session create {SESSION} --id {id} {more}"));
    }
    cli.done(
        "session create --id four --workspace other --owner grace --tool vscode \
         --upstream http://127.0.0.1:9",
    );
    for (filter, wanted) in [
        ("--workspace other", "four"),
        ("--owner grace", "four"),
        ("--tool vscode", "four"),
        ("--state starting", "two"),
        ("--label team=imaging --label stage=test", "one"),
        ("--workspace genomics --label team=imaging --state starting", "two"),
    ] {
        let list = cli.json(&format!("session list {filter}"));
        let ids: Vec<_> = list.as_array().expect("an array").iter().map(|s| &s["id"]).collect();
        assert_eq!(ids, [wanted], "{filter}");
    }
    assert_eq!(cli.done("session list --limit 2").lines().count(), 3);
    assert_eq!(cli.done("session list").lines().count(), 5);
}

#[test]
fn a_repeated_key_makes_one_session() {
    let world = world();
    let cli = Cli::of(&world);
    let create = format!("session create {SESSION} --idempotency-key job-7");
    let (first, again) = (cli.run(&create), cli.run(&create));
    assert_eq!((first.code, again.code), (Some(0), Some(0)), "{first:?} {again:?}");
    assert_eq!(first.stdout, again.stdout);
    assert!(first.stderr.is_empty() && again.stderr.contains("not a second one"), "{again:?}");
    assert_eq!(cli.json("session list").as_array().map(Vec::len), Some(1));
}

#[test]
fn bulk_fills_more_than_a_page_and_empties_it_again() {
    let world = world();
    let cli = Cli::of(&world);
    let session = json!({
        "workspace": "genomics", "owner": "ada", "tool": "jupyter",
        "upstream": "http://127.0.0.1:9"
    });
    let many = json!({ "create": vec![session.clone(); 1_000] }).to_string();
    let ended = cli.run_with("bulk - --json", &many);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(parsed(&ended.stdout)["created"].as_array().map(Vec::len), Some(1_000));
    cli.done(&format!("session create {SESSION}"));
    let list = cli.json("session list");
    let mut ids: Vec<_> =
        list.as_array().expect("one array").iter().map(|session| session["id"].clone()).collect();
    assert_eq!(ids.len(), 1_001);
    assert_eq!(cli.json("session list --limit 1001").as_array().map(Vec::len), Some(1_001));
    assert_eq!(cli.done("session list").lines().count(), 1_002);
    ids.pop();
    let file = world.directory().join("bulk.json");
    std::fs::write(&file, json!({ "delete": ids }).to_string()).expect("a file can be written");
    let deleted = cli.done(&format!("bulk {}", file.display()));
    assert_eq!(deleted.lines().filter(|line| line.starts_with("delete  204")).count(), 1_000);
    assert_eq!(cli.json("session list").as_array().map(Vec::len), Some(1));
}

#[test]
fn a_part_of_a_bulk_request_that_is_refused_gives_the_exit_code() {
    let world = world();
    let cli = Cli::of(&world);
    cli.done(&format!("session create {SESSION} --id one"));
    let taken = json!({
        "create": [{ "id": "one", "workspace": "genomics", "owner": "ada", "tool": "jupyter",
            "upstream": "http://127.0.0.1:9" }],
    });
    let ended = cli.run_with("bulk -", &taken.to_string());
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(3), ""), "{ended:?}");
    assert_eq!(row(&ended.stdout, "create")[1..3], ["409", "one"]);
    let ended = cli.run_with("bulk -", "{\"delete\": [\"none\", \"one\"]}");
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(cli.json("session list"), json!([]), "the others are done");
    assert_eq!(cli.run_with("bulk -", "no JSON").code, Some(64));
    cli.refused("bulk nowhere.json", 64);
}
