"""The issues and their history: what identifies a row, and the columns.

Redmine docs: https://www.redmine.org/projects/redmine/wiki/Rest_Issues
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from singer_sdk import typing as th

from tap_redmine.answers import UnavailableError
from tap_redmine.client import ChangedIssuesStream
from tap_redmine.columns import (
    BOOLEAN,
    CREATED_ON,
    CUSTOM_FIELDS,
    DATE,
    DATE_TIME,
    ID,
    INTEGER,
    NUMBER,
    STRING,
    column,
    key,
    reference,
)


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
        *reference("project", "the project"),
        *reference("tracker", "the tracker: bug, feature, ..."),
        *reference("status", "the status"),
        column("status_is_closed", BOOLEAN, "Whether the status is one of closed issues"),
        *reference("priority", "the priority"),
        *reference("author", "the user who wrote it"),
        *reference("assigned_to", "the user or group it is assigned to"),
        *reference("category", "the category, which belongs to the project"),
        *reference("fixed_version", "the target version"),
        column("parent_id", INTEGER, "Id of the issue above"),
        column("subject", STRING, "Title"),
        column("description", STRING, "Description"),
        column("is_private", BOOLEAN, "Whether few may see it"),
        column("start_date", DATE, "First day"),
        column("due_date", DATE, "Last day"),
        column("done_ratio", INTEGER, "Per cent done"),
        column("estimated_hours", NUMBER, "Hours it is thought to take, without subtasks"),
        CUSTOM_FIELDS,
        CREATED_ON,
        key("updated_on", DATE_TIME, "When it was last changed or commented"),
        column("closed_on", DATE_TIME, "When it was last closed; stays if it is opened again"),
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
        key("issue_id", INTEGER, "Id of the issue"),
        *reference("user", "the user who did it"),
        column("notes", STRING, "What the user wrote; empty if nothing"),
        column("private_notes", BOOLEAN, "Whether few may see the notes"),
        column(
            "details",
            th.ArrayType(
                th.ObjectType(
                    column("property", STRING, "attr, cf (custom field), attachment, relation"),
                    column("name", STRING, "Column, id of the field or file, or kind of relation"),
                    column("old_value", STRING, "Value before, as text; ids for references"),
                    column("new_value", STRING, "Value after"),
                )
            ),
            "What the user changed",
        ),
        CREATED_ON,
        key("issue_updated_on", DATE_TIME, "When the issue was last changed, as it was read"),
    ).to_dict()

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Ask for the history of each issue that changed."""
        for issue in super().get_records(context):
            try:
                answer = self.ask(f"/issues/{issue['id']}.json", {"include": "journals"}, "issue")
            except UnavailableError:
                self.logger.info("issue %s has gone since it was listed", issue["id"])
                continue
            for journal in answer["issue"]["journals"]:
                yield {
                    **journal,
                    "issue_id": issue["id"],
                    "issue_updated_on": issue["updated_on"],
                }
