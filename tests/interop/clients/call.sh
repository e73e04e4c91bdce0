# Calls Graph and Key Vault through mtlspop proxy with curl, or with wget.

curl() {
    command curl --disable --silent --output /dev/null --write-out '%{http_code} ' --noproxy '*' \
        --header "X-Mtlspop-Secret: $SECRET" "$@"
}
wget() {
    command wget --no-config --no-proxy --server-response --output-document=/dev/null --header="X-Mtlspop-Secret: $SECRET" "$@" 2>&1 |
        sed -n 's,^ *HTTP/1.1 \([0-9]*\).*,\1,p' | tr '\n' ' '
}
case $1 in
    curl)
        curl "$URL/graph/v1.0/me"
        curl "$URL/vault/secrets/demo?api-version=7.4"
        curl --data '{"name": "value"}' "$URL/graph/echo"
        printf 'in chunks' | curl --upload-file - "$URL/graph/echo"
        ;;
    wget)
        wget "$URL/graph/v1.0/me"
        wget "$URL/vault/secrets/demo?api-version=7.4"
        wget --post-data='{"name": "value"}' "$URL/graph/echo"
        # It knows no chunks.
        wget --method=PUT --body-data='in chunks' "$URL/graph/echo"
        ;;
esac
