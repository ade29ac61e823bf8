#!/bin/sh
# Releases a version by Airflow's REST API, waits for the outcome, and says it. Needs curl and jq.
#
#   AIRFLOW_URL       like https://airflow.example.org
#   AIRFLOW_TOKEN     a token, as an identity provider gives it; or
#   AIRFLOW_USER, AIRFLOW_PASSWORD   of an account of its own, which is exchanged for one
#   APP, VERSION      what is released
#   REQUESTED_BY      the person for whom, by the name that Airflow knows; who asks does not approve
#   RELEASE_NOTES     for the approver (may be empty)
#   RUN_ID            id of the run (may be empty); the same id starts once, so that a job that runs again waits for the first one
#   WAIT_SECONDS      maximum wait; default 7200
#   LOOK_SECONDS      pause between two looks; default 10
#
# Exit code: 0 the release held, or had nothing to do; 1 it did not; 2 it could not be asked for, or the wait was too short.
set -u

fail() { echo "$*" >&2; exit 2; }

for name in AIRFLOW_URL APP VERSION REQUESTED_BY; do
  eval "value=\${$name:-}"
  [ -n "$value" ] || fail "$name is missing: set it in the job."
done
command -v curl >/dev/null && command -v jq >/dev/null || fail "curl and jq are expected on the runner."

api="${AIRFLOW_URL%/}/api/v2"
dag="release_$(printf %s "$APP" | tr - _)"
run="${RUN_ID:-ci-$VERSION-$(date +%s)}"
wait="${WAIT_SECONDS:-7200}" look="${LOOK_SECONDS:-10}"
folder=$(mktemp -d) || fail "No folder for answers can be made."
trap 'rm -rf "$folder"' EXIT
answer="$folder/answer" secrets="$folder/headers"
: > "$secrets" && chmod 600 "$secrets"  # not in arguments: everybody on a machine can read those

log_in() {
  token="${AIRFLOW_TOKEN:-}"
  if [ -z "$token" ]; then
    [ -n "${AIRFLOW_USER:-}" ] || fail "Either AIRFLOW_TOKEN, or AIRFLOW_USER and AIRFLOW_PASSWORD are expected."
    token=$(jq -n '{username: env.AIRFLOW_USER, password: env.AIRFLOW_PASSWORD}' |
      curl -sS --max-time 30 -H 'Content-Type: application/json' --data @- "${AIRFLOW_URL%/}/auth/token" |
      jq -r '.access_token // empty')
    [ -n "$token" ] || fail "Airflow gives no token to $AIRFLOW_USER."
  fi
  printf 'Authorization: Bearer %s\nContent-Type: application/json\n' "$token" > "$secrets"
}

# ask METHOD PATH [BODY]: the answer's status; its body is in $answer. No answer is 000.
ask() {
  : > "$answer"
  if [ $# -gt 2 ]; then set -- "$1" "$2" --data "$3"; fi
  method=$1 path=$2; shift 2
  curl -sS --max-time 30 -o "$answer" -w '%{http_code}' -X "$method" -H "@$secrets" "$@" "$api/$path"
}

log_in
body=$(jq -n --arg run "$run" --arg version "$VERSION" --arg by "$REQUESTED_BY" --arg notes "${RELEASE_NOTES:-}" \
  '{dag_run_id: $run, logical_date: null, conf: ({version: $version, requested_by: $by} + if $notes == "" then {} else {notes: $notes} end)}')
status=$(ask POST "dags/$dag/dagRuns" "$body")
case "$status" in
  2*) echo "Asked for $APP $VERSION: run $run of $dag." ;;
  409) echo "Run $run of $dag is there already: waiting for it." ;;
  404) fail "Airflow has no DAG $dag, or this account may not see it." ;;
  401|403) fail "Airflow does not let this account release $APP (status $status)." ;;
  *) fail "Airflow did not take $APP $VERSION (status $status): $(jq -r '.detail // "it said nothing"' "$answer" 2>/dev/null)" ;;
esac

end=$(( $(date +%s) + wait )) state=unknown
while :; do
  status=$(ask GET "dags/$dag/dagRuns/$run")
  case "$status" in
    200) state=$(jq -r '.state // "unknown"' "$answer") ;;
    401) log_in ;;  # a token that has come to its end while an approval was waited for
    404) fail "Run $run of $dag was deleted." ;;
  esac
  case "$state" in success|failed) break ;; esac
  [ "$(date +%s)" -lt "$end" ] || fail "$APP $VERSION has not ended after $wait s ($state); it goes on in Airflow: run $run of $dag."
  sleep "$look"
done

status=$(ask GET "dags/$dag/dagRuns/$run/taskInstances/outcome/xcomEntries/reason?deserialize=true")
sentence=""
[ "$status" = 200 ] && sentence=$(jq -r '.value // empty | if type == "string" then . else tostring end' "$answer")
echo "${sentence:-The run has ended as $state; its page in Airflow says why.}"
[ "$state" = success ]
