// A flow of Java's HttpClient, in whatever cloud the environment and the properties lead to: FLOW...

import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

class Flows {
    public static void main(String[] flows) throws Exception {
        var environment = System.getenv();
        var form = "grant_type=client_credentials&scope=https://graph.microsoft.com/.default&client_id="
            + environment.get("AZURE_CLIENT_ID") + "&client_secret=" + environment.get("AZURE_CLIENT_SECRET");
        var endpoint = "https://login.microsoftonline.com/" + environment.get("AZURE_TENANT_ID") + "/oauth2/v2.0/token";
        var request = HttpRequest.newBuilder(URI.create(endpoint))
            .header("content-type", "application/x-www-form-urlencoded")
            .POST(HttpRequest.BodyPublishers.ofString(form)).build();
        var client = HttpClient.newBuilder().proxy(ProxySelector.getDefault()).build();
        System.out.println(flows[0] + " => " + client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
}
