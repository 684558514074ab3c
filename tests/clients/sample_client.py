"""The shape of the Python sample that the old service's pages printed: only the URL and the key
are the caller's. Prints the reply, or the failure as that sample did.

    python sample_client.py URL KEY BODY
"""

import sys
import urllib.error
import urllib.request

url, api_key, data = sys.argv[1:4]
body = str.encode(data)
headers = {"Content-Type": "application/json", "Authorization": ("Bearer " + api_key)}
req = urllib.request.Request(url, body, headers)

try:
    response = urllib.request.urlopen(req)
    result = response.read()
    print(result.decode())
except urllib.error.HTTPError as error:
    print("The request failed with status code: " + str(error.code))
    # The headers carry the request ID and the timestamp, which are useful for debugging.
    print(error.info())
    print(error.read().decode("utf8", "ignore"))
    sys.exit(1)
