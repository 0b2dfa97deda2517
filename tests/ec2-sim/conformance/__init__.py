"""What clients that others wrote, boto3 and the AWS CLI, expect of EC2 and EBS.

A package, so that its `conftest` is another module than the one of the local stack's tests.
"""
