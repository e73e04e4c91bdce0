// Calls Graph and Key Vault through mtlspop proxy with Node's own fetch.

const { URL: url, SECRET: secret } = process.env;
const ask = (path, options = {}) =>
  fetch(url + path, { ...options, headers: { "X-Mtlspop-Secret": secret } });
const chunks = new ReadableStream({
  start(controller) {
    for (const piece of ["in ", "chunks"]) controller.enqueue(new TextEncoder().encode(piece));
    controller.close();
  },
});
const answers = [
  await ask("/graph/v1.0/me"),
  await ask("/vault/secrets/demo?api-version=7.4"),
  await ask("/graph/echo", { method: "POST", body: '{"name": "value"}' }),
  await ask("/graph/echo", { method: "PUT", body: chunks, duplex: "half" }),
];
await Promise.all(answers.map((answer) => answer.text()));
console.log(answers.map((answer) => answer.status).join(" "));
