"""Runs a batch job the way the sample of the old help page did, call by call.

    python batch_sample.py JOBS_URL KEY CONNECTION_STRING CONTAINER INPUT

The steps: upload the input with the storage's own client, submit, take the quotation marks off the
reply by their position, start with an empty body, ask once a second, join the three texts of each
result, and read it without any header. INPUT is a file; with an empty CONNECTION_STRING it is where
rows lie in the workspace's own store, and nothing is uploaded. Prints the status and then the rows of the results.
"""

import json
import sys
import time
import urllib.error
import urllib.request

url, api_key, connection_string, container, input_location = sys.argv[1:6]


def print_http_error(error):
    print("The request failed with status code: " + str(error.code))
    # Where request id and time of the failure stand.
    print(error.info())
    print(json.loads(error.read()))


def reference(location):
    if connection_string == "":
        return {"RelativeLocation": location}
    return {"ConnectionString": connection_string, "RelativeLocation": location}


def upload():
    from azure.storage.blob import BlobServiceClient

    service = BlobServiceClient.from_connection_string(connection_string)
    client = service.get_blob_client(container, "input1datablob.csv")
    with open(input_location, "rb") as rows:
        client.upload_blob(rows, overwrite=True)


def process_results(result):
    results = result["Results"]
    for name in results:
        blob = results[name]
        location = blob["BaseLocation"] + blob["RelativeLocation"] + blob["SasBlobToken"]
        print("The results of " + name)
        with urllib.request.urlopen(location) as response:
            print(response.read().decode("utf-8"), end="")


def run():
    location = input_location
    if connection_string != "":
        upload()
        location = "/" + container + "/input1datablob.csv"
    payload = {
        "Inputs": {"input1": reference(location)},
        "Outputs": {"output1": reference("/" + container + "/output1results.csv")},
        "GlobalParameters": {},
    }
    body = str.encode(json.dumps(payload))
    headers = {"Content-Type": "application/json", "Authorization": ("Bearer " + api_key)}

    print("Submitting the job...")
    request = urllib.request.Request(url + "?api-version=2.0", body, headers)
    try:
        response = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        print_http_error(error)
        return 1
    result = response.read().decode("utf-8")
    # Without the quotation marks around it.
    job_id = result[1:-1]
    print("Job ID: " + job_id)

    print("Starting the job...")
    request = urllib.request.Request(url + "/" + job_id + "/start?api-version=2.0", b"", headers)
    try:
        urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        print_http_error(error)
        return 1

    status_url = url + "/" + job_id + "?api-version=2.0"
    while True:
        request = urllib.request.Request(
            status_url, headers={"Authorization": ("Bearer " + api_key)}
        )
        try:
            response = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            print_http_error(error)
            return 1
        result = json.loads(response.read())
        status = result["StatusCode"]
        if status == 0 or status == "NotStarted":
            print("Job " + job_id + " not yet started...")
        elif status == 1 or status == "Running":
            print("Job " + job_id + " running...")
        elif status == 2 or status == "Failed":
            print("Job " + job_id + " failed!")
            print("Error details: " + result["Details"])
            return 1
        elif status == 3 or status == "Cancelled":
            print("Job " + job_id + " cancelled!")
            return 1
        elif status == 4 or status == "Finished":
            print("Job " + job_id + " finished!")
            process_results(result)
            return 0
        time.sleep(1)


sys.exit(run())
