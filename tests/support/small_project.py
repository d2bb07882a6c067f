"""The plugins and environments of the small projects that tests write."""

PLUGINS = """
plugins:
  extractors: [{name: tap-a, namespace: a}, {name: tap-b, namespace: b}]
  loaders: [{name: target-x, namespace: x}]
  mappers: [{name: mapper, namespace: m, mappings: [{name: hide, config: {}}]}]
  utilities: [{name: dbt, namespace: dbt, commands: {run: run, test: test, seed: seed}}]
environments: [{name: dev}, {name: prod}]
default_environment: dev
"""
