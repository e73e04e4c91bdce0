#!/bin/sh
# nginx.sh: runs a command beside an nginx that requires a client certificate, in devcloud's environment.
#
#   devcloud run -- tests/support/nginx.sh COMMAND [ARGUMENTS]
#
# The command gets NGINX_URL, https://localhost:PORT, and NGINX_TLS12_URL, where TLS ends at 1.2. Every path answers with JSON of
# what nginx saw: fingerprint (SHA-1 of the client certificate, hex), subject, protocol, authorization.
set -eu

state=${DEVCLOUD_STATE_DIR:?start it in the environment of devcloud}
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || { echo 'nginx.sh: there is no nginx: make prerequisites installs it' >&2; exit 1; }
place=$(mktemp -d)
trap 'stop; rm -rf "$place"' EXIT
trap 'exit 143' TERM INT HUP

stop() {
    if [ -e "$place/pid" ]; then kill "$(cat "$place/pid")" || :; fi
}

# $1 and $2: ports.
configuration() {
    cat <<EOF
pid $place/pid;
master_process off;
events {}
http {
    access_log off;
    client_body_temp_path $place/body;
    proxy_temp_path $place/proxy;
    fastcgi_temp_path $place/fastcgi;
    uwsgi_temp_path $place/uwsgi;
    scgi_temp_path $place/scgi;
    large_client_header_buffers 4 64k;
    ssl_certificate $state/localhost.pem;
    ssl_certificate_key $state/localhost.pem;
    ssl_client_certificate $state/client-cas.pem;
    ssl_verify_client on;
    ssl_verify_depth 2;
    server {
        listen 127.0.0.1:$1 ssl;
        ssl_protocols TLSv1.2 TLSv1.3;
        include $place/answer;
    }
    server {
        listen 127.0.0.1:$2 ssl;
        ssl_protocols TLSv1.2;
        include $place/answer;
    }
}
EOF
}

cat >"$place/answer" <<'EOF'
default_type application/json;
return 200 '{"fingerprint": "$ssl_client_fingerprint", "subject": "$ssl_client_s_dn", "protocol": "$ssl_protocol", "authorization": "$http_authorization"}';
EOF

# nginx cannot choose a free port: it is tried with others when it finds them taken.
for attempt in 1 2 3 4 5; do
    port=$((10000 + $(od -An -N2 -tu2 /dev/urandom) % 10000 * 2))
    configuration "$port" "$((port + 1))" >"$place/nginx.conf"
    if nginx -p "$place" -e "$place/errors" -c "$place/nginx.conf" 2>/dev/null; then break; fi
    if [ "$attempt" = 5 ] || ! grep -q 'Address already in use' "$place/errors"; then
        cat "$place/errors" >&2
        exit 1
    fi
done

NGINX_URL=https://localhost:$port NGINX_TLS12_URL=https://localhost:$((port + 1)) "$@"
