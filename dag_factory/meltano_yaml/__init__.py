"""YAML 1.2 as Meltano reads it, with the place of every value."""
