"""A bucket keeps what was written once, for those whom its policy and their own let in."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, allow, document


def refused(call, **arguments: object) -> tuple[str, int]:
    """Give the code and the status of a refusal."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def make_bucket(account: Account, *statements: dict[str, Any]) -> str:
    """Make a versioned bucket with a policy."""
    name, s3 = f"vault-{account.id}", account.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    if statements:
        s3.put_bucket_policy(Bucket=name, Policy=document(list(statements)))
    return name


def deny(action: object, bucket: str, **condition: object) -> dict[str, Any]:
    """Give a statement of a bucket policy that denies everybody."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    return {**allow(action, resources, **condition), "Effect": "Deny", "Principal": "*"}


def test_an_object_is_written_once(account: Account) -> None:
    bucket, s3 = make_bucket(account), account.client("s3")
    one = {"Bucket": bucket, "Key": "manifest", "IfNoneMatch": "*"}
    version = s3.put_object(**one, Body=b"first")["VersionId"]
    assert refused(s3.put_object, **one, Body=b"second") == ("PreconditionFailed", 412)
    got = s3.get_object(Bucket=bucket, Key="manifest")
    assert (got["Body"].read(), got["VersionId"]) == (b"first", version)


def test_an_object_is_replaced_only_as_it_was_last_seen(account: Account) -> None:
    bucket, s3 = make_bucket(account), account.client("s3")
    one = {"Bucket": bucket, "Key": "plan"}
    first = s3.put_object(**one, Body=b"first")["ETag"]
    second = s3.put_object(**one, Body=b"second", IfMatch=first)["ETag"]
    assert refused(s3.put_object, **one, Body=b"third", IfMatch=first) == ("PreconditionFailed", 412)
    assert s3.get_object(**one)["Body"].read() == b"second"
    missing = {"Bucket": bucket, "Key": "no-plan", "Body": b"", "IfMatch": second}
    assert refused(s3.put_object, **missing) == ("NoSuchKey", 404)


def test_a_version_outlives_its_deletion(account: Account) -> None:
    bucket, s3 = make_bucket(account), account.client("s3")
    version = s3.put_object(Bucket=bucket, Key="manifest", Body=b"first")["VersionId"]
    s3.delete_object(Bucket=bucket, Key="manifest")
    assert refused(s3.get_object, Bucket=bucket, Key="manifest") == ("NoSuchKey", 404)
    assert s3.get_object(Bucket=bucket, Key="manifest", VersionId=version)["Body"].read() == b"first"


def test_a_policy_can_insist_on_conditional_writes(account: Account) -> None:
    name = f"vault-{account.id}"
    bucket = make_bucket(account, deny("s3:PutObject", name, Null={"s3:if-none-match": "true"}))
    s3 = account.client("s3", account.assume(account.role("writer", allow("s3:PutObject"))))
    assert refused(s3.put_object, Bucket=bucket, Key="a", Body=b"") == ("AccessDenied", 403)
    s3.put_object(Bucket=bucket, Key="a", Body=b"", IfNoneMatch="*")
    assert refused(s3.put_object, Bucket=bucket, Key="a", Body=b"", IfNoneMatch="*") == ("PreconditionFailed", 412)


def test_a_policy_can_let_the_parts_of_an_upload_through(account: Account) -> None:
    name = f"vault-{account.id}"
    whole = {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    bucket = make_bucket(account, deny("s3:PutObject", name, **whole))
    s3 = account.client("s3", account.assume(account.role("writer", allow("s3:PutObject"))))
    upload = {"Bucket": bucket, "Key": "a"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == ("AccessDenied", 403)
    s3.complete_multipart_upload(**upload, MultipartUpload=parts, IfNoneMatch="*")


GUARDED = ["s3:DeleteObject*", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutLifecycleConfiguration"]


def test_a_policy_can_keep_everybody_but_named_principals_from_deleting(account: Account) -> None:
    name = f"vault-{account.id}"
    keeper = f"arn:aws:iam::{account.id}:role/keeper"
    but = {"ArnNotEquals": {"aws:PrincipalArn": keeper}}
    bucket = make_bucket(account, deny(GUARDED, name, **but))
    other, ours = (account.client("s3", account.assume(account.role(n, allow("s3:*")))) for n in ("other", "keeper"))
    version = other.put_object(Bucket=bucket, Key="a", Body=b"")["VersionId"]
    many = {"Objects": [{"Key": "b"}, {"Key": "a"}]}
    policy = document([deny("s3:GetObject", name)])
    denied = ("AccessDenied", 403)
    assert refused(other.delete_object, Bucket=bucket, Key="a") == denied
    assert refused(other.delete_object, Bucket=bucket, Key="a", VersionId=version) == denied
    assert refused(other.delete_objects, Bucket=bucket, Delete=many) == denied
    assert refused(other.put_bucket_policy, Bucket=bucket, Policy=policy) == denied
    assert refused(other.delete_bucket_policy, Bucket=bucket) == denied
    ours.delete_object(Bucket=bucket, Key="a", VersionId=version)
    ours.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert refused(ours.get_object, Bucket=bucket, Key="a") == denied


def test_a_policy_that_insists_on_tls_lets_this_machine_in(account: Account) -> None:
    name = f"vault-{account.id}"
    bucket = make_bucket(account, deny("s3:*", name, Bool={"aws:SecureTransport": "false"}))
    s3 = account.client("s3", account.assume(account.role("writer", allow("s3:*"))))
    s3.put_object(Bucket=bucket, Key="a", Body=b"")


def test_a_bucket_of_another_owner_than_expected_is_refused(account: Account, vault: Account) -> None:
    bucket = make_bucket(vault)
    s3 = vault.client("s3", vault.assume(vault.role("writer", allow("s3:*"))))
    one = {"Bucket": bucket, "Key": "a"}
    s3.put_object(**one, Body=b"", ExpectedBucketOwner=vault.id)
    assert refused(s3.put_object, **one, Body=b"", ExpectedBucketOwner=account.id) == ("AccessDenied", 403)
    assert refused(s3.get_object, **one, ExpectedBucketOwner=account.id) == ("AccessDenied", 403)
    assert refused(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner=account.id) == ("AccessDenied", 403)


def test_another_accounts_role_needs_its_own_policy_and_the_buckets(account: Account, vault: Account) -> None:
    opened = {"Effect": "Allow", "Principal": {"AWS": account.root}, "Action": "s3:GetObject"}
    bucket = make_bucket(vault, {**opened, "Resource": f"arn:aws:s3:::vault-{vault.id}/*"})
    vault.client("s3").put_object(Bucket=bucket, Key="a", Body=b"theirs")
    granted, not_granted = (
        account.client("s3", account.assume(role))
        for role in (account.role("granted", allow("s3:*")), account.role("not-granted", allow("s3:ListBucket")))
    )
    assert granted.get_object(Bucket=bucket, Key="a")["Body"].read() == b"theirs"
    assert refused(granted.put_object, Bucket=bucket, Key="b", Body=b"") == ("AccessDenied", 403)
    assert refused(not_granted.get_object, Bucket=bucket, Key="a") == ("AccessDenied", 403)


def test_an_object_under_a_key_needs_the_key_to_be_written_and_to_be_read(account: Account) -> None:
    bucket, key = make_bucket(account), account.key()
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    account.client("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    through_s3 = {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    to_write, to_read = (allow(f"kms:{action}", key, **through_s3) for action in ("GenerateDataKey", "Decrypt"))
    writer, reader, neither = (
        account.client("s3", account.assume(account.role(name, allow("s3:*"), *more)))
        for name, more in (("writer", [to_write]), ("reader", [to_read]), ("neither", []))
    )
    one = {"Bucket": bucket, "Key": "a"}
    writer.put_object(**one, Body=b"")
    reader.get_object(**one)
    assert refused(reader.put_object, **one, Body=b"") == ("AccessDenied", 403)
    assert refused(writer.get_object, **one) == ("AccessDenied", 403)
    assert refused(neither.put_object, **one, Body=b"", ServerSideEncryption="aws:kms") == ("AccessDenied", 403)
    neither.put_object(**one, Body=b"", ServerSideEncryption="AES256")
    neither.get_object(**one)
    assert account.decisions()[("reader", "kms:Decrypt", True)] == 1
