// Flows of MSAL for Node, the Azure SDK for JavaScript, jose and openid-client, in whatever cloud the environment leads to: FLOW...

import { createHash, createPrivateKey, webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as identity from '@azure/identity';
import { SecretClient } from '@azure/keyvault-secrets';
import * as msal from '@azure/msal-node';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import * as openid from 'openid-client';

const { env } = process;
const graph = 'https://graph.microsoft.com';
const scope = `${graph}/.default`;
const userAssigned = { clientId: '22222222-3333-4444-8555-666666666602' };
const names = {
  '0b9ec5a1-7c43-4d0e-a2f5-00000000aaaa': 'application A',
  '0b9ec5a1-7c43-4d0e-a2f5-00000000bbbb': 'application B',
  '0b9ec5a1-7c43-4d0e-a2f5-000000000501': 'the system-assigned identity',
  '0b9ec5a1-7c43-4d0e-a2f5-000000000602': 'the user-assigned identity',
};
const whose = token => names[JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).oid];
const authority = `https://login.microsoftonline.com/${env.AZURE_TENANT_ID}`;

// Certificates, private key, and the first certificate in DER.
function certificate() {
  const pem = readFileSync(env.AZURE_CLIENT_CERTIFICATE_PATH, 'utf8');
  const at = pem.indexOf('-----BEGIN PRIVATE');
  return { x5c: pem.slice(0, at), privateKey: pem.slice(at), leaf: Buffer.from(pem.split('-----')[2], 'base64') };
}

async function app(proof, more) {
  const made = new msal.ConfidentialClientApplication({ auth: { clientId: env.AZURE_CLIENT_ID, authority, ...proof } });
  return whose((await made.acquireTokenByClientCredential({ scopes: [scope], ...more })).accessToken);
}

async function managed(id) {
  const made = new msal.ManagedIdentityApplication({ managedIdentityIdParams: id });
  return whose((await made.acquireToken({ resource: graph })).accessToken);
}

const credential = async made => whose((await made.getToken(scope)).token);

async function secrets() {
  const client = new SecretClient('https://devcloud.vault.azure.net', new identity.DefaultAzureCredential());
  await client.setSecret('name', 'one');
  await client.setSecret('name', 'two');
  const found = await collect(client.listPropertiesOfSecrets());
  const versions = await collect(client.listPropertiesOfSecretVersions('name'));
  const { value } = await client.getSecret('name');
  if (value !== 'two' || found.length !== 2 || versions.length !== 2) throw new Error(`${value} ${found.length}`);
  await (await client.beginDeleteSecret('name', { intervalInMs: 1 })).pollUntilDone();
  return client.getSecret('name').then(() => 'still there', () => 'set, read, listed, deleted');
}

async function collect(iterator) {
  const all = [];
  for await (const entry of iterator) all.push(entry);
  return all;
}

async function validated() {
  const audience = 'api://orders';
  const { token } = await new identity.DefaultAzureCredential().getToken(`${audience}/.default`);
  const metadata = await (await fetch(`${authority}/v2.0/.well-known/openid-configuration`)).json();
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
  return names[(await jwtVerify(token, keys, { issuer: metadata.issuer, audience })).payload.oid];
}

async function ofOpenidClient() {
  const { privateKey, leaf } = certificate();
  const der = createPrivateKey(privateKey).export({ type: 'pkcs8', format: 'der' });
  const key = await webcrypto.subtle.importKey('pkcs8', der, { name: 'RSA-PSS', hash: 'SHA-256' }, false, ['sign']);
  const thumbprint = createHash('sha256').update(leaf).digest('base64url');
  const proof = openid.PrivateKeyJwt(key, { [openid.modifyAssertion]: header => { header['x5t#S256'] = thumbprint; } });
  const config = await openid.discovery(new URL(`${authority}/v2.0`), env.AZURE_CLIENT_ID, {}, proof);
  return whose((await openid.clientCredentialsGrant(config, { scope })).access_token);
}

const flows = {
  'MSAL, secret': () => app({ clientSecret: env.AZURE_CLIENT_SECRET }),
  'MSAL, secret, region': () => app({ clientSecret: env.AZURE_CLIENT_SECRET }, { azureRegion: 'westus2' }),
  'MSAL, certificate and chain': () => {
    const { leaf, ...rest } = certificate();
    return app({ clientCertificate: { thumbprintSha256: createHash('sha256').update(leaf).digest('hex'), ...rest } });
  },
  'MSAL, assertion': () => app({ clientAssertion: readFileSync(env.AZURE_FEDERATED_TOKEN_FILE, 'utf8') }),
  'MSAL, system-assigned': () => managed(),
  'MSAL, user-assigned': () => managed({ userAssignedClientId: userAssigned.clientId }),
  EnvironmentCredential: () => credential(new identity.EnvironmentCredential()),
  WorkloadIdentityCredential: () => credential(new identity.WorkloadIdentityCredential()),
  ManagedIdentityCredential: () => credential(new identity.ManagedIdentityCredential()),
  'the same, user-assigned': () => credential(new identity.ManagedIdentityCredential(userAssigned)),
  DefaultAzureCredential: () => credential(new identity.DefaultAzureCredential()),
  SecretClient: secrets,
  'jose, the token validated': validated,
  'openid-client, private_key_jwt': ofOpenidClient,
};

for (const name of process.argv.slice(2)) {
  const said = await (async () => flows[name]())().catch(error => `refuses: ${String(error.message).replace(/\s+/g, ' ')}`);
  console.log(`${name} => ${said}`);
}
