"""Health checks of an extract-load platform."""
