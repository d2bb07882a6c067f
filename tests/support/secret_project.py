"""A project whose plugins have secrets, and what tests write into them."""

import json
from typing import Any

CONTENT = "hunter2-and-more"
FOLDER = "acme/dev/meltano"
SECRETS_PLUGINS = """
plugins:
  extractors:
  - name: tap-a
    namespace: a
    settings:
    - {name: url}
    - {name: token, kind: password, aliases: [key]}
    - {name: auth.user, sensitive: true}
  - {name: tap-b, inherit_from: tap-a}
  - {name: tap-open, namespace: o, settings: [{name: url}]}
  loaders:
  - {name: target-x, namespace: x, settings: [{name: password, kind: password}]}
  - {name: target-open, namespace: y}
environments: [{name: dev}, {name: prod}]
default_environment: dev
"""
FULL = {"token": CONTENT, "auth.user": CONTENT}


def job(task: str, **options: Any) -> str:
    """Return a job of one task, with options."""
    annotations = {"airflow": options} if options else {}
    return f"jobs: {json.dumps([{'name': 'j', 'tasks': [task], 'annotations': annotations}])}\n"
