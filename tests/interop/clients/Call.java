// Calls Graph and Key Vault through mtlspop proxy with the HttpClient of Java 11 and later.

import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

public class Call {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        BodyPublisher chunks =
            BodyPublishers.ofInputStream(() -> new ByteArrayInputStream("in chunks".getBytes()));
        int[] statuses = {
            ask("GET", "/graph/v1.0/me", BodyPublishers.noBody()),
            ask("GET", "/vault/secrets/demo?api-version=7.4", BodyPublishers.noBody()),
            ask("POST", "/graph/echo", BodyPublishers.ofString("{\"name\": \"value\"}")),
            ask("PUT", "/graph/echo", chunks),
        };
        System.out.printf("%d %d %d %d%n", statuses[0], statuses[1], statuses[2], statuses[3]);
    }

    private static int ask(String method, String path, BodyPublisher body) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("URL") + path))
            .header("X-Mtlspop-Secret", System.getenv("SECRET"))
            .method(method, body)
            .build();
        return CLIENT.send(request, BodyHandlers.ofString()).statusCode();
    }
}
