//! What every store promises, as functions of `Arc<dyn Store>`. A new implementation is one more
//! `contract!` line; the embedded store's own promises (its directory, its lock) are in `embedded`.

// An unwrap that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "store_contract/rules.rs"]
mod rules;

#[path = "store_contract/embedded.rs"]
mod embedded;

/// Every rule once for one way to open a store. `$open` takes the bounds and answers the store with
/// whatever must outlive it.
macro_rules! contract {
    ($store:ident, $open:path: $($rule:ident),* $(,)?) => {
        mod $store {
            $(
                #[tokio::test]
                async fn $rule() {
                    let (store, _keep) = $open(crate::rules::BOUNDS).await;
                    crate::rules::$rule(store).await;
                }
            )*
        }
    };
}

contract!(
    embedded_store, crate::embedded::open:
    a_session_is_kept_as_it_was_put,
    ids_and_labels_are_taken_once,
    a_replacement_needs_the_current_version,
    a_deletion_leaves_a_tombstone_that_a_new_session_replaces,
    the_oldest_tombstones_are_forgotten_through_the_log,
    lists_are_paged_and_filtered,
    changes_come_in_order_and_end_where_the_snapshot_does,
    a_follower_is_woken_by_a_change,
    a_position_outside_the_log_is_a_gap,
    writes_from_many_tasks_are_all_kept,
    of_many_replacements_of_one_version_one_wins,
);
