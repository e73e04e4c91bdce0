// Gets a token with MSAL for Node, as a program in App Service would, and prints it.

import { createRequire } from "node:module";

const { ManagedIdentityApplication } = createRequire(process.env.MODULES)("@azure/msal-node");
const answer = await new ManagedIdentityApplication().acquireToken({ resource: "https://graph.microsoft.com" });
console.log(answer.accessToken);
