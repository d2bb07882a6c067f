"""The programs that run in a task's pod."""
