"""The command line `meltano-dags`, for a terminal and for CI."""
