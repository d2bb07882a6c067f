"""The streams: what they are called, what identifies a row, and their columns.

Redmine docs: https://www.redmine.org/projects/redmine/wiki/Rest_api
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from singer_sdk import typing as th

from tap_redmine.answers import RowGoneError
from tap_redmine.client import ChangedIssuesStream, WholeListStream

STRING = th.StringType
INTEGER = th.IntegerType
NUMBER = th.NumberType
BOOLEAN = th.BooleanType
DATE = th.DateType
DATE_TIME = th.DateTimeType


def _column(name: str, kind: Any, description: str) -> th.Property[Any]:
    return th.Property(name, kind, description=description)


def _key(name: str, kind: Any, description: str) -> th.Property[Any]:
    return th.Property(name, kind, required=True, nullable=False, description=description)


def _reference(name: str, what: str) -> tuple[th.Property[Any], th.Property[Any]]:
    return (
        _column(f"{name}_id", INTEGER, f"Id of {what}"),
        _column(f"{name}_name", STRING, f"Name of {what}"),
    )


ID = _key("id", INTEGER, "Redmine's number of the row")
NAME = _column("name", STRING, "Name in the web page")
ACTIVE = _column("active", BOOLEAN, "Whether it can be chosen")
IS_DEFAULT = _column("is_default", BOOLEAN, "Whether it is chosen unless somebody chooses another")
CREATED_ON = _column("created_on", DATE_TIME, "When it was made")
UPDATED_ON = _column("updated_on", DATE_TIME, "When it was last changed")
READ_AT = _key(
    "read_at",
    DATE_TIME,
    "When the sync that read this row began, on the tap's clock. A row with an older read_at than "
    "the stream's latest is gone from Redmine, or hidden from the key's user",
)
CUSTOM_FIELDS = _column(
    "custom_fields",
    th.ArrayType(
        th.ObjectType(
            _column("id", INTEGER, "Id of the field"),
            _column("name", STRING, "Name of the field"),
            _column("values", th.ArrayType(STRING), "Its values as Redmine writes them, or none"),
        )
    ),
    "Custom fields that the key's user may see",
)


class ProjectsStream(WholeListStream):
    """The projects, closed ones included; Redmine shows archived ones to nobody."""

    name = "projects"
    path = "/projects.json"
    primary_keys = ("id",)
    sort = "created_on,identifier"
    schema = th.PropertiesList(
        ID,
        NAME,
        _column("identifier", STRING, "Name in addresses; it never changes"),
        _column("description", STRING, "Description"),
        *_reference("parent", "the project above"),
        _column("status", INTEGER, "1 active, 5 closed, 10 about to be deleted"),
        _column("is_public", BOOLEAN, "Whether those who are no members see it"),
        _column("inherit_members", BOOLEAN, "Whether members of the project above are members"),
        CUSTOM_FIELDS,
        CREATED_ON,
        UPDATED_ON,
        READ_AT,
    ).to_dict()

    def get_url_params(self, context: Any, next_page_token: None) -> dict[str, Any]:
        """Ask for all but archived projects; unasked, Redmine gives active ones only."""
        return {**super().get_url_params(context, next_page_token), "status": "!9"}


class UsersStream(WholeListStream):
    """The users, locked ones included; the key must be an administrator's."""

    name = "users"
    path = "/users.json"
    primary_keys = ("id",)
    sort = "created_on,login"
    state_partitioning_keys: ClassVar[list[str]] = []
    schema = th.PropertiesList(
        ID,
        _column("login", STRING, "Name to log in with"),
        _column("firstname", STRING, "First name"),
        _column("lastname", STRING, "Last name"),
        _column("mail", STRING, "Mail address"),
        _column("admin", BOOLEAN, "Whether the user is an administrator"),
        _column("status", INTEGER, "1 active, 2 registered and not yet active, 3 locked"),
        CUSTOM_FIELDS,
        _column("last_login_on", DATE_TIME, "When the user last logged in"),
        _column("passwd_changed_on", DATE_TIME, "When the password was last changed"),
        CREATED_ON,
        UPDATED_ON,
        READ_AT,
    ).to_dict()

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """Ask for the users of each status: Redmine 5.0 does not return the status."""
        return [{"status": status} for status in (1, 2, 3)]

    def get_url_params(self, context: Any, next_page_token: None) -> dict[str, Any]:
        """Ask for the users of one status."""
        return {**super().get_url_params(context, next_page_token), **context}

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        """Add the status that was asked for."""
        return super().post_process({**row, **context}, context)


class IssuesStream(ChangedIssuesStream):
    """The issues of all projects, open and closed.

    Redmine's sums over subtasks and time entries are left out: they change without the issue's
    `updated_on`, so that they would be wrong here before long.
    """

    name = "issues"
    primary_keys = ("id",)
    replication_key = "updated_on"
    schema = th.PropertiesList(
        ID,
        *_reference("project", "the project"),
        *_reference("tracker", "the tracker: bug, feature, ..."),
        *_reference("status", "the status"),
        _column("status_is_closed", BOOLEAN, "Whether the status is one of closed issues"),
        *_reference("priority", "the priority"),
        *_reference("author", "the user who wrote it"),
        *_reference("assigned_to", "the user or group it is assigned to"),
        *_reference("category", "the category, which belongs to the project"),
        *_reference("fixed_version", "the target version"),
        _column("parent_id", INTEGER, "Id of the issue above"),
        _column("subject", STRING, "Title"),
        _column("description", STRING, "Description"),
        _column("is_private", BOOLEAN, "Whether few may see it"),
        _column("start_date", DATE, "First day"),
        _column("due_date", DATE, "Last day"),
        _column("done_ratio", INTEGER, "Per cent done"),
        _column("estimated_hours", NUMBER, "Hours it is thought to take, without subtasks"),
        CUSTOM_FIELDS,
        CREATED_ON,
        _key("updated_on", DATE_TIME, "When it was last changed or commented"),
        _column("closed_on", DATE_TIME, "When it was last closed; stays if it is opened again"),
    ).to_dict()


class JournalsStream(ChangedIssuesStream):
    """The history of the issues: what was changed and noted, when and by whom.

    Redmine gives it out for one issue at a time, so each issue that changed costs a request. The
    stream has a bookmark of its own, and can be selected with or without `issues`.
    """

    name = "journals"
    primary_keys = ("id",)
    replication_key = "issue_updated_on"
    schema = th.PropertiesList(
        ID,
        _key("issue_id", INTEGER, "Id of the issue"),
        *_reference("user", "the user who did it"),
        _column("notes", STRING, "What the user wrote; empty if nothing"),
        _column("private_notes", BOOLEAN, "Whether few may see the notes"),
        _column(
            "details",
            th.ArrayType(
                th.ObjectType(
                    _column("property", STRING, "attr, cf (custom field), attachment, relation"),
                    _column("name", STRING, "Column, id of the field or file, or kind of relation"),
                    _column("old_value", STRING, "Value before, as text; ids for references"),
                    _column("new_value", STRING, "Value after"),
                )
            ),
            "What the user changed",
        ),
        CREATED_ON,
        _key("issue_updated_on", DATE_TIME, "When the issue was last changed, as it was read"),
    ).to_dict()

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Ask for the history of each issue that changed."""
        for issue in super().get_records(context):
            try:
                answer = self.ask(f"/issues/{issue['id']}.json", {"include": "journals"})
            except RowGoneError:
                self.logger.info("issue %s has gone since it was listed", issue["id"])
                continue
            for journal in answer["issue"]["journals"]:
                yield {
                    **journal,
                    "issue_id": issue["id"],
                    "issue_updated_on": issue["updated_on"],
                }


class TimeEntriesStream(WholeListStream):
    """The hours that were spent. Redmine cannot tell which of them changed."""

    name = "time_entries"
    path = "/time_entries.json"
    primary_keys = ("id",)
    sort = "created_on"
    schema = th.PropertiesList(
        ID,
        *_reference("project", "the project"),
        _column("issue_id", INTEGER, "Id of the issue; null for time spent on the project alone"),
        *_reference("user", "the user who spent the time"),
        *_reference("activity", "the kind of work; a project may have its own ids"),
        _column("hours", NUMBER, "Hours spent"),
        _column("comments", STRING, "What the user wrote"),
        _column("spent_on", DATE, "The day"),
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
        *_reference("default_status", "the status of new issues"),
        _column("description", STRING, "Description"),
        READ_AT,
    ).to_dict()


class IssueStatusesStream(WholeListStream):
    """The statuses that issues can have."""

    name = "issue_statuses"
    path = "/issue_statuses.json"
    primary_keys = ("id",)
    schema = th.PropertiesList(
        ID, NAME, _column("is_closed", BOOLEAN, "Whether issues with it are closed"), READ_AT
    ).to_dict()


class IssuePrioritiesStream(WholeListStream):
    """The priorities that issues can have."""

    name = "issue_priorities"
    path = "/enumerations/issue_priorities.json"
    primary_keys = ("id",)
    schema = th.PropertiesList(ID, NAME, IS_DEFAULT, ACTIVE, READ_AT).to_dict()


class TimeEntryActivitiesStream(WholeListStream):
    """The kinds of work that time can be spent on."""

    name = "time_entry_activities"
    path = "/enumerations/time_entry_activities.json"
    primary_keys = ("id",)
    schema = th.PropertiesList(ID, NAME, IS_DEFAULT, ACTIVE, READ_AT).to_dict()


ALL = (
    ProjectsStream,
    UsersStream,
    IssuesStream,
    JournalsStream,
    TimeEntriesStream,
    TrackersStream,
    IssueStatusesStream,
    IssuePrioritiesStream,
    TimeEntryActivitiesStream,
)
