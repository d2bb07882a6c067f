"""A Meltano project as Meltano loads it, as frozen data."""
