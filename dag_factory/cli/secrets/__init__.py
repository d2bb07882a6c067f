"""`meltano-dags secrets`: what a project needs, what is there, and what a role may not read."""
