//! What every store promises, as functions of `Arc<dyn Store>`. A new implementation is one more
//! `contract!` line; the embedded store's own promises (its directory, its lock) are in `embedded`.

// An unwrap that fails is a test that fails.
#![allow(clippy::unwrap_used)]

#[path = "store_contract/rules.rs"]
mod rules;

#[path = "store_contract/more_rules.rs"]
mod more_rules;

#[path = "store_contract/usage_rules.rs"]
mod usage_rules;
#[path = "store_contract/quota_rules.rs"]
mod quota_rules;

#[path = "store_contract/embedded.rs"]
mod embedded;

#[path = "store_contract/redis.rs"]
mod redis;

#[path = "store_contract/redis_trouble.rs"]
mod redis_trouble;

#[path = "store_contract/redis_usage.rs"]
mod redis_usage;

/// Every rule once for one way to open a store. `$open` takes the bounds and answers the store with
/// whatever must outlive it.
macro_rules! contract {
    ($store:ident, $open:path) => {
        mod $store {
            contract!(
                rules, $open:
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
            contract!(
                more_rules, $open:
                documents_are_created_replaced_and_deleted,
                documents_are_listed_by_kind_in_order,
                the_audit_log_says_who_did_what,
                the_audit_log_is_bounded,
                what_was_done_once_is_not_done_again,
                idempotency_keys_expire_and_are_bounded,
                a_full_workspace_takes_no_more,
                a_heartbeat_lasts_for_its_time,
                a_ticket_is_redeemed_once,
                one_write_forgets_few_tickets,
                a_note_changes_nothing_and_is_kept,
                the_identity_stays,
                a_caller_that_goes_away_leaves_no_half_write,
            );
            contract!(
                usage_rules, $open:
                usage_adds_up_over_batches_and_writers,
                a_batch_is_added_once,
                writers_at_the_same_time_lose_nothing,
                usage_is_asked_for_by_hour_workspace_user_and_session,
                old_usage_is_forgotten,
                the_last_word_of_each_writer_on_a_session_stands,
                old_activity_and_old_writers_are_forgotten,
                those_who_spoke_last_of_a_session_are_kept,
                usage_and_writes_stand_in_each_others_way_nowhere,
            );
            contract!(
                quota_rules, $open:
                a_fixed_window_begins_with_its_first_byte_and_anew_after_its_end,
                a_sliding_window_is_kept_by_its_sub_windows,
                a_batch_of_quotas_counts_once,
                windows_are_told_apart_by_all_that_they_are,
                great_numbers_stay_exact,
                quotas_are_in_no_log,
                ledgers_agree_through_the_store,
            );
        }
    };
    ($rules:ident, $open:path: $($rule:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $rule() {
                let (store, _keep) = $open(crate::rules::BOUNDS).await;
                crate::$rules::$rule(store).await;
            }
        )*
    };
}

contract!(embedded_store, crate::embedded::open);
contract!(redis_alone, crate::redis::alone);
contract!(redis_with_tls_and_acl, crate::redis::with_tls_and_acl);
contract!(redis_with_sentinel, crate::redis::with_sentinel);
contract!(redis_cluster, crate::redis::cluster);
