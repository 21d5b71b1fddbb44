//! `portico ticket …`, `portico access …` and `portico session connections`.

use portico_bench::world::eventually;
use serde_json::json;

use super::{Cli, SESSION, row, world};

#[test]
fn a_ticket_is_printed_as_urls_and_its_key_is_exchanged() {
    let world = world();
    let cli = Cli::of(&world);
    cli.done(&format!("session create {SESSION} --id one"));
    let added = cli.json("access keys --rotate");
    assert!(cli.done("access keys --rotate").starts_with("The key "));
    let list = cli.done("access keys");
    let line = row(&list, &added["id"].to_string()).join(" ");
    assert_eq!(line, format!("{} {}", added["id"], added["signs_from"].as_str().unwrap_or("-")));

    let create = "ticket create one --user bob --to /lab --member --expires-in 30s";
    let ticket = eventually("the key is known", || {
        let ended = cli.run(&format!("{create} --json"));
        (ended.code == Some(0)).then(|| super::parsed(&ended.stdout))
    });
    let token = ticket["ticket"].as_str().expect("a ticket");
    let url = format!("http://aone.connect.example.com/_portico/open?ticket={token}");
    assert_eq!(ticket["urls"]["subdomain"], url);
    let text = cli.done(create);
    assert!(text.contains("/_portico/open?session=aone&ticket="), "{text}");
    cli.refused("ticket create one --user bob --to //evil.example", 64);
    cli.refused("ticket create one", 64);
    cli.refused("ticket create none --user bob", 2);
}

#[test]
fn what_came_of_a_user_is_taken_back() {
    let world = world();
    let cli = Cli::of(&world);
    let told = cli.done("access revoke bob@example.com");
    assert!(told.starts_with("All that came of sign-ins of bob@example.com until "), "{told}");
    assert_eq!(cli.json("access revoke bob")["user"], "bob");
}

#[test]
fn who_is_connected_is_listed() {
    let world = world();
    let cli = Cli::of(&world);
    cli.done(&format!("session create {SESSION} --id one"));
    let titles = ["USER", "CONNECTIONS", "REPLICA", "SINCE"];
    assert_eq!(row(&cli.done("session connections one"), "USER"), titles);
    assert_eq!(cli.json("session connections one"), json!([]));
    cli.refused("session connections none", 2);
}
