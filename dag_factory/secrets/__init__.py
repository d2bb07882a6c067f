"""What a task reads from AWS Secrets Manager when it starts; only `aws` uses boto3."""
