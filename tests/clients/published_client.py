"""Consumes a service with the published client `azureml` 0.2.7, unchanged.

    python published_client.py API_LOCATION KEY

The service gives back x and 2·x + 1.
"""

import inspect
import sys

# The client was written for Python 2, whose inspect called this member `keywords`.
inspect.Arguments.keywords = property(lambda arguments: arguments.varkw)

from azureml import services

location, key = sys.argv[1:3]


@services.service(location + "/execute?api-version=2.0", key)
@services.types(x=float)
@services.returns({"x": float, "Scored Labels": float})
def linear(x):
    pass


@services.service(location + "/execute?api-version=2.0&details=true", key)
@services.types(x=float)
def detailed(x):
    pass


# With names and types, the client reads them from the reply.
one = detailed(3.5)
assert one == {"x": 3.5, "Scored Labels": 8.0}, one
many = detailed.map([1.0, 2.0, 3.0])
assert [m["Scored Labels"] for m in many] == [3.0, 5.0, 7.0], many

# A key that is wrong: the client shows the first detail's message of `Unauthorized`.
bad = services.service(location + "/execute?api-version=2.0", "wrong")(detailed.func)
try:
    bad(1.0)
except RuntimeError as error:
    assert "credentials" in str(error).lower(), error
else:
    raise AssertionError("a wrong key was accepted")
print("the published client is content")
