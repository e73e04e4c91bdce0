#!/bin/bash
# bench-proxy.sh: mtlspop proxy under 1,000 clients, beside nginx that does the same with a token which somebody gave it.
#
#   SECONDS_EACH   how long each of the two works, 60 unless given
#   CLIENTS        how many connections are kept, 1000 unless given
#   PROGRAM        a mtlspop that is there already; without it, it is built
#
# Both send to an API that is an nginx, too, over mTLS on loopback: everything shares the processors with wrk. While the proxy works, its
# certificate is replaced twice. It fails where a request was not answered with 200, or the proxy's memory grew.
set -euo pipefail

cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
PATH=$PATH:/usr/sbin
for tool in wrk nginx curl; do
    command -v $tool >/dev/null || { echo "bench-proxy: there is no $tool (Debian, Ubuntu: apt-get install wrk nginx-light curl)" >&2; exit 1; }
done
if [ "${1:-}" != inside ]; then
    [ -n "${PROGRAM:-}" ] || cargo build --quiet --release --package mtlspop-cli
    cargo build --quiet --package devcloud
    exec "$target/debug/devcloud" run -- "$0" inside
fi

duration=${SECONDS_EACH:-60} clients=${CLIENTS:-1000}
state=${DEVCLOUD_STATE_DIR:?}
place=$(mktemp -d)
stop() {
    [ ! -e "$place/pid" ] || kill "$(cat "$place/pid")" || :
    [ -z "${proxy:-}" ] || kill "$proxy" 2>/dev/null || :
    wait
    rm -rf "$place"
}
trap stop EXIT
ulimit -n "$(ulimit -Hn)"

# The API, and a proxy to it that knows a token.
cp "$state/sni.pem" "$place/app.pem"
resource=https://graph.microsoft.com
mtlspop=${PROGRAM:-$target/release/mtlspop}
token=$("$mtlspop" token --pop --certificate "$place/app.pem" --resource $resource --output header)
port=$((20000 + $(od -An -N2 -tu2 /dev/urandom) % 10000))
cat >"$place/nginx.conf" <<NGINX
pid $place/pid;
worker_processes 1;
worker_rlimit_nofile 16384;
error_log $place/errors;
events { worker_connections 8192; }
http {
    access_log off;
    client_body_temp_path $place/body;
    proxy_temp_path $place/proxy;
    fastcgi_temp_path $place/fastcgi;
    uwsgi_temp_path $place/uwsgi;
    scgi_temp_path $place/scgi;
    keepalive_requests 1000000;
    server {
        listen 127.0.0.1:$port ssl backlog=4096;
        ssl_certificate $state/localhost.pem;
        ssl_certificate_key $state/localhost.pem;
        ssl_client_certificate $state/client-cas.pem;
        ssl_verify_client on;
        ssl_verify_depth 2;
        location / {
            if (\$http_authorization !~ "^mtls_pop ") { return 401; }
            default_type application/json;
            return 200 '{"value": "$(printf '%01000d' 0)"}';
        }
    }
    upstream api { server 127.0.0.1:$port; keepalive 64; keepalive_requests 1000000; }
    server {
        listen 127.0.0.1:$((port + 1)) backlog=4096;
        location / {
            proxy_pass https://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host localhost;
            proxy_set_header $(printf '%s' "$token" | sed 's/: / "/')";
            proxy_ssl_certificate $place/app.pem;
            proxy_ssl_certificate_key $place/app.pem;
            proxy_ssl_trusted_certificate $state/ca.pem;
            proxy_ssl_verify on;
            proxy_ssl_verify_depth 2;
            proxy_ssl_name localhost;
        }
    }
}
NGINX
nginx -p "$place" -e "$place/errors" -c "$place/nginx.conf"

coproc PROXY { exec "$mtlspop" proxy --pop --certificate "$place/app.pem" --resource $resource --upstream "https://localhost:$port" \
    --listen 127.0.0.1:0 --listen-secret-file "$place/secret" 2>"$place/said"; }
proxy=$PROXY_PID
read -r url <&"${PROXY[0]}"
header="X-Mtlspop-Secret: $(cat "$place/secret")"
curl --silent --fail --noproxy '*' --header "$header" --output /dev/null "$url/"
curl --silent --fail --noproxy '*' --output /dev/null "http://127.0.0.1:$((port + 1))/"

memory() { sed -n "s/^$1:\s*\([0-9]*\) kB/\1/p" "/proc/$proxy/status"; }
load() { wrk --threads 2 --connections "$clients" --duration "${duration}s" --timeout 30s --latency "$@" >"$place/wrk"; }
# $1: what it says before the number.
told() { sed -n "s/^ *$1[: ] *\([0-9.a-z]*\).*/\1/p" "$place/wrk"; }
row() {
    wrong=$(sed -n 's/.*Non-2xx or 3xx responses: //p; s/.*Socket errors: /socket errors: /p' "$place/wrk" | tr '\n' ' ')
    echo "| $1 | $(told 'Requests\/sec') | $(told '50%') | $(told '99%') | ${wrong:-none} | $2 |"
    [ -z "$wrong" ] || failed=1
}

failed=
echo "$(nproc) cores, load before it $(cut -d ' ' -f 1 /proc/loadavg); $clients clients for $duration seconds each"
echo
echo '| | requests a second | median | 99 % | errors | memory |'
echo '|---|--:|--:|--:|---|---|'
load "http://127.0.0.1:$((port + 1))/"
row 'nginx, with a token that it was given' ''
sleep 1
# With all clients there, after a tenth of the time, and in the end. The certificate is replaced in between.
(
    sleep $((duration / 10)).5
    memory VmRSS >"$place/early"
    for file in sni-rotated sni; do
        sleep $((duration / 4))
        cp "$state/$file.pem" "$place/app.pem.new"
        mv "$place/app.pem.new" "$place/app.pem"
        kill -HUP "$proxy"
    done
    sleep $((duration / 4))
    memory VmRSS >"$place/late"
) &
watch=$!
load --header "$header" "$url/"
wait $watch
early=$(cat "$place/early") late=$(cat "$place/late")
row 'mtlspop proxy, its certificate replaced twice' "$((early / 1024)) MB, later $((late / 1024)) MB, peak $(($(memory VmHWM) / 1024)) MB"
if [ -s "$place/said" ]; then
    cat "$place/said" >&2
    failed=1
fi
# Twice the pools: those of the certificate before stay until they are idle.
[ "$late" -le $((early + early / 2)) ] || failed=1
[ -z "$failed" ] || { echo 'bench-proxy: a request was not answered as it must be, or memory grew' >&2; exit 1; }
