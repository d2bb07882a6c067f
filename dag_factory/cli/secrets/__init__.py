"""`meltano-dags secrets`: the secrets a project needs, their states, and missing rights."""
