//! A client and an upstream with the edge between them, all from a seed: random messages, good and
//! bad, cut at random places and delivered in a random order. A failure prints its seed.
//!
//! `PORTICO_SIMULATE_SEED=n` replays one run; `PORTICO_SIMULATE_SECONDS=600` goes on from a random
//! seed for so long. Knows `portico_core::http` and nothing of sockets.

#![allow(clippy::unwrap_used, reason = "a test")]

mod random;
mod reference;
mod script;
mod answers;
mod edge;
mod world;
mod check;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use check::Tally;
use random::Random;
use world::World;

const SEEDS: u64 = 10_000;

fn simulate(seed: u64, tally: &mut Tally) {
    let run = AssertUnwindSafe(|| {
        let mut random = Random::new(seed);
        let (route, client) = (world::route(), world::client());
        let mut world = World::new(&mut random, &route, &client);
        world.run(&mut random);
        check::check(&world, tally);
    });
    if let Err(panic) = catch_unwind(run) {
        eprintln!("replay with PORTICO_SIMULATE_SEED={seed}");
        resume_unwind(panic);
    }
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

#[test]
fn messages_pass_whole_and_in_order_or_not_at_all() {
    let mut tally = Tally::default();
    if let Some(seed) = setting("PORTICO_SIMULATE_SEED") {
        return simulate(seed, &mut tally);
    }
    if let Some(seconds) = setting("PORTICO_SIMULATE_SECONDS") {
        let first = RandomState::new().build_hasher().finish();
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut seed = first;
        while Instant::now() < end {
            simulate(seed, &mut tally);
            seed = seed.wrapping_add(1);
        }
        return eprintln!("{} seeds from {first}: {tally:?}", seed.wrapping_sub(first));
    }
    for seed in 0..SEEDS {
        simulate(seed, &mut tally);
    }
    let Tally {
        answers,
        reused,
        switched,
        refused,
        refused_in_body,
        bad_gateways,
        aborted,
        retried,
        early,
        bare,
        excess,
        mutated,
    } = tally;
    let met = [answers, reused, switched, refused, refused_in_body, bad_gateways];
    let met = met.into_iter().chain([aborted, retried, early, bare, excess, mutated]);
    assert!(met.min() > Some(20), "something is hardly tried: {tally:?}");
}
