// A flow of Go's net/http, in whatever cloud the environment leads to: FLOW...
package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
)

func main() {
	endpoint := "https://login.microsoftonline.com/" + os.Getenv("AZURE_TENANT_ID") + "/oauth2/v2.0/token"
	answer, err := http.PostForm(endpoint, url.Values{
		"grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
		"client_id": {os.Getenv("AZURE_CLIENT_ID")}, "client_secret": {os.Getenv("AZURE_CLIENT_SECRET")},
	})
	if err != nil {
		fmt.Println(os.Args[1], "=> refuses:", err)
		return
	}
	fmt.Println(os.Args[1], "=>", answer.StatusCode)
}
