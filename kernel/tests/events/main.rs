//! Events, jobs and schedules, each story on both engines.

mod delivery;
mod jobs;
mod node;
mod plugins;
mod upkeep;

macro_rules! on_both_engines {
    ($($module:ident: $($story:ident),* $(,)?;)*) => {
        mod on_sqlite {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { crate::$module::$story(crate::node::Database::sqlite().await).await; })*)*
        }
        mod on_postgres {
            $($(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { crate::$module::$story(crate::node::Database::postgres().await).await; })*)*
        }
    };
}

on_both_engines! {
    delivery:
        an_event_reaches_each_subscriber_once_and_only_if_its_transaction_commits,
        what_is_announced_on_this_node_need_not_wait_for_the_poll,
        a_kill_between_consume_and_commit_leaves_one_effect,
        a_node_that_slept_through_its_lease_changes_nothing,
        events_of_one_key_arrive_in_order_whatever_fails_on_the_way,
        a_dead_letter_holds_its_key_until_it_is_replayed_or_skipped,
        a_publisher_cannot_hold_up_anothers_events_by_using_its_keys,
        an_event_that_kills_the_kernel_each_time_becomes_a_dead_letter,
        what_waits_for_a_disabled_plugin_is_delivered_once_it_is_enabled,
        the_backlog_of_a_disabled_plugin_does_not_keep_the_others_waiting,
        what_a_dead_letter_holds_back_is_out_of_the_way_of_others_until_it_is_skipped,
        a_node_that_stops_gives_back_what_it_could_not_finish,
        a_burst_is_worked_off_by_two_nodes_without_doubling_anything,
    ;
    jobs:
        a_job_runs_when_it_is_due_and_scheduling_again_moves_it,
        rescheduling_a_job_while_it_runs_is_not_lost,
        a_job_can_schedule_and_cancel_itself,
        a_cancelled_job_does_not_run,
        a_failing_job_backs_off_and_comes_back_to_life_when_scheduled_again,
    ;
    upkeep:
        a_cron_line_runs_once_for_two_nodes_and_once_for_all_the_times_it_missed,
        a_cron_line_of_a_plugin_that_left_is_forgotten,
        finished_rows_are_purged_and_dead_letters_are_kept,
        every_purge_rule_runs_on_this_engine,
    ;
}
