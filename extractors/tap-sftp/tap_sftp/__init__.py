"""Singer tap that reads files which others drop on an SFTP server."""
