// Prints what a token costs by MSAL for Node, cached and cold: rows of a name, a value and its unit, in devcloud's environment.

import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import tls from "node:tls";

import { ConfidentialClientApplication } from "@azure/msal-node";

const { AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_TENANT_ID, HTTPS_PROXY } = process.env;
const ca = readFileSync(process.env.SSL_CERT_FILE);
const pem = readFileSync(process.env.AZURE_CLIENT_CERTIFICATE_PATH, "utf8");
const scopes = ["https://graph.microsoft.com/.default"];

// Node's own fetch goes through no proxy: connections that do, kept for the whole process.
class Tunnels extends https.Agent {
    createConnection(options, callback) {
        const { hostname, port } = new URL(HTTPS_PROXY);
        const connect = http.request({ host: hostname, port, method: "CONNECT", path: `${options.host}:443` });
        connect.on("connect", (_, socket) => callback(null, tls.connect({ ...options, ca, socket, servername: options.host })));
        connect.on("error", callback).end();
    }
}

const agent = new Tunnels({ keepAlive: true });

function send(method, url, { headers, body } = {}) {
    return new Promise((resolve, reject) => {
        const request = https.request(url, { method, headers, agent }, (response) => {
            let text = "";
            response.on("data", (part) => (text += part));
            response.on("end", () =>
                resolve({ headers: response.headers, status: response.statusCode, body: JSON.parse(text) }),
            );
        });
        request.on("error", reject).end(body);
    });
}

const networkClient = {
    sendGetRequestAsync: (url, options) => send("GET", url, options),
    sendPostRequestAsync: (url, options) => send("POST", url, options),
};

function application(credential) {
    const authority = `https://login.microsoftonline.com/${AZURE_TENANT_ID}`;
    const auth = { clientId: AZURE_CLIENT_ID, authority, ...credential };
    return new ConfidentialClientApplication({ auth, system: { networkClient } });
}

async function hit() {
    const app = application({ clientSecret: AZURE_CLIENT_SECRET });
    await app.acquireTokenByClientCredential({ scopes });
    let best = Infinity;
    for (let round = 0; round < 5; round++) {
        const calls = 3000;
        const begun = process.hrtime.bigint();
        for (let n = 0; n < calls; n++) await app.acquireTokenByClientCredential({ scopes });
        best = Math.min(best, Number(process.hrtime.bigint() - begun) / 1000 / calls);
    }
    const again = await app.acquireTokenByClientCredential({ scopes });
    if (!again.fromCache) throw new Error("the cache did not answer: there is nothing to measure");
    return best;
}

// The median of 21 tokens, each of a new application.
async function cold() {
    const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g);
    const [privateKey] = pem.match(/-----BEGIN PRIVATE KEY-----[^]*?-----END PRIVATE KEY-----/);
    const leaf = new X509Certificate(certificates[0]);
    const thumbprintSha256 = createHash("sha256").update(leaf.raw).digest("hex");
    const clientCertificate = { thumbprintSha256, privateKey, x5c: certificates.join("\n") };
    const took = [];
    for (let n = 0; n < 22; n++) {
        const begun = process.hrtime.bigint();
        await application({ clientCertificate }).acquireTokenByClientCredential({ scopes });
        took.push(Number(process.hrtime.bigint() - begun) / 1e6);
    }
    return took.slice(1).sort((a, b) => a - b)[10];
}

console.log(`cached Bearer token ${(await hit()).toFixed(3)} us`);
console.log(`cold Bearer token, certificate ${(await cold()).toFixed(3)} ms`);
agent.destroy();
