#!/bin/sh
# The classic management API by curl alone: list, get, a further endpoint, its throttle, a retrained
# model, scores before and after, refresh, delete.
#
#     UMPIRE_URL=… WORKSPACE=… WORKSPACE_TOKEN=… SERVICE=… sh classic.sh BASE RELATIVE
#
# WORKSPACE and SERVICE are ids; the service gives back x and 2·x + 1. The retrained model, 10·x + 1,
# lies at the URL BASE joined with RELATIVE.
# CURL_OPTIONS may hold further options of curl (--cacert).
set -eu

fail() {
  echo "$*" >&2
  exit 1
}

# call METHOD URL TOKEN [BODY]: the status into $status, the body into $reply.
call() {
  if [ $# -gt 3 ]; then set -- "$@" --header 'Content-Type: application/json' --data "$4"; fi
  method=$1 url=$2 bearer=$3
  shift 3
  [ $# = 0 ] || shift
  # shellcheck disable=SC2086 # options are words
  reply=$(curl ${CURL_OPTIONS:-} --silent --show-error --request "$method" \
    --header "Authorization: Bearer $bearer" --write-out '\n%{http_code}' "$@" "$url")
  status=${reply##*
}
  reply=${reply%
*}
}

expect() {
  [ "$status" = "$1" ] || fail "$2: status $status, expected $1: $reply"
}

# The text of a member; the replies name each once.
member() {
  printf '%s' "$reply" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

has() {
  case $reply in *"$1"*) ;; *) fail "$2: no $1 in $reply" ;; esac
}

score() {
  call POST "$1/execute?api-version=2.0&details=true" "$2" \
    '{"Inputs":{"input1":{"ColumnNames":["x"],"Values":[[3]]}},"GlobalParameters":{}}'
}

services=$UMPIRE_URL/workspaces/$WORKSPACE/webservices

call GET "$services" "$WORKSPACE_TOKEN"
expect 200 "list of services"
has "\"Id\":\"$SERVICE\"" "list of services"

call GET "$services/$SERVICE" "$WORKSPACE_TOKEN"
expect 200 "a service"
has '"DefaultEndpointName":"default"' "a service"

call GET "$services/$SERVICE/endpoints" "$WORKSPACE_TOKEN"
expect 200 "list of endpoints"
has '"Name":"default"' "list of endpoints"
default_api=$(member ApiLocation) default_key=$(member PrimaryKey)

call PUT "$services/$SERVICE/endpoints/retrained" "$WORKSPACE_TOKEN" \
  '{"Description":"For the retrained model","ThrottleLevel":"High","MaxConcurrentCalls":20}'
expect 201 "a further endpoint"
api=$(member ApiLocation) key=$(member PrimaryKey) help=$(member HelpLocation)

call PATCH "$services/$SERVICE/endpoints/retrained" "$WORKSPACE_TOKEN" '{"MaxConcurrentCalls":50}'
expect 200 "its throttle"
has '"MaxConcurrentCalls":50' "its throttle"

score "$api" "$key"
expect 200 "a score"
has '["3","7"]' "the service's own model"

# UpdateResource, with the endpoint's own key.
call PATCH "$services/$SERVICE/endpoints/retrained" "$key" '{"Resources":[{"Name":"Test [trained model]","Location":{
  "BaseLocation":"'"$1"'","RelativeLocation":"'"$2"'","SasBlobToken":""}}]}'
expect 200 "the update"
score "$api" "$key"
has '["3","31"]' "the retrained model"
score "$default_api" "$default_key"
has '["3","7"]' "the default endpoint as it was"

call GET "$help/score" ""
expect 200 "the help page"
call GET "$help/apidocument" ""
expect 200 "the Swagger document"

# Back to the service's own model; a second time there is nothing to do.
call POST "$services/$SERVICE/endpoints/retrained/refresh" "$WORKSPACE_TOKEN" '{"OverwriteResources": "True"}'
expect 200 "refresh"
score "$api" "$key"
has '["3","7"]' "the service's model again"
call POST "$services/$SERVICE/endpoints/retrained/refresh" "$WORKSPACE_TOKEN" '{"OverwriteResources": "True"}'
expect 304 "a second refresh"

call DELETE "$services/$SERVICE/endpoints/retrained" "$WORKSPACE_TOKEN"
expect 204 "delete"
score "$api" "$key"
[ "$status" != 200 ] || fail "the endpoint is gone and answers"
call GET "$services/$SERVICE/endpoints" "$WORKSPACE_TOKEN"
case $reply in *retrained*) fail "the endpoint is listed still: $reply" ;; esac
call DELETE "$services/$SERVICE" "$WORKSPACE_TOKEN"
expect 204 "delete of the service"
echo "the classic management API is in order"
