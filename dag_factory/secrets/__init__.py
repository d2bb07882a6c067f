"""What a task reads from AWS Secrets Manager when it starts; only this package uses boto3."""
