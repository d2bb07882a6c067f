"""Singer tap that reads mailboxes over IMAP."""
