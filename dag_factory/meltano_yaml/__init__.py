"""YAML 1.2 as Meltano reads it, with the place of every value.

Modules:
    reader    one file: mappings and lists whose values know their file, line and column; limits
    scalars   what a plain value means: text, number, date, null
    includes  meltano.yml merged with the files that `include_paths` matches
"""
