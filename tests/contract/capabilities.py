"""What people ask of a store, in their words, and the tests that ask it.

The table of docs/explanation/stores.md has these rows; `make stores` writes it.
"""

from collections.abc import Mapping

__all__ = ("CAPABILITIES",)

CAPABILITIES: Mapping[str, tuple[str, ...]] = {
    "create, read, change, delete": (
        "test_a_row_goes_in_and_comes_out",
        "test_an_update_changes_what_is_given_and_the_version",
        "test_no_such_row_is_said_of_every_verb",
        "test_a_created_row_is_answered_with_its_place_and_its_version",
        "test_a_place_leads_to_its_row",
        "test_no_such_row_is_404",
        "test_only_what_is_sent_changes_and_null_is_something",
        "test_a_removed_row_does_not_come_back",
    ),
    "refuse what a column cannot hold, by its field": (
        "test_a_value_that_a_column_cannot_hold_is_refused",
        "test_a_filter_by_a_number_that_no_row_can_hold_is_refused",
        "test_what_is_not_understood_is_422_with_the_field",
    ),
    "exact money": ("test_money_is_rounded_to_the_places_of_its_column",),
    "moments to the microsecond": ("test_a_moment_keeps_its_microseconds",),
    "keys that people give or Python makes": (
        "test_a_taken_key_is_a_duplicate",
        "test_a_taken_key_in_a_batch_is_a_duplicate_whatever_the_defaults",
        "test_a_key_may_be_made_by_python",
    ),
    "keys of several columns": (
        "test_a_key_may_have_two_columns",
        "test_keys_of_two_columns_name_rows_of_a_batch",
        "test_a_key_of_two_columns_is_a_path_of_two",
    ),
    "unique values, also among those not deleted alone": (
        "test_a_unique_value_is_taken_once",
        "test_unknown_values_are_not_taken",
        "test_what_is_unique_among_the_living_is_free_after_a_death",
        "test_a_conflict_is_409_with_the_field",
    ),
    "a reference leads to a row when it is written": (
        "test_a_reference_leads_to_a_row",
    ),
    "a row stays while others refer to it, or takes them along": (
        "test_what_others_refer_to_stays",
        "test_a_row_that_others_refer_to_is_409",
        "test_what_belongs_to_a_row_goes_with_it",
    ),
    "filters, through relations as well": (
        "test_a_filter_finds",
        "test_filters_must_all_be_met",
        "test_a_filter_reaches_through_relations_of_both_kinds",
        "test_a_list_is_asked_in_the_address",
        "test_filters_go_by_the_names_that_clients_know",
    ),
    "any order; pages by cursor and by number; totals": (
        "test_an_order_is_kept_by_pages_of_both_kinds",
        "test_a_page_tells_where_it_ends_and_whether_more_follow",
        "test_a_walk_over_short_fractions_ends",
        "test_links_lead_to_the_end_and_back",
        "test_a_total_is_told_where_it_is_asked",
    ),
    "search for a part of a text": (
        "test_a_search_takes_words_as_they_are",
        "test_a_search_finds_words_as_they_are",
    ),
    "search by words, ranked": ("test_a_search_by_words_finds_the_best_first",),
    "show related rows inside of a row": (
        "test_the_row_that_a_row_refers_to_is_shown_inside",
        "test_the_rows_that_refer_to_a_row_are_shown_inside",
    ),
    "relate many rows to many, by their ids": (
        "test_rows_are_related_to_many_and_let_go",
    ),
    "versions: `ETag`, `If-Match`, 304": (
        "test_a_change_meant_for_another_version_is_refused",
        "test_a_version_that_is_known_is_not_sent_again",
        "test_a_change_says_which_version_it_is_for",
    ),
    "batches, all or none": (
        "test_a_batch_is_all_or_none_and_in_order",
        "test_a_batch_is_all_or_none",
        "test_many_rows_are_changed_and_deleted_at_once",
        "test_each_row_of_a_batch_changes_what_it_gives",
        "test_a_batch_that_names_an_absent_row_changes_nothing",
        "test_a_batch_that_names_a_row_twice_changes_nothing",
        "test_a_batch_that_takes_a_value_changes_nothing",
        "test_rows_are_marked_together_and_removed_together",
        "test_an_empty_batch_changes_nothing",
    ),
    "upserts": (
        "test_what_is_not_known_is_made",
        "test_what_is_known_changes_as_far_as_it_may",
        "test_what_is_known_may_stay_as_it_is",
        "test_what_was_deleted_is_there_again",
        "test_what_was_deleted_is_not_in_the_way_of_a_partial_index",
        "test_another_value_that_is_taken_is_refused",
        "test_a_batch_makes_and_changes_in_the_order_given",
        "test_a_batch_that_gives_a_value_twice_changes_nothing",
        "test_an_empty_batch_of_upserts_does_nothing",
        "test_of_many_at_once_one_makes_the_row",
    ),
    "soft delete and restore": (
        "test_a_row_marked_by_a_boolean_is_hidden_and_can_be_restored",
        "test_a_row_marked_by_a_moment_is_gone_until_it_is_restored",
        "test_rows_with_a_moment_of_deletion_are_gone_for_batches",
        "test_a_row_marked_as_deleted_comes_back",
        "test_a_row_with_a_moment_of_deletion_is_gone",
    ),
    "a creation sent twice is made once": (
        "test_what_is_asked_again_gets_the_first_answer",
        "test_what_failed_may_be_asked_again",
        "test_a_key_belongs_to_its_resource",
        "test_a_creation_sent_twice_is_made_once",
    ),
    "a hash stored of what is sent": ("test_a_field_is_stored_as_what_is_made_of_it",),
    "scopes: which rows there are for a caller": (
        "test_there_are_no_rows_beyond_a_condition",
        "test_no_row_is_moved_beyond_a_condition",
        "test_no_row_is_made_beyond_a_condition",
        "test_new_rows_get_what_a_condition_demands",
        "test_conditions_inside_each_other_are_both_met",
    ),
    "scopes that ask other tables": ("test_a_condition_may_ask_another_table",),
}
