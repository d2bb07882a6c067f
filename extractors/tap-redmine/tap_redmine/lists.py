"""The lists that every sync reads completely: keys and columns.

Redmine docs: https://www.redmine.org/projects/redmine/wiki/Rest_api
"""

from __future__ import annotations

from typing import Any, ClassVar

from singer_sdk import typing as th

from tap_redmine.client import WholeListStream
from tap_redmine.columns import (
    ACTIVE,
    BOOLEAN,
    CREATED_ON,
    CUSTOM_FIELDS,
    DATE,
    DATE_TIME,
    ID,
    INTEGER,
    IS_DEFAULT,
    NAME,
    NUMBER,
    READ_AT,
    STRING,
    UPDATED_ON,
    column,
    reference,
)


class ProjectsStream(WholeListStream):
    """The projects, including closed ones; Redmine's API does not return archived ones."""

    name = "projects"
    path = "/projects.json"
    primary_keys = ("id",)
    sort = "created_on,identifier"
    schema = th.PropertiesList(
        ID,
        NAME,
        column("identifier", STRING, "Name in URLs; it never changes"),
        column("description", STRING, "Description"),
        *reference("parent", "the parent project"),
        column("status", INTEGER, "1 active, 5 closed, 10 about to be deleted"),
        column("is_public", BOOLEAN, "Whether users who are not members may see it"),
        column("inherit_members", BOOLEAN, "Whether it inherits the members of the parent project"),
        CUSTOM_FIELDS,
        CREATED_ON,
        UPDATED_ON,
        READ_AT,
    ).to_dict()

    def get_url_params(self, context: Any, next_page_token: None) -> dict[str, Any]:
        """Request all but archived projects; by default, Redmine returns active ones only."""
        return {**super().get_url_params(context, next_page_token), "status": "!9"}


class UsersStream(WholeListStream):
    """The users, including locked ones; the key's user must be an administrator."""

    name = "users"
    path = "/users.json"
    primary_keys = ("id",)
    sort = "created_on,login"
    state_partitioning_keys: ClassVar[list[str]] = []
    schema = th.PropertiesList(
        ID,
        column("login", STRING, "Login name"),
        column("firstname", STRING, "First name"),
        column("lastname", STRING, "Last name"),
        column("mail", STRING, "Mail address"),
        column("admin", BOOLEAN, "Whether the user is an administrator"),
        column("status", INTEGER, "1 active, 2 registered and not yet active, 3 locked"),
        CUSTOM_FIELDS,
        column("last_login_on", DATE_TIME, "When the user last logged in"),
        column("passwd_changed_on", DATE_TIME, "When the password was last changed"),
        CREATED_ON,
        UPDATED_ON,
        READ_AT,
    ).to_dict()

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """One partition per status: Redmine 5.0 does not return the status of users."""
        return [{"status": status} for status in (1, 2, 3)]

    def get_url_params(self, context: Any, next_page_token: None) -> dict[str, Any]:
        """Request the users with one status."""
        return {**super().get_url_params(context, next_page_token), **context}

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """Add the requested status."""
        return super().post_process({**row, **context}, context)


class TimeEntriesStream(WholeListStream):
    """The time spent. Redmine cannot filter time entries by time of change."""

    name = "time_entries"
    path = "/time_entries.json"
    primary_keys = ("id",)
    sort = "created_on"
    schema = th.PropertiesList(
        ID,
        *reference("project", "the project"),
        column("issue_id", INTEGER, "ID of the issue; null for time spent on the project itself"),
        *reference("user", "the user who spent the time"),
        *reference("activity", "the activity; a project may have its own IDs"),
        column("hours", NUMBER, "Hours spent"),
        column("comments", STRING, "Comment of the user"),
        column("spent_on", DATE, "Day of the work"),
        CUSTOM_FIELDS,
        CREATED_ON,
        UPDATED_ON,
        READ_AT,
    ).to_dict()


class TrackersStream(WholeListStream):
    """The trackers: bug, feature, ..."""

    name = "trackers"
    path = "/trackers.json"
    primary_keys = ("id",)
    schema = th.PropertiesList(
        ID,
        NAME,
        *reference("default_status", "the status of new issues"),
        column("description", STRING, "Description"),
        READ_AT,
    ).to_dict()


class IssueStatusesStream(WholeListStream):
    """The statuses that issues can have."""

    name = "issue_statuses"
    path = "/issue_statuses.json"
    primary_keys = ("id",)
    schema = th.PropertiesList(
        ID,
        NAME,
        column("is_closed", BOOLEAN, "Whether issues with this status are closed"),
        READ_AT,
    ).to_dict()


class IssuePrioritiesStream(WholeListStream):
    """The priorities that issues can have."""

    name = "issue_priorities"
    path = "/enumerations/issue_priorities.json"
    primary_keys = ("id",)
    schema = th.PropertiesList(ID, NAME, IS_DEFAULT, ACTIVE, READ_AT).to_dict()


class TimeEntryActivitiesStream(WholeListStream):
    """The activities on which time can be spent."""

    name = "time_entry_activities"
    path = "/enumerations/time_entry_activities.json"
    primary_keys = ("id",)
    schema = th.PropertiesList(ID, NAME, IS_DEFAULT, ACTIVE, READ_AT).to_dict()


LISTS = (
    ProjectsStream,
    UsersStream,
    TimeEntriesStream,
    TrackersStream,
    IssueStatusesStream,
    IssuePrioritiesStream,
    TimeEntryActivitiesStream,
)
