# Runs a Java program in devcloud: a trust store with its root, and its proxy as properties. JAVA_FILE FLOW
set -eu
keytool -importcert -noprompt -alias devcloud -file "$SSL_CERT_FILE" -keystore "$DEVCLOUD_STATE_DIR/trust.p12" -storetype PKCS12 \
    -storepass changeit 2>/dev/null
port=${HTTPS_PROXY##*:}
exec java -XX:TieredStopAtLevel=1 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort="$port" \
    -Djavax.net.ssl.trustStore="$DEVCLOUD_STATE_DIR/trust.p12" -Djavax.net.ssl.trustStorePassword=changeit "$@"
