# A flow of curl, in whatever cloud the environment leads to: FLOW...
status=$(curl -sS -o /dev/null -w '%{http_code}' "https://login.microsoftonline.com/$AZURE_TENANT_ID/oauth2/v2.0/token" \
    -u "$AZURE_CLIENT_ID:$(printf %s "$AZURE_CLIENT_SECRET" | sed 's/~/%7E/g')" \
    -d grant_type=client_credentials -d scope=https://graph.microsoft.com/.default)
echo "$1 => $status"
