"""The issues and their history: keys and columns.

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

    Redmine's sums over subtasks and time entries are left out: they can change while the issue's
    `updated_on` stays, so that the loaded sums would become wrong.
    """

    name = "issues"
    primary_keys = ("id",)
    replication_key = "updated_on"
    schema = th.PropertiesList(
        ID,
        *reference("project", "the project"),
        *reference("tracker", "the tracker: bug, feature, ..."),
        *reference("status", "the status"),
        column("status_is_closed", BOOLEAN, "Whether issues with this status are closed"),
        *reference("priority", "the priority"),
        *reference("author", "the user who wrote it"),
        *reference("assigned_to", "the user or group it is assigned to"),
        *reference("category", "the category; each project has its own"),
        *reference("fixed_version", "the target version"),
        column("parent_id", INTEGER, "ID of the parent issue"),
        column("subject", STRING, "Title"),
        column("description", STRING, "Description"),
        column("is_private", BOOLEAN, "Whether only some users may see it"),
        column("start_date", DATE, "Start date"),
        column("due_date", DATE, "Due date"),
        column("done_ratio", INTEGER, "Percentage done"),
        column("estimated_hours", NUMBER, "Estimated hours, without subtasks"),
        CUSTOM_FIELDS,
        CREATED_ON,
        key("updated_on", DATE_TIME, "When it was last changed or commented"),
        column("closed_on", DATE_TIME, "When it was last closed; kept if it is reopened"),
    ).to_dict()


class JournalsStream(ChangedIssuesStream):
    """The history of the issues: who changed or noted what, and when.

    Redmine returns the history of one issue at a time, so each changed issue costs a request. The
    stream has its own bookmark and can be selected with or without `issues`.
    """

    name = "journals"
    primary_keys = ("id",)
    replication_key = "issue_updated_on"
    schema = th.PropertiesList(
        ID,
        key("issue_id", INTEGER, "ID of the issue"),
        *reference("user", "the user who made the change"),
        column("notes", STRING, "Notes of the user; may be empty"),
        column("private_notes", BOOLEAN, "Whether only some users may see the notes"),
        column(
            "details",
            th.ArrayType(
                th.ObjectType(
                    column("property", STRING, "attr, cf (custom field), attachment, relation"),
                    column("name", STRING, "Column, ID of the field or file, or type of relation"),
                    column("old_value", STRING, "Old value as text; IDs for references"),
                    column("new_value", STRING, "New value as text"),
                )
            ),
            "Changes that the user made",
        ),
        CREATED_ON,
        key("issue_updated_on", DATE_TIME, "When the issue was last changed, as of this sync"),
    ).to_dict()

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Request the history of each issue that changed."""
        for issue in super().get_records(context):
            try:
                answer = self.get_json(
                    f"/issues/{issue['id']}.json", {"include": "journals"}, "issue"
                )
            except UnavailableError:
                self.logger.info("issue %s was deleted since it was listed", issue["id"])
                continue
            for journal in answer["issue"]["journals"]:
                yield {
                    **journal,
                    "issue_id": issue["id"],
                    "issue_updated_on": issue["updated_on"],
                }
