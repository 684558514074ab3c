"""Consumes a service with the published client `azureml` 0.2.7, unchanged.

    python published_client.py API_LOCATION KEY BASE WORKSPACE SERVICE TOKEN

The service gives back x and 2·x + 1; BASE, WORKSPACE, SERVICE and TOKEN are how the classic
management API knows it.
"""

import inspect
import sys

# The client was written for Python 2, whose inspect called this member `keywords`.
inspect.Arguments.keywords = property(lambda arguments: arguments.varkw)

import requests
from azureml import services

location, key, base, workspace, service, token = sys.argv[1:7]


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
# From a service's id to something to call, as the client goes after it has published.
url = services.PUBLISH_URL_FORMAT.format(base, workspace, service)
headers = {"authorization": "bearer " + token}
published = requests.get(url, headers=headers).json()
endpoint = requests.get(url + "/endpoints/" + published["DefaultEndpointName"], headers=headers)
endpoint = endpoint.json()
consumed = services.service(
    endpoint["ApiLocation"] + "/execute?api-version=2.0&details=true",
    endpoint["PrimaryKey"],
    endpoint["HelpLocation"] + "/score",
)(detailed.func)
assert consumed(3.5) == {"x": 3.5, "Scored Labels": 8.0}
_, _, help_url = consumed
page = requests.get(help_url)
assert page.status_code == 200 and "html" in page.headers["content-type"], page.headers

# Publishing. The client writes functions down as Python 2 compiled them, which no later Python
# can; the rest is its own: the bundle, the call, and how it tells that it was refused.
services._get_source = inspect.getsource


@services.types(a=int, b=bool)
@services.returns(float)
def add(a, b):
    return a + 0.5 if b else a


try:
    services.publish(add, workspace, token, endpoint=base)
except ValueError as error:
    assert "Failed to publish function" in str(error), error
    assert "package" in str(error), error
else:
    raise AssertionError("code was published that nothing here can run")
print("the published client is content")
