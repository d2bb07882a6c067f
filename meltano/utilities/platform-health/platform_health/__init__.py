"""Whether an extract-load platform is well."""
