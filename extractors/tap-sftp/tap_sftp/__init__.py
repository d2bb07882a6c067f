"""Singer tap that reads files from an SFTP server."""
