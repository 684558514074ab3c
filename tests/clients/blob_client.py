"""The official client of Azure's blob storage against an upload of ours and its signed URL.

Arguments: the URL that uploads are asked for at, a key of the endpoint.
"""

import json
import os
import sys
import urllib.request

from azure.core import MatchConditions
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobBlock, BlobClient, ContentSettings

MIB = 1024 * 1024


def upload_place(name):
    request = urllib.request.Request(
        sys.argv[1],
        json.dumps({"Name": name}).encode(),
        {"Authorization": "Bearer " + sys.argv[2], "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:
        assert reply.status == 201
        place = json.load(reply)
    assert place["ConnectionString"] is None and place["ExpiryTime"]
    return place["BaseLocation"] + place["RelativeLocation"] + place["SasBlobToken"]


def refused(kind, code, call):
    try:
        call()
    except kind as error:
        assert error.error_code == code, (error.error_code, code)
        return error
    raise AssertionError(f"{kind.__name__} was expected")


def client(url, **settings):
    return BlobClient.from_blob_url(url, retry_total=0, **settings)


# Put whole, read whole, in ranges, and as it is written over.
url = upload_place("in.csv")
blob = client(url)
assert not blob.exists()
refused(ResourceNotFoundError, "ContainerNotFound", blob.download_blob)
content = b"a,b\n1,2\n"
written = blob.upload_blob(content, content_settings=ContentSettings(content_type="text/csv"))
assert blob.exists()
assert blob.download_blob().readall() == content
assert blob.download_blob(offset=4, length=3).readall() == b"1,2"
refused(HttpResponseError, "InvalidRange", lambda: blob.download_blob(offset=99, length=1).readall())
properties = blob.get_blob_properties()
assert properties.size == len(content) and properties.etag == written["etag"]
assert properties.content_settings.content_type == "text/csv"
assert properties.last_modified and properties.creation_time
refused(ResourceExistsError, "BlobAlreadyExists", lambda: blob.upload_blob(b"x"))
again = blob.upload_blob(b"new", overwrite=True)
assert again["etag"] != written["etag"]
old = {"etag": written["etag"], "match_condition": MatchConditions.IfNotModified}
refused(ResourceModifiedError, "ConditionNotMet", lambda: blob.download_blob(**old))
refused(
    ResourceModifiedError,
    "ConditionNotMet",
    lambda: blob.upload_blob(b"x", overwrite=True, **old),
)
assert blob.download_blob().readall() == b"new"
blob.upload_blob(b"", overwrite=True)
assert blob.download_blob().readall() == b""

# In blocks: the client's own way with what is large, and by hand.
url = upload_place("large.csv")
large = os.urandom(9 * MIB + 17)
blob = client(url, max_single_put_size=MIB, max_block_size=2 * MIB, max_single_get_size=MIB,
              max_chunk_get_size=MIB)
blob.upload_blob(large, max_concurrency=3)
assert blob.download_blob(max_concurrency=3).readall() == large
committed, uncommitted = blob.get_block_list("all")
assert sum(block.size for block in committed) == len(large) and not uncommitted
blob.stage_block("one", b"1")
blob.stage_block("two", b"2")
assert len(blob.get_block_list("uncommitted")[1]) == 2
assert blob.download_blob(offset=0, length=10).readall() == large[:10]
refused(
    HttpResponseError,
    "InvalidBlockList",
    lambda: blob.commit_block_list([BlobBlock("three")]),
)
blob.commit_block_list([BlobBlock("two"), BlobBlock("one")])
assert blob.download_blob().readall() == b"21"

# A signature is for its blob, its time and its permissions.
refused(HttpResponseError, "AuthorizationPermissionMismatch", blob.delete_blob)
for changed in [
    url.replace("large.csv", "other.csv"),
    url.replace("sp=rcw", "sp=rcwd"),
    url[:-1] + ("A" if url[-1] != "A" else "B"),
    url.replace("se=2", "se=3"),
    url.split("?")[0],
]:
    kind = (ClientAuthenticationError, HttpResponseError)
    refused(kind, "AuthenticationFailed", client(changed).get_blob_properties)
    refused(kind, "AuthenticationFailed", lambda: client(changed).upload_blob(b"x", overwrite=True))
    refused(kind, "AuthenticationFailed", client(changed).delete_blob)
assert blob.download_blob().readall() == b"21"

# What is not done here is said.
refused(HttpResponseError, "UnsupportedHeader", lambda: blob.upload_blob(
    b"x", overwrite=True, metadata={"a": "b"}))
refused(HttpResponseError, "InvalidHeaderValue", lambda: blob.create_append_blob())
print("done")
